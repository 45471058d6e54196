//! What people see of it.

use std::fmt;

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
