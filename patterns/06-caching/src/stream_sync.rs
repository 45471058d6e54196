//! Streams, blocking. Diff this file with `stream_async.rs`: only the waiting differs.
//!
//! There is no single flight here: a follower would have to wait for the whole of the stream, which
//! is what people stream against, or be tied to the leader's pace. Callers that ask for the same at
//! once each get a stream, and each is paid for. A stream that is too long for the cache goes on all
//! the same; only what is held of it for the store is let go.

use ai_core::{Error, Event, SyncClient};

use crate::answer::{Source, request};
use crate::entry;
use crate::key::{Key, stream_key};
use crate::recording::Recording;
use crate::sync::Cache;

/// Asks the default model one thing, and gets its answer piece by piece, unless it has been asked
/// before: then its pieces come at once.
///
/// # Errors
/// Those of the client up to the head of the answer, later ones as items of the stream.
pub fn stream(client: &SyncClient, cache: &Cache, prompt: &str) -> Result<CachedStream, Error> {
    let request = request(client.config(), prompt);
    let key = stream_key(&request, &cache.scope(client.config()));
    cache.stream(&key, || client.chat_stream(&request))
}

impl Cache {
    /// The stream under this key, or the one that `open` opens.
    ///
    /// # Errors
    /// Those of `open`. The store's never.
    pub fn stream<E, S>(
        &self,
        key: &Key,
        open: impl FnOnce() -> Result<S, E>,
    ) -> Result<CachedStream, E>
    where
        S: Iterator<Item = Result<Event, Error>> + Send + 'static,
    {
        if let Some(events) = self.stored_events(key) {
            return Ok(CachedStream {
                source: Source::Stored,
                events: Box::new(events.into_iter().map(Ok)),
            });
        }
        let mut recorder = Recorder {
            stream: open()?,
            seen: Recording::default(),
            key: *key,
            cache: self.clone(),
        };
        Ok(CachedStream {
            source: Source::Called,
            events: Box::new(std::iter::from_fn(move || recorder.next())),
        })
    }

    fn stored_events(&self, key: &Key) -> Option<Vec<Event>> {
        let asked = self.0.may_get()?;
        let got = self.0.store.get(key);
        self.0.found(asked, got, entry::events)
    }
}

/// A stream that is being answered, or replayed: an iterator over the same events.
pub struct CachedStream {
    /// Where it comes from.
    pub source: Source,
    events: Box<dyn Iterator<Item = Result<Event, Error>> + Send>,
}

impl Iterator for CachedStream {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        self.events.next()
    }
}

/// Hands the events on, and takes them down for the store. A stream that is dropped before its end is
/// never kept.
struct Recorder<S> {
    stream: S,
    seen: Recording,
    key: Key,
    cache: Cache,
}

impl<S: Iterator<Item = Result<Event, Error>>> Recorder<S> {
    fn next(&mut self) -> Option<Result<Event, Error>> {
        let item = self.stream.next()?;
        if let Ok(event) = &item {
            self.seen.push(event);
            // Kept before the end is handed out: a reader that has seen the end asks for no more.
            if let Event::End(_) = event {
                self.keep();
            }
        }
        Some(item)
    }

    fn keep(&mut self) {
        let shared = &self.cache.0;
        // What may be kept comes first: who may try a store in trouble should have something for it.
        if let Some(entry) = self.seen.entry()
            && let Some(asked) = shared.may_put()
        {
            let put = shared.store.put(&self.key, entry, shared.lifetime());
            shared.kept(asked, put);
        }
    }
}
