//! Streams, awaited. Diff this file with `stream_sync.rs`: only the waiting differs.
//!
//! There is no single flight here: a follower would have to wait for the whole of the stream, which
//! is what people stream against, or be tied to the leader's pace. Callers that ask for the same at
//! once each get a stream, and each is paid for. A stream that is too long for the cache goes on all
//! the same; only what is held of it for the store is let go.

use std::pin::Pin;
use std::task::{Context, Poll};

use ai_core::{AsyncClient, Error, Event};
use futures::stream::{self, BoxStream, Stream, StreamExt};

use crate::answer::{Source, request};
use crate::r#async::Cache;
use crate::entry;
use crate::key::{Key, stream_key};
use crate::recording::Recording;

/// Asks the default model one thing, and gets its answer piece by piece, unless it has been asked
/// before: then its pieces come at once.
///
/// # Errors
/// Those of the client up to the head of the answer, later ones as items of the stream.
pub async fn stream(
    client: &AsyncClient,
    cache: &Cache,
    prompt: &str,
) -> Result<CachedStream, Error> {
    let request = request(client.config(), prompt);
    let key = stream_key(&request, &cache.scope(client.config()));
    cache.stream(&key, || client.chat_stream(&request)).await
}

impl Cache {
    /// The stream under this key, or the one that `open` opens.
    ///
    /// # Errors
    /// Those of `open`. The store's never.
    pub async fn stream<E, S, Fut>(
        &self,
        key: &Key,
        open: impl FnOnce() -> Fut,
    ) -> Result<CachedStream, E>
    where
        Fut: Future<Output = Result<S, E>>,
        S: Stream<Item = Result<Event, Error>> + Send + Unpin + 'static,
    {
        if let Some(events) = self.stored_events(key).await {
            return Ok(CachedStream {
                source: Source::Stored,
                events: stream::iter(events).map(Ok).boxed(),
            });
        }
        let recorder = Recorder {
            stream: open().await?,
            seen: Recording::default(),
            key: *key,
            cache: self.clone(),
        };
        let events = stream::unfold(recorder, |mut recorder| async {
            let item = recorder.next().await?;
            Some((item, recorder))
        });
        Ok(CachedStream {
            source: Source::Called,
            // Fused, since an `unfold` that is asked again after its end panics.
            events: events.fuse().boxed(),
        })
    }

    async fn stored_events(&self, key: &Key) -> Option<Vec<Event>> {
        let asked = self.0.may_get()?;
        let got = self.0.store.get(key).await;
        self.0.found(asked, got, entry::events)
    }
}

/// A stream that is being answered, or replayed: a stream of the same events.
pub struct CachedStream {
    /// Where it comes from.
    pub source: Source,
    events: BoxStream<'static, Result<Event, Error>>,
}

impl Stream for CachedStream {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(cx)
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

impl<S: Stream<Item = Result<Event, Error>> + Unpin> Recorder<S> {
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        let item = self.stream.next().await?;
        if let Ok(event) = &item {
            self.seen.push(event);
            // Kept before the end is handed out: a reader that has seen the end asks for no more.
            if let Event::End(_) = event {
                self.keep().await;
            }
        }
        Some(item)
    }

    async fn keep(&mut self) {
        let shared = &self.cache.0;
        // What may be kept comes first: who may try a store in trouble should have something for it.
        if let Some(entry) = self.seen.entry()
            && let Some(asked) = shared.may_put()
        {
            let put = shared.store.put(&self.key, entry, shared.lifetime()).await;
            shared.kept(asked, put);
        }
    }
}
