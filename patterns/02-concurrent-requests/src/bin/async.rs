//! `cargo run --bin concurrent-requests-async -- "Explain AI in one sentence" "What is Rust?"`

use std::process::ExitCode;

use ai_core::AsyncClient;
use concurrent_requests::*;
use futures::StreamExt;

#[tokio::main]
async fn main() -> ExitCode {
    demo::run_async(demo::Scene::Replies, async |session| {
        let client = AsyncClient::new(session.config.clone())?;
        let prompts = session.prompts(&PROMPTS);
        let as_they_come = as_they_come_async(&client, &prompts, LIMIT).collect();
        let runs = Runs::new([
            timed_async("in turn", in_turn_async(&client, &prompts)).await,
            timed_async("at once", at_once_async(&client, &prompts, LIMIT)).await,
            timed_async("as they come", as_they_come).await,
            timed_async("unbounded", unbounded_async(&client, &prompts)).await,
        ]);
        session.show(&runs)?;
        Ok(runs.success()?)
    })
    .await
}
