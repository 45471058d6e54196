//! A call, and with hedging another one beside it, awaited. Diff this file with
//! `hedge_sync.rs`: only the waiting differs.

use std::collections::BTreeMap;
use std::time::Duration;

use ai_core::{CallOptions, ChatRequest, ChatResponse, Error, Reply};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::timeout;

use crate::permit_async::Permit;
use crate::rules::{Hedge, Rules, Turn};

/// Makes calls. All who use it share the budget of its hedges.
#[derive(Debug)]
pub(crate) struct Caller<F> {
    call: F,
    hedge: Option<Hedge>,
}

impl<F> Caller<F>
where
    F: AsyncFn(&ChatRequest, CallOptions) -> Result<Reply<ChatResponse>, Error>,
{
    /// Makes a call. If it has no answer for long, and there is a hedge, it makes another one beside
    /// it, and the first answer is taken.
    pub(crate) async fn call(
        &self,
        rules: &Rules,
        turn: &Turn<'_>,
        first: Permit<'_>,
    ) -> Result<Reply<ChatResponse>, Error> {
        let begin = async |number, at| {
            let options = rules.options(turn, at, number);
            (number, (self.call)(&turn.request, options).await)
        };
        let mut calls = FuturesUnordered::new();
        calls.push(begin(0, first.at));
        let mut permits = BTreeMap::from([(0, first)]);
        let mut hedge = self.hedge.as_ref();
        let result = loop {
            let limit = hedge.map(|hedge| hedge.after);
            let ended = match limit {
                Some(limit) => timeout(limit, calls.next()).await.unwrap_or_default(),
                None => calls.next().await,
            };
            if let Some((number, result)) = ended {
                let permit = permits.remove(&number);
                permit.expect("each call has one").end(&result);
                // A failure waits for the other call, if there is one.
                if result.is_ok() || permits.is_empty() {
                    break result;
                }
            } else if let Some(hedge) = hedge.take()
                && let Some(second) = permits[&0].another(hedge).await
            {
                calls.push(begin(1, second.at));
                permits.insert(1, second);
            }
        };
        // This closes the connection of the other call. Only then does its slot count as seen.
        drop(calls);
        permits.into_values().for_each(Permit::lose);
        if let (Ok(_), Some(hedge)) = (&result, &self.hedge) {
            hedge.earn();
        }
        result
    }

    /// Without hedging.
    pub(crate) fn new(call: F) -> Caller<F> {
        let hedge = None;
        Caller { call, hedge }
    }

    /// With hedging, of calls that have had no answer for so long.
    pub(crate) fn hedged(self, after: Duration) -> Caller<F> {
        Caller {
            hedge: Some(Hedge::new(after)),
            ..self
        }
    }
}
