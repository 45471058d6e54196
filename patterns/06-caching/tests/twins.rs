//! Every behaviour is one case in one table, run through both versions: equal results, and equal
//! traffic in the mock's log.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ai_core::protocol::stream::ToolCallDelta;
use ai_core::{
    AsyncClient, ChatRequest, Config, Cost, EmbeddingRequest, Error, Event, FinishReason, Message,
    SyncClient, Transcript, Usage,
};
use ai_mock::{Mock, Script};
use bytes::Bytes;
use caching::{
    Answer, AsyncCache, AsyncStore, Cache, Key, Place, Report, Scope, Source, Store, TTL, Trouble,
    chat_key, embed, embed_async, embedding_keys, generate_text, generate_text_async, lifetime,
    may_keep_stream, stream, stream_async, stream_key,
};
use futures::future::{BoxFuture, ready};
use futures::{FutureExt, StreamExt};
use proptest::prelude::*;
use serde_json::json;

#[path = "support/stampede.rs"]
mod support;

use support::{CROWD, First, LONG, stampede, stampede_async, stampedes_in, until, until_async};

#[path = "../examples/as_written.rs"]
#[allow(dead_code)]
mod as_written;

const PROMPT: &str = "What is AI?";

fn config(mock: &Mock) -> Config {
    Config::new(&mock.base_url(), "offline").expect("a mock's URL is a URL")
}

fn mock() -> Mock {
    Mock::start().expect("a free port on 127.0.0.1")
}

fn clients(mock: &Mock) -> (SyncClient, AsyncClient) {
    let sync = SyncClient::new(config(mock)).expect("a client can be built");
    let awaited = AsyncClient::new(config(mock)).expect("a client can be built");
    (sync, awaited)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new()
        .expect("a runtime can be built")
        .block_on(future)
}

fn memory() -> (Cache, AsyncCache) {
    (
        Cache::open(&Place::Memory, TTL),
        AsyncCache::open(&Place::Memory, TTL),
    )
}

fn request() -> (ChatRequest, Key) {
    let request = ChatRequest::new("gpt-4o-mini", PROMPT);
    let key = chat_key(&request, &Scope::new("test"));
    (request, key)
}

/// What the server was asked since its log was cleared.
fn bodies(mock: &Mock) -> Vec<serde_json::Value> {
    mock.log().into_iter().map(|entry| entry.body).collect()
}

/// A file of its own for each, removed in the end.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str) -> File {
        let name = format!("caching-{}-{name}.redb", std::process::id());
        let file = File(std::env::temp_dir().join(name));
        let _ = std::fs::remove_file(&file.0);
        file
    }

    fn place(&self) -> Place {
        Place::Disk(self.0.clone())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

// One asks, the others wait.

#[test]
fn of_a_hundred_equal_misses_one_calls_in_memory() {
    stampedes_in(|| (Place::Memory, ()));
}

#[test]
fn of_a_hundred_equal_misses_one_calls_on_disk() {
    let number = AtomicUsize::new(0);
    stampedes_in(|| {
        let file = File::new(&format!("stampede{}", number.fetch_add(1, SeqCst)));
        (file.place(), file)
    });
}

#[test]
fn what_may_not_be_kept_is_shared_all_the_same() {
    let mock = mock();
    mock.set(|now| now.script = Script::Length);
    let sync = stampede(&Place::Memory, &mock, First::Succeeds);
    assert_eq!((sync.calls, sync.answered), ((1, 1), (1, CROWD - 1)));
    mock.clear_log();
    let awaited = block_on(stampede_async(&Place::Memory, &mock, First::Succeeds));
    assert_eq!(awaited, sync);
}

/// Counts, and lets the second look-up see what it would have seen before the first call ended.
#[derive(Default)]
struct Stale {
    gets: AtomicUsize,
    kept: Mutex<Option<Bytes>>,
    put: Condvar,
}

impl Store for Stale {
    fn get(&self, _: &Key) -> Result<Option<Bytes>, Trouble> {
        let mut kept = self.kept.lock().expect("nobody panics with it");
        let seen = kept.clone();
        if self.gets.fetch_add(1, SeqCst) == 1 {
            while kept.is_none() {
                kept = self.put.wait(kept).expect("nobody panics with it");
            }
        }
        Ok(seen)
    }

    fn put(&self, _: &Key, value: Bytes, _: Duration) -> Result<(), Trouble> {
        *self.kept.lock().expect("nobody panics with it") = Some(value);
        self.put.notify_all();
        Ok(())
    }
}

/// A blocking store, awaited: these tests' stores do not make others wait.
struct Awaited<S>(S);

impl<S: Store> AsyncStore for Awaited<S> {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Bytes>, Trouble>> {
        Box::pin(async { self.0.get(key) })
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        value: Bytes,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move { self.0.put(key, value, lifetime) })
    }
}

#[test]
fn who_comes_as_the_answer_is_being_stored_does_not_call_again() {
    let mock = mock();
    let (client, async_client) = clients(&mock);
    let (request, key) = request();
    // The leader's call ends when the second caller waits in the flight, or (which would be wrong)
    // has looked into the store on its own.
    let store = Arc::new(Stale::default());
    let cache = Cache::new(store.clone(), TTL);
    let call = || {
        until(|| cache.callers() == 2 || store.gets.load(SeqCst) == 2);
        client.chat(&request)
    };
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| cache.chat(&key, call)));
        let _ = both.map(|one| one.join().expect("no panic").expect("an answer"));
    });
    assert_eq!((mock.stats().requests, store.gets.load(SeqCst)), (1, 1));

    let store = Arc::new(Stale::default());
    let cache = AsyncCache::new(Awaited(store.clone()), TTL);
    mock.clear_log();
    block_on(async {
        let call = || async {
            until_async(|| cache.callers() == 2 || store.gets.load(SeqCst) == 2).await;
            async_client.chat(&request).await
        };
        let (one, other) = tokio::join!(cache.chat(&key, call), cache.chat(&key, call));
        assert_eq!(one.expect("an answer").source, Source::Called);
        assert_eq!(other.expect("an answer").source, Source::Shared);
    });
    assert_eq!((mock.stats().requests, store.gets.load(SeqCst)), (1, 1));
}

#[test]
fn nobody_is_left_in_a_flight_that_all_have_left() {
    let (cache, _) = memory();
    let (_, key) = request();
    let result = cache.chat(&key, || Err::<_, u8>(7));
    assert_eq!(result.expect_err("it fails"), 7);
    let panic = std::panic::AssertUnwindSafe(|| cache.chat::<u8>(&key, || panic!("as it should")));
    assert!(std::panic::catch_unwind(panic).is_err());
    assert_eq!(cache.callers(), 0);

    let (_, cache) = memory();
    block_on(async {
        let forever = || std::future::pending::<Result<_, u8>>();
        {
            let mut calls = [(); 3].map(|()| Box::pin(cache.chat(&key, forever)));
            for call in &mut calls {
                assert!(futures::poll!(call).is_pending());
            }
            assert_eq!(cache.callers(), 3);
        }
        assert_eq!(cache.callers(), 0);
    });
}

