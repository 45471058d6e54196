//! The cache, awaited. Diff this file with `sync.rs`: only the waiting differs.

use ai_core::{AsyncClient, ChatResponse, Error, Reply};
use tokio::sync::OnceCell;

use crate::answer::{Answer, Cached, Source, request};
use crate::entry;
use crate::key::{Key, chat_key, may_keep};
use crate::shared::Shared;
use crate::stores::AsyncStore;

/// Asks the default model one thing, unless it was asked before.
///
/// # Errors
/// Those of the client, and [`Error::Unfinished`] for an answer that is not whole.
pub async fn generate_text(
    client: &AsyncClient,
    cache: &Cache,
    prompt: &str,
) -> Result<Answer, Error> {
    let request = request(client.config(), prompt);
    let key = chat_key(&request, &cache.scope(client.config()));
    let cached = cache.chat(&key, || client.chat(&request)).await?;
    Answer::new(cached, client.config())
}

/// Answers kept for all callers that ask the same. A clone shares them; so do tasks that share one
/// cache.
#[derive(Debug, Clone)]
pub struct Cache(pub(crate) Shared<dyn AsyncStore>);

impl Cache {
    /// The answer under this key: from the store, from the caller that is asking for it, or from `call`.
    ///
    /// A caller that is dropped while it calls leaves the call to the next one in line. One that is
    /// neither dropped nor polled keeps the others waiting.
    ///
    /// `call` must not ask this cache for the same key: it would wait for itself. A caller that waits is
    /// bound by the time limits of the one that calls, and not by its own.
    ///
    /// # Errors
    /// That of the one `call` that was made, for all callers that have waited for it. The store's never.
    pub async fn chat<E: Clone + Send + Sync + 'static, Fut>(
        &self,
        key: &Key,
        call: impl FnOnce() -> Fut,
    ) -> Result<Cached<ChatResponse>, E>
    where
        Fut: Future<Output = Result<Reply<ChatResponse>, E>>,
    {
        let mut flight = self.0.flights.join::<OnceCell<_>>(key);
        let mut source = Source::Shared;
        let ask = || async {
            // Looked up within the flight, not before it: a caller that has missed what the last
            // flight was about to store would call a second time.
            if let Some(stored) = self.stored(key).await {
                source = Source::Stored;
                return Ok(stored);
            }
            source = Source::Called;
            call().await.map(Cached::called)
        };
        let result = flight.get_or_init(ask).await.clone();
        // The others have it now, and need not wait for the store. But the flight ends after that:
        // sooner, the next caller would find the answer in neither.
        flight.lands = source != Source::Shared;
        if let (Source::Called, Ok(answer)) = (source, &result) {
            self.keep(key, answer).await;
        }
        result.map(|cached| cached.seen_from(source))
    }

    async fn stored(&self, key: &Key) -> Option<Cached<ChatResponse>> {
        let asked = self.0.may_get()?;
        let got = self.0.store.get(key).await;
        let (value, body) = self.0.found(asked, got, entry::chat)?;
        Some(Cached::stored(value, body))
    }

    async fn keep(&self, key: &Key, answer: &Cached<ChatResponse>) {
        let shared = &self.0;
        if may_keep(&answer.value)
            && let Some(asked) = shared.may_put()
        {
            let entry = entry::of_chat(&answer.body);
            let put = shared.store.put(key, entry, shared.lifetime()).await;
            shared.kept(asked, put);
        }
    }
}
