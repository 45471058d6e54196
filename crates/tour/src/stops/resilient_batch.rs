//! Pattern 8: all layers together, against a server that fails, breaks off and is slow now and then.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ai_core::{CallOptions, ChatRequest, SystemClock};
use caching::{AsyncCache, Cache, Place, Scope, TTL};
use demo::Scene;
use futures::stream::{self, StreamExt};
use rate_limited_batch::{AsyncLimiter, BATCH_SIZE, Limiter, Limits, REQUESTS_PER_MINUTE};
use resilient_batch::*;
use retry::Policy;

use super::{Outcome, Plan, REPLY};
use crate::runs::Lab;

/// How many of the lesson's lines are asked.
const JOBS: usize = 60;

/// How many are looked after at one time: those under way, and as many that wait.
const AT_ONCE: usize = 2 * BATCH_SIZE.get();

pub(super) fn plan() -> Plan {
    let mut plan = Plan::new(8, "resilient-batch", Scene::Hostile, vec![REPLY; JOBS]);
    plan.whole = Duration::from_secs(85);
    plan.with("sync", "batch", |lab| {
        let cache = Cache::open(&Place::Memory, TTL);
        let clock = SystemClock::new();
        let limiter = Limiter::with_clock(limits(lab), clock);
        let call =
            |request: &ChatRequest, options: CallOptions| lab.sync.with(options)?.chat(request);
        let layers = Layers::new(rules(lab), cache, limiter, clock, call);
        let (jobs, done) = (Mutex::new(jobs().into_iter()), Mutex::new(Vec::new()));
        let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(job) = next() {
                        let answer = layers.answer(&job);
                        done.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(answer);
                    }
                });
            }
        });
        answered(done.into_inner().unwrap_or_else(PoisonError::into_inner))
    })
    .with("async", "batch", |lab| {
        lab.runtime.block_on(async {
            let cache = AsyncCache::open(&Place::Memory, TTL);
            let limiter = AsyncLimiter::new(limits(lab));
            let call = async |request: &ChatRequest, options: CallOptions| {
                lab.awaited.with(options)?.chat(request).await
            };
            let layers = AsyncLayers::new(rules(lab), cache, limiter, call);
            let jobs = jobs();
            let all = stream::iter(&jobs).map(|job| layers.answer(job));
            answered(all.buffer_unordered(AT_ONCE).collect().await)
        })
    })
}

fn jobs() -> Vec<Job> {
    let lines = lesson();
    let job =
        |(line, number): (&str, u64)| Job::parse(line.as_bytes(), number, &Defaults::default());
    let jobs: Result<_, _> = lines.lines().zip(1..).take(JOBS).map(job).collect();
    jobs.expect("the lesson's lines are good ones")
}

fn limits(lab: &Lab) -> Limits {
    Limits::new(REQUESTS_PER_MINUTE, Scene::Hostile.window(lab.scale))
}

/// Those of the program, scaled, with enough attempts for any seed.
fn rules(lab: &Lab) -> Rules {
    let (policy, breaker) = (Policy::default(), BreakerRules::default());
    Rules {
        policy: Policy {
            max_attempts: 10,
            base_delay: policy.base_delay.mul_f64(lab.scale),
            max_delay: policy.max_delay.mul_f64(lab.scale),
            ..policy
        },
        breaker: BreakerRules {
            cool_down: breaker.cool_down.mul_f64(lab.scale),
            ..breaker
        },
        fallback: None,
        deadline: None,
        scope: Scope::new("the tour"),
        named: true,
    }
}

fn answered(done: Vec<Done>) -> Outcome {
    Outcome::count(done.into_iter().map(|done| match done.record {
        Some(Record { error: None, .. }) => Ok(()),
        Some(Record {
            error: Some(reason),
            ..
        }) => Err(reason.message),
        None => Err("it was stopped".to_owned()),
    }))
}
