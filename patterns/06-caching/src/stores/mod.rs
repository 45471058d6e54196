//! Where answers are kept.

mod disk;
mod memory;
mod redis_async;
mod redis_sync;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::key::Key;
use crate::trouble::Trouble;

use disk::Disk;
use memory::Memory;

/// Keeps bytes, and may lose them: bytes in, bytes out. Write your own, and give it to
/// [`Cache::new`](crate::Cache::new).
///
/// The cache waits for it as long as it takes. One that may hang needs a time limit of its own, as the
/// one for Redis has, and then says [`Trouble::Unavailable`].
pub trait Store: Send + Sync + 'static {
    /// What was put there, unless its lifetime is over.
    ///
    /// # Errors
    /// When nobody knows. The cache then asks the service.
    fn get(&self, key: &Key) -> Result<Option<Bytes>, Trouble>;

    /// Puts a value there, in place of an earlier one.
    ///
    /// # Errors
    /// When it is not there now.
    fn put(&self, key: &Key, value: Bytes, lifetime: Duration) -> Result<(), Trouble>;
}

/// A store that is shared with somebody else.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, Trouble> {
        (**self).get(key)
    }

    fn put(&self, key: &Key, value: Bytes, lifetime: Duration) -> Result<(), Trouble> {
        (**self).put(key, value, lifetime)
    }
}

/// As [`Store`], awaited. For [`AsyncCache::new`](crate::AsyncCache::new).
pub trait AsyncStore: Send + Sync + 'static {
    /// See [`Store::get`].
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Bytes>, Trouble>>;

    /// See [`Store::put`].
    fn put<'a>(
        &'a self,
        key: &'a Key,
        value: Bytes,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), Trouble>>;
}

/// Where answers are kept. Read from `memory`, `disk`, `disk:FILE` or `redis://HOST`.
///
/// ```
/// use caching::Place;
///
/// assert_eq!("disk:answers.redb".parse(), Ok(Place::Disk("answers.redb".into())));
/// let error = "floppy".parse::<Place>().unwrap_err();
/// assert!(error.starts_with("\"floppy\" is no place for a cache: write memory, disk"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// In this process, and gone with it. At most 64 MiB.
    Memory,
    /// In this file, for one process at a time. It grows with what is asked in one lifetime.
    Disk(PathBuf),
    /// In the Redis server at this URL, for all who reach it. Each use waits for half a second at most
    /// to connect, and as long for the answer.
    ///
    /// Blocking, that is half a second for each address the host's name has, and looking the name up
    /// takes as long as the system lets it: where that may hang, write an address.
    Redis(String),
}

/// The file of `disk`, in the current directory: there its owner sees it, and can remove it.
const FILE: &str = "ai-cache.redb";

/// The longest wait for Redis, for a connection and for an answer each. It answers in less than a
/// millisecond, and a call to the service is the way out.
const PATIENCE: Duration = Duration::from_millis(500);

impl Place {
    /// Opens a store for callers that block. What is wrong with the place shows at its first use, as
    /// a [`Trouble`].
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Place::Memory => Arc::new(Memory::new()),
            Place::Disk(path) => Arc::new(Disk::new(path.clone())),
            Place::Redis(url) => Arc::new(redis_sync::Redis::new(url.clone())),
        }
    }

    /// Opens a store for callers that await.
    pub fn async_store(&self) -> Arc<dyn AsyncStore> {
        match self {
            Place::Memory => Arc::new(Memory::new()),
            Place::Disk(path) => Arc::new(Blocking(Arc::new(Disk::new(path.clone())))),
            Place::Redis(url) => Arc::new(redis_async::Redis::new(url.clone())),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Place::Memory),
            None if text == "disk" => Ok(Place::Disk(FILE.into())),
            Some(("disk", path)) if !path.is_empty() => Ok(Place::Disk(path.into())),
            Some(("redis", _)) => match redis::Client::open(text) {
                Ok(_) => Ok(Place::Redis(text.to_owned())),
                // The URL is not quoted: there may be a password in it.
                Err(error) => Err(format!("this is no URL of a Redis server: {error}")),
            },
            Some(("rediss", _)) => {
                Err("this build speaks to Redis without TLS only: write redis://HOST".to_owned())
            }
            _ => Err(format!(
                "{text:?} is no place for a cache: write memory, disk, disk:FILE or redis://HOST"
            )),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Memory => f.write_str("memory"),
            Place::Disk(path) => write!(f, "disk, file {}", path.display()),
            // Without its user and password.
            Place::Redis(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
                let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                write!(f, "{scheme}://{host}")
            }
        }
    }
}

/// As it is displayed: a URL may hold a password.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A store that blocks, for callers that await: each use takes a thread of tokio's pool for that.
struct Blocking<S>(Arc<S>);

impl<S: Store> Blocking<S> {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let store = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|panic| Err(Trouble::unavailable(panic)))
    }
}

impl<S: Store> AsyncStore for Blocking<S> {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Bytes>, Trouble>> {
        let key = *key;
        Box::pin(self.run(move |store| store.get(&key)))
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        value: Bytes,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        let key = *key;
        Box::pin(self.run(move |store| store.put(&key, value, lifetime)))
    }
}
