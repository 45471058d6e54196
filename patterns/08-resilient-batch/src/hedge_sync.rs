//! A call, and with hedging another one beside it, blocking. Diff this file with
//! `hedge_async.rs`: only the waiting differs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ai_core::{CallOptions, ChatRequest, ChatResponse, Clock, Error, Reply};
use rate_limited_batch::{Feedback, Limiter, Permit};

use crate::alarm_sync::Calls;
use crate::breaker::Outcome;
use crate::gate_sync::Passage;
use crate::rules::{Hedge, ModelTurn, Rules, Which};
use crate::sync::Layers;
use crate::trace::Trace;

type Ended = Result<Reply<ChatResponse>, Error>;

/// Makes calls. All jobs that use it share the budget of its hedges.
#[derive(Debug)]
pub(crate) struct Caller<C, F> {
    hedge: Option<Hedge>,
    call: Arc<F>,
    clock: C,
    begin: Begin<C, F>,
}

/// How a call begins: in the thread of its job, or in one of its own.
type Begin<C, F> = fn(&mut Calls<C, (Which, Ended)>, Which, &Arc<F>, &ChatRequest, CallOptions);

impl<C, F> Caller<C, F>
where
    C: Clock + Copy,
    F: Fn(&ChatRequest, CallOptions) -> Result<Reply<ChatResponse>, Error>,
{
    /// Makes a call. With a hedge, if it has no answer for long, it makes another one beside it, once,
    /// and the first answer is taken. When both fail, the last word counts.
    pub(crate) fn call(
        &self,
        rules: &Rules,
        turn: &ModelTurn<'_>,
        first: CallPermit<'_, C>,
    ) -> Ended {
        let begin = |calls: &mut _, which, at| {
            let options = rules.options(turn, at, which);
            (self.begin)(calls, which, &self.call, &turn.request, options);
        };
        let at = first.at;
        let mut permits = BTreeMap::from([(Which::First, first)]);
        let mut calls = Calls::new(self.clock);
        begin(&mut calls, Which::First, at);
        let mut hedge = self.hedge.as_ref();
        let result = loop {
            let limit = hedge.map(|hedge| hedge.after);
            let ended = calls.next_within(limit);
            if let Some((which, result)) = ended {
                let permit = permits.remove(&which);
                permit.expect("each call has one").end(&result);
                // A failure waits for the other call, if there is one.
                if result.is_ok() || permits.is_empty() {
                    break result;
                }
            } else if let Some(hedge) = hedge.take()
                && let Some(second) = permits[&Which::First].another(hedge)
            {
                begin(&mut calls, Which::Hedge, second.at);
                permits.insert(Which::Hedge, second);
            }
        };
        // Nothing can call off a thread: the other call goes on until it is answered or its client
        // gives up, and its answer is thrown away. Its slot counts as seen all the same: a server has
        // counted what it has had for so long.
        drop(calls);
        permits.into_values().for_each(CallPermit::lose);
        if let (Ok(_), Some(hedge)) = (&result, &self.hedge) {
            hedge.earn();
        }
        result
    }

    /// Without hedging.
    pub(crate) fn new(clock: C, call: F) -> Caller<C, F> {
        Caller {
            hedge: None,
            call: Arc::new(call),
            clock,
            begin: |calls, which, call, request, options| {
                calls.make(|| (which, call(request, options)));
            },
        }
    }
}

impl<C, F> Layers<C, F>
where
    C: Clock + Copy + Send + 'static,
    F: Fn(&ChatRequest, CallOptions) -> Result<Reply<ChatResponse>, Error> + Send + Sync + 'static,
{
    /// With hedging: an attempt that has had no answer for so long makes a second call beside its
    /// first, in a thread of its own. So the function that calls must be all its own, too.
    pub fn hedged(mut self, after: Duration) -> Layers<C, F> {
        self.caller.hedge = Some(Hedge::new(after));
        self.caller.begin = |calls, which, call, request, options| {
            let (call, request) = (call.clone(), request.clone());
            calls.begin(move || (which, call(&request, options)));
        };
        self
    }
}

/// The right to make one call, and what is to be told when it has ended.
pub(crate) struct CallPermit<'a, C: Clock> {
    limiter: &'a Limiter<C>,
    turn: &'a ModelTurn<'a>,
    trace: &'a Trace,
    passage: Passage<'a, C>,
    slot: Permit<'a, C>,
    /// When the call begins.
    pub(crate) at: Duration,
}

impl<'a, C: Clock> CallPermit<'a, C> {
    /// The breaker and then the limiter have let it go: a call begins now.
    pub(crate) fn new(
        limiter: &'a Limiter<C>,
        turn: &'a ModelTurn<'a>,
        trace: &'a Trace,
        passage: Passage<'a, C>,
        slot: Permit<'a, C>,
    ) -> CallPermit<'a, C> {
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
    pub(crate) fn another(&self, hedge: &Hedge) -> Option<CallPermit<'a, C>> {
        let passage = self.passage.another()?;
        let tokens = self.turn.job.tokens;
        let slot = self.limiter.acquire_within(tokens, Duration::ZERO).ok()?;
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
