//! `cargo run --bin rate-limited-batch-sync`

use std::process::ExitCode;

use ai_core::SyncClient;
use demo::Scene;
use rate_limited_batch::*;

fn main() -> ExitCode {
    demo::run(Scene::Quota, |session| {
        let client = SyncClient::new(session.config.clone())?;
        let limiter = Limiter::new(Limits::new(REQUESTS_PER_MINUTE, session.window));
        let topics = topics();
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let prompts = session.prompts(&topics);
        let batch = process_batch(&limiter, &prompts, |prompt| ask(&client, prompt));
        session.show(&batch)?;
        demo::note(batch.summary());
        Ok(batch.success()?)
    })
}
