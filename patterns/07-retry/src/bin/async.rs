//! `cargo run --bin retry-async`: the guide's demo, where 70 % of all attempts fail.
//! With `-- --schedule` it prints the true schedule by jitter instead.

use std::process::ExitCode;

use ai_core::AsyncClient;
use demo::Scene;
use retry::{Policy, generate_text_async, schedule_table};

#[tokio::main]
async fn main() -> ExitCode {
    let scene = Scene::Unreliable.or_schedule(schedule_table);
    demo::run_async(scene, async |session| {
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
