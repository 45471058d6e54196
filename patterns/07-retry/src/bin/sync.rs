//! `cargo run --bin retry-sync`: the guide's demo, where 70 % of all attempts fail.
//! With `-- --schedule` it prints the true schedule by jitter instead.

use std::process::ExitCode;

use ai_core::SyncClient;
use demo::Scene;
use retry::{Policy, generate_text, schedule_table};

fn main() -> ExitCode {
    let scene = Scene::Unreliable.or_schedule(schedule_table);
    demo::run(scene, |session| {
        let client = SyncClient::new(session.config.clone())?.with(session.named("unreliable"))?;
        let policy = Policy {
            max_attempts: 5,
            ..Policy::default()
        };
        let prompt = session.prompt("Explain quantum computing in simple terms");
        let answer = generate_text(&client, &policy, &prompt, |failed| demo::note(failed))?;
        Ok(session.show(&answer)?)
    })
}
