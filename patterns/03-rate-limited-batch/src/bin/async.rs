//! `cargo run --bin rate-limited-batch-async`

use std::process::ExitCode;

use ai_core::AsyncClient;
use demo::Scene;
use rate_limited_batch::*;

#[tokio::main]
async fn main() -> ExitCode {
    demo::run_async(Scene::Quota, async |session| {
        let client = AsyncClient::new(session.config.clone())?;
        let limiter = AsyncLimiter::new(Limits::new(REQUESTS_PER_MINUTE, session.window));
        let topics = topics();
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let prompts = session.prompts(&topics);
        let ask = |prompt| ask_async(&client, prompt);
        let batch = process_batch_async(&limiter, &prompts, ask).await;
        session.show(&batch)?;
        demo::note(batch.summary());
        Ok(batch.success()?)
    })
    .await
}
