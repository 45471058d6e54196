//! What people see of it.

use std::fmt;
use std::time::Duration;

use ai_core::Error;
use serde::Serialize;

use crate::backoff::{Next, Reason};

/// A failed attempt, as the hook of the drivers sees it. `Display` gives the guide's line.
#[derive(Debug)]
pub struct Failed<'a, E> {
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// Why it failed.
    pub cause: &'a E,
    /// What follows.
    pub next: Next,
}

/// A text, and how many attempts it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What the model wrote.
    pub text: String,
    /// The attempts, the successful one included.
    pub attempts: u32,
}

/// The error of an attempt in terms of limits that somebody has set: the `deadline` of the operation and
/// the client's `own` for a call. What was left of the deadline, by which the attempt may have been cut,
/// would tell the caller nothing.
pub(crate) fn in_known_terms(
    error: Error,
    deadline: Option<Duration>,
    own: Option<Duration>,
) -> Error {
    match (error, deadline) {
        (Error::Deadline { limit: left }, Some(limit)) if Some(left) != own => {
            Error::Deadline { limit }
        }
        (error, _) => error,
    }
}

/// What the hook is told of an attempt that the `deadline` has cut: that no time is left, and not that
/// another try would fail as well.
pub(crate) fn with_reason<'a>(
    failed: &Failed<'a, Error>,
    deadline: Option<Duration>,
) -> Failed<'a, Error> {
    let next = match failed.cause {
        Error::Deadline { limit } if Some(*limit) == deadline => {
            Next::GiveUp(Reason::PastDeadline(Duration::ZERO))
        }
        _ => failed.next,
    };
    Failed { next, ..*failed }
}

impl<E: fmt::Display> fmt::Display for Failed<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attempt {} failed: {}. ", self.attempt, self.cause)?;
        match self.next {
            Next::Wait(pause) => write!(f, "Retrying in {:.2}s...", pause.as_secs_f64()),
            Next::GiveUp(reason) => write!(f, "Giving up: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Permanent => f.write_str("another try would fail as well"),
            Reason::MaybeBilled => f.write_str("it may have been paid for"),
            Reason::NoAttemptsLeft => f.write_str("no attempt is left"),
            Reason::AskedTooMuch(wait) => write!(f, "the server asks to wait {wait:?}"),
            Reason::PastDeadline(Duration::ZERO) => f.write_str("no time is left"),
            Reason::PastDeadline(pause) => write!(f, "no time is left to wait {pause:.2?}"),
            Reason::NoBudget => f.write_str("the retry budget is spent"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Success!\n{}", self.text)
    }
}
