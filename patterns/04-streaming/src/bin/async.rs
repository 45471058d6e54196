//! `cargo run --bin streaming-async -- "Write a short story"`

use std::process::ExitCode;

use ai_core::AsyncClient;
use demo::Scene;
use streaming::{follow_async, generate_stream_async};
use tokio::signal::ctrl_c;

#[tokio::main]
async fn main() -> ExitCode {
    demo::run_async(Scene::Story, async |session| {
        let client = AsyncClient::new(session.config.clone())?;
        let prompt = session.prompt("Write a short story");
        let stop = async { ctrl_c().await.expect("Ctrl-C can be listened to") };
        let open = generate_stream_async(&client, &prompt);
        let story = follow_async(open, &mut session.out(), stop).await?;
        session.close(&story)?;
        demo::note(story.summary());
        story.ending.success()
    })
    .await
}
