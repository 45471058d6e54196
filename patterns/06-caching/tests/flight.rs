//! Single flight where it is hard: who leaves when, and what the others get. No server is needed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ai_core::{ChatRequest, ChatResponse, Config, Reply, SyncClient};
use ai_mock::{Mock, Script};
use bytes::Bytes;
use caching::{
    AsyncCache, AsyncStore, Cache, Cached, Key, Place, Scope, Source, Store, TTL, Trouble, chat_key,
};
use futures::future::{BoxFuture, FutureExt, pending, ready};

#[path = "support/stampede.rs"]
#[allow(dead_code)]
mod support;

use support::until;

type Result<T, E = u8> = std::result::Result<T, E>;

fn key() -> Key {
    chat_key(&ChatRequest::new("m", "What is AI?"), &Scope::new("test"))
}

/// A whole answer, or one that is cut and not kept.
fn reply(script: Script) -> Reply<ChatResponse> {
    let mock = Mock::builder().script(script).start();
    let mock = mock.expect("a free port on 127.0.0.1");
    let config = Config::new(&mock.base_url(), "offline").expect("a mock's URL is a URL");
    let client = SyncClient::new(config).expect("a client can be built");
    let request = ChatRequest::new("gpt-4o-mini", "What is AI?");
    client.chat(&request).expect("an answer")
}

/// A store that holds nothing, and is at putting something there for as long as it is shut.
#[derive(Default)]
struct Slow {
    open: Mutex<bool>,
    changed: Condvar,
    puts: AtomicUsize,
}

impl Slow {
    fn open(&self) {
        *self.open.lock().expect("nobody panics with it") = true;
        self.changed.notify_all();
    }
}

impl Store for Slow {
    fn get(&self, _: &Key) -> Result<Option<Bytes>, Trouble> {
        Ok(None)
    }

    fn put(&self, _: &Key, _: Bytes, _: Duration) -> Result<(), Trouble> {
        self.puts.fetch_add(1, SeqCst);
        let mut open = self.open.lock().expect("nobody panics with it");
        while !*open {
            open = self.changed.wait(open).expect("nobody panics with it");
        }
        Ok(())
    }
}

/// The same, awaited, and shut for ever.
struct Shut;

impl AsyncStore for Shut {
    fn get<'a>(&'a self, _: &'a Key) -> BoxFuture<'a, Result<Option<Bytes>, Trouble>> {
        Box::pin(async { Ok(None) })
    }

    fn put<'a>(&'a self, _: &'a Key, _: Bytes, _: Duration) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(pending())
    }
}

#[test]
fn who_waits_for_an_answer_does_not_wait_for_the_store_too() {
    let store = Arc::new(Slow::default());
    let cache = Cache::new(store.clone(), TTL);
    let whole = reply(Script::Normal);
    let asked = cache.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let late = move || tell.send(asked.chat(&key(), || Err(7_u8)).map(|it| it.source));
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| cache.chat(&key(), || Ok::<_, u8>(whole)));
        until(|| store.puts.load(SeqCst) > 0);
        scope.spawn(late);
        // Only a cache that makes the second caller wait for the store takes as long as this.
        let late = told.recv_timeout(Duration::from_secs(30));
        store.open();
        assert_eq!(late, Ok(Ok(Source::Shared)));
        let first = leader.join().expect("no panic").map(|it| it.source);
        assert_eq!(first, Ok(Source::Called));
    });
    assert_eq!(cache.callers(), 0);
}

#[test]
fn who_leaves_while_his_answer_is_being_stored_has_not_paid_in_vain() {
    let (cache, key, whole) = (AsyncCache::new(Shut, TTL), key(), reply(Script::Normal));
    let mut leader = cache.chat(&key, || ready(Ok::<_, u8>(whole))).boxed();
    assert!(now(&mut leader).is_none());
    let mut late = cache.chat(&key, || ready(Err(7))).boxed();
    assert_eq!(now(&mut late), Some(Ok(Source::Shared)));
    // When the leader has left, the flight is over: an answer that is not kept is not handed out for
    // ever.
    drop(leader);
    assert_eq!(cache.callers(), 0);
    let mut next = cache.chat(&key, || ready(Err(7))).boxed();
    assert_eq!(now(&mut next), Some(Err(7)));
}

