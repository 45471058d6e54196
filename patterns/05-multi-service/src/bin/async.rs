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
        eprintln!("in turn: {:.2?}", started.elapsed());
        let started = Instant::now();
        let analysis = comprehensive_analysis_async(&client, &text, Limits::default()).await;
        eprintln!("at once: {:.2?}\n{}", started.elapsed(), analysis.states());
        session.show(&analysis)?;
        Ok(analysis.success()?)
    })
    .await
}
