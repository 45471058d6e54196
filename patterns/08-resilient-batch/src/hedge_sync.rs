//! A call, and with hedging another one beside it, blocking. Diff this file with
//! `hedge_async.rs`: only the waiting differs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ai_core::{CallOptions, ChatRequest, ChatResponse, Clock, Error, Reply};

use crate::permit_sync::Permit;
use crate::rules::{Hedge, Rules, Turn};
use crate::threads_sync::Calls;

/// Makes calls. All who use it share the budget of its hedges.
#[derive(Debug)]
pub(crate) struct Caller<C, F> {
    call: Arc<F>,
    hedge: Option<Hedge>,
    clock: C,
    begin: Begin<C, F>,
}

/// How a call begins: in the thread of its job, or in one of its own.
type Begin<C, F> = fn(&mut Calls<C, Ended>, usize, &Arc<F>, &ChatRequest, CallOptions);

/// The number of a call, and its end.
type Ended = (usize, Result<Reply<ChatResponse>, Error>);

impl<C, F> Caller<C, F>
where
    C: Clock + Copy,
    F: Fn(&ChatRequest, CallOptions) -> Result<Reply<ChatResponse>, Error>,
{
    /// Makes a call. If it has no answer for long, and there is a hedge, it makes another one beside
    /// it, and the first answer is taken.
    pub(crate) fn call(
        &self,
        rules: &Rules,
        turn: &Turn<'_>,
        first: Permit<'_, C>,
    ) -> Result<Reply<ChatResponse>, Error> {
        let begin = |calls: &mut _, number, at| {
            let options = rules.options(turn, at, number);
            (self.begin)(calls, number, &self.call, &turn.request, options);
        };
        let mut calls = Calls::new(self.clock);
        begin(&mut calls, 0, first.at);
        let mut permits = BTreeMap::from([(0, first)]);
        let mut hedge = self.hedge.as_ref();
        let result = loop {
            let limit = hedge.map(|hedge| hedge.after);
            let ended = calls.next_within(limit);
            if let Some((number, result)) = ended {
                let permit = permits.remove(&number);
                permit.expect("each call has one").end(&result);
                // A failure waits for the other call, if there is one.
                if result.is_ok() || permits.is_empty() {
                    break result;
                }
            } else if let Some(hedge) = hedge.take()
                && let Some(second) = permits[&0].another(hedge)
            {
                begin(&mut calls, 1, second.at);
                permits.insert(1, second);
            }
        };
        // Nothing can call off a thread: the other call goes on, and its answer is for nobody.
        drop(calls);
        permits.into_values().for_each(Permit::lose);
        if let (Ok(_), Some(hedge)) = (&result, &self.hedge) {
            hedge.earn();
        }
        result
    }

    /// Without hedging.
    pub(crate) fn new(clock: C, call: F) -> Caller<C, F> {
        Caller {
            call: Arc::new(call),
            hedge: None,
            clock,
            begin: |calls, number, call, request, options| {
                calls.make(|| (number, call(request, options)));
            },
        }
    }
}

impl<C, F> Caller<C, F>
where
    C: Clock + Copy + Send + 'static,
    F: Fn(&ChatRequest, CallOptions) -> Result<Reply<ChatResponse>, Error> + Send + Sync + 'static,
{
    /// With hedging, of calls that have had no answer for so long.
    pub(crate) fn hedged(self, after: Duration) -> Caller<C, F> {
        Caller {
            hedge: Some(Hedge::new(after)),
            begin: |calls, number, call, request, options| {
                let (call, request) = (call.clone(), request.clone());
                calls.begin(move || (number, call(&request, options)));
            },
            ..self
        }
    }
}
