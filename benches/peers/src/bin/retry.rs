//! Pattern 7's retry beside backon: what each sends to a server that refuses, and the CPU time it
//! takes where nothing waits. From this folder: `cargo run --release --bin retry`
//!
//! Both have three attempts with the same schedule. Backon knows schedules, and what an error means it
//! has to be told; so it takes part twice: as its docs show it first, where every error is worth
//! another try, and told by `when` and `adjust` what our errors know. A budget it has not. Ours, for
//! its part, opens a `tracing` span for the operation and for each attempt.

use std::future::ready;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, Config, Error};
use ai_mock::{Mock, Script, Settings};
use backon::{BlockingRetryable, ExponentialBuilder, Retryable as _};
use benches::{Figure, Output, PROMPT, Spread, Unit, runtime};
use clap::Parser;
use cpu_time::ThreadTime;
use futures::future::join_all;
use peers::{all_met, turns};
use retry::{Budget, Jitter, Policy, Retryable, retry, retry_async};
use tokio::runtime::Runtime;

/// How many attempts an operation has at most.
const ATTEMPTS: u32 = 3;

/// How many call a server that is down, one after the other.
const CALLERS: u32 = 1_000;

/// The pause after the first attempt, where the server does not ask for another.
const PAUSE: Duration = Duration::from_millis(1);

/// Requests sent, and CPU time an operation, by pattern 7's retry and by backon
#[derive(Parser)]
struct Arguments {
    /// How often each is measured, in turn with the other
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
    /// Fail where ours sends more than it must, or sooner than the server wants it
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new(arguments.json);
    let targets = count(&mut output);
    output.title("CPU time of an operation; the ratio is ours to backon's");
    let rounds = usize::from(arguments.runs);
    for (what, pair) in operations(&runtime()) {
        time(&mut output, what, rounds, &pair);
    }
    match arguments.check && !all_met(&targets) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Makes one operation of a call.
#[derive(Clone, Copy)]
enum Who {
    Ours,
    Backon,
    BackonTold,
}

const ALL: [(&str, Who); 3] = [
    ("ours", Who::Ours),
    ("backon", Who::Backon),
    ("backon-told", Who::BackonTold),
];

fn schedule(pause: Duration) -> ExponentialBuilder {
    // It counts without the first one.
    let schedule = ExponentialBuilder::default().with_max_times(ATTEMPTS as usize - 1);
    schedule.with_min_delay(pause).with_max_delay(pause * 2)
}

fn policy(pause: Duration) -> Policy {
    Policy {
        max_attempts: ATTEMPTS,
        base_delay: pause,
        jitter: Jitter::None,
        ..Policy::default()
    }
}

impl Who {
    async fn ask(self, client: &AsyncClient, policy: &Policy) -> Result<String, Error> {
        let call = || client.generate_text(PROMPT);
        let schedule = schedule(PAUSE);
        match self {
            Who::Ours => retry_async(policy, call).await,
            Who::Backon => call.retry(schedule).await,
            Who::BackonTold => {
                // No pause is the end of it, and there it must stay.
                let adjust = |error: &Error, pause: Option<Duration>| {
                    pause.map(|pause| error.retry_after().unwrap_or(pause))
                };
                let told = call.retry(schedule).when(Error::is_retryable);
                told.adjust(adjust).await
            }
        }
    }
}

/// What the server is like, how many call it, and what ours may send, and must wait, in all.
struct Case {
    name: &'static str,
    server: fn(&mut Settings),
    callers: u32,
    most: u32,
    least_wait: Duration,
}

const CASES: [Case; 4] = [
    Case {
        name: "wrong-key",
        server: |it| it.api_key = Some("another".into()),
        callers: 1,
        most: 1,
        least_wait: Duration::ZERO,
    },
    Case {
        name: "no-money",
        server: |it| it.script = Script::QuotaExhausted,
        callers: 1,
        most: 1,
        least_wait: Duration::ZERO,
    },
    // The refusal says: Retry-After: 1.
    Case {
        name: "wait-a-second",
        server: |it| it.fail_first = Some("1x429".parse().expect("it is a failure")),
        callers: 1,
        most: 2,
        least_wait: Duration::from_secs(1),
    },
    Case {
        name: "down",
        server: |it| it.fail_first = Some("always".parse().expect("it is a failure")),
        callers: CALLERS,
        most: CALLERS + CALLERS / 10,
        least_wait: Duration::ZERO,
    },
];

/// Prints what each sends, and returns whether ours did as it must.
fn count(output: &mut Output) -> Vec<(String, bool)> {
    output.title(format_args!(
        "requests for one operation of {ATTEMPTS} attempts, and for {CALLERS} on a server that is down"
    ));
    let runtime = runtime();
    let mut targets = Vec::new();
    for case in CASES {
        for (name, who) in ALL {
            // A server of its own: another's attempts would count.
            let mock = Mock::start().expect("a free port on 127.0.0.1");
            mock.set(case.server);
            let config = Config::new(&mock.base_url(), "sk-bench").expect("the URL is valid");
            let client = AsyncClient::new(config).expect("a client can be built");
            let policy = Policy {
                budget: Some(Arc::new(Budget::default())),
                ..policy(PAUSE)
            };
            let began = Instant::now();
            for _ in 0..case.callers {
                // Most of them fail, which is the point.
                let _ = runtime.block_on(who.ask(&client, &policy));
            }
            let wall = began.elapsed();
            let requests = mock.stats().requests;
            let id = |what: &str| format!("peers/retry/{}/{name}/{what}", case.name);
            output.row(&[
                Figure::one(id("requests"), Unit::Count, requests as f64),
                Figure::one(id("wall"), Unit::S, wall.as_secs_f64()),
            ]);
            if let Who::Ours = who {
                let met = requests <= u64::from(case.most) && wall >= case.least_wait;
                let seen = format!("{}: {requests} requests in {wall:.2?}", case.name);
                targets.push((seen, met));
            }
        }
    }
    targets
}

/// What may pass, but does not.
struct Unavailable;

impl Retryable for Unavailable {
    fn is_retryable(&self) -> bool {
        true
    }
}

/// Takes the CPU time of an operation, in seconds.
// Not as a `Duration`, which would round the three nanoseconds of backon's to a whole number.
type Operation<'a> = Box<dyn Fn() -> f64 + 'a>;

/// How many operations a measurement is of: of those that succeed, and of those that fail.
const SUCCESSES: u32 = 500_000;
const FAILURES: u32 = 100_000;

/// How many tasks fail at once: for tokio, a pause of no time lasts to the next millisecond.
const TASKS: u32 = 1_000;

/// Those of ours and those of backon, with pauses of no time.
fn operations(runtime: &Runtime) -> [(&'static str, [Operation<'_>; 2]); 4] {
    let ok = || black_box(Ok::<_, Unavailable>(()));
    let err = || black_box(Err::<(), _>(Unavailable));
    let (ok_async, err_async) = (move || ready(ok()), move || ready(err()));
    let schedule = schedule(Duration::ZERO);
    let policy = || policy(Duration::ZERO);
    let ours = policy();
    let sync_success = move || assert!(retry(&ours, ok).is_ok());
    let backons = move || assert!(ok.retry(schedule).call().is_ok());
    let sync_success = [
        in_turn(SUCCESSES, sync_success),
        in_turn(SUCCESSES, backons),
    ];

    let ours = policy();
    let sync_failure = move || assert!(retry(&ours, err).is_err());
    let backons = move || assert!(err.retry(schedule).call().is_err());
    let sync_failure = [in_turn(FAILURES, sync_failure), in_turn(FAILURES, backons)];

    let ours = policy();
    let async_success = [
        awaited(runtime, SUCCESSES, async move || {
            assert!(retry_async(&ours, ok_async).await.is_ok());
        }),
        awaited(runtime, SUCCESSES, async move || {
            assert!(ok_async.retry(schedule).await.is_ok());
        }),
    ];
    let ours = policy();
    let async_failure = [
        at_once(runtime, async move || {
            assert!(retry_async(&ours, err_async).await.is_err());
        }),
        at_once(runtime, async move || {
            assert!(err_async.retry(schedule).await.is_err());
        }),
    ];
    [
        ("sync-success", sync_success),
        ("sync-failure", sync_failure),
        ("async-success", async_success),
        ("async-failure", async_failure),
    ]
}

