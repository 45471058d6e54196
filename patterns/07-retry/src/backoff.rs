//! Whether to try again, and when: pure, and shared by both versions.

use std::sync::Arc;
use std::time::Duration;

use crate::budget::Budget;

/// The attempts of one operation.
#[derive(Debug)]
pub struct Attempts<'a> {
    policy: &'a Policy,
    started: Duration,
    number: u32,
    /// The pause of the schedule before this attempt.
    previous: Duration,
}

impl Attempts<'_> {
    /// Decides what follows the failure of this attempt. `now` counts from the same start as that
    /// of [`Policy::start`]; `random` is in [0, 1).
    pub fn after(&mut self, error: &impl Retryable, now: Duration, random: f64) -> Next {
        let policy = self.policy;
        if !error.is_retryable() {
            return Next::GiveUp(Reason::Permanent);
        }
        if error.maybe_billed() && !policy.retry_maybe_billed {
            return Next::GiveUp(Reason::MaybeBilled);
        }
        if self.number >= policy.max_attempts {
            return Next::GiveUp(Reason::NoAttemptsLeft);
        }
        let asked = error.retry_after().unwrap_or_default();
        if asked > policy.retry_after_cap {
            // Not cut to the cap: a server that is asked early refuses, and may count it.
            return Next::GiveUp(Reason::AskedTooMuch(asked));
        }
        let backoff = policy.backoff(self.number, self.previous, random);
        let pause = backoff.max(asked);
        let elapsed = now.saturating_sub(self.started);
        if policy
            .deadline
            .is_some_and(|limit| elapsed.saturating_add(pause) >= limit)
        {
            // Known now, so said now: nobody gains from a wait that can't lead to an attempt.
            return Next::GiveUp(Reason::PastDeadline(pause));
        }
        // Asked last, so that nothing is spent on an attempt that is not made.
        let budget = policy.budget.as_ref();
        if budget.is_some_and(|budget| !budget.spend(error.maybe_billed())) {
            return Next::GiveUp(Reason::NoBudget);
        }
        self.number += 1;
        self.previous = backoff;
        Next::Wait(pause)
    }
}

/// When to try again, and when no more. The defaults are the guide's.
///
/// ```
/// use std::time::Duration;
/// use retry::{Jitter, Policy};
///
/// let patient = Policy {
///     max_attempts: 5,
///     deadline: Some(Duration::from_secs(90)),
///     jitter: Jitter::Full,
///     ..Policy::default()
/// };
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    /// The most attempts, the first one included: 3. With 0 there is still that one.
    pub max_attempts: u32,
    /// The pause after the first attempt, before jitter: 1 s.
    pub base_delay: Duration,
    /// How much longer each next pause is: 2 times.
    pub factor: f64,
    /// The longest pause of the schedule: 60 s. The server may ask for a longer one.
    pub max_delay: Duration,
    /// How chance spreads the pauses, so that those who failed together don't come back together.
    pub jitter: Jitter,
    /// The time for the whole operation. No pause runs past it, and with `generate_text` no attempt
    /// does. `retry` can't end an attempt of yours that hangs: give it a limit of its own. None.
    pub deadline: Option<Duration>,
    /// The longest Retry-After that is waited for: 120 s, as in OpenAI's own client. A server that
    /// asks for more is not asked again.
    pub retry_after_cap: Duration,
    /// Whether to repeat what the server may have done and may charge for, such as a call that was
    /// sent and never answered: yes, as the official clients do.
    pub retry_maybe_billed: bool,
    /// What all retries of a program may spend together. None.
    pub budget: Option<Arc<Budget>>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            max_attempts: 3,
            base_delay: Duration::from_secs(1),
            factor: 2.0,
            max_delay: Duration::from_secs(60),
            jitter: Jitter::Equal,
            deadline: None,
            retry_after_cap: Duration::from_secs(120),
            retry_maybe_billed: true,
            budget: None,
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
    /// `min(max_delay, random(base_delay, 3 * the pause before))`, where the pause before the first
    /// is `base_delay`. Grows without counting attempts; `factor` plays no part.
    Decorrelated,
}

impl Policy {
    /// Begins an operation, and with it the first attempt.
    pub fn start(&self, now: Duration) -> Attempts<'_> {
        Attempts {
            policy: self,
            started: now,
            number: 1,
            previous: self.base_delay,
        }
    }

    /// The pause of the schedule after this attempt. `before` is the pause before it.
    fn backoff(&self, attempt: u32, before: Duration, random: f64) -> Duration {
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
}

impl Attempts<'_> {
    /// Which attempt this is, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Says that the operation has succeeded: the budget gets something back.
    pub fn succeeded(&self) {
        if let Some(budget) = &self.policy.budget {
            budget.refund();
        }
    }
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, after this pause.
    Wait(Duration),
    /// None, for this reason.
    GiveUp(Reason),
}

/// Why there is no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The same call would fail again.
    Permanent,
    /// It may have been paid for, and [`Policy::retry_maybe_billed`] is off.
    MaybeBilled,
    /// [`Policy::max_attempts`] have been made.
    NoAttemptsLeft,
    /// The server asks for a longer pause than [`Policy::retry_after_cap`].
    AskedTooMuch(Duration),
    /// This pause would run past [`Policy::deadline`]. Zero: the attempt has used up what was left.
    PastDeadline(Duration),
    /// The [`Budget`] is spent.
    NoBudget,
}

/// What an error has to tell. [`ai_core::Error`] does; implement it for your own errors, and they
/// can be retried too.
pub trait Retryable {
    /// Whether the same call may succeed if it is made again.
    fn is_retryable(&self) -> bool;

    /// How long the other side asks us to wait.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// Whether the work may have been done, although there is no answer.
    fn maybe_billed(&self) -> bool {
        false
    }
}

impl Retryable for ai_core::Error {
    fn is_retryable(&self) -> bool {
        self.is_retryable()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }

    fn maybe_billed(&self) -> bool {
        self.maybe_billed()
    }
}
