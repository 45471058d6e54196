//! `cargo run --bin single-request-async -- "Explain quantum computing in simple terms"`

use std::process::ExitCode;

use ai_core::AsyncClient;
use demo::Scene;
use single_request::ask_async;

#[tokio::main]
async fn main() -> ExitCode {
    demo::run_async(Scene::Replies, async |session| {
        let client = AsyncClient::new(session.config.clone())?;
        let answer = ask_async(
            &client,
            &session.prompt("Explain quantum computing in simple terms"),
        )
        .await?;
        session.show(&answer)?;
        demo::note(answer.summary());
        Ok(answer.ending.success()?)
    })
    .await
}
