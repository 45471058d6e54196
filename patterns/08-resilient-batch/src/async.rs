//! What stands around one call, awaited. Diff this file with `sync.rs`: only the waiting differs.
//!
//! `cache( retry( limit( call )))`: a hit pays nothing, and each attempt pays the limiter.

use std::panic::AssertUnwindSafe;

use ai_core::{CallOptions, ChatRequest, ChatResponse, Error, Reply};
use caching::{AsyncCache, Cached, chat_key};
use futures::FutureExt;
use futures::future::pending;
use rate_limited_batch::AsyncLimiter;
use retry::retry_with_async;

use crate::alarm_async::within;
use crate::failure::Failure;
use crate::gate_async::Gate;
use crate::hedge_async::{CallPermit, Caller};
use crate::line::Job;
use crate::rules::{ModelTurn, Rules};
use crate::trace::{Done, Trace};

type Asked = Result<Reply<ChatResponse>, Failure>;

/// The layers, shared by all jobs. `call` makes one call.
#[derive(Debug)]
pub struct Layers<F> {
    rules: Rules,
    cache: AsyncCache,
    limiter: AsyncLimiter,
    gate: Gate,
    pub(crate) caller: Caller<F>,
}

impl<F> Layers<F>
where
    F: AsyncFn(&ChatRequest, CallOptions) -> Result<Reply<ChatResponse>, Error>,
{
    /// Does a job: asks its model, and if that one is given up on, the fallback. A job that panics has
    /// failed, and the others go on.
    pub async fn answer(&self, job: &Job) -> Done {
        let began = self.gate.now();
        let trace = Trace::default();
        let turns = self.rules.turns(job, began, rand::random());
        let (mut asked, mut result) = (&*job.request.model, Err(Failure::Stopped));
        for turn in &turns {
            asked = &turn.request.model;
            // A panic is a bug that one job met with, and the others' answers have been paid for.
            let ended = AssertUnwindSafe(self.cached(turn, &trace))
                .catch_unwind()
                .await;
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
    /// another follows that one: it waits for its answer, as long as its own time lasts.
    async fn cached(
        &self,
        turn: &ModelTurn<'_>,
        trace: &Trace,
    ) -> Result<Cached<ChatResponse>, Failure> {
        let key = chat_key(&turn.request, &self.rules.scope);
        loop {
            trace.follow();
            let call = || self.retried(turn, trace);
            let answer = self.cache.chat(&key, call);
            // What it calls itself keeps to its time, and is never cut off here: it may be paid for.
            let left = turn.left(self.gate.now());
            let in_time = within(left, || trace.follows(), answer).await;
            match in_time.unwrap_or_else(|| Err(turn.late())) {
                Err(failure) if turn.may_ask_again(&failure, trace, self.gate.now()) => {}
                result => return result,
            }
        }
    }

    /// Tries until there is an answer, or no use in another attempt.
    async fn retried(&self, turn: &ModelTurn<'_>, trace: &Trace) -> Asked {
        trace.lead();
        let policy = self.rules.policy(turn, self.gate.now());
        let attempt = || self.attempt(turn, trace);
        let retried = retry_with_async(&policy, rand::random, |_| {}, attempt);
        let mut bell = self.gate.alarm().bell();
        // A pause ends when the program is stopped. A call does not: it may be paid for already, and
        // its answer is to be kept.
        let stopped_in_a_pause = async {
            bell.stopped().await;
            if trace.is_under_way() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            result = retried => result,
            () = stopped_in_a_pause => Err(Failure::Stopped),
        }
    }

    /// One attempt: waits until the breaker and then the limiter let it go, and calls.
    async fn attempt(&self, turn: &ModelTurn<'_>, trace: &Trace) -> Asked {
        let (passage, slot) = loop {
            // First the breaker: a call that may not go takes no slot.
            let passage = self.gate.pass(turn).await?;
            let tokens = turn.job.tokens;
            let slot = match turn.left(self.gate.now()) {
                Some(left) => self.limiter.acquire_within(tokens, left).await,
                None => self.limiter.acquire(tokens).await,
            };
            let slot = slot.map_err(|error| turn.no_slot(error))?;
            // The wait for a slot may be long. If the breaker has opened meanwhile, all begins again.
            if passage.holds() {
                break (passage, slot);
            }
            slot.unsent();
        };
        let permit = CallPermit::new(&self.limiter, turn, trace, passage, slot);
        let result = self.caller.call(&self.rules, turn, permit).await;
        match result {
            // With another attempt it might still be answered, so it has not failed.
            Err(_) if self.gate.is_stopped() => Err(Failure::Stopped),
            result => result.map_err(Failure::Call),
        }
    }

    /// Layers around `call`.
    pub fn new(rules: Rules, cache: AsyncCache, limiter: AsyncLimiter, call: F) -> Layers<F> {
        Layers {
            gate: Gate::new(rules.breaker),
            rules,
            cache,
            limiter,
            caller: Caller::new(call),
        }
    }

    /// Lets no call begin any more. A call under way is finished, and a job that waits is let go.
    pub fn stop(&self) {
        self.gate.stop();
        self.limiter.close();
    }
}
