//! Pattern 3: what a grant costs, where nobody has to wait for the limit itself.
//! `cargo bench -p benches --bench rate-limited-batch`
//!
//! Whether the limit is kept, and how much of it is used: `cargo run --release -p benches --bin
//! rate-limit`. Beside governor: `benches/peers`.

mod setup;

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use benches::runtime;
use criterion::{Criterion, Throughput};
use futures::future::join_all;
use rate_limited_batch::{Admission, AsyncLimiter, Feedback, Limiter, Limits, Window};

/// How many wait for each other, as tasks and as threads.
const TASKS: u64 = 1000;
const THREADS: u64 = 64;

/// How often each thread takes a turn.
const TURNS: u64 = 16;

fn main() {
    setup::run(|_| {}, bench);
}

fn bench(criterion: &mut Criterion) {
    let mut group = setup::group(criterion, "rate-limited-batch");
    group.throughput(Throughput::Elements(1));
    group.bench_function("window", |b| {
        // A full window, in which a slot expires with each that is taken.
        const TICK: Duration = Duration::from_millis(1);
        let mut window = Window::new(Limits::new(600, 600 * TICK));
        let mut now = Duration::ZERO;
        b.iter(|| {
            now += TICK;
            let ticket = window.enter(0).expect("a window holds it");
            assert_eq!(window.poll(ticket, now), Admission::Go);
            window.finished(ticket, &Feedback::default(), now);
        });
    });

    let sync = Limiter::new(plenty(NonZeroUsize::MAX));
    group.bench_function("sync/alone", |b| {
        b.iter(|| drop(sync.acquire(0).expect("a window holds it")));
    });
    let runtime = runtime();
    let limiter = AsyncLimiter::new(plenty(NonZeroUsize::MAX));
    group.bench_function("async/alone", |b| {
        let grant = async || drop(limiter.acquire(0).await.expect("a window holds it"));
        b.iter(|| runtime.block_on(grant()));
    });

    // One at one time, so that all others wait, and each wakes the next.
    let sync = Limiter::new(plenty(NonZeroUsize::MIN));
    group.throughput(Throughput::Elements(THREADS * TURNS));
    group.bench_function("sync/with-waiters", |b| {
        let work = || {
            for _ in 0..TURNS {
                drop(sync.acquire(0).expect("a window holds it"));
            }
        };
        b.iter(|| {
            thread::scope(|scope| {
                (0..THREADS).for_each(|_| drop(scope.spawn(work)));
            });
        });
    });
    let limiter = AsyncLimiter::new(plenty(NonZeroUsize::MIN));
    group.throughput(Throughput::Elements(TASKS));
    group.bench_function("async/with-waiters", |b| {
        let work = async || {
            let permit = limiter.acquire(0).await.expect("a window holds it");
            // So that the others queue up before this one is done.
            tokio::task::yield_now().await;
            drop(permit);
        };
        b.iter(|| runtime.block_on(join_all((0..TASKS).map(|_| work()))));
    });
}

/// More than anybody can ask for, in windows so short that few slots are remembered.
fn plenty(concurrency: NonZeroUsize) -> Limits {
    Limits {
        concurrency,
        ..Limits::new(u32::MAX, Duration::from_millis(1))
    }
}
