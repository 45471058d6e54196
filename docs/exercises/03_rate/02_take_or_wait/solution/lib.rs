//! The solution of 03.02: the loop of pattern 3's limiter, without its queue.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

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
        loop {
            // Checked and taken under one lock, which is given back before the wait: between two
            // locks another one could take what was seen to be free.
            let wait = match self.window().try_take(self.now()) {
                Ok(()) => return,
                Err(wait) => wait,
            };
            // All who wait here wake at the same time, and there may be one slot for them. So the
            // end of the wait is no right to go; it is time to ask again.
            sleep(wait).await;
        }
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