fn in_turn<'a>(count: u32, operation: impl Fn() + 'a) -> Operation<'a> {
    Box::new(move || {
        let began = ThreadTime::now();
        (0..count).for_each(|_| operation());
        each(began, count)
    })
}

fn awaited<'a>(runtime: &'a Runtime, count: u32, operation: impl AsyncFn() + 'a) -> Operation<'a> {
    Box::new(move || {
        runtime.block_on(async {
            let began = ThreadTime::now();
            for _ in 0..count {
                operation().await;
            }
            each(began, count)
        })
    })
}

fn at_once<'a>(runtime: &'a Runtime, operation: impl AsyncFn() + 'a) -> Operation<'a> {
    Box::new(move || {
        runtime.block_on(async {
            let began = ThreadTime::now();
            for _ in 0..FAILURES / TASKS {
                join_all((0..TASKS).map(|_| operation())).await;
            }
            each(began, FAILURES)
        })
    })
}

fn each(began: ThreadTime, count: u32) -> f64 {
    began.elapsed().as_secs_f64() / f64::from(count)
}

fn time(output: &mut Output, what: &str, rounds: usize, pair: &[Operation<'_>; 2]) {
    let mut times = [const { Vec::new() }; 2];
    for round in 0..rounds {
        for turn in turns(round, pair.len()) {
            times[turn].push(pair[turn]());
        }
    }
    let [ours, theirs] = &times;
    let micros = |times: &[f64]| Spread::of(times.iter().map(|seconds| seconds * 1e6));
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
    let id = |column: &str| format!("peers/retry/{what}/{column}");
    output.row(&[
        Figure::new(id("ours"), Unit::Us, micros(ours)),
        Figure::new(id("backon"), Unit::Us, micros(theirs)),
        Figure::new(id("ratio"), Unit::Ratio, Spread::of(ratios)),
    ]);
}
