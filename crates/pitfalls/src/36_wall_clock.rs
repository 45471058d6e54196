//! The clock on the wall can be set, by a person or over the network, and then what is computed from
//! two looks at it is wrong. `SystemTime` has it, and the guide's `time.time()`, in the limiter too.
//! Take `Instant`, which only goes forward.

use std::time::{Duration, Instant, SystemTime};

use crate::Both;
use crate::support::secs;

// ANCHOR: wrong
/// There is no time from later to earlier, so it is an error, and somebody makes a 0 of that.
pub fn wrong(started: SystemTime, ended: SystemTime) -> Duration {
    ended.duration_since(started).unwrap_or_default()
}
// ANCHOR_END: wrong

// ANCHOR: right
/// An `Instant` is no time of day, and nobody can set it.
pub fn right(started: Instant, ended: Instant) -> Duration {
    ended - started
}
// ANCHOR_END: right

pub(crate) fn both() -> Both {
    let (call, set_back) = (secs(3), secs(3600));
    let (on_the_wall, steady) = (SystemTime::now(), Instant::now());
    let wrong = wrong(on_the_wall, on_the_wall + call - set_back);
    let right = right(steady, steady + call);
    let tell = |took: &Duration| {
        format!(
            "a call of 3 s, while the clock is set back by an hour: {} s",
            took.as_secs()
        )
    };
    Both::of(wrong, right, |took| *took == call, tell)
}
