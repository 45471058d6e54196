//! 100 equal misses at once: for every store, in both versions.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, ChatRequest, Config, Error, SyncClient};
use ai_mock::{Mock, Script};
use caching::{AsyncCache, Cache, Key, Place, Scope, Source, TTL, chat_key};
use tokio::runtime::Runtime;

/// For what is sure to happen. Only a failing test waits as long as this.
const LONG: Duration = Duration::from_secs(30);

fn config(mock: &Mock) -> Config {
    Config::new(&mock.base_url(), "offline").expect("a mock's URL is a URL")
}

fn request() -> (ChatRequest, Key) {
    let request = ChatRequest::new("gpt-4o-mini", "What is AI?");
    let key = chat_key(&request, &Scope::new("test"));
    (request, key)
}

pub(crate) const CROWD: usize = 100;

/// How the first call ends. All after it succeed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum First {
    Succeeds,
    Fails,
    Leaves,
}

/// The calls made, and what became of the callers: sources, errors (once each), and how many left.
pub(crate) type Outcome = (usize, Vec<Source>, Vec<String>, usize);

pub(crate) fn stampede(place: &Place, mock: &Mock, first: First) -> Outcome {
    let client = SyncClient::new(config(mock)).expect("a client can be built");
    let (request, key) = request();
    let cache = Cache::open(place, TTL);
    let calls = AtomicUsize::new(0);
    let call = || {
        let number = calls.fetch_add(1, SeqCst);
        if number == 0 {
            until(|| cache.callers() == CROWD);
            assert!(first != First::Leaves, "the leader panics, as it should");
        }
        client.chat(&request)
    };
    std::thread::scope(|scope| {
        let caller = |_| scope.spawn(|| cache.chat(&key, call));
        let callers: Vec<_> = (0..CROWD).map(caller).collect();
        let ends = callers.into_iter().map(|caller| caller.join().ok());
        outcome(&calls, ends.collect())
    })
}

pub(crate) async fn stampede_async(place: &Place, mock: &Mock, first: First) -> Outcome {
    let client = AsyncClient::new(config(mock)).expect("a client can be built");
    let (request, key) = request();
    let cache = AsyncCache::open(place, TTL);
    let calls = Arc::new(AtomicUsize::new(0));
    let (led, leader) = tokio::sync::oneshot::channel();
    let led = Arc::new(Mutex::new(Some(led)));
    let caller = |index| {
        let (cache, client, request) = (cache.clone(), client.clone(), request.clone());
        let (calls, led) = (calls.clone(), led.clone());
        tokio::spawn(async move {
            let call = || async {
                let number = calls.fetch_add(1, SeqCst);
                if number == 0 {
                    until_async(|| cache.callers() == CROWD).await;
                    let led = led.lock().expect("nobody panics with it").take();
                    led.expect("there is one leader")
                        .send(index)
                        .expect("somebody listens");
                    if first == First::Leaves {
                        std::future::pending::<()>().await;
                    }
                }
                client.chat(&request).await
            };
            cache.chat(&key, call).await
        })
    };
    let callers: Vec<_> = (0..CROWD).map(caller).collect();
    let leader: usize = leader.await.expect("somebody leads");
    if first == First::Leaves {
        callers[leader].abort();
    }
    let ends = futures::future::join_all(callers).await;
    outcome(&calls, ends.into_iter().map(Result::ok).collect())
}

fn outcome(
    calls: &AtomicUsize,
    ends: Vec<Option<Result<caching::Cached<ai_core::ChatResponse>, Error>>>,
) -> Outcome {
    let left = ends.iter().filter(|end| end.is_none()).count();
    let (mut sources, mut errors, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for end in ends.into_iter().flatten() {
        match end {
            Ok(cached) => {
                sources.push(cached.source);
                texts.push(cached.value.text().into_owned());
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    texts.dedup();
    assert!(texts.len() <= 1, "all have one answer: {texts:?}");
    let failed = errors.len();
    errors.dedup();
    assert!(failed == 0 || failed == CROWD, "{failed} of {CROWD} failed");
    (calls.load(SeqCst), sources, errors, left)
}

pub(crate) fn stampedes_in<S>(place: impl Fn() -> (Place, S)) {
    for first in [First::Succeeds, First::Fails, First::Leaves] {
        for version in ["sync", "async"] {
            let mock = Mock::start().expect("a free port on 127.0.0.1");
            if first == First::Fails {
                mock.set(|now| now.script = Script::Empty500);
            }
            let (place, _server) = place();
            let (calls, sources, errors, left) = match version {
                "sync" => stampede(&place, &mock, first),
                _ => Runtime::new()
                    .expect("a runtime can be built")
                    .block_on(stampede_async(&place, &mock, first)),
            };
            let about = format!("{place}, {version}, {first:?}");
            let count = |source| sources.iter().filter(|it| **it == source).count();
            let counted = (calls, count(Source::Called), count(Source::Shared), left);
            let expected = match first {
                First::Succeeds => (1, 1, CROWD - 1, 0),
                First::Fails => (1, 0, 0, 0),
                First::Leaves => (2, 1, CROWD - 2, 1),
            };
            assert_eq!(counted, expected, "{about}");
            assert_eq!(mock.stats().requests, 1, "{about}");
            assert_eq!(errors.len(), usize::from(first == First::Fails), "{about}");
        }
    }
}

/// Gives the others time until `met`.
pub(crate) fn until(met: impl Fn() -> bool) {
    let start = Instant::now();
    while !met() {
        assert!(start.elapsed() < LONG, "it never happened");
        std::thread::yield_now();
    }
}

pub(crate) async fn until_async(met: impl Fn() -> bool) {
    let start = Instant::now();
    while !met() {
        assert!(start.elapsed() < LONG, "it never happened");
        tokio::task::yield_now().await;
    }
}
