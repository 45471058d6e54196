//! Answers in Redis, blocking.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redis::{Client, Cmd, Connection, FromRedisValue, RedisError};

use super::{PATIENCE, Store};
use crate::key::Key;
use crate::trouble::Trouble;

/// How many connections are kept. More are opened while more threads want one at a time.
const KEPT: usize = 16;

pub(crate) struct Redis {
    url: String,
    /// Connections nobody uses at the moment. The lock is never held while Redis is waited for: not
    /// one connection behind it, or a server that hangs would keep a hundred threads in line, half a
    /// second each.
    idle: Mutex<Vec<Connection>>,
}

impl Redis {
    pub(crate) fn new(url: String) -> Redis {
        Redis {
            url,
            idle: Mutex::new(Vec::new()),
        }
    }

    fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Trouble> {
        let kept = self.idle().pop();
        if let Some(kept) = kept {
            match self.run_on(kept, command) {
                // Redis closes what was idle for long, and all when it stops: then a new connection
                // gets a try. A Redis that was silent is not asked again.
                Err(error) if is_broken(&error) => {
                    // What has happened to this one has happened to the others, too. Found out one by
                    // one, each would cost half a second and a pause.
                    self.idle().clear();
                    if error.is_timeout() {
                        return Err(trouble(error));
                    }
                }
                done => return done.map_err(trouble),
            }
        }
        let fresh = self.connect();
        fresh
            .and_then(|fresh| self.run_on(fresh, command))
            .map_err(trouble)
    }

    fn run_on<T: FromRedisValue>(
        &self,
        mut connection: Connection,
        command: &Cmd,
    ) -> Result<T, RedisError> {
        let done = command.query(&mut connection);
        let mut idle = self.idle();
        if idle.len() < KEPT && !done.as_ref().is_err_and(is_broken) {
            idle.push(connection);
        }
        done
    }

    fn connect(&self) -> Result<Connection, RedisError> {
        let client = Client::open(self.url.as_str())?;
        let connection = client.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Redis {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, Trouble> {
        let found: Option<Vec<u8>> = self.run(&get(key))?;
        Ok(found.map(Bytes::from))
    }

    fn put(&self, key: &Key, value: Bytes, lifetime: Duration) -> Result<(), Trouble> {
        self.run(&put(key, &value, lifetime))
    }
}

pub(super) fn get(key: &Key) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(key.to_string());
    command
}

/// SET with an end of its own, in milliseconds: SETEX counts seconds, and refuses less than one.
pub(super) fn put(key: &Key, value: &Bytes, lifetime: Duration) -> Cmd {
    let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    let mut command = redis::cmd("SET");
    command.arg(key.to_string()).arg(&value[..]);
    command.arg("PX").arg(lifetime.max(1));
    command
}

/// Whether the connection is of no use after this: not where Redis has answered that it won't.
pub(super) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

pub(super) fn trouble(error: RedisError) -> Trouble {
    match error.code() {
        // The next SET will put it right.
        Some("WRONGTYPE") => Trouble::Garbage("a value of another type".to_owned()),
        // The system's words would be "Resource temporarily unavailable".
        _ if error.is_timeout() => Trouble::unavailable("Redis does not answer"),
        _ => Trouble::unavailable(error),
    }
}
