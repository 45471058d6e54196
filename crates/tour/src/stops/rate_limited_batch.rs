//! Pattern 3: the guide's limiter sends more than the server allows, and ours as much as it allows.

use std::sync::Mutex;
use std::time::Duration;

use demo::Scene;
use rate_limited_batch::*;
use tokio::sync::Semaphore;

use super::{Outcome, Plan, REPLY};
use crate::runs::Lab;

#[path = "../../../../patterns/03-rate-limited-batch/examples/as_written.rs"]
#[allow(dead_code)]
mod as_written;

pub(super) fn plan() -> Plan {
    let replies = vec![REPLY; topics().len()];
    let mut plan = Plan::new(3, "rate-limited-batch", Scene::Quota, replies);
    // Answers that all take equally long come back in step, and a limiter that is wrong looks right.
    plan.latency = Some((Duration::from_millis(400), Duration::from_secs(6)));
    plan.whole = Duration::from_secs(85);
    plan.with("async", "as-written", |lab| {
        let guides = as_written::RateLimitedAIProcessor {
            client: lab.awaited.clone(),
            requests_per_minute: REQUESTS_PER_MINUTE as usize,
            minute: minute(lab),
            semaphore: Semaphore::new(BATCH_SIZE.get()),
            request_times: Mutex::default(),
        };
        let topics = topics();
        // What is refused is lost to it, and it does not say why.
        let ok = guides.process_batch(&topics);
        Outcome {
            ok,
            failed: topics.len() - ok,
            ..Outcome::count::<String>([])
        }
    })
    .with("sync", "limiter", |lab| {
        let limiter = Limiter::new(Limits::new(REQUESTS_PER_MINUTE, minute(lab)));
        let ask = |prompt: &str| ask(&lab.sync, prompt);
        answered(process_batch(&limiter, &topics(), ask))
    })
    .with("async", "limiter", |lab| {
        let limiter = AsyncLimiter::new(Limits::new(REQUESTS_PER_MINUTE, minute(lab)));
        let topics = topics();
        let ask = |prompt| ask_async(&lab.awaited, prompt);
        let batch = process_batch_async(&limiter, &topics, ask);
        answered(lab.runtime.block_on(batch))
    })
}

fn minute(lab: &Lab) -> Duration {
    Scene::Quota.window(lab.scale)
}

fn answered(batch: Batch) -> Outcome {
    Outcome::count(batch.items.into_iter().map(|item| item.result.map(drop)))
}
