//! `cargo run --bin multi-service-async -- "Python is a high-level programming language..."`

use std::process::ExitCode;
use std::time::Instant;

use ai_core::AsyncClient;
use multi_service::*;

#[tokio::main]
async fn main() -> ExitCode {
    demo::run_async(demo::Scene::Services, async |session| {
        let client = AsyncClient::new(session.config.clone())?;
        let text = session.prompt(TEXT);
        let started = Instant::now();
        comprehensive_analysis_in_turn_async(&client, &text, Limits::default()).await;
        demo::note(format!("in turn: {:.2?}", started.elapsed()));
        let started = Instant::now();
        let analysis = comprehensive_analysis_async(&client, &text, Limits::default()).await;
        let (elapsed, states) = (started.elapsed(), analysis.states());
        demo::note(format!("at once: {elapsed:.2?}\n{states}"));
        session.show(&analysis)?;
        Ok(analysis.success()?)
    })
    .await
}