// What is kept.

/// A script, and whether its plain answer and its stream are kept.
const KEPT: &[(Script, bool, bool)] = &[
    (Script::Normal, true, true),
    (Script::NoUsage, true, true),
    (Script::Length, false, false),
    (Script::ContentFilter, false, false),
    (Script::ToolCalls, false, false),
    (Script::Refusal, false, false),
    (Script::NoFinish, false, false),
];

#[test]
fn whole_answers_are_kept_and_no_others_in_both_versions() {
    for (script, kept, _) in KEPT {
        let mock = mock();
        mock.set(|now| now.script = *script);
        let (client, async_client) = clients(&mock);
        let (request, key) = request();
        let (cache, async_cache) = memory();
        let sync = [(); 2].map(|()| cache.chat(&key, || client.chat(&request)));
        let sync = sync.map(|result| result.expect("an answer"));
        let asked = bodies(&mock);
        assert_eq!(asked.len(), if *kept { 1 } else { 2 }, "{script}");
        assert_eq!(sync[1].is_cached(), *kept, "{script}");
        mock.clear_log();
        block_on(async {
            for once in &sync {
                let call = || async_client.chat(&request);
                let answer = async_cache.chat(&key, call).await.expect("an answer");
                assert_eq!((answer.source, answer.usage), (once.source, once.usage));
                assert_eq!(answer.value.text(), once.value.text(), "{script}");
            }
        });
        assert_eq!(bodies(&mock), asked, "{script}");
        // The whole answer is there, to the last byte.
        if *kept {
            assert_eq!(sync[0].value, sync[1].value);
            assert_eq!(sync[0].body, sync[1].body);
            assert_eq!(sync[1].usage.is_none(), *script == Script::NoUsage);
        }
    }
}

#[test]
fn errors_and_broken_streams_are_not_kept_in_both_versions() {
    for script in [Script::Unauthorized, Script::Truncated, Script::Html502] {
        let mock = mock();
        mock.set(|now| now.script = script);
        let (client, async_client) = clients(&mock);
        let (cache, async_cache) = memory();
        let sync = [(); 2].map(|()| collect(stream(&client, &cache, PROMPT)));
        let awaited = block_on(async {
            let once = || async {
                collect_async(stream_async(&async_client, &async_cache, PROMPT).await).await
            };
            [once().await, once().await]
        });
        assert!(sync[0].is_err(), "{script}");
        assert_eq!(kinds(&sync), kinds(&awaited), "{script}");
        assert_eq!(mock.stats().requests, 4, "{script}");
    }
}

fn kinds(results: &[Result<(Source, Vec<Event>), Error>]) -> Vec<&str> {
    let kind = |result: &Result<_, Error>| result.as_ref().map_or_else(|e| e.kind(), |_| "whole");
    results.iter().map(kind).collect()
}

fn collect(opened: Result<caching::CachedStream, Error>) -> Result<(Source, Vec<Event>), Error> {
    let stream = opened?;
    Ok((stream.source, stream.collect::<Result<_, _>>()?))
}

async fn collect_async(
    opened: Result<caching::AsyncCachedStream, Error>,
) -> Result<(Source, Vec<Event>), Error> {
    let stream = opened?;
    let source = stream.source;
    let events: Vec<_> = stream.collect().await;
    Ok((source, events.into_iter().collect::<Result<_, _>>()?))
}

#[test]
fn whole_streams_are_replayed_event_by_event_in_both_versions() {
    for (script, _, kept) in KEPT
        .iter()
        .filter(|(script, ..)| *script != Script::NoFinish)
    {
        let mock = mock();
        mock.set(|now| now.script = *script);
        let (client, async_client) = clients(&mock);
        let (cache, async_cache) = memory();
        let sync = [(); 2].map(|()| collect(stream(&client, &cache, PROMPT)).expect("it ends"));
        assert_eq!(sync[0].1, sync[1].1, "{script}");
        let source = if *kept {
            Source::Stored
        } else {
            Source::Called
        };
        assert_eq!((sync[0].0, sync[1].0), (Source::Called, source), "{script}");
        let asked = bodies(&mock);
        assert_eq!(asked.len(), if *kept { 1 } else { 2 }, "{script}");
        mock.clear_log();
        block_on(async {
            for once in &sync {
                let opened = stream_async(&async_client, &async_cache, PROMPT).await;
                assert_eq!(collect_async(opened).await.as_ref(), Ok(once), "{script}");
            }
        });
        assert_eq!(bodies(&mock), asked, "{script}");
    }
}

#[test]
fn a_stream_is_kept_for_who_asks_for_no_more_than_its_end_in_both_versions() {
    let mock = mock();
    let (client, async_client) = clients(&mock);
    let (cache, async_cache) = memory();
    let end = |item: &Result<Event, Error>| matches!(item, Ok(Event::End(_)));
    for source in [Source::Called, Source::Stored] {
        let mut once = stream(&client, &cache, PROMPT).expect("it opens");
        assert!(once.any(|item| end(&item)));
        assert_eq!(once.source, source);
        block_on(async {
            let opened = stream_async(&async_client, &async_cache, PROMPT).await;
            let mut once = opened.expect("it opens");
            while !end(&once.next().await.expect("it has not ended")) {}
            assert_eq!(once.source, source);
            // After its end comes nothing, however often it is asked.
            assert_eq!((once.next().await, once.next().await), (None, None));
        });
    }
}

#[test]
fn a_stream_that_is_dropped_midway_is_not_kept_in_both_versions() {
    let mock = mock();
    let (client, async_client) = clients(&mock);
    let (cache, async_cache) = memory();
    let mut first = stream(&client, &cache, PROMPT).expect("it opens");
    assert!(matches!(first.next(), Some(Ok(Event::Text(_)))));
    drop(first);
    let again = stream(&client, &cache, PROMPT).expect("it opens");
    assert_eq!(again.source, Source::Called);
    block_on(async {
        let opened = stream_async(&async_client, &async_cache, PROMPT).await;
        let mut first = opened.expect("it opens");
        assert!(matches!(first.next().await, Some(Ok(Event::Text(_)))));
        drop(first);
        let again = stream_async(&async_client, &async_cache, PROMPT).await;
        assert_eq!(again.expect("it opens").source, Source::Called);
    });
}

#[test]
fn a_stream_that_is_too_long_goes_on_and_is_not_kept_in_both_versions() {
    let key = stream_key(&request().0, &Scope::new("test"));
    // In pieces of 1 MiB: what is kept of one stream is 64 MiB at most.
    for (pieces, source) in [(65, Source::Called), (2, Source::Stored)] {
        let events = move || {
            let text = std::iter::repeat_with(|| Event::Text("x".repeat(1 << 20)));
            let end = Event::End(ai_core::FinishReason::Stop);
            text.take(pieces).chain([end]).map(Ok::<_, Error>)
        };
        let (cache, async_cache) = memory();
        let opened = || cache.stream(&key, || Ok::<_, Error>(events()));
        let once = opened().expect("it opens");
        assert_eq!((once.source, once.count()), (Source::Called, pieces + 1));
        assert_eq!(opened().map(|again| again.source), Ok(source), "{pieces}");
        block_on(async {
            let open = || async { Ok::<_, Error>(futures::stream::iter(events())) };
            let opened = || async_cache.stream(&key, open);
            let once = opened().await.expect("it opens");
            assert_eq!(
                (once.source, once.count().await),
                (Source::Called, pieces + 1)
            );
            let again = opened().await.map(|again| again.source);
            assert_eq!(again, Ok(source), "{pieces}");
        });
    }
}

