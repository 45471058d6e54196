//! Pattern 5: four services at once take as long as the slowest.

use std::time::Duration;

use ai_core::EmbeddingRequest;
use ai_mock::Entry;
use demo::{SERVICES, Scene};
use multi_service::*;

use super::{Outcome, Plan};

/// Wide enough for any scale: nothing is to time out here.
const LIMITS: Limits = Limits {
    branch: Duration::from_secs(60),
    total: Duration::from_secs(120),
};

pub(super) fn plan() -> Plan {
    let replies = SERVICES.map(|(_, time)| time).to_vec();
    let mut plan = Plan::new(5, "multi-service", Scene::Services, replies);
    plan.name_of = service;
    plan.with("sync", "in-turn", |lab| {
        branches(comprehensive_analysis_in_turn(&lab.sync, TEXT, LIMITS))
    })
    .with_overlap("sync", "threads", |lab| {
        branches(comprehensive_analysis(&lab.sync, TEXT, LIMITS))
    })
    .with("async", "in-turn", |lab| {
        let all = comprehensive_analysis_in_turn_async(&lab.awaited, TEXT, LIMITS);
        branches(lab.runtime.block_on(all))
    })
    .with_overlap("async", "at-once", |lab| {
        let all = comprehensive_analysis_async(&lab.awaited, TEXT, LIMITS);
        branches(lab.runtime.block_on(all))
    })
}

/// Which service was asked: three of them are one endpoint with different instructions.
fn service(entry: &Entry) -> &'static str {
    if entry.path.ends_with(EmbeddingRequest::PATH) {
        return "embedding";
    }
    let instructions = entry.body["messages"][0]["content"].to_string();
    let services = [
        ("sentiment", "sentiment"),
        ("Summarize", "summary"),
        ("entities", "entities"),
    ];
    let asked = services
        .iter()
        .find(|(word, _)| instructions.contains(word));
    asked.map_or("", |(_, name)| name)
}

fn branches(analysis: Analysis) -> Outcome {
    fn ended<T>(branch: &Branch<T>) -> Result<(), String> {
        match branch {
            Branch::Ok(_) => Ok(()),
            Branch::Failed(error) => Err(error.to_string()),
            Branch::TimedOut(limit) => Err(limit.to_string()),
        }
    }
    Outcome::count([
        ended(&analysis.embedding),
        ended(&analysis.sentiment),
        ended(&analysis.summary),
        ended(&analysis.entities),
    ])
}
