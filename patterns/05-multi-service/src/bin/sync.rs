//! `cargo run --bin multi-service-sync -- "Python is a high-level programming language..."`

use std::process::ExitCode;
use std::time::Instant;

use ai_core::SyncClient;
use multi_service::*;

fn main() -> ExitCode {
    demo::run(demo::Scene::Services, |session| {
        let client = SyncClient::new(session.config.clone())?;
        let text = session.prompt(TEXT);
        let started = Instant::now();
        comprehensive_analysis_in_turn(&client, &text, Limits::default());
        demo::note(format!("in turn: {:.2?}", started.elapsed()));
        let started = Instant::now();
        let analysis = comprehensive_analysis(&client, &text, Limits::default());
        let (elapsed, states) = (started.elapsed(), analysis.states());
        demo::note(format!("at once: {elapsed:.2?}\n{states}"));
        session.show(&analysis)?;
        Ok(analysis.success()?)
    })
}
