//! What a hit costs. `cargo run --release --example caching-cost`
//!
//! With `-- --check` it fails where that is more than what the README promises.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ai_core::{ChatRequest, Config, SyncClient};
use ai_mock::Mock;
use bytes::Bytes;
use caching::{Cache, Key, Place, Scope, Store, TTL, Trouble, chat_key};
use futures::FutureExt;

/// The most that a key of 1 KiB may take, and a look-up.
const KEY: Duration = Duration::from_micros(5);
const LOOK_UP: Duration = Duration::from_micros(1);

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
    let made = show(&format!("key of a request of {size} bytes"), || {
        chat_key(&request, &scope)
    });
    let found = show("look-up in memory", || memory.get(&key));
    let awaited = Place::Memory.async_store();
    let put = awaited.put(&key, reply.body.clone(), TTL).now_or_never();
    put.ok_or("nothing is waited for")??;
    let found_async = show("look-up in memory, awaited", || {
        awaited.get(&key).now_or_never()
    });
    show("miss and single flight, without the call", || {
        free.chat(&key, || Err::<_, ()>(()).map(|()| reply.clone()))
    });
    show("hit: flight, look-up and decoding", || {
        cache.chat(&key, || client.chat(&request))
    });
    match std::env::args().nth(1).as_deref() {
        Some("--check") => check(&[
            ("the key", made, KEY),
            ("the look-up", found, LOOK_UP),
            ("the awaited look-up", found_async, LOOK_UP),
        ]),
        _ => Ok(()),
    }
}

/// What the README promises of a release build.
fn check(times: &[(&str, Duration, Duration)]) -> Result<(), Box<dyn std::error::Error>> {
    let missed = times.iter().filter(|(_, time, limit)| time >= limit);
    let missed =
        missed.map(|(name, time, limit)| format!("{name} takes {time:?}, not < {limit:?}"));
    match missed.collect::<Vec<_>>() {
        missed if missed.is_empty() => Ok(()),
        missed => Err(missed.join("; ").into()),
    }
}

/// The best of five rounds: what is slower was disturbed.
fn show<T>(name: &str, work: impl Fn() -> T) -> Duration {
    const TIMES: u32 = 20_000;
    let round = || {
        let start = Instant::now();
        (0..TIMES).for_each(|_| drop(black_box(work())));
        start.elapsed() / TIMES
    };
    let best = (0..5).map(|_| round()).min().unwrap_or_default();
    println!("{name}: {best:?}");
    best
}
