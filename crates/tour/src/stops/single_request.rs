//! Pattern 1: the versions are level, for there is nothing to overlap.

use demo::Scene;
use single_request::{ask, ask_async};

use super::{Outcome, Plan, REPLY};

const PROMPT: &str = "Explain AI in one sentence";

pub(super) fn plan() -> Plan {
    Plan::new(1, "single-request", Scene::Replies, vec![REPLY])
        .with("sync", "one-call", |lab| {
            Outcome::count([ask(&lab.sync, PROMPT).map(drop)])
        })
        .with("async", "one-call", |lab| {
            let answer = lab.runtime.block_on(ask_async(&lab.awaited, PROMPT));
            Outcome::count([answer.map(drop)])
        })
}
