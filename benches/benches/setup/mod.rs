//! How all groups are measured.

use std::time::Duration;

use benches::Output;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};

/// What takes time takes so long here: in ten samples of a case in turn, 300 ms would be minutes.
#[allow(dead_code)] // Not every pattern waits.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);

/// The main of a target: shows what can be counted, and measures what takes time.
///
/// With `--json` it counts only, and prints a line a figure, as the programs do.
pub(crate) fn run(count: impl FnOnce(&mut Output), bench: impl FnOnce(&mut Criterion)) {
    let asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    if asked("--json") {
        return count(&mut Output::new(true));
    }
    // Not in a test run nor for a list, which are to be quick.
    if asked("--bench") && !asked("--test") && !asked("--list") {
        count(&mut Output::new(false));
        println!();
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .nresamples(10_000)
        .configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}

/// The group of a pattern.
pub(crate) fn group<'a>(
    criterion: &'a mut Criterion,
    pattern: &str,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(pattern);
    // All samples equally long. The default's grow, up to ten times of what is slow already.
    group.sampling_mode(SamplingMode::Flat);
    group
}
