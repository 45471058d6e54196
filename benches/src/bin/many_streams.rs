//! What streams cost in memory: a thousand at once, and one whose consumer is slow.
//! `cargo run --release -p benches --bin many-streams`

use std::thread;
use std::time::Duration;

use ai_core::{AsyncClient, CallOptions, ChatRequest, Event, SyncClient};
use benches::{
    Figure, MockProcess, Output, Unit, raise_open_files, resident, runtime, serve_if_asked,
};
use clap::Parser;
use futures::future::join_all;
use futures::{Stream, StreamExt};
use serde_json::json;

const STREAMS: u64 = 1_000;
const TOKENS: u64 = 100;
const SHORT: u64 = 20_000;
const LONG: u64 = 200_000;

/// What streams cost in memory: a thousand at once, and one whose consumer is slow
#[derive(Parser)]
struct Arguments {
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
}

fn main() {
    let open_files = raise_open_files();
    serve_if_asked(|mock| mock);
    let Arguments { json } = Arguments::parse();
    let mock = MockProcess::start().expect("this program can start itself");
    let mut output = Output::new(json);
    let runtime = runtime();
    let client = AsyncClient::new(mock.config()).expect("a client can be built");
    let options = |tokens: u64| CallOptions::new().header("x-mock-tokens", tokens.to_string());

    // These first: what a thousand streams make the allocator take, it does not give back, and what
    // waits in memory could hide in it.
    output.title(format_args!(
        "memory of one stream with a slow consumer: {LONG} tokens over {SHORT}"
    ));
    let slow = |tokens| {
        let client = client.with(options(tokens)).expect("the headers are valid");
        let request = ChatRequest::new("gpt-4o-mini", "Write a short story");
        runtime.block_on(async {
            let stream = client
                .chat_stream(&request)
                .await
                .expect("the mock answers");
            let mut texts = 0;
            let mut peak = 0;
            let mut stream = stream;
            while let Some(event) = stream.next().await {
                texts += u64::from(is_text(event));
                if texts % 64 == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    peak = peak.max(resident());
                }
            }
            assert_eq!(texts, tokens, "the stream comes to its end");
            peak
        })
    };
    report(&mut output, "async", slow(SHORT), slow(LONG));

    let blocking = SyncClient::new(mock.config()).expect("a client can be built");
    let slow = |tokens| {
        let client = blocking
            .with(options(tokens))
            .expect("the headers are valid");
        let request = ChatRequest::new("gpt-4o-mini", "Write a short story");
        let mut texts = 0;
        let mut peak = 0;
        for event in client.chat_stream(&request).expect("the mock answers") {
            texts += u64::from(is_text(event));
            if texts % 64 == 0 {
                thread::sleep(Duration::from_millis(2));
                peak = peak.max(resident());
            }
        }
        assert_eq!(texts, tokens, "the stream comes to its end");
        peak
    };
    report(&mut output, "sync", slow(SHORT), slow(LONG));

    output.title(format_args!(
        "memory a stream: {STREAMS} of {TOKENS} tokens at once, {open_files} open files allowed"
    ));

    // The first token is held back until all streams are open, so that they really are all at once.
    let patient = options(TOKENS).header("x-mock-latency", "2s");
    let at_once = client.with(patient).expect("the headers are valid");
    let run = || {
        let before = resident();
        let (texts, peak) = runtime.block_on(watching(join_all((0..STREAMS).map(|_| {
            let client = at_once.clone();
            async move {
                let request = ChatRequest::new("gpt-4o-mini", "Write a short story");
                let stream = client.chat_stream(&request).await;
                count_texts(stream.expect("the mock answers")).await
            }
        }))));
        let whole = texts.iter().all(|texts| *texts == TOKENS);
        assert!(whole, "every stream comes to its end");
        peak.saturating_sub(before) as f64 / STREAMS as f64
    };
    // At the pace of a model first: what a burst makes the allocator take, it does not give back.
    let pace = |pace: Option<f64>| {
        let settings = json!({ "tokens-per-second": pace });
        mock.set(&settings).expect("the mock knows this setting");
    };
    pace(Some(100.0));
    let paced = run();
    pace(None);
    let burst = paced + run();
    output.row(&[
        Figure::one("many-streams/async/paced", Unit::Bytes, paced),
        Figure::one("many-streams/async/burst", Unit::Bytes, burst),
    ]);
}

fn report(output: &mut Output, version: &str, short: u64, long: u64) {
    let growth = long.saturating_sub(short) as f64;
    let id = format!("many-streams/{version}/growth");
    output.row(&[Figure::one(id, Unit::Bytes, growth)]);
}

async fn count_texts(stream: impl Stream<Item = Result<Event, ai_core::Error>>) -> u64 {
    stream
        .fold(0, async |texts, event| texts + u64::from(is_text(event)))
        .await
}

fn is_text(event: Result<Event, ai_core::Error>) -> bool {
    matches!(event.expect("no stream breaks"), Event::Text(_))
}

/// Awaits `work`, and notes the most memory in use meanwhile, looked at every 10 ms.
async fn watching<T>(work: impl Future<Output = T>) -> (T, u64) {
    let mut peak = 0;
    let watch = async {
        loop {
            peak = peak.max(resident());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        result = work => (result, peak),
        () = watch => unreachable!("the watch goes on for ever"),
    }
}
