//! `cargo run --bin caching-async`: the guide's question, asked twice.

use std::process::ExitCode;

use ai_core::AsyncClient;
use caching::{AsyncCache, Place, Report, Scope, TTL, generate_text_async};
use demo::Scene;

#[tokio::main]
async fn main() -> ExitCode {
    demo::run_async(Scene::Cached, async |session| {
        let client = AsyncClient::new(session.config.clone())?;
        let place: Place = session.cache();
        let cache = AsyncCache::open(&place, session.ttl.unwrap_or(TTL))
            .within(Scope::new(session.service()))
            .on_trouble(|trouble| demo::note(format_args!("warning: {trouble}")));
        demo::note(format_args!("cache: {place}"));
        let prompt = session.prompt("What is AI?");
        let ask = || generate_text_async(&client, &cache, &prompt);
        let answers = vec![ask().await?, ask().await?];
        Ok(session.show(&Report { answers })?)
    })
    .await
}
