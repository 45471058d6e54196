//! What a server allows: pure, and shared by both versions.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The guide's `batch_size`: how many requests are under way at one time.
pub const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(10).expect("10 is not 0");

/// What a server allows, and how it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any window.
    pub requests: u32,
    /// Tokens in any window, if they are limited.
    pub tokens: Option<u64>,
    /// How many may be under way at one time. This one is ours, not the server's.
    pub concurrency: NonZeroUsize,
    /// How long a window is.
    pub length: Duration,
    /// When a slot expires: `None`, one window after the first evidence that the server has counted
    /// the request. `Some`, one window and so much after it was *sent*, whatever is heard of it.
    ///
    /// The second wastes less where answers take long, and breaks the limit as soon as a request
    /// takes longer than this to be counted. The README has figures.
    pub margin: Option<Duration>,
    /// Whether requests are evenly spaced, too, and don't go in a burst when a window begins.
    pub paced: bool,
    /// Whether the server gives tokens back that an answer did not use. OpenAI does not: it counts
    /// what was asked for (`max_tokens`). Then this must be `false`.
    pub trued_up: bool,
}

impl Limits {
    /// So many requests in any window of this length, the guide's ten at a time, and no limit on
    /// tokens.
    pub fn new(requests: u32, length: Duration) -> Limits {
        Limits {
            requests,
            tokens: None,
            concurrency: BATCH_SIZE,
            length,
            margin: None,
            paced: false,
            trued_up: false,
        }
    }

    /// Whether a window can hold that much.
    pub(crate) fn allow(&self, cost: Cost) -> bool {
        cost.requests <= u64::from(self.requests)
            && self.tokens.is_none_or(|limit| cost.tokens <= limit)
    }
}

/// A request that needs more than a whole window allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    pub(crate) tokens: u64,
    pub(crate) limits: Limits,
}

impl std::error::Error for TooLarge {}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits {
            requests,
            tokens,
            length,
            ..
        } = self.limits;
        write!(
            f,
            "a request of {} tokens never fits into {requests} requests",
            self.tokens
        )?;
        if let Some(tokens) = tokens {
            write!(f, " and {tokens} tokens")?;
        }
        write!(f, " each {length:?}")
    }
}

/// Why there is no permit. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcquireError {
    /// There never will be: no window is large enough.
    TooLarge(TooLarge),
    /// There was none in time.
    Elapsed,
    /// The limiter is closed.
    Closed,
}

impl std::error::Error for AcquireError {}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcquireError::TooLarge(error) => error.fmt(f),
            AcquireError::Elapsed => {
                f.write_str("not sent: its turn under the rate limit was too late")
            }
            AcquireError::Closed => f.write_str("not sent: the rate limiter is closed"),
        }
    }
}

/// What requests take of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

impl Cost {
    /// What one request takes.
    pub(crate) fn of(tokens: u64) -> Cost {
        let requests = 1;
        Cost { requests, tokens }
    }

    /// So many requests, without their tokens.
    pub(crate) fn requests(requests: u64) -> Cost {
        let tokens = 0;
        Cost { requests, tokens }
    }

    /// So many tokens, without a request.
    pub(crate) fn tokens(tokens: u64) -> Cost {
        let requests = 0;
        Cost { requests, tokens }
    }
}

impl std::ops::Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            requests: self.requests + other.requests,
            // A caller may ask for any number; a sum that is too large is over every limit.
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }
}

impl std::ops::Sub for Cost {
    type Output = Cost;

    fn sub(self, other: Cost) -> Cost {
        Cost {
            requests: self.requests - other.requests,
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }
}