#[test]
fn only_vectors_that_are_missing_are_asked_for_each_once_in_both_versions() {
    let mock = mock();
    let (client, async_client) = clients(&mock);
    let (cache, async_cache) = memory();
    let batches: [&[&str]; 4] = [&["a", "b", "a"], &["c", "b", "c"], &["a", "b", "c"], &["c"]];
    let sync = batches.map(|texts| embed(&client, &cache, texts).expect("vectors"));
    let asked = bodies(&mock);
    let inputs: Vec<_> = asked.iter().map(|body| body["input"].clone()).collect();
    assert_eq!(inputs, [json!(["a", "b"]), json!(["c"])]);
    let [ab, c, all, _] = &sync;
    assert_eq!(ab.embeddings[0], ab.embeddings[2]);
    assert_ne!(ab.embeddings[0], ab.embeddings[1]);
    assert_eq!(
        c.embeddings,
        [&all.embeddings[2], &all.embeddings[1], &all.embeddings[2]].map(Clone::clone)
    );
    assert_eq!(sync.each_ref().map(|it| it.asked), [2, 1, 0, 0]);
    assert_eq!(all.usage.expect("nothing costs nothing").input_tokens, 0);
    mock.clear_log();
    block_on(async {
        for (texts, once) in batches.iter().zip(&sync) {
            let vectors = embed_async(&async_client, &async_cache, texts).await;
            assert_eq!(vectors.as_ref(), Ok(once));
        }
    });
    assert_eq!(bodies(&mock), asked);
    assert!(matches!(embed(&client, &cache, &[]), Err(Error::Config(_))));
}

#[test]
fn an_empty_answer_is_an_answer() {
    let reply = |mock: &Mock| clients(mock).0.chat(&request().0).expect("an answer");
    let mut answer = reply(&mock()).value;
    answer.choices[0].message = Message::assistant("");
    assert!(caching::may_keep(&answer));
    // Some servers say "stop" although they wait for the results of calls.
    answer.choices[0].message.tool_calls = vec![ai_core::ToolCall::new("1", "f", "{}")];
    assert!(!caching::may_keep(&answer));
}

#[test]
fn a_stream_is_kept_by_the_rules_for_its_answer() {
    let text = || Event::Text("yes".to_owned());
    let end = Event::End;
    let call = |arguments: &str| {
        Event::ToolCall(ToolCallDelta {
            index: 0,
            id: Some("1".to_owned()),
            name: Some("f".to_owned()),
            arguments: arguments.to_owned(),
        })
    };
    for (events, kept) in [
        (vec![text(), end(FinishReason::Stop)], true),
        (vec![end(FinishReason::Stop)], true),
        (vec![text()], false),
        (vec![text(), end(FinishReason::Unstated)], false),
        (vec![text(), end(FinishReason::Length)], false),
        (
            vec![Event::Refusal("no".to_owned()), end(FinishReason::Stop)],
            false,
        ),
        (vec![call("{}"), end(FinishReason::Stop)], false),
        (vec![call("{"), end(FinishReason::Stop)], false),
    ] {
        let mut seen = Transcript::default();
        events.iter().for_each(|event| seen.push(event));
        assert_eq!(may_keep_stream(&seen), kept, "{events:?}");
    }
}

#[test]
fn of_several_choices_all_must_be_whole() {
    let mock = mock();
    let request = ChatRequest {
        n: Some(2),
        ..request().0
    };
    let mut answer = clients(&mock).0.chat(&request).expect("an answer").value;
    assert_eq!(answer.choices.len(), 2);
    assert!(caching::may_keep(&answer));
    answer.choices[1].finish_reason = Some(ai_core::FinishReason::Length);
    assert!(!caching::may_keep(&answer));
}

// A store in trouble.

/// Does as it is told, and counts what it is asked.
#[derive(Default)]
struct Moody {
    gets: AtomicUsize,
    puts: AtomicUsize,
    broken: AtomicBool,
    full: AtomicBool,
    garbage: AtomicBool,
    kept: Mutex<Option<Bytes>>,
}

impl Store for Moody {
    fn get(&self, _: &Key) -> Result<Option<Bytes>, Trouble> {
        self.gets.fetch_add(1, SeqCst);
        if self.broken.load(SeqCst) {
            return Err(Trouble::unavailable("it sulks"));
        }
        if self.garbage.swap(false, SeqCst) {
            return Ok(Some(Bytes::from_static(b"ai_cache/0 chat 2\n{}")));
        }
        Ok(self.kept.lock().expect("nobody panics with it").clone())
    }

    fn put(&self, _: &Key, value: Bytes, _: Duration) -> Result<(), Trouble> {
        self.puts.fetch_add(1, SeqCst);
        match self.broken.load(SeqCst) || self.full.load(SeqCst) {
            true => Err(Trouble::unavailable("it sulks")),
            false => {
                *self.kept.lock().expect("nobody panics with it") = Some(value);
                Ok(())
            }
        }
    }
}

#[test]
fn a_store_in_trouble_is_a_miss_with_one_warning_until_it_works_again() {
    for version in ["sync", "async"] {
        let mock = mock();
        let (client, async_client) = clients(&mock);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
        let store = Arc::new(Moody::default());
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let note = {
            let warnings = warnings.clone();
            move |trouble: &Trouble| {
                warnings.lock().expect("no panic").push(trouble.to_string());
            }
        };
        let cache = Cache::new(store.clone(), TTL).on_trouble(note.clone());
        let async_cache = AsyncCache::new(Awaited(store.clone()), TTL).on_trouble(note);
        let ask = || match version {
            "sync" => generate_text(&client, &cache, PROMPT),
            _ => runtime.block_on(generate_text_async(&async_client, &async_cache, PROMPT)),
        };
        let source = || ask().expect("a store never fails a call").source;
        let warned = || warnings.lock().expect("no panic").len();

        store.broken.store(true, SeqCst);
        assert_eq!([source(), source(), source()], [Source::Called; 3]);
        assert_eq!(warned(), 1, "{version}");
        store.broken.store(false, SeqCst);
        until(|| source() == Source::Stored);
        // Full of it, a store is told of once, although each answer can be put there.
        for _ in 0..3 {
            store.garbage.store(true, SeqCst);
            assert_eq!(source(), Source::Called);
        }
        assert_eq!(warned(), 2, "{version}");
        assert_eq!(source(), Source::Stored);
        store.broken.store(true, SeqCst);
        assert_eq!([source(), source()], [Source::Called; 2]);
        let told = warnings.lock().expect("no panic").clone();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("(it sulks)"), "{told:?}");
        assert!(told[1].contains("no chat entry"), "{told:?}");
    }
}

