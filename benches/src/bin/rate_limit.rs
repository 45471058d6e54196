//! Whether the limiter of pattern 3 keeps a server's limit, and how much of it it uses.
//! `cargo run --release -p benches --bin rate-limit -- --runs 20`
//!
//! 1,500 requests at 600 in any 10 s, 64 at one time, over connections that are not yet open. The
//! server counts by its own clock, and refuses what is over.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, Config, SyncClient};
use ai_mock::{Latency, Quota};
use benches::{MockProcess, Spread, serve_if_asked};
use rate_limited_batch::{
    AsyncLimiter, Batch, Limiter, Limits, ask, ask_async, process_batch, process_batch_async,
};

const REQUESTS: u32 = 600;
const WINDOW: Duration = Duration::from_secs(10);
const PROMPTS: usize = 1500;
const LATENCY: Duration = Duration::from_millis(50);

fn main() {
    serve_if_asked(|mock| {
        let quota = Quota {
            requests: Some(REQUESTS),
            tokens: None,
            window: WINDOW,
        };
        mock.latency(Latency::Fixed(LATENCY)).quota(quota)
    });
    let runs = runs();
    for paced in [false, true] {
        for (version, run) in VERSIONS {
            let outcomes: Vec<_> = (0..runs).map(|_| once(run, paced)).collect();
            let over = outcomes.iter().filter(|(refused, _)| *refused > 0).count();
            let refused: usize = outcomes.iter().map(|(refused, _)| refused).sum();
            let share = Spread::of(outcomes.iter().map(|(_, share)| *share).collect());
            let policy = if paced { "paced " } else { "window" };
            println!(
                "{policy} {version}  {over} of {runs} runs over the limit, {refused} refused, \
                 share of the ideal {share}"
            );
        }
    }
}

/// How often to run each, as `--runs n` says.
fn runs() -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--runs");
    arguments
        .nth(1)
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(1)
        .max(1)
}

/// One run, with a server and connections of its own: how many were refused, and the ideal time
/// over the time it took.
fn once(run: Version, paced: bool) -> (usize, f64) {
    let mock = MockProcess::start().expect("the server starts");
    let config = Config::new(&mock.base_url, "sk-bench").expect("the mock's URL is valid");
    let limits = Limits {
        concurrency: NonZeroUsize::new(64).expect("64 is not 0"),
        paced,
        ..Limits::new(REQUESTS, WINDOW)
    };
    let prompts: Vec<_> = (0..PROMPTS)
        .map(|i| format!("Summarize topic {i}"))
        .collect();
    let started = Instant::now();
    let batch = run(config, limits, &prompts);
    let took = started.elapsed();
    let ideal = match paced {
        // The last one of evenly spaced requests begins after all the intervals before it.
        true => WINDOW / REQUESTS * (PROMPTS as u32 - 1) + LATENCY,
        // Two windows are full, and the third is begun.
        false => WINDOW * (PROMPTS as u32 / REQUESTS) + LATENCY,
    };
    let refused = batch.items.len() - batch.successful();
    (refused, ideal.as_secs_f64() / took.as_secs_f64())
}

type Version = fn(Config, Limits, &[String]) -> Batch;

const VERSIONS: [(&str, Version); 2] = [
    ("sync ", |config, limits, prompts| {
        let client = SyncClient::new(config).expect("a client can be built");
        let limiter = Limiter::new(limits);
        process_batch(&limiter, prompts, |prompt| ask(&client, prompt))
    }),
    ("async", |config, limits, prompts| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
        runtime.block_on(async {
            let client = AsyncClient::new(config).expect("a client can be built");
            let limiter = AsyncLimiter::new(limits);
            process_batch_async(&limiter, prompts, |prompt| ask_async(&client, prompt)).await
        })
    }),
];
