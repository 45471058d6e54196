//! Whether the limiter of pattern 3 keeps a server's limit, and how much of it it uses; and the
//! guide's beside it. `cargo run --release -p benches --bin rate-limit -- --runs 20 --check`
//!
//! 1,500 requests at 600 in any 10 s, 64 at one time, over connections that are not yet open; and a
//! limit on tokens besides, the same for server and client. The server counts by its own clock and
//! refuses what is over, and its log says what it counted.
//!
//! `--check` fails if the limit was broken or too little of it used. `--short` is for CI: a tenth of
//! everything, and of the share nothing is required, since it says more of the machine there.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, Config, SyncClient};
use benches::{Figure, MockProcess, Output, Seen, Spread, Unit, serve_if_asked};
use clap::Parser;
use demo::fullest_window;
use rate_limited_batch::{
    AsyncLimiter, Limiter, Limits, ask, ask_async, process_batch, process_batch_async,
};
use serde_json::json;
use tokio::sync::Semaphore;

#[path = "../../../patterns/03-rate-limited-batch/examples/as_written.rs"]
#[allow(dead_code)] // Its main is not called.
mod as_written;

/// The load, and what the server allows.
#[derive(Clone, Copy)]
struct Load {
    prompts: u32,
    requests: u32,
    window: Duration,
    at_once: NonZeroUsize,
}

const FULL: Load = Load {
    prompts: 1500,
    requests: 600,
    window: Duration::from_secs(10),
    at_once: NonZeroUsize::new(64).expect("64 is not 0"),
};

const SHORT: Load = Load {
    prompts: 150,
    requests: 60,
    window: Duration::from_secs(1),
    at_once: NonZeroUsize::new(16).expect("16 is not 0"),
};

/// The least latency in every case, without which no request can be answered.
const LATENCY: Duration = Duration::from_millis(50);

/// How requests are sent and answered.
struct Case {
    policy: &'static str,
    paced: bool,
    /// How long an answer takes.
    latency: &'static str,
    /// The tokens in a window, for each request in it.
    tokens: u32,
}

/// One of these requests costs a client that wants to be sure at most so many tokens: 20 bytes of
/// prompt, 7 around them, and 512 of answer.
const AMPLE: u32 = 539;

/// The server counts 521 for it. So tokens are used up before requests, and a client that reserves
/// fewer than are counted is refused.
const SCARCE: u32 = 520;

/// The cases of pattern 3's limiters, each with the least share of the ideal that will do.
const CASES: [(Case, f64); 3] = [
    (
        Case {
            policy: "window",
            paced: false,
            latency: "50ms",
            tokens: AMPLE,
        },
        0.96,
    ),
    (
        Case {
            policy: "window",
            paced: false,
            latency: "50ms..150ms",
            tokens: SCARCE,
        },
        0.95,
    ),
    (
        Case {
            policy: "paced",
            paced: true,
            latency: "50ms",
            tokens: AMPLE,
        },
        0.99,
    ),
];

/// The guide's limiter. If every answer took the same time, those who wait would go in step with those
/// they wait for, and a quiet machine would hide that they don't look again.
const GUIDES: Case = Case {
    policy: "as-written",
    paced: false,
    latency: "50ms..150ms",
    tokens: AMPLE,
};

