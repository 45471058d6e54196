//! Pattern 4: one looks at an empty screen until the first token, not until the last.

use std::io::sink;
use std::time::Duration;

use demo::Scene;
use streaming::*;

use super::{Outcome, Plan, REPLY};

const PROMPT: &str = "Write a short story";

pub(super) fn plan() -> Plan {
    let mut plan = Plan::new(4, "streaming", Scene::Story, vec![REPLY]);
    plan.whole = Duration::from_secs(21);
    plan.with("sync", "stream", |lab| {
        let client = lab.sync.clone();
        let open = move || generate_stream(&client, PROMPT);
        told(follow(open, &mut sink(), &crossbeam_channel::never()))
    })
    .with("async", "stream", |lab| {
        let open = generate_stream_async(&lab.awaited, PROMPT);
        let mut nowhere = sink();
        let story = follow_async(open, &mut nowhere, std::future::pending());
        told(lab.runtime.block_on(story))
    })
}

fn told(story: Result<Story, ai_core::Error>) -> Outcome {
    let first_token = story.as_ref().ok().and_then(|story| story.pace.first_token);
    let whole = match story {
        Ok(story) => story.ending.success().map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Outcome {
        first_token,
        ..Outcome::count([whole])
    }
}
