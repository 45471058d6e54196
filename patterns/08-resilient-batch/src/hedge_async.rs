//! A call, and with hedging another one beside it, awaited. Diff this file with
//! `hedge_sync.rs`: only the waiting differs.

use std::collections::BTreeMap;
use std::time::Duration;

use ai_core::{CallOptions, ChatRequest, ChatResponse, Error, Reply};
use rate_limited_batch::{AsyncLimiter, AsyncPermit, Feedback};

use crate::alarm_async::Calls;
use crate::r#async::Layers;
use crate::breaker::Outcome;
use crate::gate_async::Passage;
use crate::rules::{Hedge, ModelTurn, Rules, Which};
use crate::trace::Trace;

type Ended = Result<Reply<ChatResponse>, Error>;

/// Makes calls. All jobs that use it share the budget of its hedges.
#[derive(Debug)]
pub(crate) struct Caller<F> {
    hedge: Option<Hedge>,
    call: F,
}

impl<F> Caller<F>
where
    F: AsyncFn(&ChatRequest, CallOptions) -> Result<Reply<ChatResponse>, Error>,
{
    /// Makes a call. With a hedge, if it has no answer for long, it makes another one beside it, once,
    /// and the first answer is taken. When both fail, the last word counts.
    pub(crate) async fn call(
        &self,
        rules: &Rules,
        turn: &ModelTurn<'_>,
        first: CallPermit<'_>,
    ) -> Ended {
        let begin = async |which, at| {
            let options = rules.options(turn, at, which);
            (which, (self.call)(&turn.request, options).await)
        };
        let at = first.at;
        // Declared before the calls, so dropped after them: when the job is dropped as well, a slot
        // counts as seen only when the connection of its call is closed.
        let mut permits = BTreeMap::from([(Which::First, first)]);
        let mut calls = Calls::new();
        calls.begin(begin(Which::First, at));
        let mut hedge = self.hedge.as_ref();
        let result = loop {
            let limit = hedge.map(|hedge| hedge.after);
            let ended = calls.next_within(limit).await;
            if let Some((which, result)) = ended {
                let permit = permits.remove(&which);
                permit.expect("each call has one").end(&result);
                // A failure waits for the other call, if there is one.
                if result.is_ok() || permits.is_empty() {
                    break result;
                }
            } else if let Some(hedge) = hedge.take()
                && let Some(second) = permits[&Which::First].another(hedge).await
            {
                calls.begin(begin(Which::Hedge, second.at));
                permits.insert(Which::Hedge, second);
            }
        };
        // This closes the connection of the other call; only then does its slot count as seen.
        drop(calls);
        permits.into_values().for_each(CallPermit::lose);
        if let (Ok(_), Some(hedge)) = (&result, &self.hedge) {
            hedge.earn();
        }
        result
    }

    /// Without hedging.
    pub(crate) fn new(call: F) -> Caller<F> {
        Caller { hedge: None, call }
    }
}

impl<F> Layers<F> {
    /// With hedging: an attempt that has had no answer for so long makes a second call beside its
    /// first.
    pub fn hedged(mut self, after: Duration) -> Layers<F> {
        self.caller.hedge = Some(Hedge::new(after));
        self
    }
}

/// The right to make one call, and what is to be told when it has ended.
pub(crate) struct CallPermit<'a> {
    limiter: &'a AsyncLimiter,
    turn: &'a ModelTurn<'a>,
    trace: &'a Trace,
    passage: Passage<'a>,
    slot: AsyncPermit<'a>,
    /// When the call begins.
    pub(crate) at: Duration,
}

impl<'a> CallPermit<'a> {
    /// The breaker and then the limiter have let it go: a call begins now.
    pub(crate) fn new(
        limiter: &'a AsyncLimiter,
        turn: &'a ModelTurn<'a>,
        trace: &'a Trace,
        passage: Passage<'a>,
        slot: AsyncPermit<'a>,
    ) -> CallPermit<'a> {
        let at = passage.gate.now();
        trace.began(at);
        CallPermit {
            at,
            limiter,
            turn,
            trace,
            passage,
            slot,
        }
    }

    /// The right to make another call beside this one. Only if no job has to wait for it: a hedge that
    /// queues up is none, and one that takes a place others wait for makes them slower.
    pub(crate) async fn another(&self, hedge: &Hedge) -> Option<CallPermit<'a>> {
        let passage = self.passage.another()?;
        let tokens = self.turn.job.tokens;
        let slot = self
            .limiter
            .acquire_within(tokens, Duration::ZERO)
            .await
            .ok()?;
        let late = self.turn.is_over(self.passage.gate.now()).is_some();
        if late || !hedge.spend() {
            slot.unsent();
            return None;
        }
        let another = CallPermit::new(self.limiter, self.turn, self.trace, passage, slot);
        Some(another)
    }

    /// The call has ended like this.
    pub(crate) fn end(self, result: &Result<Reply<ChatResponse>, Error>) {
        let maybe_billed = matches!(result, Err(error) if error.maybe_billed());
        let now = self.passage.gate.now();
        self.trace.ended(self.at, now, maybe_billed);
        self.slot.finish(&self.turn.lesson(match result {
            Ok(reply) => Feedback::of_reply(&reply.headers, reply.usage),
            Err(error) => Feedback::of_error(error),
        }));
        self.passage.end(Outcome::of(result, self.turn.deadline));
    }

    /// Another call was answered sooner, and this one's answer is not wanted any more. It may be paid
    /// for all the same. Its slot counts as seen now, and the breaker learns nothing.
    pub(crate) fn lose(self) {
        let now = self.passage.gate.now();
        self.trace.ended(self.at, now, true);
    }
}
