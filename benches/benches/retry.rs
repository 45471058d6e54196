//! Pattern 7: what each policy buys at 10, 50 and 70 % failures, in virtual time; who comes back when
//! all failed together; and what the layer itself costs.
//! `cargo bench -p benches --bench retry`

mod setup;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ai_core::{Clock, SimulatedClock};
use benches::{Figure, Output, Unit, runtime};
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
    setup::run(
        |output| {
            count_by_policy(output);
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
            output.row(&by_policy(&case, rate, &policy));
        }
    }
}

fn by_policy(case: &str, rate: f64, policy: &Policy) -> [Figure; 4] {
    let clock = SimulatedClock::new();
    let mut fate = StdRng::seed_from_u64(7);
    let mut jitter = StdRng::seed_from_u64(8);
    let mut requests = 0;
    let mut delays = Vec::new();
    for _ in 0..OPERATIONS {
        let began = clock.now();
        let call = || {
            requests += 1;
            match fate.random_bool(rate) {
                true => Err(Unavailable),
                false => Ok(()),
            }
        };
        if retry_with(policy, &clock, || jitter.random(), |_| {}, call).is_ok() {
            delays.push((clock.now() - began).as_secs_f64());
        }
    }
    let id = |name: &str| format!("retry/{case}/{name}");
    let count = f64::from(OPERATIONS);
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    delays.sort_by(f64::total_cmp);
    let p99 = delays[delays.len() * 99 / 100];
    [
        Figure::one(id("succeeded"), Unit::Share, delays.len() as f64 / count),
        Figure::one(id("requests"), Unit::Count, f64::from(requests)),
        Figure::one(id("mean-delay"), Unit::S, mean),
        Figure::one(id("p99-delay"), Unit::S, p99),
    ]
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
