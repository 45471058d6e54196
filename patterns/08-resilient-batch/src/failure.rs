//! Why a job has no answer, and what may still help: pure, and shared by both versions.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use ai_core::{Error, panic_message};
use rate_limited_batch::{AcquireError, TooLarge};
use retry::Retryable;

/// Why a job has no answer. Cheap to clone: all who shared a call share its failure.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// The last attempt failed.
    Call(Error),
    /// It was not sent: it needs more tokens than a whole window allows.
    TooLarge(TooLarge),
    /// No time was left.
    Deadline(Duration),
    /// The breaker is open, and there is another model to ask.
    Open,
    /// The user stopped the program. The job stays to do.
    Stopped,
    /// The program panicked with this message: a bug that this job met with.
    Panicked(String),
}

impl Failure {
    /// What `catch_unwind` has caught.
    pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> Failure {
        Failure::Panicked(panic_message(panic).to_owned())
    }

    /// Whether another model may do what this one didn't: this one was given up on for a reason that
    /// may pass, or it is not there. What is wrong with the request, or with the account, is so
    /// anywhere.
    pub fn may_not_hold_elsewhere(&self) -> bool {
        match self {
            Failure::Open => true,
            Failure::Call(error) => error.is_retryable() || no_such_model(error),
            _ => false,
        }
    }

    /// Whether all other jobs would fail as well: the key is wrong, or the account is empty.
    pub fn is_everybodys(&self) -> bool {
        match self {
            Failure::Call(Error::Status(refusal)) => refusal.status == Some(401),
            Failure::Call(error) => matches!(error, Error::QuotaExhausted(_)),
            _ => false,
        }
    }

    /// Whether it was the deadline of the job that called: other jobs may have waited for its call.
    pub(crate) fn is_of_time(&self) -> bool {
        matches!(
            self,
            Failure::Deadline(_) | Failure::Call(Error::Deadline { .. })
        )
    }

    /// Why there was no slot, for a job that had this long in all.
    pub fn of_acquire(error: AcquireError, deadline: Option<Duration>) -> Failure {
        match error {
            AcquireError::TooLarge(error) => Failure::TooLarge(error),
            AcquireError::Elapsed => Failure::Deadline(deadline.unwrap_or_default()),
            AcquireError::Closed => Failure::Stopped,
        }
    }

    /// A short, stable name.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Call(error) => error.kind(),
            Failure::TooLarge(_) => "too_large_for_the_limit",
            Failure::Deadline(_) => "deadline",
            Failure::Open => "breaker_open",
            Failure::Stopped => "stopped",
            Failure::Panicked(_) => "panicked",
        }
    }

    /// Whether the same line may be answered if it is tried again later.
    pub fn may_pass(&self) -> bool {
        match self {
            Failure::Call(error) => error.is_retryable() || self.is_of_time(),
            // The same line meets with the same bug, until the program is another one.
            Failure::TooLarge(_) | Failure::Panicked(_) => false,
            Failure::Deadline(_) | Failure::Open | Failure::Stopped => true,
        }
    }
}

/// 404 is what OpenAI says; others say 400 with this code.
fn no_such_model(error: &Error) -> bool {
    let Error::Status(refusal) = error else {
        return false;
    };
    refusal.status == Some(404) || refusal.code.as_deref() == Some("model_not_found")
}

/// What is no failure of a call is not mended by another one.
impl Retryable for Failure {
    fn is_retryable(&self) -> bool {
        matches!(self, Failure::Call(error) if error.is_retryable())
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::Call(error) => error.retry_after(),
            _ => None,
        }
    }

    fn maybe_billed(&self) -> bool {
        matches!(self, Failure::Call(error) if error.maybe_billed())
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Call(error) => error.fmt(f),
            Failure::TooLarge(error) => error.fmt(f),
            Failure::Deadline(limit) => write!(f, "there was no answer within {limit:?}"),
            Failure::Open => f.write_str("the model keeps failing and is not asked for now"),
            Failure::Stopped => f.write_str("stopped before there was an answer"),
            Failure::Panicked(message) => write!(f, "internal error (panic): {message}"),
        }
    }
}