#[test]
fn streams_and_vectors_too_are_had_without_a_store_and_with_one_warning_in_both_versions() {
    let mock = mock();
    let (client, async_client) = clients(&mock);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let texts = ["a", "b", "c"];
    let streamed = |result: Result<(Source, Vec<Event>), Error>| {
        let (source, events) = result.expect("a store never fails a stream");
        assert!(matches!(events.last(), Some(Event::End(_))));
        source
    };
    let embedded = |result: Result<caching::Embedded, Error>| {
        let vectors = result.expect("a store never fails vectors");
        assert_eq!(vectors.embeddings.len(), texts.len());
        match vectors.asked {
            0 => Source::Stored,
            _ => Source::Called,
        }
    };
    for (version, what) in [
        ("sync", "stream"),
        ("async", "stream"),
        ("sync", "vectors"),
        ("async", "vectors"),
    ] {
        let about = format!("{version}, {what}");
        let store = Arc::new(Moody::default());
        let warnings = Arc::new(AtomicUsize::new(0));
        let count = {
            let warnings = warnings.clone();
            move |_: &Trouble| {
                warnings.fetch_add(1, SeqCst);
            }
        };
        let cache = Cache::new(store.clone(), TTL).on_trouble(count.clone());
        let async_cache = AsyncCache::new(Awaited(store.clone()), TTL).on_trouble(count);
        let source = || match (version, what) {
            ("sync", "stream") => streamed(collect(stream(&client, &cache, PROMPT))),
            ("async", "stream") => streamed(runtime.block_on(async {
                collect_async(stream_async(&async_client, &async_cache, PROMPT).await).await
            })),
            ("sync", _) => embedded(embed(&client, &cache, &texts)),
            _ => embedded(runtime.block_on(embed_async(&async_client, &async_cache, &texts))),
        };
        let told = || warnings.load(SeqCst);

        let start = std::time::Instant::now();
        store.broken.store(true, SeqCst);
        assert_eq!([source(), source(), source()], [Source::Called; 3]);
        assert_eq!(told(), 1, "{about}");
        // Once a second, and not for each text.
        let at_most = 1 + start.elapsed().as_secs() as usize;
        let asked = [&store.gets, &store.puts].map(|it| it.load(SeqCst));
        assert!(asked.iter().all(|it| *it <= at_most), "{about}: {asked:?}");
        store.broken.store(false, SeqCst);
        until(|| source() == Source::Stored);
        store.garbage.store(true, SeqCst);
        assert_eq!([source(), source()], [Source::Called, Source::Stored]);
        assert_eq!(told(), 2, "{about}");
    }
}

#[test]
fn a_store_that_is_full_is_told_of_once_and_still_read() {
    let mock = mock();
    let (client, _) = clients(&mock);
    let store = Arc::new(Moody::default());
    let warnings = Arc::new(AtomicUsize::new(0));
    let count = warnings.clone();
    let cache = Cache::new(store.clone(), TTL).on_trouble(move |_| {
        count.fetch_add(1, SeqCst);
    });
    let source = || {
        generate_text(&client, &cache, PROMPT)
            .expect("an answer")
            .source
    };
    store.full.store(true, SeqCst);
    assert_eq!([source(), source(), source()], [Source::Called; 3]);
    let other = Cache::new(store.clone(), TTL);
    store.full.store(false, SeqCst);
    assert_eq!(
        generate_text(&client, &other, PROMPT).map(|it| it.source),
        Ok(Source::Called)
    );
    store.full.store(true, SeqCst);
    assert_eq!([source(), source()], [Source::Stored; 2]);
    assert_eq!(warnings.load(SeqCst), 1);
}

#[test]
fn a_redis_that_takes_connections_and_says_nothing_is_a_miss_in_both_versions() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on 127.0.0.1");
    let port = silent.local_addr().expect("it is bound").port();
    let place = Place::Redis(format!("redis://127.0.0.1:{port}"));
    let mock = mock();
    let (client, async_client) = clients(&mock);
    let warnings = Arc::new(AtomicUsize::new(0));
    let count = || {
        let warnings = warnings.clone();
        move |_: &Trouble| {
            warnings.fetch_add(1, SeqCst);
        }
    };
    let start = std::time::Instant::now();
    let cache = Cache::open(&place, TTL).on_trouble(count());
    let sync = generate_text(&client, &cache, PROMPT);
    assert_eq!(sync.map(|it| it.source), Ok(Source::Called));
    block_on(async {
        let cache = AsyncCache::open(&place, TTL).on_trouble(count());
        let awaited = generate_text_async(&async_client, &cache, PROMPT).await;
        assert_eq!(awaited.map(|it| it.source), Ok(Source::Called));
    });
    assert_eq!(warnings.load(SeqCst), 2);
    // It waits for a second at most in each.
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

#[test]
fn a_store_in_trouble_is_asked_once_a_second_in_both_versions() {
    let mock = mock();
    let (request, key) = request();
    let reply = clients(&mock).0.chat(&request).expect("an answer");
    let answer = || Ok::<_, u8>(reply.clone());
    for version in ["sync", "async"] {
        let store = Arc::new(Moody::default());
        let cache = Cache::new(store.clone(), TTL);
        let async_cache = AsyncCache::new(Awaited(store.clone()), TTL);
        let a_thousand_times = || {
            let start = std::time::Instant::now();
            for _ in 0..1000 {
                let result = match version {
                    "sync" => cache.chat(&key, answer),
                    _ => {
                        let asked = async_cache.chat(&key, || async { answer() });
                        asked.now_or_never().expect("nothing is waited for")
                    }
                };
                assert_eq!(result.map(|it| it.source), Ok(Source::Called));
            }
            1 + start.elapsed().as_secs() as usize
        };
        // What is full is still looked into.
        store.full.store(true, SeqCst);
        let at_most = a_thousand_times();
        assert!(store.puts.load(SeqCst) <= at_most, "{version}");
        assert_eq!(store.gets.load(SeqCst), 1000, "{version}");
        store.broken.store(true, SeqCst);
        let at_most = a_thousand_times();
        assert!(store.gets.load(SeqCst) <= 1000 + at_most, "{version}");
    }
}