#[test]
fn who_comes_after_the_answer_begins_another_flight_even_if_some_still_sit_in_the_first() {
    let (cache, key, cut) = (memory(), key(), reply(Script::Length));
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let call = || ended.map(|_| Ok::<_, u8>(cut));
    let mut leader = cache.chat(&key, call).boxed();
    assert!(now(&mut leader).is_none());
    let mut sleepy = cache.chat(&key, || ready(Err(1))).boxed();
    assert!(now(&mut sleepy).is_none());
    end.send(()).expect("somebody listens");
    assert_eq!(now(&mut leader), Some(Ok(Source::Called)));

    // It was cut, so it is not kept, and asked for again.
    let mut second = cache.chat(&key, pending::<Result<_>>).boxed();
    assert_eq!(now(&mut second), None, "it was given the old answer");
    // A caller that leaves the first flight takes no seat away in the second.
    assert_eq!(now(&mut sleepy), Some(Ok(Source::Shared)));
    drop(sleepy);
    assert_eq!(cache.callers(), 1);
    let mut third = cache.chat(&key, || ready(Err(3))).boxed();
    assert_eq!(now(&mut third), None, "it called by itself");
    assert_eq!(cache.callers(), 2);
    drop(second);
    assert_eq!(now(&mut third), Some(Err(3)));
    assert_eq!(cache.callers(), 0);
}

/// An error that a thread by the name of `sleepy` copies only when it is told to.
#[derive(Debug)]
struct Slowly(Arc<AtomicBool>);

impl Clone for Slowly {
    fn clone(&self) -> Slowly {
        if std::thread::current().name() == Some("sleepy") {
            until(|| self.0.load(SeqCst));
        }
        Slowly(self.0.clone())
    }
}

#[test]
fn a_thread_that_still_sits_in_a_flight_does_not_prolong_it() {
    let cache = Cache::open(&Place::Memory, TTL);
    let awake = Arc::new(AtomicBool::new(false));
    let source = |call: &dyn Fn() -> Result<Reply<ChatResponse>, Slowly>| {
        cache.chat(&key(), call).map(|it| it.source)
    };
    let whole = reply(Script::Normal);
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            source(&|| {
                until(|| cache.callers() == 2);
                Err(Slowly(awake.clone()))
            })
        });
        until(|| cache.callers() == 1);
        let sleepy = std::thread::Builder::new().name("sleepy".to_owned());
        let follower = || source(&|| Ok(whole.clone()));
        let sleepy = sleepy.spawn_scoped(scope, follower).expect("a thread");
        assert!(leader.join().expect("no panic").is_err());
        let next = source(&|| Ok(whole.clone()));
        awake.store(true, SeqCst);
        assert_eq!(
            next.ok(),
            Some(Source::Called),
            "an old error, or another's"
        );
        assert!(sleepy.join().expect("no panic").is_err());
    });
}

#[test]
fn callers_with_other_errors_have_flights_of_their_own() {
    let (cache, key) = (memory(), key());
    let mut one = cache.chat(&key, pending::<Result<_>>).boxed();
    assert_eq!(now(&mut one), None);
    let other = cache.chat(&key, || ready(Err("no"))).now_or_never();
    assert_eq!(other.map(|it| it.map(|it| it.source)), Some(Err("no")));
}

fn memory() -> AsyncCache {
    AsyncCache::open(&Place::Memory, TTL)
}

/// Where its answer has come from, if there is one now.
fn now(caller: &mut BoxFuture<'_, Result<Cached<ChatResponse>>>) -> Option<Result<Source>> {
    let result = caller.now_or_never()?;
    Some(result.map(|it| it.source))
}
