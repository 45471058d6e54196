//! Waiting for one's turn: check and take in one step, and check again after the wait.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets callers through as the limit allows. Share it by reference.
#[derive(Debug)]
pub struct Limiter {
    start: Instant,
    window: Mutex<Window>,
}

impl Limiter {
    /// Lets at most so many through in any window of this length.
    pub fn new(requests: usize, length: Duration) -> Limiter {
        Limiter {
            start: Instant::now(),
            window: Mutex::new(Window {
                requests,
                length,
                taken: VecDeque::new(),
            }),
        }
    }

    /// Comes back when the caller may go.
    pub async fn acquire(&self) {
        // TODO: take a slot, or wait as long as the window says. What may have happened meanwhile?
        todo!("{:?} of {:?}", self.now(), self.window())
    }

    /// The time since it was made.
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        // Nothing that is done under the lock leaves anything half done.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At most so many in any window of this length. Exercise 03.01 knows of answers; this one counts
/// what was let through.
#[derive(Debug)]
pub struct Window {
    requests: usize,
    length: Duration,
    taken: VecDeque<Duration>,
}

impl Window {
    /// Takes a slot, or says how long to wait before it is worth asking again.
    ///
    /// # Errors
    /// The time until the next slot is free.
    pub fn try_take(&mut self, now: Duration) -> Result<(), Duration> {
        while self
            .taken
            .front()
            .is_some_and(|time| *time + self.length <= now)
        {
            self.taken.pop_front();
        }
        if self.taken.len() >= self.requests {
            return Err(self.taken[0] + self.length - now);
        }
        self.taken.push_back(now);
        Ok(())
    }
}
