//! Vectors, text by text: only those are asked for that nobody has asked for before.
//!
//! Both versions stand here, above the plan they share. There is no single flight: two callers that each
//! wait in several flights can wait for one another for ever. So two that miss the same text at one time
//! both pay for it. And each vector is put by itself: a file takes some milliseconds for each.

use std::collections::HashMap;

use ai_core::{AsyncClient, EmbeddingRequest, EmbeddingResponse, Error, Reply, SyncClient, Usage};
use bytes::Bytes;

use crate::r#async::Cache as AsyncCache;
use crate::entry;
use crate::key::{Key, Scope, to_value};
use crate::sync::Cache;

/// The vectors of some texts, of the default embedding model.
///
/// # Errors
/// Those of the client. Nothing is sent where all vectors are known.
pub fn embed(client: &SyncClient, cache: &Cache, texts: &[&str]) -> Result<Embedded, Error> {
    let request = EmbeddingRequest::new(&client.config().embedding_model, texts.iter().copied());
    let keys = embedding_keys(&request, &cache.scope(client.config()));
    cache.embed(&keys, request, |request| client.embed(&request))
}

/// As [`embed`], awaited.
///
/// # Errors
/// Those of the client. Nothing is sent where all vectors are known.
pub async fn embed_async(
    client: &AsyncClient,
    cache: &AsyncCache,
    texts: &[&str],
) -> Result<Embedded, Error> {
    let request = EmbeddingRequest::new(&client.config().embedding_model, texts.iter().copied());
    let keys = embedding_keys(&request, &cache.scope(client.config()));
    let call = async |request| client.embed(&request).await;
    cache.embed(&keys, request, call).await
}

/// The vectors of some texts, and what they cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// A vector a text, in their order.
    pub embeddings: Vec<Vec<f32>>,
    /// How many texts were asked for: those that were not known, each once.
    pub asked: usize,
    /// The tokens that cost; `None` where the server does not tell. What the others would have cost
    /// is unknown: a server counts a request, not its texts.
    pub usage: Option<Usage>,
}

impl Cache {
    /// The vectors under these keys, one a text of the request. `call` is given the request for what
    /// is missing.
    ///
    /// # Errors
    /// Those of `call`. The store's never.
    ///
    /// # Panics
    /// If there is not one key a text, or `call` gives back fewer vectors than texts.
    pub fn embed<E>(
        &self,
        keys: &[Key],
        request: EmbeddingRequest,
        call: impl FnOnce(EmbeddingRequest) -> Result<Reply<EmbeddingResponse>, E>,
    ) -> Result<Embedded, E> {
        let mut plan = Plan::new(keys, request);
        for key in plan.keys() {
            if let Some(asked) = self.0.may_get() {
                let got = self.0.store.get(&key);
                plan.found(key, self.0.found(asked, got, entry::vector));
            }
        }
        if let Some(missing) = plan.missing() {
            for (key, entry) in plan.answered(call(missing)?) {
                if let Some(asked) = self.0.may_put() {
                    let put = self.0.store.put(&key, entry, self.0.lifetime());
                    self.0.kept(asked, put);
                }
            }
        }
        Ok(plan.done())
    }
}

impl AsyncCache {
    /// The vectors under these keys, one a text of the request. `call` is given the request for what
    /// is missing.
    ///
    /// # Errors
    /// Those of `call`. The store's never.
    ///
    /// # Panics
    /// If there is not one key a text, or `call` gives back fewer vectors than texts.
    pub async fn embed<E, Fut>(
        &self,
        keys: &[Key],
        request: EmbeddingRequest,
        call: impl FnOnce(EmbeddingRequest) -> Fut,
    ) -> Result<Embedded, E>
    where
        Fut: Future<Output = Result<Reply<EmbeddingResponse>, E>>,
    {
        let mut plan = Plan::new(keys, request);
        for key in plan.keys() {
            if let Some(asked) = self.0.may_get() {
                let got = self.0.store.get(&key).await;
                plan.found(key, self.0.found(asked, got, entry::vector));
            }
        }
        if let Some(missing) = plan.missing() {
            for (key, entry) in plan.answered(call(missing).await?) {
                if let Some(asked) = self.0.may_put() {
                    let put = self.0.store.put(&key, entry, self.0.lifetime()).await;
                    self.0.kept(asked, put);
                }
            }
        }
        Ok(plan.done())
    }
}

/// The keys of the vectors, one a text, whichever texts are asked for together with it.
///
/// Left out is `encoding_format`: it is a matter of transport.
pub fn embedding_keys(request: &EmbeddingRequest, scope: &Scope) -> Vec<Key> {
    let texts = request.input.iter();
    let mut one = EmbeddingRequest {
        input: Vec::new(),
        encoding_format: None,
        ..request.clone()
    };
    let key = |text: &String| {
        one.input = vec![text.clone()];
        Key::of("embedding", scope, to_value(&one))
    };
    texts.map(key).collect()
}

/// Which texts are known and which are to be asked for: pure.
struct Plan<'a> {
    keys: &'a [Key],
    request: EmbeddingRequest,
    vectors: HashMap<Key, Vec<f32>>,
    /// The keys that are asked for, in the order of that request.
    asked: Vec<Key>,
    usage: Option<Usage>,
}

impl<'a> Plan<'a> {
    fn new(keys: &'a [Key], request: EmbeddingRequest) -> Plan<'a> {
        assert_eq!(keys.len(), request.input.len(), "there is one key a text");
        Plan {
            keys,
            request,
            vectors: HashMap::new(),
            asked: Vec::new(),
            // Nothing asked for costs nothing, and that is known.
            usage: Some(Usage::default()),
        }
    }

    /// Each key once, however often its text is there.
    fn keys(&self) -> Vec<Key> {
        let mut once = self.keys.to_vec();
        let mut seen = std::collections::HashSet::new();
        once.retain(|key| seen.insert(*key));
        once
    }

    fn found(&mut self, key: Key, vector: Option<Vec<f32>>) {
        self.vectors.extend(vector.map(|vector| (key, vector)));
    }

    /// The request for the texts that are not known; `None` where all are.
    fn missing(&mut self) -> Option<EmbeddingRequest> {
        let texts = self.keys.iter().zip(&self.request.input);
        let by_key: HashMap<_, _> = texts.collect();
        self.asked = self.keys();
        self.asked.retain(|key| !self.vectors.contains_key(key));
        let input: Vec<String> = self.asked.iter().map(|key| by_key[key].clone()).collect();
        // Without any text the client is asked, too: it says what is wrong with that.
        (!input.is_empty() || self.keys.is_empty()).then(|| EmbeddingRequest {
            input,
            ..self.request.clone()
        })
    }

    /// Takes the answer, and tells what is to be kept of it.
    fn answered(&mut self, reply: Reply<EmbeddingResponse>) -> Vec<(Key, Bytes)> {
        self.usage = reply.value.usage;
        let vectors = reply.value.embeddings;
        let new: Vec<_> = self.asked.iter().copied().zip(vectors).collect();
        let entries = new.iter().map(|(key, v)| (*key, entry::of_vector(v)));
        let entries = entries.collect();
        self.vectors.extend(new);
        entries
    }

    fn done(self) -> Embedded {
        let embeddings = self.keys.iter().map(|key| self.vectors[key].clone());
        Embedded {
            embeddings: embeddings.collect(),
            asked: self.asked.len(),
            usage: self.usage,
        }
    }
}
