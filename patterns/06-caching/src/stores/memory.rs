//! Answers in this process: moka, bounded by weight, each with an end of its own.

use std::future::ready;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use moka::Expiry;
use moka::sync::Cache;

use super::{AsyncStore, Store};
use crate::key::Key;
use crate::trouble::Trouble;

/// The most bytes all answers together may have. What is used least makes room.
const CAPACITY: u64 = 64 << 20;

pub(crate) struct Memory(Cache<Key, (Bytes, Duration)>);

/// Moka has one lifetime for all entries, or this.
struct OwnLifetime;

impl Expiry<Key, (Bytes, Duration)> for OwnLifetime {
    fn expire_after_create(
        &self,
        _: &Key,
        (_, lifetime): &(Bytes, Duration),
        _: Instant,
    ) -> Option<Duration> {
        Some(*lifetime)
    }

    fn expire_after_update(
        &self,
        key: &Key,
        value: &(Bytes, Duration),
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, value, now)
    }
}

impl Memory {
    pub(crate) fn new() -> Memory {
        let weight = |_: &Key, (bytes, _): &(Bytes, Duration)| {
            let all = bytes.len() + size_of::<(Key, Bytes, Duration)>();
            u32::try_from(all).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            .weigher(weight)
            .expire_after(OwnLifetime);
        Memory(cache.build())
    }
}

impl Store for Memory {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, Trouble> {
        Ok(self.0.get(key).map(|(bytes, _)| bytes))
    }

    fn put(&self, key: &Key, value: Bytes, lifetime: Duration) -> Result<(), Trouble> {
        self.0.insert(*key, (value, lifetime));
        Ok(())
    }
}

/// The same: nothing is waited for in memory.
impl AsyncStore for Memory {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Bytes>, Trouble>> {
        Box::pin(ready(Store::get(self, key)))
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        value: Bytes,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(ready(Store::put(self, key, value, lifetime)))
    }
}
