//! Pattern 5: four services in turn and at once; and a hundred embeddings in a hundred calls, in
//! turn and at once, and in one, with the vectors as JSON numbers and as base64.
//! `cargo bench -p benches --bench multi-service`
//!
//! What one call takes beyond the latency is the size of its answer: a hundred vectors are 1.9 MB of
//! digits to read, and 0.8 MB in base64.

mod setup;

use std::thread;

use ai_core::{AsyncClient, EmbeddingRequest, SyncClient};
use benches::{Figure, MockProcess, Output, Unit, runtime, serve_if_asked};
use criterion::Criterion;
use demo::SERVICES;
use futures::future::join_all;
use multi_service::{
    Analysis, Limits, TEXT, comprehensive_analysis, comprehensive_analysis_async,
    comprehensive_analysis_in_turn, comprehensive_analysis_in_turn_async, get_embedding,
    get_embedding_async,
};

const TEXTS: usize = 100;

fn main() {
    // The guide's four services in their ratio of 5:3:7:4, the first of which takes 20 ms.
    let (_, first) = SERVICES[0];
    let scale = setup::LATENCY.div_duration_f64(first);
    serve_if_asked(|mock| {
        SERVICES.into_iter().fold(mock, |mock, (service, time)| {
            mock.service_latency(service, time.mul_f64(scale))
        })
    });
    let mock = MockProcess::start().expect("this program can start itself");
    setup::run(
        |output| count(output, &mock),
        |criterion| bench(criterion, &mock),
    );
}

/// What a hundred embeddings take: requests, each of which counts against the rate limit, tokens,
/// which are billed, and bytes, which the client has to read.
fn count(output: &mut Output, mock: &MockProcess) {
    output.title(format_args!("what {TEXTS} embeddings take"));
    let client = SyncClient::new(mock.config()).expect("a client can be built");
    let model = &client.config().embedding_model;
    let one_by_one = (0..TEXTS).map(|n| EmbeddingRequest::new(model, [text(n)]));
    let cases = [
        ("one-by-one", one_by_one.collect()),
        ("one-call", vec![request(model)]),
        ("one-call-base64", vec![in_base64(model)]),
    ];
    for (name, requests) in cases {
        mock.forget().expect("the mock forgets");
        let replies = requests.iter().map(|request| client.embed(request));
        let (mut tokens, mut bytes) = (0, 0);
        for reply in replies.map(|reply| reply.expect("the mock answers")) {
            tokens += reply.usage.expect("the mock tells it").input_tokens;
            bytes += reply.body.len();
        }
        let requests = mock.counted().expect("the mock counts").requests;
        let id = |what: &str| format!("multi-service/embeddings/{name}/{what}");
        output.row(&[
            Figure::one(id("requests"), Unit::Count, requests as f64),
            Figure::one(id("tokens"), Unit::Count, tokens as f64),
            Figure::one(id("bytes"), Unit::Bytes, bytes as f64),
        ]);
    }
}

fn bench(criterion: &mut Criterion, mock: &MockProcess) {
    let runtime = runtime();
    let sync = SyncClient::new(mock.config()).expect("a client can be built");
    let client = AsyncClient::new(mock.config()).expect("a client can be built");
    let limits = Limits::default();
    let mut group = setup::group(criterion, "multi-service");

    group.bench_function("sync/in-turn", |b| {
        b.iter(|| whole(&comprehensive_analysis_in_turn(&sync, TEXT, limits)));
    });
    group.bench_function("sync/at-once", |b| {
        b.iter(|| whole(&comprehensive_analysis(&sync, TEXT, limits)));
    });
    group.bench_function("async/in-turn", |b| {
        let analysis = || comprehensive_analysis_in_turn_async(&client, TEXT, limits);
        b.iter(|| whole(&runtime.block_on(analysis())));
    });
    group.bench_function("async/at-once", |b| {
        let analysis = || comprehensive_analysis_async(&client, TEXT, limits);
        b.iter(|| whole(&runtime.block_on(analysis())));
    });

    group.bench_function("sync/embeddings/in-turn", |b| {
        b.iter(|| (0..TEXTS).for_each(|n| embed(&sync, n)));
    });
    group.bench_function("sync/embeddings/at-once", |b| {
        b.iter(|| each_at_once(&sync));
    });
    let batches = [
        ("one-call", request(&client.config().embedding_model)),
        (
            "one-call-base64",
            in_base64(&client.config().embedding_model),
        ),
    ];
    for (name, request) in &batches {
        group.bench_function(format!("sync/embeddings/{name}"), |b| {
            b.iter(|| sync.embed(request).expect("the mock answers"));
        });
    }
    group.bench_function("async/embeddings/in-turn", |b| {
        let all = async || {
            for n in 0..TEXTS {
                embed_async(&client, n).await;
            }
        };
        b.iter(|| runtime.block_on(all()));
    });
    group.bench_function("async/embeddings/at-once", |b| {
        let all = || join_all((0..TEXTS).map(|n| embed_async(&client, n)));
        b.iter(|| runtime.block_on(all()));
    });
    for (name, request) in &batches {
        group.bench_function(format!("async/embeddings/{name}"), |b| {
            b.iter(|| {
                runtime
                    .block_on(client.embed(request))
                    .expect("the mock answers")
            });
        });
    }
}

fn whole(analysis: &Analysis) {
    let Analysis {
        embedding,
        sentiment,
        summary,
        entities,
        ..
    } = analysis;
    let whole = embedding.ok().is_some()
        && sentiment.ok().is_some()
        && summary.ok().is_some()
        && entities.ok().is_some();
    assert!(whole, "every service answers in time: {analysis:?}");
}

fn text(n: usize) -> String {
    format!("The text of document {n}")
}

fn embed(client: &SyncClient, n: usize) {
    get_embedding(client, &text(n)).expect("the mock answers");
}

async fn embed_async(client: &AsyncClient, n: usize) {
    let vector = get_embedding_async(client, &text(n)).await;
    vector.expect("the mock answers");
}

fn each_at_once(client: &SyncClient) {
    thread::scope(|scope| {
        for n in 0..TEXTS {
            scope.spawn(move || embed(client, n));
        }
    });
}

/// All in one.
fn request(model: &str) -> EmbeddingRequest {
    EmbeddingRequest::new(model, (0..TEXTS).map(text))
}

/// The same, with the vectors as the official SDKs ask for them.
fn in_base64(model: &str) -> EmbeddingRequest {
    EmbeddingRequest {
        encoding_format: Some("base64".into()),
        ..request(model)
    }
}
