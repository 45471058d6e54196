//! How a branch ends, and how long it may take: pure, and shared by both versions.

use std::time::Duration;

use ai_core::Error;
use serde::Serialize;

use crate::report::{as_milliseconds, as_text};
use crate::services::Sentiment;

/// What four services found out about one text, as far as they did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// The text as a vector, for comparing it with others.
    pub embedding: Branch<Vec<f32>>,
    /// The mood of the text.
    pub sentiment: Branch<Sentiment>,
    /// The text in one sentence.
    pub summary: Branch<String>,
    /// The names in the text.
    pub entities: Branch<Vec<String>>,
    /// The text itself.
    pub text: String,
}

/// How one branch ended. An error never stands where a value is looked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Branch<T> {
    /// The service answered.
    Ok(T),
    /// The service failed, or its answer made no sense.
    Failed(#[serde(serialize_with = "as_text")] Error),
    /// This limit was reached first.
    TimedOut(Limit),
}

/// How long an analysis may take. While it runs, this stands in for the client's own limit on the
/// whole of a call, which the client's other calls keep.
///
/// The sync version can overrun a limit that is longer than the client's limit on silence, by up to
/// that silence: [`Timeouts::total`](ai_core::Timeouts::total) says why. With the defaults it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest time for each branch. 10 s.
    pub branch: Duration,
    /// The longest time for the whole. 20 s, which matters in turn: at once, the shorter of the two
    /// holds for every branch.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            branch: Duration::from_secs(10),
            total: Duration::from_secs(20),
        }
    }
}

/// Which of the [`Limits`] it is, and what it is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Limit {
    /// The one on each branch.
    #[serde(rename = "branch_ms")]
    Branch(#[serde(serialize_with = "as_milliseconds")] Duration),
    /// The one on the whole.
    #[serde(rename = "total_ms")]
    Total(#[serde(serialize_with = "as_milliseconds")] Duration),
}

/// How long a branch may take from now on, and which limit ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// No time at all means: do not even ask.
    pub time: Duration,
    /// The limit that is reached when the time is up.
    pub limit: Limit,
}

impl Limits {
    /// What a branch may take that begins when the whole has been going on for `elapsed`.
    pub fn allow(&self, elapsed: Duration) -> Allowance {
        let left = self.total.saturating_sub(elapsed);
        if self.branch <= left {
            Allowance {
                time: self.branch,
                limit: Limit::Branch(self.branch),
            }
        } else {
            // What a branch is given is what the others have left of the whole, not its own limit:
            // else four branches in turn would take four times as long as one.
            Allowance {
                time: left,
                limit: Limit::Total(self.total),
            }
        }
    }
}

impl<T> Branch<T> {
    /// Sorts out how a call ended that was given until `limit`.
    pub(crate) fn new(result: Result<T, Error>, limit: Limit) -> Branch<T> {
        match result {
            Ok(value) => Branch::Ok(value),
            Err(Error::Deadline { .. }) => Branch::TimedOut(limit),
            Err(error) => Branch::Failed(error),
        }
    }

    /// The value, if there is one.
    pub fn ok(&self) -> Option<&T> {
        match self {
            Branch::Ok(value) => Some(value),
            Branch::Failed(_) | Branch::TimedOut(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    const LIMITS: Limits = Limits {
        branch: ms(700),
        total: ms(1000),
    };

    #[test]
    fn a_branch_is_allowed_its_own_limit_while_the_whole_has_as_much_left() {
        let whole = Allowance {
            time: ms(700),
            limit: Limit::Branch(ms(700)),
        };
        assert_eq!(LIMITS.allow(ms(0)), whole);
        assert_eq!(LIMITS.allow(ms(300)), whole);
    }

    #[test]
    fn then_it_is_allowed_what_is_left_and_in_the_end_nothing() {
        for (elapsed, left) in [(301, 699), (900, 100), (1000, 0), (5000, 0)] {
            let allowance = Allowance {
                time: ms(left),
                limit: Limit::Total(ms(1000)),
            };
            assert_eq!(LIMITS.allow(ms(elapsed)), allowance, "after {elapsed} ms");
        }
    }

    #[test]
    fn in_turn_the_allowances_never_add_up_to_more_than_the_total() {
        for branch in [1, 250, 700, 5000] {
            let limits = Limits {
                branch: ms(branch),
                ..LIMITS
            };
            let mut elapsed = ms(0);
            for _ in 0..4 {
                elapsed += limits.allow(elapsed).time;
            }
            assert!(elapsed <= LIMITS.total, "{limits:?}: {elapsed:?}");
        }
    }
}
