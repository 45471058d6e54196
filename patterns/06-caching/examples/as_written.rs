//! The guide's `CachedAIClient`, as written: a faithful port with its flaws kept.
//! `cargo run --example caching-as-written`
//!
//! All who ask at once pay, the key leaves out what changes the answer, and what was cut is kept.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, ChatRequest, Config, Error};
use ai_mock::Mock;
use futures::future::join_all;

const CACHE_TTL: Duration = Duration::from_secs(3600);

pub(crate) struct CachedAiClient {
    pub(crate) client: AsyncClient,
    /// In place of Redis, which gives and takes in the same way.
    pub(crate) redis: Mutex<HashMap<String, (String, Instant)>>,
}

impl CachedAiClient {
    pub(crate) async fn generate_text_cached(
        &self,
        request: &ChatRequest,
    ) -> Result<(String, bool), Error> {
        // Prompt and model, and nothing else. Its MD5 changes nothing about that.
        let cache_key = format!("ai_cache:{}|{}", request.messages[0].text(), request.model);
        let redis = || self.redis.lock().expect("nobody panics with it");
        let cached = redis().get(&cache_key).cloned();
        if let Some((cached, stored)) = cached {
            // `if cached:` is false for an empty text.
            if !cached.is_empty() && stored.elapsed() < CACHE_TTL {
                return Ok((cached, true));
            }
        }
        let result = self.client.chat(request).await?.text().into_owned();
        redis().insert(cache_key, (result.clone(), Instant::now()));
        Ok((result, false))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mock = Mock::builder().latency(Duration::from_millis(50)).start()?;
    let client = AsyncClient::new(Config::new(&mock.base_url(), "offline")?)?;
    let redis = Mutex::default();
    let cache = CachedAiClient { client, redis };
    let short = ChatRequest::new("gpt-4o-mini", "What is AI?").max_tokens(3);
    join_all((0..20).map(|_| cache.generate_text_cached(&short))).await;
    let calls = mock.stats().requests;
    println!("20 equal questions at once: {calls} calls");
    let (text, cached) = cache.generate_text_cached(&short).await?;
    println!("cut at 3 tokens, and kept: {text:?}, cached: {cached}");
    let whole = ChatRequest::new("gpt-4o-mini", "What is AI?").max_tokens(500);
    let (text, cached) = cache.generate_text_cached(&whole).await?;
    println!("asked for the whole answer:  {text:?}, cached: {cached}");
    Ok(())
}
