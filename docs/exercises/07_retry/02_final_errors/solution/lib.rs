//! The solution of 07.02.
//!
//! The same as patterns/07-retry/src/backoff.rs: fn after

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

impl Attempts<'_> {
    /// Decides what follows the failure of this attempt. `now` counts from the same start as that
    /// of [`Policy::start`]; `random` is in [0, 1).
    // ANCHOR: after
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
    // ANCHOR_END: after
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, after this pause: that of the schedule, or the one the server asks for,
    /// whichever is longer. It is the next attempt from now on.
    Wait(Duration),
    /// None, for this reason.
    GiveUp(Reason),
}

/// Why there is no other attempt, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The same call would fail again: [`Retryable::is_retryable`].
    Permanent,
    /// It may have been paid for, and [`Policy::retry_maybe_billed`] is off.
    MaybeBilled,
    /// [`Policy::max_attempts`] have been made.
    NoAttemptsLeft,
    /// The server asks for a longer pause than [`Policy::retry_after_cap`].
    AskedTooMuch(Duration),
    /// This pause would end at [`Policy::deadline`] or after it.
    PastDeadline(Duration),
    /// The [`Budget`] is spent. Asked last: nothing is to be spent on an attempt that is not made.
    NoBudget,
}

/// What an error has to tell.
pub trait Retryable {
    /// Whether the same call may succeed if it is made again.
    fn is_retryable(&self) -> bool;

    /// How long the other side asks us to wait.
    fn retry_after(&self) -> Option<Duration>;

    /// Whether the work may have been done, although there is no answer.
    fn maybe_billed(&self) -> bool;
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

/// When to try again, and when no more.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The most attempts, the first one included: 3.
    pub max_attempts: u32,
    /// The time for the whole operation. No pause runs past it. None.
    pub deadline: Option<Duration>,
    /// The longest Retry-After that is waited for: 120 s.
    pub retry_after_cap: Duration,
    /// Whether to repeat what the server may have done and may charge for: yes.
    pub retry_maybe_billed: bool,
    /// What all retries of a program may spend together. None.
    pub budget: Option<Arc<Budget>>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            max_attempts: 3,
            deadline: None,
            retry_after_cap: Duration::from_secs(120),
            retry_maybe_billed: true,
            budget: None,
        }
    }
}

impl Policy {
    /// Begins an operation, and with it the first attempt.
    pub fn start(&self, now: Duration) -> Attempts<'_> {
        Attempts {
            policy: self,
            started: now,
            number: 1,
            previous: Duration::ZERO,
        }
    }

    /// The pause of the schedule: a second, doubled each time, of which chance takes up to half.
    /// Exercise 07.01 has the whole of it, with a jitter that looks at the pause `_before`.
    fn backoff(&self, attempt: u32, _before: Duration, random: f64) -> Duration {
        Duration::from_secs(1 << (attempt - 1).min(6)).mul_f64(0.5 + random / 2.0)
    }
}

/// The attempts of one operation.
#[derive(Debug)]
pub struct Attempts<'a> {
    policy: &'a Policy,
    started: Duration,
    /// Which attempt this is, from 1.
    number: u32,
    /// The last pause of the schedule.
    previous: Duration,
}

impl Attempts<'_> {
    /// Which attempt this is, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The last pause of the schedule: zero before the first.
    pub fn previous(&self) -> Duration {
        self.previous
    }
}

/// So many retries, for all callers together. Exercise 07.03 makes a better one.
#[derive(Debug)]
pub struct Budget(AtomicU32);

impl Budget {
    /// A budget of so many retries.
    pub fn new(retries: u32) -> Budget {
        Budget(AtomicU32::new(retries))
    }

    /// Pays for a retry. `false` if there is nothing left.
    pub fn spend(&self, _maybe_billed: bool) -> bool {
        let pay = |left: u32| left.checked_sub(1);
        self.0.fetch_update(Relaxed, Relaxed, pay).is_ok()
    }

    /// How many are left.
    pub fn left(&self) -> u32 {
        self.0.load(Relaxed)
    }
}
