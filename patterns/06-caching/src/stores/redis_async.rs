//! Answers in Redis, awaited.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, RedisError};

use super::redis_sync::{get, is_broken, put, trouble};
use super::{AsyncStore, PATIENCE};
use crate::key::Key;
use crate::trouble::Trouble;

pub(crate) struct Redis {
    url: String,
    /// One connection for all tasks, which opens itself again. Made when first needed, and anew after
    /// a silence.
    manager: Mutex<Option<ConnectionManager>>,
}

impl Redis {
    pub(crate) fn new(url: String) -> Redis {
        Redis {
            url,
            manager: Mutex::new(None),
        }
    }

    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Trouble> {
        let twice = async {
            match self.run_once(command).await {
                // It notices that its connection is gone only when it uses it, and opens another in
                // the background: that gets a try. A Redis that was silent is not asked again.
                Err(error) if is_broken(&error) && !error.is_timeout() => {
                    self.run_once(command).await
                }
                done => done,
            }
        };
        // Around all of it, since commands also wait for room in the connection's queue.
        let done = tokio::time::timeout(2 * PATIENCE, twice).await;
        let done = done.unwrap_or_else(|late| Err(io::Error::from(late).into()));
        // To its manager a connection that says nothing is open until the system gives it up, in a
        // quarter of an hour: its cable was cut, or another machine has taken over. The next use makes
        // another.
        if done.as_ref().is_err_and(RedisError::is_timeout) {
            *self.manager() = None;
        }
        done.map_err(trouble)
    }

    async fn run_once<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        command.query_async(&mut self.connection()?).await
    }

    fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let mut manager = self.manager();
        if let Some(manager) = &*manager {
            return Ok(manager.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            // A try a command. By default it would try six times more, for some seconds.
            .set_number_of_retries(0);
        let client = Client::open(self.url.as_str())?;
        let new = ConnectionManager::new_lazy_with_config(client, config)?;
        Ok(manager.insert(new).clone())
    }

    fn manager(&self) -> MutexGuard<'_, Option<ConnectionManager>> {
        self.manager.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncStore for Redis {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Bytes>, Trouble>> {
        Box::pin(async move {
            let found: Option<Vec<u8>> = self.run(&get(key)).await?;
            Ok(found.map(Bytes::from))
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        value: Bytes,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move { self.run(&put(key, &value, lifetime)).await })
    }
}
