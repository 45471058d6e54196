//! `cargo run --bin caching-sync`: the guide's question, asked twice.

use std::process::ExitCode;

use ai_core::SyncClient;
use caching::{Cache, Place, Report, Scope, TTL, generate_text};
use demo::Scene;

fn main() -> ExitCode {
    demo::run(Scene::Cached, |session| {
        let client = SyncClient::new(session.config.clone())?;
        let place: Place = session.cache();
        let cache = Cache::open(&place, session.ttl.unwrap_or(TTL))
            .within(Scope::new(session.service()))
            .on_trouble(|trouble| demo::note(format_args!("warning: {trouble}")));
        demo::note(format_args!("cache: {place}"));
        let prompt = session.prompt("What is AI?");
        let ask = || generate_text(&client, &cache, &prompt);
        let answers = vec![ask()?, ask()?];
        Ok(session.show(&Report { answers })?)
    })
}
