//! How a cache is opened and set up, in either version.

use std::sync::Arc;
use std::time::Duration;

use ai_core::Config;

use crate::r#async::Cache as AsyncCache;
use crate::key::Scope;
use crate::shared::Shared;
use crate::stores::{AsyncStore, Place, Store};
use crate::sync::Cache;
use crate::trouble::Trouble;

impl Cache {
    /// Opens a cache that keeps answers for `ttl`, a year at most. It can't fail: where the place is
    /// of no use everything is a miss, and [`on_trouble`](Self::on_trouble) says why.
    pub fn open(place: &Place, ttl: Duration) -> Cache {
        Cache(Shared::new(place.store(), ttl))
    }

    /// A cache with a store of your own.
    pub fn new(store: impl Store, ttl: Duration) -> Cache {
        Cache(Shared::new(Arc::new(store), ttl))
    }

    /// Calls `warn` once for each run of trouble with the store. Without it `tracing` is told.
    ///
    /// It is called while a caller is being answered. It may ask the cache, but not for the same key: it
    /// would wait for itself.
    pub fn on_trouble(mut self, warn: impl Fn(&Trouble) + Send + Sync + 'static) -> Self {
        self.0.warn_by(warn);
        self
    }

    /// Lets the lessons keep their answers for this scope, and not for that of the client.
    pub fn within(mut self, scope: Scope) -> Self {
        self.0.scope = Some(scope);
        self
    }

    /// The scope of the lessons' answers.
    pub fn scope(&self, config: &Config) -> Scope {
        self.0.scope(config)
    }

    /// How many callers are being answered now, those that wait for another's answer included.
    pub fn callers(&self) -> usize {
        self.0.flights.callers()
    }
}

impl AsyncCache {
    /// Opens a cache that keeps answers for `ttl`, a year at most. It can't fail: where the place is
    /// of no use everything is a miss, and [`on_trouble`](Self::on_trouble) says why.
    pub fn open(place: &Place, ttl: Duration) -> AsyncCache {
        AsyncCache(Shared::new(place.async_store(), ttl))
    }

    /// A cache with a store of your own.
    pub fn new(store: impl AsyncStore, ttl: Duration) -> AsyncCache {
        AsyncCache(Shared::new(Arc::new(store), ttl))
    }

    /// Calls `warn` once for each run of trouble with the store. Without it `tracing` is told.
    ///
    /// It is called while a caller is being answered. It may ask the cache, but not for the same key: it
    /// would wait for itself.
    pub fn on_trouble(mut self, warn: impl Fn(&Trouble) + Send + Sync + 'static) -> Self {
        self.0.warn_by(warn);
        self
    }

    /// Lets the lessons keep their answers for this scope, and not for that of the client.
    pub fn within(mut self, scope: Scope) -> Self {
        self.0.scope = Some(scope);
        self
    }

    /// The scope of the lessons' answers.
    pub fn scope(&self, config: &Config) -> Scope {
        self.0.scope(config)
    }

    /// How many callers are being answered now, those that wait for another's answer included.
    pub fn callers(&self) -> usize {
        self.0.flights.callers()
    }
}
