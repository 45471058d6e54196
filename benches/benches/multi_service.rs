//! Pattern 5: four services in turn and at once; and a hundred embeddings in a hundred calls, in
//! turn and at once, and in one.
//! `cargo bench -p benches --bench multi-service`

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

/// How many requests a hundred embeddings take, each of which counts against the rate limit.
fn count(output: &mut Output, mock: &MockProcess) {
    output.title(format_args!("requests of {TEXTS} embeddings"));
    let sync = SyncClient::new(mock.config()).expect("a client can be built");
    let requests = |name: &str, embed: &dyn Fn()| {
        mock.forget().expect("the mock forgets");
        embed();
        let counted = mock.counted().expect("the mock counts").requests;
        let id = format!("multi-service/embeddings/{name}");
        Figure::one(id, Unit::Count, counted as f64)
    };
    output.row(&[
        requests("one-by-one", &|| each_at_once(&sync)),
        requests("one-call", &|| all_in_one(&sync)),
    ]);
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
    group.bench_function("sync/embeddings/one-call", |b| b.iter(|| all_in_one(&sync)));
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
    group.bench_function("async/embeddings/one-call", |b| {
        let request = request(&client.config().embedding_model);
        let all = || client.embed(&request);
        b.iter(|| runtime.block_on(all()).expect("the mock answers"));
    });
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

fn all_in_one(client: &SyncClient) {
    let request = request(&client.config().embedding_model);
    client.embed(&request).expect("the mock answers");
}

fn request(model: &str) -> EmbeddingRequest {
    EmbeddingRequest::new(model, (0..TEXTS).map(text))
}
