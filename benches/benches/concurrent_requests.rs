//! Pattern 2: the four corners, {blocking, awaiting} x {in turn, at once}.
//! `cargo bench -p benches --bench concurrent-requests`

mod setup;

use std::num::NonZeroUsize;

use ai_core::{AsyncClient, SyncClient};
use benches::{MockProcess, PROMPT, runtime, serve_if_asked};
use concurrent_requests::{Item, at_once, at_once_async, in_turn, in_turn_async};
use criterion::{BenchmarkId, Criterion};

/// How many requests. All of them at once, in the corners that are.
const SIZES: [NonZeroUsize; 3] = [
    NonZeroUsize::new(3).expect("3 is not 0"),
    NonZeroUsize::new(10).expect("10 is not 0"),
    NonZeroUsize::new(100).expect("100 is not 0"),
];

fn main() {
    serve_if_asked(|mock| mock.latency(setup::LATENCY));
    let mock = MockProcess::start().expect("this program can start itself");
    // Nothing to count: every corner makes the same calls.
    setup::run(|_| {}, |criterion| bench(criterion, &mock));
}

fn bench(criterion: &mut Criterion, mock: &MockProcess) {
    let runtime = runtime();
    let sync = SyncClient::new(mock.config()).expect("a client can be built");
    let client = AsyncClient::new(mock.config()).expect("a client can be built");
    let mut group = setup::group(criterion, "concurrent-requests");
    for size in SIZES {
        let prompts = vec![PROMPT; size.get()];
        group.bench_function(BenchmarkId::new("sync/in-turn", size), |b| {
            b.iter(|| whole(&in_turn(&sync, &prompts)));
        });
        group.bench_function(BenchmarkId::new("sync/at-once", size), |b| {
            b.iter(|| whole(&at_once(&sync, &prompts, size)));
        });
        group.bench_function(BenchmarkId::new("async/in-turn", size), |b| {
            b.iter(|| whole(&runtime.block_on(in_turn_async(&client, &prompts))));
        });
        group.bench_function(BenchmarkId::new("async/at-once", size), |b| {
            b.iter(|| whole(&runtime.block_on(at_once_async(&client, &prompts, size))));
        });
    }
}

fn whole(items: &[Item]) {
    assert!(items.iter().all(|item| item.result.is_ok()), "all answered");
}
