//! Evenly spaced requests: pure, and shared by both versions.

use std::time::Duration;

/// One request every so often, on an absolute schedule.
///
/// "Sleep for the interval after each request" adds every delay to all that follow. Here each request
/// has its time, and one that is late takes the time that is past, so the rate is kept over hours. But
/// only one request is made up for: after a long pause there is no burst.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    interval: Duration,
    next: Duration,
}

/// What timers and schedulers may be late by. Above a hundred requests a second that is more than an
/// interval, and a pace that made up for one interval at most would lose more with every delay.
const GRAIN: Duration = Duration::from_millis(10);

impl Pace {
    /// One request each `interval`; the first may go at once.
    pub fn new(interval: Duration) -> Pace {
        let next = Duration::ZERO;
        Pace { interval, next }
    }

    /// When the next request may go.
    pub fn next(&self) -> Duration {
        self.next
    }

    /// Takes the time: a request goes now.
    pub fn go(&mut self, now: Duration) {
        // The time that was due, not `now`, or lateness would add up. And at most one interval ago,
        // or all that was missed would be made up for at once.
        let longest_ago = now.saturating_sub(self.interval.max(GRAIN));
        self.next = self.next.max(longest_ago).saturating_add(self.interval);
    }
}
