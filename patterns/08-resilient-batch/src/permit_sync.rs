//! What it takes to make a call, blocking. Diff this file with `permit_async.rs`: only the
//! waiting differs.

use std::time::Duration;

use ai_core::{ChatResponse, Clock, Error, Reply};
use rate_limited_batch::{Feedback, Limiter, Slot};

use crate::breaker::Outcome;
use crate::failure::Failure;
use crate::gate_sync::{Gate, Passage};
use crate::rules::{Hedge, Turn};
use crate::trace::Trace;

/// The right to make one call, and what is to be told when it has ended.
pub(crate) struct Permit<'a, C: Clock> {
    gate: &'a Gate<C>,
    limiter: &'a Limiter<C>,
    turn: &'a Turn<'a>,
    trace: &'a Trace,
    passage: Passage<'a, C>,
    slot: Slot<'a, C>,
    /// When it was given: the call begins then.
    pub(crate) at: Duration,
}

impl<'a, C: Clock> Permit<'a, C> {
    /// Waits until the breaker and then the limiter let a call go.
    pub(crate) fn get(
        gate: &'a Gate<C>,
        limiter: &'a Limiter<C>,
        turn: &'a Turn<'a>,
        trace: &'a Trace,
    ) -> Result<Permit<'a, C>, Failure> {
        loop {
            // First the breaker: who may not go takes no slot.
            let passage = gate.pass(turn)?;
            let tokens = turn.job.tokens;
            let slot = match turn.left(gate.now()) {
                Some(left) => limiter.enter_within(tokens, left),
                None => limiter.enter(tokens),
            };
            let slot = slot.map_err(|error| turn.no_slot(error))?;
            // The wait for a slot may be long. If the breaker has opened meanwhile, all begins again.
            if passage.holds() {
                trace.began();
                return Ok(Permit {
                    gate,
                    limiter,
                    turn,
                    trace,
                    passage,
                    slot,
                    at: gate.now(),
                });
            }
            slot.unsent();
        }
    }

    /// The right to make another call beside this one. Only if nobody has to wait for it: a hedge that
    /// queues up is none, and one that takes a place others wait for makes them slower.
    pub(crate) fn another(&self, hedge: &Hedge) -> Option<Permit<'a, C>> {
        let passage = self.passage.another()?;
        let tokens = self.turn.job.tokens;
        let slot = self.limiter.enter_within(tokens, Duration::ZERO).ok()?;
        let at = self.gate.now();
        if self.turn.is_over(at).is_some() || !hedge.spend() {
            slot.unsent();
            return None;
        }
        self.trace.began();
        Some(Permit {
            passage,
            slot,
            at,
            ..*self
        })
    }

    /// The call has ended like this.
    pub(crate) fn end(self, result: &Result<Reply<ChatResponse>, Error>) {
        let maybe_billed = matches!(result, Err(error) if error.maybe_billed());
        self.trace.ended(self.at, self.gate.now(), maybe_billed);
        self.slot.finish(&match result {
            Ok(reply) => Feedback::of_reply(&reply.headers, reply.usage),
            Err(error) => Feedback::of_error(error),
        });
        self.passage.end(Outcome::of(result));
    }

    /// Another call was answered sooner, and nobody waits for this one any more. It may be paid for all
    /// the same. Its slot counts as seen now, and the breaker learns nothing.
    pub(crate) fn lose(self) {
        self.trace.ended(self.at, self.gate.now(), true);
    }
}