#[test]
fn who_is_told_of_trouble_may_ask_the_cache_in_both_versions() {
    let mock = mock();
    let (client, async_client) = clients(&mock);
    let store = Arc::new(Moody::default());
    store.broken.store(true, SeqCst);
    let other = chat_key(&ChatRequest::new("m", "another"), &Scope::new(""));
    let asked = Arc::new(AtomicUsize::new(0));
    let told = {
        let asked = asked.clone();
        move |answer: Result<(), u8>| {
            assert_eq!(answer, Err(7));
            asked.fetch_add(1, SeqCst);
        }
    };
    // A clone shares all with the cache that tells.
    let cache = Cache::new(store.clone(), TTL);
    let (asker, tell) = (cache.clone(), told.clone());
    let cache = cache.on_trouble(move |_| tell(asker.chat(&other, || Err(7)).map(drop)));
    let async_cache = AsyncCache::new(Awaited(store), TTL);
    let asker = async_cache.clone();
    let async_cache = async_cache.on_trouble(move |_| {
        let answer = asker.chat(&other, || ready(Err(7))).now_or_never();
        told(answer.expect("nothing is waited for").map(drop));
    });
    // In a thread of its own: a cache that waits for itself does so for ever.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let sync = generate_text(&client, &cache, PROMPT);
        let awaited = block_on(generate_text_async(&async_client, &async_cache, PROMPT));
        tell.send([sync, awaited].map(|it| it.map(|it| it.source)))
    });
    let sources = told.recv_timeout(LONG);
    assert_eq!(sources, Ok([Ok(Source::Called), Ok(Source::Called)]));
    assert_eq!(asked.load(SeqCst), 2);
}

#[test]
fn a_file_that_something_else_has_changed_is_never_believed_and_fails_no_call() {
    let mock = mock();
    let (client, _) = clients(&mock);
    let file = File::new("damaged");
    let ask = || {
        let cache = Cache::open(&file.place(), TTL);
        generate_text(&client, &cache, PROMPT).expect("a store never fails a call")
    };
    let right = ask().result;
    assert_eq!(ask().source, Source::Stored);
    let whole = std::fs::read(&file.0).expect("it can be read");
    // The answer itself, and then one place after the other.
    let answer = whole.windows(9).position(|it| it == b"\"content\"");
    let answer = answer.expect("the answer is in the file") + 15;
    let step = whole.len() / 40;
    for place in [answer].into_iter().chain((0..whole.len()).step_by(step)) {
        let mut changed = whole.clone();
        for byte in changed.iter_mut().skip(place).take(8) {
            *byte ^= 1;
        }
        std::fs::write(&file.0, changed).expect("it can be written");
        assert_eq!(ask().result, right, "changed at {place}");
    }
}

#[test]
fn a_file_that_is_no_cache_and_one_that_cannot_be_made_are_misses() {
    let mock = mock();
    let (client, _) = clients(&mock);
    let file = File::new("garbage");
    std::fs::write(&file.0, "this is no database").expect("a file can be written");
    let folder = Place::Disk(std::env::temp_dir().join("no-such-folder-here/ai.redb"));
    for place in [file.place(), folder] {
        let warnings = Arc::new(AtomicUsize::new(0));
        let count = warnings.clone();
        let cache = Cache::open(&place, TTL).on_trouble(move |_| {
            count.fetch_add(1, SeqCst);
        });
        for _ in 0..2 {
            let answer = generate_text(&client, &cache, PROMPT).expect("an answer");
            assert!(!answer.cached, "{place}");
        }
        assert_eq!(warnings.load(SeqCst), 1, "{place}");
    }
    let left = std::fs::read_to_string(&file.0).expect("it is still there");
    assert_eq!(
        left, "this is no database",
        "what is not ours is not overwritten"
    );
}

/// redb may panic over such a file, as it is used and as it is let go: most places in its pages' heads
/// make it do so.
#[test]
fn a_damaged_file_makes_nobody_panic() {
    let file = File::new("panic");
    let key = request().1;
    let value = Bytes::from_static(b"value");
    let put = file.place().store().put(&key, value.clone(), TTL);
    put.expect("it is put");
    let whole = std::fs::read(&file.0).expect("it can be read");
    let heads = (0..whole.len())
        .step_by(4096)
        .flat_map(|page| page..page + 256);
    for place in heads.step_by(12) {
        let mut changed = whole.clone();
        changed[place..place + 4].iter_mut().for_each(|it| *it ^= 1);
        std::fs::write(&file.0, changed).expect("it can be written");
        let store = file.place().store();
        // What matters is that they return.
        let _ = (store.get(&key), store.put(&key, value.clone(), TTL));
    }
}

#[test]
fn a_file_that_could_not_be_read_is_read_again_once_it_can() {
    let file = File::new("cut");
    let key = |number| chat_key(&ChatRequest::new("m", format!("{number}")), &Scope::new(""));
    let keys: Vec<Key> = (0..8).map(key).collect();
    // More than is kept in memory.
    let value = Bytes::from(vec![7; 1 << 20]);
    let first = file.place().store();
    for key in &keys {
        first.put(key, value.clone(), TTL).expect("it is put");
    }
    drop(first);
    let store = &file.place().store();
    assert_eq!(store.get(&request().1), Ok(None), "it is open now");
    let whole = std::fs::read(&file.0).expect("it can be read");
    std::fs::write(&file.0, &whole[..8192]).expect("it can be written");
    // By several threads: one that gives the file up must not take it from the others, or the next to
    // open it would find it open, and blame another process.
    let troubles: Vec<Trouble> = std::thread::scope(|scope| {
        let get = |key| (0..50).filter_map(move |_| store.get(key).err());
        let threads = keys
            .iter()
            .map(|key| scope.spawn(move || get(key).collect::<Vec<_>>()));
        let threads: Vec<_> = threads.collect();
        let troubles = threads.into_iter().map(|it| it.join().expect("no panic"));
        troubles.flatten().collect()
    });
    assert!(!troubles.is_empty());
    for trouble in troubles {
        let why = trouble.to_string();
        assert!(!why.contains("another process"), "{why}");
    }
    std::fs::write(&file.0, &whole).expect("it can be written");
    for key in &keys {
        assert!(store.get(key) == Ok(Some(value.clone())));
    }
}

// The stores.

/// Holds nothing, and takes down how long it should have.
#[derive(Default)]
struct Lifetimes(Mutex<Vec<Duration>>);

impl Store for Lifetimes {
    fn get(&self, _: &Key) -> Result<Option<Bytes>, Trouble> {
        Ok(None)
    }

    fn put(&self, _: &Key, _: Bytes, lifetime: Duration) -> Result<(), Trouble> {
        self.0.lock().expect("nobody panics with it").push(lifetime);
        Ok(())
    }
}

#[test]
fn each_entry_is_put_for_its_ttl_less_up_to_a_tenth_in_both_versions() {
    let mock = mock();
    let (client, async_client) = clients(&mock);
    let ttl = Duration::from_secs(60);
    for version in ["sync", "async"] {
        let store = Arc::new(Lifetimes::default());
        let cache = Cache::new(store.clone(), ttl);
        let async_cache = AsyncCache::new(Awaited(store.clone()), ttl);
        match version {
            "sync" => {
                generate_text(&client, &cache, PROMPT).expect("an answer");
                collect(stream(&client, &cache, PROMPT)).expect("it ends");
                embed(&client, &cache, &["a", "b"]).expect("vectors");
            }
            _ => block_on(async {
                let (client, cache) = (&async_client, &async_cache);
                let answer = generate_text_async(client, cache, PROMPT).await;
                answer.expect("an answer");
                let opened = stream_async(client, cache, PROMPT).await;
                collect_async(opened).await.expect("it ends");
                let vectors = embed_async(client, cache, &["a", "b"]).await;
                vectors.expect("vectors");
            }),
        }
        let mut kept = store.0.lock().expect("nobody panics with it").clone();
        kept.sort();
        assert_eq!(kept.len(), 4, "{version}");
        assert!(kept[0] >= ttl.mul_f64(0.9) && kept[3] <= ttl, "{kept:?}");
        kept.dedup();
        assert_eq!(kept.len(), 4, "they would end together");
    }
}