/// Whether the limiter of pattern 3 keeps a server's limit, and how much of it it uses
#[derive(Parser)]
struct Arguments {
    /// How often each case is run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Fail if the limit was broken, or too little of it used
    #[arg(long)]
    check: bool,
    /// A tenth of everything, and nothing required of the share
    #[arg(long)]
    short: bool,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    serve_if_asked(|mock| mock);
    let Arguments {
        runs,
        check,
        short,
        json,
    } = Arguments::parse();
    let load = if short { SHORT } else { FULL };
    let mut output = Output::new(json);
    output.title(format_args!(
        "{} requests at {} in any {:?}, {} at one time, {runs} runs each",
        load.prompts, load.requests, load.window, load.at_once
    ));
    let mut kept = true;
    // The first case is the second made easier.
    let cases = if short { &CASES[1..] } else { &CASES[..] };
    for (case, least) in cases {
        for (version, run) in VERSIONS {
            let runs = 0..runs;
            let outcomes: Vec<_> = runs.map(|seed| once(run, load, case, seed)).collect();
            let sum = Outcome::sum(&outcomes);
            let share = Spread::of(outcomes.iter().map(|outcome| outcome.share));
            kept &= sum.is_clean() && (short || share.median >= *least);
            let Case {
                policy, latency, ..
            } = case;
            output.row(&sum.figures(&format!("{version}/{policy}/{latency}"), share));
        }
    }
    let guide = once(as_the_guide, load, &GUIDES, 0);
    let case = format!("guide/{}/{}", GUIDES.policy, GUIDES.latency);
    output.row(&guide.figures(&case, Spread::of([guide.share])));
    // If it kept the limit, the lesson would be wrong. In a short run it may, by luck.
    kept &= short || guide.over > 0;
    if check && !kept {
        eprintln!("error: a limit was broken, or less of it was used than required; see above");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What one run, or several, came to.
#[derive(Default)]
struct Outcome {
    runs: usize,
    /// Requests that arrived, and the most of them in one window.
    arrived: usize,
    fullest: usize,
    /// Runs in which a window held more than the limit.
    over: usize,
    /// Requests that were refused with a 429.
    refused: usize,
    /// Whatever else went wrong.
    failed: usize,
    /// What was answered in a time, in proportion to what the limit permits in it. (A refusal is no
    /// answer: whoever sends too much is not ahead.)
    share: f64,
}

impl Outcome {
    fn sum(outcomes: &[Outcome]) -> Outcome {
        outcomes
            .iter()
            .fold(Outcome::default(), |sum, one| Outcome {
                runs: sum.runs + one.runs,
                arrived: sum.arrived + one.arrived,
                fullest: sum.fullest.max(one.fullest),
                over: sum.over + one.over,
                refused: sum.refused + one.refused,
                failed: sum.failed + one.failed,
                share: 0.0,
            })
    }

    fn is_clean(&self) -> bool {
        self.over == 0 && self.refused == 0 && self.failed == 0
    }

    fn figures(&self, case: &str, share: Spread) -> [Figure; 7] {
        let id = |name: &str| format!("rate-limit/{case}/{name}");
        let count = |name, count| Figure::one(id(name), Unit::Count, count as f64);
        [
            count("runs", self.runs),
            count("runs-over", self.over),
            count("fullest-window", self.fullest),
            count("requests", self.arrived),
            count("refused", self.refused),
            count("failed", self.failed),
            // The share of the ideal speed.
            Figure::new(id("share"), Unit::Share, share),
        ]
    }
}

/// One run, with a server and connections of its own.
fn once(run: Version, load: Load, case: &Case, seed: u64) -> Outcome {
    let mock = MockProcess::start().expect("the server starts");
    let tokens = load.requests * case.tokens;
    let settings = json!({
        "latency": case.latency,
        "rpm": load.requests,
        "tpm": tokens,
        "window": format!("{}s", load.window.as_secs_f64()),
        "seed": seed,
    });
    mock.set(&settings)
        .expect("the server knows these settings");
    let config = mock.config();
    let limits = Limits {
        concurrency: load.at_once,
        tokens: Some(tokens.into()),
        paced: case.paced,
        ..Limits::new(load.requests, load.window)
    };
    let prompts: Vec<_> = (0..load.prompts)
        .map(|i| format!("Summarize topic {i}"))
        .collect();
    let (answered, took) = run(config, limits, &prompts);
    let log = mock.log().expect("the server tells its log");
    let ideal = match case.paced {
        // The last one of evenly spaced requests begins after all the intervals before it.
        true => load.window / load.requests * (load.prompts - 1) + LATENCY,
        // Two windows are full, and the third is begun; also where tokens fill them.
        false => load.window * (load.prompts / load.requests) + LATENCY,
    };
    let fullest = fullest_window(log.iter().map(Seen::arrived), load.window);
    let refused = log.iter().filter(|seen| seen.status == Some(429)).count();
    let share = answered as f64 / f64::from(load.prompts);
    Outcome {
        runs: 1,
        arrived: log.len(),
        fullest,
        over: usize::from(fullest > load.requests as usize),
        refused,
        // The guide's limiter tells what went wrong by its text only; the server's log does better.
        failed: prompts.len().saturating_sub(answered + refused),
        share: share * ideal.as_secs_f64() / took.as_secs_f64(),
    }
}

/// Sends all prompts: how many were answered, and how long it took, from the first request to the last
/// answer.
type Version = fn(Config, Limits, &[String]) -> (usize, Duration);

const VERSIONS: [(&str, Version); 2] = [
    ("sync", |config, limits, prompts| {
        let client = SyncClient::new(config).expect("a client can be built");
        let started = Instant::now();
        let limiter = Limiter::new(limits);
        let batch = process_batch(&limiter, prompts, |prompt| ask(&client, prompt));
        (batch.successful(), started.elapsed())
    }),
    ("async", |config, limits, prompts| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
        runtime.block_on(async {
            let client = AsyncClient::new(config).expect("a client can be built");
            let started = Instant::now();
            let limiter = AsyncLimiter::new(limits);
            let ask = |prompt| ask_async(&client, prompt);
            let batch = process_batch_async(&limiter, prompts, ask).await;
            (batch.successful(), started.elapsed())
        })
    }),
];

/// The guide's limiter under the same load.
fn as_the_guide(config: Config, limits: Limits, prompts: &[String]) -> (usize, Duration) {
    let guides = as_written::RateLimitedAIProcessor {
        client: AsyncClient::new(config).expect("a client can be built"),
        requests_per_minute: limits.requests as usize,
        minute: limits.length,
        semaphore: Semaphore::new(limits.concurrency.get()),
        request_times: Mutex::default(),
    };
    let started = Instant::now();
    let answered = guides.process_batch(prompts);
    (answered, started.elapsed())
}
