//! Pattern 7: the same attempts fail in both versions, and the pauses grow.

use std::time::Duration;

use ai_core::CallOptions;
use demo::Scene;
use retry::{Jitter, Policy, generate_text, generate_text_async};

use super::{Outcome, Plan, REPLY};
use crate::runs::Lab;

const PROMPT: &str = "Explain AI in one sentence";

pub(super) fn plan() -> Plan {
    let mut plan = Plan::new(7, "retry", Scene::Unreliable, vec![REPLY]);
    plan.whole = Duration::from_secs(5);
    plan.with("sync", "retry", |lab| {
        let answer = lab
            .sync
            .with(named())
            .and_then(|client| generate_text(&client, &policy(lab), PROMPT, |_| {}));
        Outcome::count([answer.map(drop)])
    })
    .with("async", "retry", |lab| {
        let answer = lab.awaited.with(named()).and_then(|client| {
            let policy = policy(lab);
            let text = generate_text_async(&client, &policy, PROMPT, |_| {});
            lab.runtime.block_on(text)
        });
        Outcome::count([answer.map(drop)])
    })
}

/// The name of the work, by which the same attempts fail in both versions.
fn named() -> CallOptions {
    CallOptions::new().header("x-mock-item", "unreliable")
}

/// The guide's pauses, scaled. Without jitter, so that the versions can be compared, and with enough
/// attempts for any seed.
fn policy(lab: &Lab) -> Policy {
    Policy {
        max_attempts: 50,
        base_delay: Duration::from_secs(1).mul_f64(lab.scale),
        max_delay: Duration::from_secs(4).mul_f64(lab.scale),
        jitter: Jitter::None,
        ..Policy::default()
    }
}
