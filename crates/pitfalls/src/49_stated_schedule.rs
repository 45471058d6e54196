//! A schedule that is stated without its jitter is another one. The guide says 1, 2, 4 and 8 s, and
//! multiplies each by 0.5 to 1: a quarter is missing. Spread around the delay, or state the range.

use std::time::Duration;

use crate::Both;
use crate::support::secs;

// ANCHOR: wrong
/// Half of the delay to all of it.
pub fn wrong(delay: Duration, random: f64) -> Duration {
    delay.mul_f64(0.5 + 0.5 * random)
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Half of the delay to one and a half: the delay, on average.
pub fn right(delay: Duration, random: f64) -> Duration {
    delay.mul_f64(0.5 + random)
}
// ANCHOR_END: right

/// All pauses of the schedule, on average, in seconds.
fn mean(half: fn(Duration, f64) -> Duration) -> f64 {
    // The middles of a thousand equal parts of [0, 1).
    let evenly = || (0..1000).map(|number| (f64::from(number) + 0.5) / 1000.0);
    let mean = |delay: u64| {
        evenly()
            .map(|it| half(secs(delay), it).as_secs_f64())
            .sum::<f64>()
            / 1000.0
    };
    [1, 2, 4, 8].map(mean).iter().sum()
}

pub(crate) fn both() -> Both {
    let tell =
        |mean: &f64| format!("the pauses are said to be 15 s, and on average are {mean:.2} s");
    Both::of(
        mean(wrong),
        mean(right),
        |mean| (mean - 15.0).abs() < 0.01,
        tell,
    )
}
