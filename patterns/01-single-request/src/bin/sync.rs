//! `cargo run --bin single-request-sync -- "Explain quantum computing in simple terms"`

use std::process::ExitCode;

use ai_core::SyncClient;
use demo::Scene;
use single_request::ask;

fn main() -> ExitCode {
    demo::run(Scene::Replies, |session| {
        let client = SyncClient::new(session.config.clone())?;
        let answer = ask(
            &client,
            &session.prompt("Explain quantum computing in simple terms"),
        )?;
        session.show(&answer)?;
        demo::note(answer.summary());
        Ok(answer.ending.success()?)
    })
}
