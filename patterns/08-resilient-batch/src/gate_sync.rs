//! Waiting for the breaker, blocking. Diff this file with `gate_async.rs`: only the waiting differs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ai_core::Clock;

use crate::alarm_sync::Alarm;
use crate::breaker::{Ask, Outcome, Pass};
use crate::breakers::{Breakers, Rules};
use crate::failure::Failure;
use crate::rules::ModelTurn;

/// Lets calls through, or makes them wait. All that go through it share its breakers and its alarm.
#[derive(Debug)]
pub(crate) struct Gate<C> {
    breakers: Mutex<Breakers>,
    alarm: Alarm<C>,
}

impl<C: Clock> Gate<C> {
    /// A gate with closed breakers, on this clock.
    pub(crate) fn new(rules: Rules, clock: C) -> Gate<C> {
        Gate {
            breakers: Mutex::new(Breakers::new(rules)),
            alarm: Alarm::new(clock),
        }
    }

    /// Waits until the breaker lets this turn's model be asked.
    pub(crate) fn pass<'a>(&'a self, turn: &'a ModelTurn<'_>) -> Result<Passage<'a, C>, Failure> {
        let model = &turn.request.model;
        let bell = self.alarm.bell();
        loop {
            let now = self.now();
            if self.is_stopped() {
                return Err(Failure::Stopped);
            }
            if let Some(limit) = turn.is_over(now) {
                return Err(Failure::Deadline(limit));
            }
            let reopens = match self.lock().of(model).ask(now) {
                Ask::Go(pass) => {
                    return Ok(Passage {
                        gate: self,
                        model,
                        pass,
                        outcome: Outcome::Neutral,
                    });
                }
                _ if turn.replaceable => return Err(Failure::Open),
                Ask::WaitUntil(time) => Some(time),
                Ask::Wait => None,
            };
            let until = [reopens, turn.until].into_iter().flatten().min();
            bell.wait(until);
        }
    }

    /// Lets no call through any more. A job that waits here or in a pause is told at once.
    pub(crate) fn stop(&self) {
        self.alarm.stop();
    }

    /// Whether it was stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.alarm.is_stopped()
    }

    /// The time by its clock.
    pub(crate) fn now(&self) -> Duration {
        self.alarm.now()
    }

    /// What rings when it is stopped.
    pub(crate) fn alarm(&self) -> &Alarm<C> {
        &self.alarm
    }

    fn lock(&self) -> MutexGuard<'_, Breakers> {
        // Nothing that is done under the lock leaves anything half done.
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to call, until it is told how that ended. Dropped, there was no call.
pub(crate) struct Passage<'a, C: Clock> {
    pub(crate) gate: &'a Gate<C>,
    model: &'a str,
    pass: Pass,
    outcome: Outcome,
}

impl<'a, C: Clock> Passage<'a, C> {
    /// Whether the breaker still lets it through.
    pub(crate) fn holds(&self) -> bool {
        self.gate.lock().of(self.model).holds(self.pass)
    }

    /// The right to make another call beside it. Only if the breaker is closed, and has been since
    /// this one was let through: a probe is alone.
    pub(crate) fn another(&self) -> Option<Passage<'a, C>> {
        let now = self.gate.now();
        // Both questions under one lock: in between it might open, and then let a probe go.
        let mut breakers = self.gate.lock();
        let breaker = breakers.of(self.model);
        if !breaker.holds(self.pass) {
            return None;
        }
        let Ask::Go(pass) = breaker.ask(now) else {
            return None;
        };
        Some(Passage {
            pass,
            outcome: Outcome::Neutral,
            ..*self
        })
    }

    /// Says how the call ended.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl<C: Clock> Drop for Passage<'_, C> {
    fn drop(&mut self) {
        let now = self.gate.now();
        let mut breakers = self.gate.lock();
        let changed = breakers.of(self.model).ended(self.pass, self.outcome, now);
        drop(breakers);
        if changed {
            self.gate.alarm.ring();
        }
    }
}
