//! `cargo run --bin retry-async`: the guide's demo, where 70 % of all attempts fail.

use std::process::ExitCode;

use ai_core::AsyncClient;
use demo::Scene;
use retry::{Policy, generate_text_async};

#[tokio::main]
async fn main() -> ExitCode {
    demo::run_async(Scene::Unreliable, async |session| {
        let client = AsyncClient::new(session.config.clone())?.with(session.named("unreliable"))?;
        let policy = Policy {
            max_attempts: 5,
            ..Policy::default()
        };
        let prompt = session.prompt("Explain quantum computing in simple terms");
        let notify = |failed: &retry::Failed<'_, _>| demo::note(failed);
        let answer = generate_text_async(&client, &policy, &prompt, notify).await?;
        Ok(session.show(&answer)?)
    })
    .await
}
