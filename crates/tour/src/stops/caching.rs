//! Pattern 6: ten who ask the same at once are answered by one call.

use std::thread;

use caching::*;
use concurrent_requests::at_once;
use demo::Scene;
use futures::future::join_all;

use super::{Outcome, Plan, REPLY};

const PROMPT: &str = "What is AI?";

/// How many ask.
const CALLERS: usize = 10;

pub(super) fn plan() -> Plan {
    let mut plan = Plan::new(6, "caching", Scene::Cached, vec![REPLY; CALLERS]);
    plan.whole = REPLY.mul_f64(1.1);
    plan.with("sync", "no-cache", |lab| {
        let limit = CALLERS.try_into().expect("10 is not 0");
        let items = at_once(&lab.sync, &[PROMPT; CALLERS], limit);
        Outcome::count(items.into_iter().map(|item| item.result.map(drop)))
    })
    .with("sync", "cache", |lab| {
        let cache = Cache::open(&Place::Memory, TTL);
        let ask = || generate_text(&lab.sync, &cache, PROMPT).map(drop);
        thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(ask)).collect();
            let answers = callers.into_iter().map(|caller| caller.join());
            Outcome::count(answers.map(|answer| answer.expect("no call panics")))
        })
    })
    .with("async", "cache", |lab| {
        lab.runtime.block_on(async {
            let cache = AsyncCache::open(&Place::Memory, TTL);
            let ask = |_| generate_text_async(&lab.awaited, &cache, PROMPT);
            let answers = join_all((0..CALLERS).map(ask)).await;
            Outcome::count(answers.into_iter().map(|answer| answer.map(drop)))
        })
    })
}