#[test]
fn every_store_gives_back_what_it_was_given_until_its_end() {
    let file = File::new("ends");
    for place in [Place::Memory, file.place()] {
        let store = place.store();
        let key = request().1;
        let value = Bytes::from_static(b"\0\xff\n");
        assert_eq!(store.get(&key), Ok(None));
        store.put(&key, value.clone(), TTL).expect("it is put");
        assert_eq!(store.get(&key), Ok(Some(value.clone())));
        // Put again, it has a new end.
        store
            .put(&key, value.clone(), Duration::from_millis(1))
            .expect("it is put");
        until(|| store.get(&key) == Ok(None));
        store.put(&key, value.clone(), TTL).expect("it is put");
        assert_eq!(store.get(&key), Ok(Some(value.clone())));
        drop(store);
        block_on(async {
            let store = place.async_store();
            store
                .put(&key, value.clone(), TTL)
                .await
                .expect("it is put");
            assert_eq!(store.get(&key).await, Ok(Some(value)));
        });
    }
}

#[test]
fn of_many_that_make_a_file_at_once_one_has_it_and_all_others_are_told() {
    let key = request().1;
    let value = Bytes::from_static(b"value");
    for round in 0..5 {
        let folder = format!("caching-{}-first{round}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).expect("a folder can be made");
        let place = Place::Disk(folder.join("cache.redb"));
        let start = std::sync::Barrier::new(8);
        // The stores stay open until all have tried: the file is free for nobody in between.
        let tried = std::thread::scope(|scope| {
            let threads = [(); 8].map(|()| {
                scope.spawn(|| {
                    let store = place.store();
                    start.wait();
                    let put = store.put(&key, value.clone(), TTL);
                    (store, put)
                })
            });
            threads.map(|thread| thread.join().expect("no panic"))
        });
        let told: Vec<_> = tried
            .iter()
            .filter_map(|(_, put)| put.clone().err())
            .collect();
        assert_eq!(told.len(), 7, "{told:?}");
        for trouble in told {
            assert!(
                trouble.to_string().contains("another process uses it"),
                "{trouble}"
            );
        }
        drop(tried);
        assert_eq!(place.store().get(&key), Ok(Some(value.clone())));
        let files = std::fs::read_dir(&folder).expect("it is there");
        assert_eq!(files.count(), 1, "what the others have made is gone");
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}

#[test]
fn a_file_is_used_by_threads_that_may_block_and_holds_up_no_task() {
    let file = File::new("pool");
    let (store, key) = (file.place().async_store(), request().1);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build();
    runtime.expect("a runtime can be built").block_on(async {
        // As long as the only such thread is busy, the file is not touched.
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || ended.recv());
        let mut get = store.get(&key);
        assert!(futures::poll!(&mut get).is_pending());
        end.send(()).expect("somebody listens");
        assert_eq!(get.await, Ok(None));
        assert!(busy.await.is_ok());
    });
}

#[test]
fn an_answer_may_be_kept_for_ever() {
    let mock = mock();
    let (client, _) = clients(&mock);
    let file = File::new("for-ever");
    for place in [Place::Memory, file.place()] {
        let cache = Cache::open(&place, Duration::MAX);
        let ask = || generate_text(&client, &cache, PROMPT).map(|it| it.source);
        assert_eq!([ask(), ask()], [Ok(Source::Called), Ok(Source::Stored)]);
    }
}

#[test]
fn memory_has_an_end() {
    let store = Place::Memory.store();
    let value = Bytes::from(vec![7; 1 << 20]);
    let key = |n: usize| chat_key(&ChatRequest::new("m", n.to_string()), &Scope::new(""));
    for number in 0..200 {
        store
            .put(&key(number), value.clone(), TTL)
            .expect("it is put");
    }
    // What is too much goes with a later put, not with the one that was too much.
    let kept = || (0..200).filter(|n| store.get(&key(*n)) != Ok(None)).count();
    until(|| {
        let put = store.put(&key(0), value.clone(), TTL);
        put.is_ok() && kept() <= 64
    });
}

#[test]
fn a_file_does_not_grow_by_what_is_over() {
    let file = File::new("sweep");
    let store = file.place().store();
    let value = Bytes::from(vec![7; 100_000]);
    for number in 0..100 {
        let request = ChatRequest::new("m", number.to_string());
        let key = chat_key(&request, &Scope::new(""));
        store
            .put(&key, value.clone(), Duration::ZERO)
            .expect("it is put");
    }
    let size = std::fs::metadata(&file.0).expect("it is there").len();
    assert!(size < 5_000_000, "{size} bytes for what is over");
}

#[test]
fn a_place_says_what_is_wrong_with_it_and_keeps_its_password() {
    let place = |text: &str| text.parse::<Place>();
    assert_eq!(place("memory"), Ok(Place::Memory));
    assert!(matches!(place("disk"), Ok(Place::Disk(path)) if path.is_relative()));
    assert_eq!(place("disk:a:b"), Ok(Place::Disk("a:b".into())));
    for wrong in [
        "",
        "disk:",
        "Memory",
        "memory:",
        "redis:",
        "redis://",
        "rediss://h",
        "http://h",
    ] {
        assert!(place(wrong).is_err(), "{wrong}");
    }
    let secret = place("redis://me:hunter2@host:1/0").expect("a URL");
    assert_eq!(
        (secret.to_string(), format!("{secret:?}")),
        ("redis://host:1/0".into(), "redis://host:1/0".into())
    );
    let error = place("redis://me:hunter2@host:notaport").expect_err("no URL");
    assert!(!error.contains("hunter2"), "{error}");
}

/// Cargo shows it with its reason, so that nobody takes a plain `cargo test` for one with Redis. No
/// check is skipped by it: those of `tests/redis.rs` come with the feature, and with that this goes.
#[cfg(not(feature = "redis-tests"))]
#[test]
#[ignore = "nothing was tested against Redis: run cargo xtask test"]
fn redis() {}

// The key and the lifetime.

/// A request and each of its fields changed by itself.
fn variations(base: &ChatRequest) -> Vec<ChatRequest> {
    let with = |change: &dyn Fn(&mut ChatRequest)| {
        let mut request = base.clone();
        change(&mut request);
        request
    };
    let extra = |name: &str, value| {
        with(&|r| {
            r.extra.insert(name.to_owned(), json!(value));
        })
    };
    vec![
        with(&|r| r.model.push('x')),
        with(&|r| r.messages.push(Message::user("more"))),
        with(&|r| r.messages[0].role = "developer".to_owned()),
        with(&|r| r.messages[0].content = Some(ai_core::protocol::chat::Content::Text("é".into()))),
        with(&|r| {
            r.messages[0].content = Some(ai_core::protocol::chat::Content::Text("e\u{301}".into()))
        }),
        with(&|r| {
            r.messages[0].extra.insert("name".to_owned(), json!("Ada"));
        }),
        with(&|r| r.temperature = Some(0.123)),
        with(&|r| r.n = Some(2)),
        with(&|r| r.max_tokens = Some(12_345)),
        with(&|r| r.stop.push("END".to_owned())),
        with(&|r| r.tools.push(ai_core::Tool::function("f", "", json!({})))),
        with(&|r| r.response_format = Some(ai_core::protocol::chat::json_object())),
        extra("seed", json!(9_007_199_254_740_992_u64)),
        extra("seed", json!(9_007_199_254_740_993_u64)),
        extra("seed", json!("9007199254740993")),
        extra("nobody_knows_this", json!(null)),
        extra("nobody_knows_this", json!([])),
        extra("nobody_knows_this", json!({})),
    ]
}

proptest! {
    #[test]
    fn whatever_changes_changes_the_key(
        model in "[a-z]{1,9}",
        prompt in ".{0,40}",
        temperature in proptest::option::of(0.5..2.0_f64),
    ) {
        let base = ChatRequest { temperature, ..ChatRequest::new(model, prompt) };
        let scope = Scope::new("https://one");
        let other = Scope { tenant: "acme".to_owned(), ..scope.clone() };
        let mut keys = vec![
            chat_key(&base, &scope),
            chat_key(&base, &Scope::new("https://two")),
            chat_key(&base, &other),
            stream_key(&base, &scope),
        ];
        keys.extend(variations(&base).iter().map(|request| chat_key(request, &scope)));
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        prop_assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn the_order_of_fields_and_the_spelling_of_numbers_do_not(
        fields in proptest::collection::btree_map("[a-z]{1,5}_", any::<i32>(), 0..8),
        seed in any::<u64>(),
    ) {
        let scope = Scope::new("");
        let key = |fields: &mut dyn Iterator<Item = (&String, serde_json::Value)>| {
            let mut request = request().0;
            let inner = json!({"b": seed, "a": [1, {"d": 0, "c": 1.5}]});
            request.extra.extend(fields.map(|(name, value)| (name.clone(), value)));
            request.extra.insert("inner".to_owned(), inner);
            chat_key(&request, &scope)
        };
        let forward = key(&mut fields.iter().map(|(name, n)| (name, json!(n))));
        let backward = key(&mut fields.iter().rev().map(|(name, n)| (name, json!(f64::from(*n)))));
        prop_assert_eq!(forward, backward);
    }

    #[test]
    fn no_answer_is_kept_longer_than_told_or_much_shorter(
        ttl in 0..u64::MAX / 2,
        random in 0.0..1.0_f64,
    ) {
        prop_assert!(lifetime(Duration::MAX, random) <= Duration::MAX);
        let ttl = Duration::from_nanos(ttl);
        let kept = lifetime(ttl, random);
        prop_assert!(kept <= ttl && kept >= ttl.mul_f64(0.899));
    }

    #[test]
    fn a_vector_has_the_same_key_in_any_company(texts in proptest::collection::vec(".{0,9}", 1..6)) {
        let scope = Scope::new("");
        let all = EmbeddingRequest::new("m", texts.clone());
        let keys = embedding_keys(&all, &scope);
        for (text, key) in texts.iter().zip(keys) {
            let mut alone = EmbeddingRequest::new("m", [text]);
            prop_assert_eq!(&embedding_keys(&alone, &scope), &[key]);
            alone.encoding_format = Some("base64".to_owned());
            prop_assert_eq!(&embedding_keys(&alone, &scope), &[key]);
            alone.dimensions = Some(8);
            prop_assert_ne!(&embedding_keys(&alone, &scope), &[key]);
        }
    }
}

#[test]
fn what_is_absent_and_what_says_the_same_have_one_key() {
    let (base, scope) = (request().0, Scope::new(""));
    let same = ChatRequest {
        n: Some(1),
        stop: vec![],
        tools: vec![],
        stream_options: Some(ai_core::protocol::chat::StreamOptions {
            include_usage: false,
        }),
        ..base.clone()
    };
    assert_eq!(chat_key(&base, &scope), chat_key(&same, &scope));
    assert_ne!(stream_key(&base, &scope), stream_key(&same, &scope));
    let mut several = base.clone();
    several.extra.insert("n".to_owned(), json!(3));
    assert_ne!(chat_key(&base, &scope), chat_key(&several, &scope));
    let zero = |zero| chat_key(&base.clone().temperature(zero), &scope);
    assert_eq!(zero(0.0), zero(-0.0));
    let key = chat_key(&base, &scope).to_string();
    assert_eq!((key.len(), &key[..9]), (73, "ai_cache:"));
}

/// What is written there by one version of this program is found by the next. Whoever changes the form
/// of a key, or that of an entry, gives it another version, and these other digits.
#[test]
fn keys_have_the_form_of_version_1() {
    let request = request().0.temperature(0.7);
    let scope = Scope {
        tenant: "acme".to_owned(),
        ..Scope::new("https://api.openai.com/v1")
    };
    let texts = EmbeddingRequest::new("text-embedding-3-small", ["a"]);
    let keys = [
        chat_key(&request, &scope),
        stream_key(&request, &scope),
        embedding_keys(&texts, &scope)[0],
    ];
    // {"base_url":"https://api.openai.com/v1","kind":"chat","request":{"messages":[{"content":
    // "What is AI?","role":"user",},],"model":"gpt-4o-mini","n":1,"temperature":0.7,},"tenant":"acme",
    // "version":1,} in one line, and the like, by another program's SHA-256.
    let expected = [
        "14b6a92ae1cbb8600a7b82e7e8b4eeee81adb0d6d92f44516a8855e5883e268a",
        "3375390ccebf9782e569d73c39b90c8dd8bcb9816f8dec6dcc8ef0a9bc3612c5",
        "d22795ec70ce029548dc3b6294cb639cef6c29b211770114493de62a90992a3c",
    ];
    let digits = keys.map(|key| key.to_string());
    assert_eq!(digits, expected.map(|digits| format!("ai_cache:{digits}")));
}

#[test]
fn a_slash_at_the_end_of_a_base_url_makes_no_other_service() {
    let scope = |url: &str| Scope::of(&Config::new(url, "key").expect("a URL"));
    assert_eq!(scope("http://h/v1/"), scope("http://h/v1"));
    assert_ne!(scope("http://h/v1"), scope("http://h/v2"));
}

#[test]
fn answers_that_came_together_do_not_end_together() {
    let after = |random| lifetime(TTL, random).as_secs();
    assert_eq!([0.0, 0.5, 1.0].map(after), [3600, 3420, 3240]);
}

#[test]
fn what_was_saved_is_never_made_up_and_never_too_much_to_count() {
    let answer = Answer {
        result: String::new(),
        cached: true,
        source: Source::Stored,
        usage: Some(Usage {
            input_tokens: u64::MAX,
            ..Usage::default()
        }),
        cost: None,
    };
    let untold = Answer {
        usage: None,
        ..answer.clone()
    };
    let paid = Answer {
        cached: false,
        ..answer.clone()
    };
    let report = |answers: &[&Answer]| Report {
        answers: answers.iter().copied().cloned().collect(),
    };
    let saved = report(&[&answer, &answer, &paid]).saved();
    assert_eq!(saved, (2, Some(u64::MAX), None));
    // What is unknown is not 0.
    let some = report(&[&answer, &untold]);
    assert_eq!(some.saved(), (2, None, None));
    let line = "saved: 2 calls, tokens unknown, cost unknown";
    assert!(some.to_string().ends_with(line), "{some}");
    assert!(report(&[&paid]).to_string().ends_with("saved: nothing"));
    // What was paid for was not saved.
    let [one, two, paid] = [(true, 1), (true, 20), (false, 300)].map(|(cached, dollars)| Answer {
        cached,
        usage: Some(Usage::default()),
        cost: Some(Cost(dollars)),
        ..answer.clone()
    });
    let saved = report(&[&paid, &one, &two]).saved();
    assert_eq!(saved, (2, Some(0), Some(Cost(21))));
}

// The programs, and the guide's version.

#[test]
fn a_program_killed_as_it_makes_its_file_does_not_spoil_it() {
    use std::process::{Command, Stdio};
    let folder = std::env::temp_dir().join(format!("caching-{}-killed", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("a folder can be made");
    let place = format!("disk:{}", folder.join("cache.redb").display());
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_caching-sync"));
        command.args(["--latency", "1ms", "--cache", &place]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut killed = program().stdout(Stdio::null()).spawn().expect("it runs");
    until(|| std::fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_some()));
    killed.kill().expect("it runs");
    killed.wait().expect("it is ours");
    let output = program().output().expect("it runs");
    let out = String::from_utf8(output.stdout).expect("text");
    assert!(out.contains("Result 2 - Cached: true"), "{out}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn an_answer_that_was_put_survives_a_kill() {
    use std::io::{BufRead, BufReader};
    const FILE: &str = "CACHING_TESTS_FILE";
    let (key, value) = (request().1, Bytes::from_static(b"value"));
    if let Some(path) = std::env::var_os(FILE) {
        // This is the process that will be killed.
        let store = Place::Disk(path.into()).store();
        store.put(&key, value, TTL).expect("it is put");
        println!("\nit is put");
        loop {
            std::thread::park();
        }
    }
    let file = File::new("put-and-killed");
    let mut command = std::process::Command::new(std::env::current_exe().expect("it has a path"));
    command.args(["--exact", "an_answer_that_was_put_survives_a_kill"]);
    command.arg("--nocapture").env(FILE, &file.0);
    command.stdout(std::process::Stdio::piped());
    let mut process = command.spawn().expect("it runs");
    let out = BufReader::new(process.stdout.take().expect("it is piped"));
    let put = out.lines().any(|line| line.expect("text") == "it is put");
    process.kill().expect("it is ours");
    process.wait().expect("it is ours");
    assert!(put, "it has ended by itself");
    assert_eq!(file.place().store().get(&key), Ok(Some(value)));
}

#[test]
fn a_second_run_finds_the_file_and_a_second_process_at_once_is_told() {
    for program in [
        env!("CARGO_BIN_EXE_caching-sync"),
        env!("CARGO_BIN_EXE_caching-async"),
    ] {
        let file = File::new("program");
        let place = format!("disk:{}", file.0.display());
        let run_with = |cache: &str, more: &[&str]| {
            let mut command = std::process::Command::new(program);
            command.args(["--latency", "1ms", "--cache", cache]);
            command.args(more);
            let output = command
                .stdin(std::process::Stdio::null())
                .output()
                .expect("it runs");
            let text = |bytes| String::from_utf8(bytes).expect("text");
            (
                text(output.stdout),
                text(output.stderr),
                output.status.code(),
            )
        };
        let run = |cache: &str| run_with(cache, &[]);
        let lines =
            |first, second| format!("Result 1 - Cached: {first}\nResult 2 - Cached: {second}\n");
        // What is over as soon as it is put is never found, and leaves nothing behind for the next run.
        let (out, ..) = run_with(&place, &["--ttl", "1ms"]);
        assert!(out.starts_with(&lines(false, false)), "{out}");
        let (_, err, code) = run_with(&place, &["--ttl", "0s"]);
        assert_eq!(code, Some(2));
        let why = "answers are kept for longer than 0: write 30s or 60m";
        assert!(err.contains(why), "{err}");
        let (out, err, _) = run(&place);
        assert!(out.starts_with(&lines(false, true)), "{out}");
        assert!(
            out.contains("saved: 1 call, ") && !err.contains("warning"),
            "{out}{err}"
        );
        let (out, ..) = run(&place);
        assert!(out.starts_with(&lines(true, true)), "{out}");
        // The guide's dict.
        let (out, ..) = run_with("memory", &["--json"]);
        let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        let [first, second] = [0, 1].map(|index| &report["answers"][index]);
        assert_eq!(first["cached"], json!(false));
        assert_eq!(second["cached"], json!(true));
        assert!(first["result"].is_string() && first["result"] == second["result"]);

        let held = file.place().store();
        assert_eq!(held.get(&request().1), Ok(None));
        let (out, err, code) = run(&place);
        assert!(out.starts_with(&lines(false, false)), "{out}");
        assert_eq!(code, Some(0));
        assert_eq!(err.matches("warning: ").count(), 1, "{err}");
        assert!(err.contains("another process uses it"), "{err}");
        drop(held);
        assert!(run(&place).0.starts_with(&lines(true, true)));

        let (_, err, code) = run("floppy");
        assert_eq!(code, Some(2));
        assert!(err.contains("\"floppy\" is no place for a cache"), "{err}");
    }
}

#[test]
fn the_guide_pays_for_all_and_gives_what_was_cut_to_who_asked_for_more() {
    let mock = Mock::builder().latency(Duration::from_millis(100)).start();
    let mock = mock.expect("a free port on 127.0.0.1");
    let (_, client) = clients(&mock);
    let redis = Mutex::default();
    let guide = as_written::CachedAiClient { client, redis };
    let short = request().0.max_tokens(3);
    block_on(async {
        let one = || guide.generate_text_cached(&short);
        futures::future::join_all((0..20).map(|_| one())).await;
        assert_eq!(mock.stats().requests, 20);
        let cut = one().await.expect("it is kept");
        let whole = guide.generate_text_cached(&request().0).await;
        assert_eq!((&whole, cut.1), (&Ok(cut.clone()), true));
    });
    assert_eq!(mock.stats().requests, 20);
}
