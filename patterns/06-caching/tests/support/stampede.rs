//! 100 equal misses at once: for every store, in both versions.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, CallOptions, ChatRequest, ChatResponse, Config, Error, SyncClient};
use ai_mock::{Mock, Script};
use caching::{AsyncCache, Cache, Cached, Key, Place, Scope, Source, TTL, chat_key};
use tokio::runtime::Runtime;

/// For what is sure to happen. Only a failing test waits as long as this.
pub(crate) const LONG: Duration = Duration::from_secs(30);

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

/// What became of the callers, and what it took.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// The calls made, and those that the server has seen.
    pub(crate) calls: (usize, u64),
    /// How many called, and how many were given another's answer.
    pub(crate) answered: (usize, usize),
    /// The kind and the text of each error that is not like the one before.
    pub(crate) errors: Vec<(&'static str, String)>,
    /// How many left.
    pub(crate) left: usize,
}

pub(crate) fn stampede(place: &Place, mock: &Mock, first: First) -> Outcome {
    let client = SyncClient::new(config(mock)).expect("a client can be built");
    let (request, key) = request();
    let cache = Cache::open(place, TTL);
    let calls = AtomicUsize::new(0);
    let call = || {
        let number = calls.fetch_add(1, SeqCst);
        if number == 0 {
            until(|| cache.callers() == CROWD);
        }
        let answer = client.chat(&request);
        // It has paid by then. A thread can't be made to leave any sooner.
        let leaves = number == 0 && first == First::Leaves;
        assert!(!leaves, "the leader panics, as it should");
        answer
    };
    std::thread::scope(|scope| {
        let caller = |_| scope.spawn(|| cache.chat(&key, call));
        let callers: Vec<_> = (0..CROWD).map(caller).collect();
        let ends = callers.into_iter().map(|caller| caller.join().ok());
        outcome(&calls, mock, ends.collect())
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
                let mut options = CallOptions::new();
                if number == 0 {
                    until_async(|| cache.callers() == CROWD).await;
                    let led = led.lock().expect("nobody panics with it").take();
                    led.expect("there is one leader")
                        .send(index)
                        .expect("somebody listens");
                    if first == First::Leaves {
                        options = options.header("x-mock-latency", "1000s");
                    }
                }
                client.with(options)?.chat(&request).await
            };
            cache.chat(&key, call).await
        })
    };
    let callers: Vec<_> = (0..CROWD).map(caller).collect();
    let leader: usize = leader.await.expect("somebody leads");
    if first == First::Leaves {
        // In mid-call: the server has the request, and is paid for it.
        until_async(|| mock.stats().requests == 1).await;
        callers[leader].abort();
    }
    let ends = futures::future::join_all(callers).await;
    outcome(&calls, mock, ends.into_iter().map(Result::ok).collect())
}

fn outcome(
    calls: &AtomicUsize,
    mock: &Mock,
    ends: Vec<Option<Result<Cached<ChatResponse>, Error>>>,
) -> Outcome {
    let left = ends.iter().filter(|end| end.is_none()).count();
    let (mut sources, mut errors, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for end in ends.into_iter().flatten() {
        match end {
            Ok(cached) => {
                sources.push(cached.source);
                texts.push(cached.value.text().into_owned());
            }
            Err(error) => errors.push((error.kind(), error.to_string())),
        }
    }
    texts.dedup();
    assert!(texts.len() <= 1, "all have one answer: {texts:?}");
    let failed = errors.len();
    errors.dedup();
    assert!(failed == 0 || failed == CROWD, "{failed} of {CROWD} failed");
    let count = |source| sources.iter().filter(|it| **it == source).count();
    Outcome {
        calls: (calls.load(SeqCst), mock.stats().requests),
        answered: (count(Source::Called), count(Source::Shared)),
        errors,
        left,
    }
}

pub(crate) fn stampedes_in<S>(place: impl Fn() -> (Place, S)) {
    for first in [First::Succeeds, First::Fails, First::Leaves] {
        let outcomes = ["sync", "async"].map(|version| {
            let mock = Mock::start().expect("a free port on 127.0.0.1");
            if first == First::Fails {
                mock.set(|now| now.script = Script::Empty500);
            }
            let (place, _server) = place();
            match version {
                "sync" => stampede(&place, &mock, first),
                _ => Runtime::new()
                    .expect("a runtime can be built")
                    .block_on(stampede_async(&place, &mock, first)),
            }
        });
        let [sync, awaited] = &outcomes;
        assert_eq!(sync, awaited, "{first:?}");
        let (calls, answered, left) = match first {
            First::Succeeds => (1, (1, CROWD - 1), 0),
            First::Fails => (1, (0, 0), 0),
            First::Leaves => (2, (1, CROWD - 2), 1),
        };
        // Each call has cost a request.
        assert_eq!(sync.calls, (calls, calls as u64), "{first:?}");
        assert_eq!((sync.answered, sync.left), (answered, left), "{first:?}");
        let kinds: Vec<_> = sync.errors.iter().map(|(kind, _)| *kind).collect();
        let failed: &[&str] = match first {
            First::Fails => &["status"],
            _ => &[],
        };
        assert_eq!(kinds, failed, "{first:?}");
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
