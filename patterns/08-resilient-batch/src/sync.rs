//! What stands around one call, blocking. Diff this file with `async.rs`: only the waiting differs.
//!
//! `cache( retry( limit( call )))`: a hit pays nothing, and each attempt pays the limiter.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ai_core::{CallOptions, ChatRequest, ChatResponse, Clock, Error, Reply};
use caching::{Cache, Cached, chat_key};
use rate_limited_batch::Limiter;
use retry::retry_with;

use crate::failure::Failure;
use crate::gate_sync::Gate;
use crate::hedge_sync::{CallPermit, Caller};
use crate::line::Job;
use crate::rules::{ModelTurn, Rules};
use crate::trace::{Done, Trace};

type Asked = Result<Reply<ChatResponse>, Failure>;

/// The layers, shared by all jobs. `call` makes one call.
#[derive(Debug)]
pub struct Layers<C: Clock, F> {
    rules: Rules,
    cache: Cache,
    limiter: Limiter<C>,
    gate: Gate<C>,
    pub(crate) caller: Caller<C, F>,
}

impl<C, F> Layers<C, F>
where
    C: Clock + Copy,
    F: Fn(&ChatRequest, CallOptions) -> Result<Reply<ChatResponse>, Error>,
{
    /// Does a job: asks its model, and if that one is given up on, the fallback. A job that panics has
    /// failed, and the others go on.
    pub fn answer(&self, job: &Job) -> Done {
        let began = self.gate.now();
        let trace = Trace::default();
        let turns = self.rules.turns(job, began, rand::random());
        let (mut asked, mut result) = (&*job.request.model, Err(Failure::Stopped));
        for turn in &turns {
            asked = &turn.request.model;
            // A panic is a bug that one job met with, and the others' answers have been paid for.
            let ended = catch_unwind(AssertUnwindSafe(|| self.cached(turn, &trace)));
            result = ended.unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)));
            match &result {
                Err(failure) if failure.may_not_hold_elsewhere() => {}
                _ => break,
            }
        }
        let now = self.gate.now();
        Done::new(job, asked, result, trace.into_calls(now), now - began)
    }

    /// The outermost layer: what is stored is not asked for, and a job that asks for the same as
    /// another follows that one: it waits for its answer. Nothing can call a thread off that waits in a
    /// flight, so it waits until the other's call has ended, and that may be after its own time.
    fn cached(&self, turn: &ModelTurn<'_>, trace: &Trace) -> Result<Cached<ChatResponse>, Failure> {
        let key = chat_key(&turn.request, &self.rules.scope);
        loop {
            trace.follow();
            let call = || self.retried(turn, trace);
            match self.cache.chat(&key, call) {
                Err(failure) if turn.may_ask_again(&failure, trace, self.gate.now()) => {}
                result => return result,
            }
        }
    }

    /// Tries until there is an answer, or no use in another attempt.
    fn retried(&self, turn: &ModelTurn<'_>, trace: &Trace) -> Asked {
        trace.lead();
        let policy = self.rules.policy(turn, self.gate.now());
        let attempt = || self.attempt(turn, trace);
        // The alarm is its clock, so that a pause ends when the program is stopped. The attempt after
        // it is none then: it does not get past the breaker.
        retry_with(&policy, self.gate.alarm(), rand::random, |_| {}, attempt)
    }

    /// One attempt: waits until the breaker and then the limiter let it go, and calls.
    fn attempt(&self, turn: &ModelTurn<'_>, trace: &Trace) -> Asked {
        let (passage, slot) = loop {
            // First the breaker: a call that may not go takes no slot.
            let passage = self.gate.pass(turn)?;
            let tokens = turn.job.tokens;
            let slot = match turn.left(self.gate.now()) {
                Some(left) => self.limiter.acquire_within(tokens, left),
                None => self.limiter.acquire(tokens),
            };
            let slot = slot.map_err(|error| turn.no_slot(error))?;
            // The wait for a slot may be long. If the breaker has opened meanwhile, all begins again.
            if passage.holds() {
                break (passage, slot);
            }
            slot.unsent();
        };
        let permit = CallPermit::new(&self.limiter, turn, trace, passage, slot);
        let result = self.caller.call(&self.rules, turn, permit);
        match result {
            // With another attempt it might still be answered, so it has not failed.
            Err(_) if self.gate.is_stopped() => Err(Failure::Stopped),
            result => result.map_err(Failure::Call),
        }
    }

    /// Layers around `call`, on this clock, which must be the limiter's.
    pub fn new(rules: Rules, cache: Cache, limiter: Limiter<C>, clock: C, call: F) -> Layers<C, F> {
        Layers {
            gate: Gate::new(rules.breaker, clock),
            rules,
            cache,
            limiter,
            caller: Caller::new(clock, call),
        }
    }

    /// Lets no call begin any more. A call under way is finished, and a job that waits is let go.
    pub fn stop(&self) {
        self.gate.stop();
        self.limiter.close();
    }
}
