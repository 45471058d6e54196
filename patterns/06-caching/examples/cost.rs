//! What a hit costs. `cargo run --release --example caching-cost`

use std::hint::black_box;
use std::time::{Duration, Instant};

use ai_core::{ChatRequest, Config, SyncClient};
use ai_mock::Mock;
use bytes::Bytes;
use caching::{Cache, Key, Place, Scope, Store, TTL, Trouble, chat_key};

/// A store that costs nothing, so that what is around it shows.
struct Free;

impl Store for Free {
    fn get(&self, _: &Key) -> Result<Option<Bytes>, Trouble> {
        Ok(None)
    }

    fn put(&self, _: &Key, _: Bytes, _: Duration) -> Result<(), Trouble> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mock = Mock::start()?;
    let client = SyncClient::new(Config::new(&mock.base_url(), "offline")?)?;
    let scope = Scope::of(client.config());
    let request = ChatRequest::new("gpt-4o-mini", "What is AI? ".repeat(80)).temperature(0.7);
    let key = chat_key(&request, &scope);
    let reply = client.chat(&request)?;

    let body = reply.body.clone();
    let memory = Place::Memory.store();
    memory.put(&key, body, TTL)?;
    let cache = Cache::open(&Place::Memory, TTL);
    cache.chat(&key, || client.chat(&request))?;
    let free = Cache::new(Free, TTL);

    let size = serde_json::to_vec(&request)?.len();
    show(&format!("key of a request of {size} bytes"), || {
        chat_key(&request, &scope)
    });
    show("look-up in memory", || memory.get(&key));
    show("miss and single flight, without the call", || {
        free.chat(&key, || Err::<_, ()>(()).map(|()| reply.clone()))
    });
    show("hit: flight, look-up and decoding", || {
        cache.chat(&key, || client.chat(&request))
    });
    Ok(())
}

/// The best of five rounds: what is slower was disturbed.
fn show<T>(name: &str, work: impl Fn() -> T) {
    const TIMES: u32 = 20_000;
    let round = || {
        let start = Instant::now();
        (0..TIMES).for_each(|_| drop(black_box(work())));
        start.elapsed() / TIMES
    };
    let best = (0..5).map(|_| round()).min().unwrap_or_default();
    println!("{name}: {best:?}");
}
