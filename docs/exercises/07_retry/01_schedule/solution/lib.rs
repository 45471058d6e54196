//! The solution of 07.01.
//!
//! The same as patterns/07-retry/src/backoff.rs: fn backoff

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
    // ANCHOR: backoff
    pub fn backoff(&self, attempt: u32, before: Duration, random: f64) -> Duration {
        let [base, longest, before] =
            [self.base_delay, self.max_delay, before].map(|time| time.as_secs_f64());
        let exponent = i32::try_from(attempt - 1).unwrap_or(i32::MAX);
        // In this order NaN, which 0 times infinity is, becomes 0.
        let delay = (base * self.factor.powi(exponent)).max(0.0).min(longest);
        let seconds = match self.jitter {
            Jitter::None => delay,
            Jitter::Full => random * delay,
            Jitter::Equal => delay / 2.0 + random * delay / 2.0,
            Jitter::Decorrelated => base + random * (3.0 * before - base),
        };
        // It fails for what is longer than any duration, and so than the longest.
        Duration::try_from_secs_f64(seconds).map_or(self.max_delay, |it| it.min(self.max_delay))
    }
    // ANCHOR_END: backoff
}
