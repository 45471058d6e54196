//! What both versions of the cache have, and do without waiting.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ai_core::Config;
use bytes::Bytes;

use crate::flight::Flights;
use crate::key::{Scope, lifetime};
use crate::trouble::{Asked, Trouble, Use, Watch};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A store, and what stands around it. A clone shares all of it.
pub(crate) struct Shared<S: ?Sized> {
    pub(crate) store: Arc<S>,
    pub(crate) flights: Arc<Flights>,
    watch: Watch,
    pub(crate) scope: Option<Scope>,
    ttl: Duration,
    started: Instant,
}

impl<S: ?Sized> Shared<S> {
    pub(crate) fn new(store: Arc<S>, ttl: Duration) -> Shared<S> {
        Shared {
            store,
            flights: Arc::default(),
            watch: Watch::default(),
            scope: None,
            // Redis takes no `Duration::MAX`, which is how people write "for ever".
            ttl: ttl.min(YEAR),
            started: Instant::now(),
        }
    }

    pub(crate) fn warn_by(&mut self, warn: impl Fn(&Trouble) + Send + Sync + 'static) {
        self.watch.warn = Arc::new(warn);
    }

    /// Whose answers the lessons look for.
    pub(crate) fn scope(&self, config: &Config) -> Scope {
        self.scope.clone().unwrap_or_else(|| Scope::of(config))
    }

    /// Whether to look into the store now.
    pub(crate) fn may_get(&self) -> Option<Asked> {
        self.watch.may(Use::Get, self.started.elapsed())
    }

    /// Whether to put something into it now.
    pub(crate) fn may_put(&self) -> Option<Asked> {
        self.watch.may(Use::Put, self.started.elapsed())
    }

    /// What the store has found, decoded. Trouble is noted, and then nothing was found.
    pub(crate) fn found<T>(
        &self,
        asked: Asked,
        got: Result<Option<Bytes>, Trouble>,
        decode: impl FnOnce(&Bytes) -> Result<T, Trouble>,
    ) -> Option<T> {
        let decoded = got.and_then(|bytes| bytes.as_ref().map(decode).transpose());
        self.watch.note(asked, self.started.elapsed(), decoded)
    }

    /// Takes note of how putting something into the store went.
    pub(crate) fn kept(&self, asked: Asked, put: Result<(), Trouble>) {
        let found = put.map(|()| None::<()>);
        self.watch.note(asked, self.started.elapsed(), found);
    }

    /// How long the next entry is kept.
    pub(crate) fn lifetime(&self) -> Duration {
        lifetime(self.ttl, rand::random())
    }
}

// By hand: a derived one would want a store that can be cloned.
impl<S: ?Sized> Clone for Shared<S> {
    fn clone(&self) -> Shared<S> {
        Shared {
            store: self.store.clone(),
            flights: self.flights.clone(),
            watch: self.watch.clone(),
            scope: self.scope.clone(),
            ttl: self.ttl,
            started: self.started,
        }
    }
}

impl<S: ?Sized> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("ttl", &self.ttl)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
