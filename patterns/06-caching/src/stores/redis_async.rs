//! Answers in Redis, awaited.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, RedisError};
use tokio::sync::OnceCell;

use super::redis_sync::{get, put};
use super::{AsyncStore, PATIENCE};
use crate::key::Key;
use crate::trouble::Trouble;

pub(crate) struct Redis {
    url: String,
    /// One connection for all tasks, which opens itself again. Made when first needed.
    manager: OnceCell<ConnectionManager>,
}

impl Redis {
    pub(crate) fn new(url: String) -> Redis {
        Redis {
            url,
            manager: OnceCell::new(),
        }
    }

    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Trouble> {
        let twice = async {
            match self.run_once(command).await {
                // It notices that its connection is gone only when it uses it, and opens another in
                // the background: that gets a try. A Redis that was silent is not asked again.
                Err(error) if !error.is_timeout() => self.run_once(command).await,
                done => done,
            }
        };
        // Around all of it, since commands also wait for room in the connection's queue.
        match tokio::time::timeout(2 * PATIENCE, twice).await {
            Ok(done) => done.map_err(Trouble::unavailable),
            Err(_) => Err(Trouble::unavailable("Redis does not answer")),
        }
    }

    async fn run_once<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let manager = self.manager.get_or_try_init(|| async {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(PATIENCE))
                .set_response_timeout(Some(PATIENCE))
                // A try a command. By default it would try six times more, for some seconds.
                .set_number_of_retries(0);
            ConnectionManager::new_lazy_with_config(Client::open(self.url.as_str())?, config)
        });
        command.query_async(&mut manager.await?.clone()).await
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
