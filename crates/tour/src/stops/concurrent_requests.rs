//! Pattern 2: the speed-up comes from concurrency, and threads give it as well.

use std::num::NonZeroUsize;

use concurrent_requests::*;
use demo::Scene;

use super::{Outcome, Plan, REPLY};

/// The guide's own three prompts, with its own seconds; else ten.
pub(super) fn plan(guides_own: bool) -> Plan {
    let count = if guides_own { PROMPTS.len() } else { 10 };
    let prompts: Vec<_> = PROMPTS.into_iter().cycle().take(count).collect();
    // As many at once as there are prompts: here the limit is not the lesson.
    let limit = NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
    let [first, second, third, fourth] = [(); 4].map(|()| prompts.clone());
    let name = "concurrent-requests";
    Plan::new(2, name, Scene::Replies, vec![REPLY; count])
        .with("sync", "in-turn", move |lab| {
            answered(in_turn(&lab.sync, &first))
        })
        .with_overlap("sync", "threads", move |lab| {
            answered(at_once(&lab.sync, &second, limit))
        })
        .with("async", "in-turn", move |lab| {
            answered(lab.runtime.block_on(in_turn_async(&lab.awaited, &third)))
        })
        .with_overlap("async", "at-once", move |lab| {
            let all = at_once_async(&lab.awaited, &fourth, limit);
            answered(lab.runtime.block_on(all))
        })
}

fn answered(items: Vec<Item>) -> Outcome {
    Outcome::count(items.into_iter().map(|item| item.result.map(drop)))
}
