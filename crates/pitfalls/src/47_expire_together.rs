//! Entries that were stored together expire together, and are asked for together again. Every fixed TTL
//! has it after a deployment or an import. Make each one a little shorter, by chance.

use std::time::Duration;

use caching::{TTL, lifetime};

use crate::Both;
use crate::support::secs;

// ANCHOR: wrong
/// An hour.
pub fn wrong(_random: f64) -> Duration {
    TTL
}
// ANCHOR_END: wrong

// ANCHOR: right
/// An hour, less up to a tenth of it.
pub fn right(random: f64) -> Duration {
    lifetime(TTL, random)
}
// ANCHOR_END: right

/// The most of 1,000 entries, stored at one time, that expire within a minute.
fn fullest(half: fn(f64) -> Duration) -> usize {
    let evenly = (0..1000).map(|number| f64::from(number) / 1000.0);
    demo::fullest_window(evenly.map(half), secs(60))
}

pub(crate) fn both() -> Both {
    let tell = |fullest: &usize| format!("of 1000 entries, {fullest} expire within one minute");
    Both::of(
        fullest(wrong),
        fullest(right),
        |fullest| *fullest < 200,
        tell,
    )
}
