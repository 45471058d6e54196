//! `cargo run --bin concurrent-requests-sync -- "Explain AI in one sentence" "What is Rust?"`

use std::process::ExitCode;

use ai_core::SyncClient;
use concurrent_requests::*;

fn main() -> ExitCode {
    demo::run(demo::Scene::Replies, |session| {
        let client = SyncClient::new(session.config.clone())?;
        let prompts = session.prompts(&PROMPTS);
        let as_they_come = || as_they_come(&client, &prompts, LIMIT).collect();
        let runs = Runs::new([
            timed("in turn", || in_turn(&client, &prompts)),
            timed("at once", || at_once(&client, &prompts, LIMIT)),
            timed("as they come", as_they_come),
        ]);
        session.show(&runs)?;
        Ok(runs.success()?)
    })
}
