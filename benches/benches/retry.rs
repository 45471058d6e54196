//! Pattern 7: what each policy buys at 10, 50 and 70 % failures, in virtual time; how that compares
//! with real time; who comes back when all failed together; and what the layer itself costs.
//! `cargo bench -p benches --bench retry`

mod setup;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ai_core::{CallOptions, Clock, SimulatedClock, SyncClient, SystemClock};
use benches::{Figure, MockProcess, Output, PROMPT, Unit, runtime, serve_if_asked};
use criterion::Criterion;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use retry::{Budget, Jitter, Policy, Retryable, retry, retry_async, retry_with};

#[path = "../../patterns/07-retry/examples/contention.rs"]
#[allow(dead_code)] // Its main and its table are not called.
mod contention;

/// How many operations each policy is tried on.
const OPERATIONS: u32 = 10_000;

/// How often a call fails.
const RATES: [f64; 3] = [0.1, 0.5, 0.7];

/// How many are tried in real time, too, and the first pause there: a hundredth of the default.
const REAL_OPERATIONS: u32 = 200;
const QUICK: Duration = Duration::from_millis(10);

/// How many clients contend for one record.
const CLIENTS: usize = 100;

/// A failure that may pass.
struct Unavailable;

impl Retryable for Unavailable {
    fn is_retryable(&self) -> bool {
        true
    }
}

fn main() {
    serve_if_asked(|mock| mock);
    setup::run(
        |output| {
            count_by_policy(output);
            count_in_real_time(output);
            count_contention(output);
        },
        bench,
    );
}

fn policies() -> [(&'static str, Policy); 5] {
    let default = Policy::default;
    let attempts = |max_attempts| Policy {
        max_attempts,
        ..default()
    };
    [
        ("1-attempt", attempts(1)),
        ("3-attempts", default()),
        ("5-attempts", attempts(5)),
        ("10-attempts", attempts(10)),
        // What ten attempts make of a server that is nearly down, and what a purse makes of that.
        (
            "10-with-budget",
            Policy {
                budget: Some(Arc::new(Budget::default())),
                ..attempts(10)
            },
        ),
    ]
}

/// One operation after another. Only in one version: the twins are tested to do the same.
fn count_by_policy(output: &mut Output) {
    output.title(format_args!(
        "{OPERATIONS} operations by policy; the delay is what the pauses add to those that succeed"
    ));
    for rate in RATES {
        // Each has its policies new, since what is in a purse is left over from the case before.
        for (name, policy) in policies() {
            let case = format!("{:.0}-percent/{name}", 100.0 * rate);
            let clock = SimulatedClock::new();
            let tried = Tried::new(OPERATIONS, rate, &policy, &clock, in_no_time);
            output.row(&tried.figures(&case, Unit::S));
        }
    }
}

/// The same operations, with the same fates and the same jitter, in virtual time and in real time.
/// The real delay has the calls in it, too: those that failed, and the one that did not.
fn count_in_real_time(output: &mut Output) {
    output.title(format_args!(
        "{REAL_OPERATIONS} operations of 3 attempts with a first pause of {QUICK:?}, in virtual and in \
         real time"
    ));
    let mock = MockProcess::start().expect("this program can start itself");
    let client = SyncClient::new(mock.config()).expect("a client can be built");
    let always = CallOptions::new().header("x-mock-fail", "always");
    let failing = client.with(always).expect("the header is valid");
    client.generate_text(PROMPT).expect("the mock answers");
    let call = |fails: bool| match fails {
        true => failing.generate_text(PROMPT),
        false => client.generate_text(PROMPT),
    };
    let policy = Policy {
        base_delay: QUICK,
        ..Policy::default()
    };
    for rate in RATES {
        let case = |time: &str| format!("real-time/{:.0}-percent/{time}", 100.0 * rate);
        let clock = SimulatedClock::new();
        let tried = Tried::new(REAL_OPERATIONS, rate, &policy, &clock, in_no_time);
        output.row(&tried.figures(&case("virtual"), Unit::Ms));
        let tried = Tried::new(REAL_OPERATIONS, rate, &policy, &SystemClock::new(), call);
        output.row(&tried.figures(&case("real"), Unit::Ms));
    }
}

/// A call that takes no time.
fn in_no_time(fails: bool) -> Result<(), Unavailable> {
    match fails {
        true => Err(Unavailable),
        false => Ok(()),
    }
}

/// What came of some operations.
struct Tried {
    operations: u32,
    requests: u32,
    /// What the pauses added to each that succeeded, in seconds, the shortest first.
    delays: Vec<f64>,
}

impl Tried {
    /// One after another, of whose calls so many fail. The same ones each time.
    fn new<T, E: Retryable>(
        operations: u32,
        rate: f64,
        policy: &Policy,
        clock: &impl Clock,
        mut call: impl FnMut(bool) -> Result<T, E>,
    ) -> Tried {
        let mut fate = StdRng::seed_from_u64(7);
        let mut jitter = StdRng::seed_from_u64(8);
        let mut requests = 0;
        let mut delays = Vec::new();
        for _ in 0..operations {
            let began = clock.now();
            let call = || {
                requests += 1;
                call(fate.random_bool(rate))
            };
            if retry_with(policy, clock, || jitter.random(), |_| {}, call).is_ok() {
                delays.push((clock.now() - began).as_secs_f64());
            }
        }
        delays.sort_by(f64::total_cmp);
        Tried {
            operations,
            requests,
            delays,
        }
    }

    /// With the delays in seconds or in milliseconds.
    fn figures(&self, case: &str, unit: Unit) -> [Figure; 4] {
        let id = |name: &str| format!("retry/{case}/{name}");
        let succeeded = self.delays.len() as f64;
        let mean = self.delays.iter().sum::<f64>() / succeeded;
        let p99 = self.delays[self.delays.len() * 99 / 100];
        let factor = if unit == Unit::Ms { 1e3 } else { 1.0 };
        [
            Figure::one(
                id("succeeded"),
                Unit::Share,
                succeeded / f64::from(self.operations),
            ),
            Figure::one(id("requests"), Unit::Count, f64::from(self.requests)),
            Figure::one(id("mean-delay"), unit, mean * factor),
            Figure::one(id("p99-delay"), unit, p99 * factor),
        ]
    }
}

fn count_contention(output: &mut Output) {
    output.title(format_args!(
        "{CLIENTS} clients that contend for one record"
    ));
    let jitters = [
        Jitter::None,
        Jitter::Equal,
        Jitter::Full,
        Jitter::Decorrelated,
    ];
    for jitter in jitters {
        let (calls, end) = contention::contend(CLIENTS, jitter, 7);
        let name = format!("{jitter:?}").to_lowercase();
        let id = |what: &str| format!("retry/contention/{name}/{what}");
        output.row(&[
            Figure::one(id("calls"), Unit::Count, calls as f64),
            Figure::one(id("done-after"), Unit::S, end.as_secs_f64()),
        ]);
    }
}

/// What the layer costs where it has nothing to do.
fn bench(criterion: &mut Criterion) {
    let policy = Policy {
        // None here waits; if one did, it would show.
        base_delay: Duration::from_secs(1),
        ..Policy::default()
    };
    let call = || black_box(Ok::<_, Unavailable>(()));
    let runtime = runtime();
    let mut group = setup::group(criterion, "retry");
    group.bench_function("sync/success", |b| b.iter(|| retry(&policy, call).is_ok()));
    group.bench_function("async/success", |b| {
        let call = || std::future::ready(call());
        b.iter(|| runtime.block_on(retry_async(&policy, call)).is_ok());
    });
}
