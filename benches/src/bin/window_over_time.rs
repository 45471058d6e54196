//! How full the server's window is over time, with pattern 3's limiter and with the guide's: the
//! curve of a chart. `cargo run --release -p benches --bin window-over-time`
//!
//! 500 requests at 150 in any 2.5 s, 64 at one time, answered after 50 to 150 ms: the load of
//! `rate-limit`, with a quarter of its window. (With the guide's ten at one time, a quiet machine sends
//! one or two too many: those who wait go in step with those they wait for, and hide that they don't
//! look again.) The server refuses none, so that its log shows what was sent.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use ai_core::{AsyncClient, Config};
use benches::{Figure, MockProcess, Output, Seen, Unit, runtime, serve_if_asked};
use clap::Parser;
use demo::fullest_window;
use rate_limited_batch::{AsyncLimiter, Limits, ask_async, process_batch_async};
use serde_json::json;
use tokio::sync::Semaphore;

#[path = "../../../patterns/03-rate-limited-batch/examples/as_written.rs"]
#[allow(dead_code)] // Its main is not called.
mod as_written;

const LIMIT: u32 = 150;
const WINDOW: Duration = Duration::from_millis(2500);
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");
const PROMPTS: usize = 500;

/// A point of the curve stands for so long.
const STEP: Duration = Duration::from_millis(50);

/// How full the server's window is over time, with pattern 3's limiter and with the guide's
#[derive(Parser)]
struct Arguments {
    /// Print a line of JSON a figure, and one a curve
    #[arg(long)]
    json: bool,
}

fn main() {
    serve_if_asked(|mock| mock);
    let Arguments { json } = Arguments::parse();
    let mut output = Output::new(json);
    output.title(format_args!(
        "{PROMPTS} requests at {LIMIT} in any {WINDOW:?}, {AT_ONCE} at one time"
    ));
    output.row(&[
        Figure::one("window-over-time/limit", Unit::Count, LIMIT.into()),
        Figure::one("window-over-time/window", Unit::S, WINDOW.as_secs_f64()),
    ]);
    for (who, run) in [("ours", ours as fn(Config, &[String])), ("guide", guides)] {
        let arrivals = arrivals(run);
        let fullest = fullest_window(arrivals.iter().copied(), WINDOW);
        let id = format!("window-over-time/{who}");
        output.row(&[Figure::one(
            format!("{id}/fullest"),
            Unit::Count,
            fullest as f64,
        )]);
        if json {
            println!("{}", json!({ "id": id, "points": curve(&arrivals) }));
        }
    }
}

/// When the requests of a run arrived, since the first of them, by the server's log.
fn arrivals(run: fn(Config, &[String])) -> Vec<Duration> {
    let mock = MockProcess::start().expect("this program can start itself");
    let settings = json!({ "latency": "50ms..150ms" });
    mock.set(&settings).expect("the server knows this setting");
    let prompts: Vec<_> = (0..PROMPTS)
        .map(|i| format!("Summarize topic {i}"))
        .collect();
    run(mock.config(), &prompts);
    let log = mock.log().expect("the server tells its log");
    let mut arrivals: Vec<_> = log.iter().map(Seen::arrived).collect();
    arrivals.sort();
    let first = arrivals[0];
    arrivals.into_iter().map(|at| at - first).collect()
}

/// Seconds, and the most requests there were in the window before any moment of this step.
fn curve(arrivals: &[Duration]) -> Vec<(f64, usize)> {
    let last = arrivals.last().copied().unwrap_or_default();
    let full = |now: Duration| {
        let inside = |at: Duration| at <= now && at + WINDOW > now;
        arrivals.iter().filter(|at| inside(**at)).count()
    };
    let steps = last.div_duration_f64(STEP).ceil() as u32;
    let points = (0..steps).map(|step| {
        let (start, end) = (STEP * step, STEP * (step + 1));
        // It only grows when one arrives.
        let here = arrivals.iter().filter(|at| (start..end).contains(*at));
        let most = here.map(|at| full(*at)).max();
        (start.as_secs_f64(), most.unwrap_or_else(|| full(start)))
    });
    points.collect()
}

fn ours(config: Config, prompts: &[String]) {
    let limits = Limits {
        concurrency: AT_ONCE,
        ..Limits::new(LIMIT, WINDOW)
    };
    runtime().block_on(async {
        let client = AsyncClient::new(config).expect("a client can be built");
        let limiter = AsyncLimiter::new(limits);
        let ask = |prompt| ask_async(&client, prompt);
        process_batch_async(&limiter, prompts, ask).await;
    });
}

fn guides(config: Config, prompts: &[String]) {
    let guides = as_written::RateLimitedAIProcessor {
        client: AsyncClient::new(config).expect("a client can be built"),
        requests_per_minute: LIMIT as usize,
        minute: WINDOW,
        semaphore: Semaphore::new(AT_ONCE.get()),
        request_times: Mutex::default(),
    };
    guides.process_batch(prompts);
}
