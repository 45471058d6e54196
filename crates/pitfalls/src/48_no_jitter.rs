//! Those who failed together come back together, and fail together again. Any backoff without chance in
//! it has it. Full jitter spreads them best; equal jitter, the guide's, leaves half of the time empty.

use std::time::Duration;

use retry::{Jitter, Next, Policy, Retryable};

use crate::Both;
use crate::support::ms;

// ANCHOR: wrong
/// A second, for everybody.
pub fn wrong() -> Policy {
    let jitter = Jitter::None;
    Policy {
        jitter,
        ..Policy::default()
    }
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Anything up to a second.
pub fn right() -> Policy {
    let jitter = Jitter::Full;
    Policy {
        jitter,
        ..Policy::default()
    }
}
// ANCHOR_END: right

struct Down;

impl Retryable for Down {
    fn is_retryable(&self) -> bool {
        true
    }
}

/// The most of 1,000 clients, whose first attempts have failed at one time, that come back within 50 ms.
fn fullest(policy: &Policy) -> usize {
    let pause = |random| match policy
        .start(Duration::ZERO)
        .after(&Down, Duration::ZERO, random)
    {
        Next::Wait(pause) => Some(pause),
        Next::GiveUp(_) => None,
    };
    let evenly = (0..1000).map(|number| f64::from(number) / 1000.0);
    demo::fullest_window(evenly.filter_map(pause), ms(50))
}

pub(crate) fn both() -> Both {
    let tell =
        |fullest: &usize| format!("of 1000 clients, {fullest} come back within the same 50 ms");
    Both::of(
        fullest(&wrong()),
        fullest(&right()),
        |fullest| *fullest < 100,
        tell,
    )
}
