//! What streams cost in memory: a thousand at once, and one whose consumer is slow.
//! `cargo run --release -p benches --bin many-streams`

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use ai_core::{AsyncClient, CallOptions, ChatRequest, Config, Event, SyncClient};
use benches::{MockProcess, serve_if_asked};
use futures::future::join_all;
use futures::{Stream, StreamExt};

const STREAMS: u64 = 1_000;
const TOKENS: u64 = 100;
const SHORT: u64 = 20_000;
const LONG: u64 = 200_000;

fn main() {
    // Each stream is a connection, and each connection a descriptor, at both of its ends.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).expect("the limit can be asked for");
    serve_if_asked(|mock| mock);
    let mock = MockProcess::start().expect("this program can start itself");
    let config = Config::new(&mock.base_url, "sk-bench").expect("the mock's URL is valid");
    println!("limit on open files: {descriptors}");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let client = AsyncClient::new(config.clone()).expect("a client can be built");
    let options = |tokens: u64| CallOptions::new().header("x-mock-tokens", tokens.to_string());

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
        peak.saturating_sub(before) / STREAMS / 1024
    };
    // At the pace of a model first: what a burst makes the allocator take, it does not give back.
    set(&mock, "tokens-per-second", Some(100.0));
    let paced = run();
    set(&mock, "tokens-per-second", None);
    let burst = run();
    println!("{STREAMS} streams of {TOKENS} tokens at once: no error");
    println!("  at 100 tokens a second each: {paced} KiB a stream");
    println!(
        "  all tokens in one burst:     {} KiB a stream",
        paced + burst
    );

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
    report("async", slow(SHORT), slow(LONG));

    let client = SyncClient::new(config).expect("a client can be built");
    let slow = |tokens| {
        let client = client.with(options(tokens)).expect("the headers are valid");
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
    report("sync", slow(SHORT), slow(LONG));
}

/// Changes a setting of the mock while it runs.
fn set(mock: &MockProcess, name: &str, value: Option<f64>) {
    let url = mock.base_url.replace("/v1", "/_mock/settings");
    let http = reqwest::blocking::Client::builder().no_proxy().build();
    let answer = http
        .and_then(|http| http.patch(url).json(&HashMap::from([(name, value)])).send())
        .and_then(|answer| answer.error_for_status());
    answer.expect("the mock takes the setting");
}

fn report(version: &str, short: u64, long: u64) {
    let growth = long.saturating_sub(short) / 1024;
    println!("slow consumer, {version}: {growth} KiB more at {LONG} chunks than at {SHORT}");
}

async fn count_texts(stream: impl Stream<Item = Result<Event, ai_core::Error>>) -> u64 {
    stream
        .fold(0, async |texts, event| texts + u64::from(is_text(event)))
        .await
}

fn is_text(event: Result<Event, ai_core::Error>) -> bool {
    matches!(event.expect("no stream breaks"), Event::Text(_))
}

/// The memory this process has in RAM, in bytes.
fn resident() -> u64 {
    memory_stats::memory_stats().map_or(0, |stats| stats.physical_mem as u64)
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
