//! How long to wait before the next attempt: the schedule, and chance. No clock here, and no dice.

use std::time::Duration;

/// When to try again. The defaults are the guide's.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The pause after the first attempt, before jitter: 1 s.
    pub base_delay: Duration,
    /// How much longer each next pause is: 2 times.
    pub factor: f64,
    /// The longest pause of the schedule: 60 s.
    pub max_delay: Duration,
    /// How chance spreads the pauses, so that those who failed together don't come back together.
    pub jitter: Jitter,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            base_delay: Duration::from_secs(1),
            factor: 2.0,
            max_delay: Duration::from_secs(60),
            jitter: Jitter::Equal,
        }
    }
}

/// How chance spreads a pause. Names and definitions are those of the AWS article "Exponential
/// Backoff And Jitter"; elsewhere the same names stand for other things.
///
/// `delay` is `min(max_delay, base_delay * factor^(attempt - 1))`, and `random(a, b)` is even
/// between `a` and `b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// `delay`. All who failed together come back together.
    None,
    /// `random(0, delay)`. Spreads the most.
    Full,
    /// `delay / 2 + random(0, delay / 2)`: the guide's. Never returns at once.
    Equal,
    /// `min(max_delay, random(base_delay, 3 * the pause before))`. Grows without counting attempts;
    /// `factor` plays no part.
    Decorrelated,
}

impl Policy {
    /// The pause of the schedule after this attempt, counted from 1. `before` is the pause before it,
    /// `random` is in [0, 1).
    pub fn backoff(&self, attempt: u32, before: Duration, random: f64) -> Duration {
        let [base, longest, before] =
            [self.base_delay, self.max_delay, before].map(|time| time.as_secs_f64());
        // TODO: the delay in seconds, its jitter, and a `Duration` of it that is never too long.
        todo!(
            "{base} to {longest} s after {attempt}, {before}, {random}, {:?}",
            self.jitter
        )
    }
}
