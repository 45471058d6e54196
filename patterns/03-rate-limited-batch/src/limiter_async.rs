//! Waiting for one's turn, awaited. Diff this file with `limiter_sync.rs`: only the waiting differs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::{self, StreamExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::batch::in_order;
use crate::feedback::Feedback;
use crate::limits::{AcquireError, Limits};
use crate::window::{Admission, Ticket, Window};

/// Lets callers through one after another, as the limits allow. Share it by reference.
#[derive(Debug)]
pub struct Limiter {
    pub(crate) limits: Limits,
    start: Instant,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    window: Window,
    /// A bell for each caller that waits, so that a call that ends wakes one and not all.
    bells: BTreeMap<Ticket, Arc<Notify>>,
}

impl Limiter {
    /// A limiter of which nothing has been used.
    pub fn new(limits: Limits) -> Limiter {
        let (window, bells) = (Window::new(limits), BTreeMap::new());
        let queue = Mutex::new(Queue { window, bells });
        let start = Instant::now();
        Limiter {
            limits,
            start,
            queue,
        }
    }

    /// The time since it was made.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits for a permit for a request that costs at most so many tokens.
    ///
    /// # Errors
    /// When it never fits, which is known at once, and when the limiter is closed.
    pub async fn acquire(&self, tokens: u64) -> Result<Permit<'_>, AcquireError> {
        self.acquire_until(tokens, None).await
    }

    /// As [`acquire`](Self::acquire), but waits for so long at most.
    ///
    /// # Errors
    /// As for `acquire`, and when there is no permit in time.
    pub async fn acquire_within(
        &self,
        tokens: u64,
        limit: Duration,
    ) -> Result<Permit<'_>, AcquireError> {
        // A limit that is later than time can count is none.
        self.acquire_until(tokens, self.now().checked_add(limit))
            .await
    }

    async fn acquire_until(
        &self,
        tokens: u64,
        deadline: Option<Duration>,
    ) -> Result<Permit<'_>, AcquireError> {
        let bell = Arc::new(Notify::new());
        let ticket = {
            let mut queue = lock(&self.queue);
            let ticket = queue.window.enter(tokens)?;
            queue.bells.insert(ticket, bell.clone());
            ticket
        };
        // The request is in the queue now. This value makes it leave, whatever happens.
        let limiter = self;
        let permit = Permit { limiter, ticket };
        loop {
            let (admission, now) = self.poll(ticket);
            let wake = match admission {
                Admission::Go => return Ok(permit),
                Admission::Closed => return Err(AcquireError::Closed),
                _ if deadline.is_some_and(|deadline| deadline <= now) => {
                    return Err(AcquireError::Elapsed);
                }
                Admission::WaitUntil(time) => {
                    Some(deadline.map_or(time, |deadline| time.min(deadline)))
                }
                Admission::Wait => deadline,
            };
            match wake {
                // Elapsed or rung: either way it is time to ask again.
                Some(time) => drop(timeout(time - now, bell.notified()).await),
                // No timer for a caller behind the head: only the head waits for a time.
                None => bell.notified().await,
            }
        }
    }

    /// Lets no request go any more. Callers that wait are told so at once; calls under way go on.
    pub fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.window.close();
        for bell in queue.bells.values() {
            bell.notify_one();
        }
    }

    /// Does pieces of work that each need a permit, and returns what they made in their order. (That
    /// is pattern 2: the limiter adds nothing but how many are done at one time.)
    pub(crate) async fn share_out<T>(
        &self,
        count: usize,
        work: impl Fn(usize) -> T,
    ) -> Vec<T::Output>
    where
        T: Future,
    {
        // No more workers than may be under way: one more could do nothing but wait.
        let workers = self.limits.concurrency.get();
        let work = |index| work(index).map(move |made| (index, made));
        // In the order of arrival: `buffered` would let a slow answer hold up those behind it.
        let arrivals = stream::iter(0..count).map(work).buffer_unordered(workers);
        in_order(arrivals.collect().await)
    }

    /// Asks whether it is this ticket's turn, and says at what time it asked.
    fn poll(&self, ticket: Ticket) -> (Admission, Duration) {
        let mut queue = lock(&self.queue);
        // Read under the lock, here and below: the window must not see the time go backwards.
        let now = self.now();
        let admission = queue.window.poll(ticket, now);
        if admission == Admission::Go {
            queue.bells.remove(&ticket);
            self.ring(queue);
        }
        (admission, now)
    }

    /// Wakes the caller that is first in the queue now, if there is anything to wake up for.
    fn ring(&self, mut queue: MutexGuard<'_, Queue>) {
        if queue.window.head_may_go_sooner(self.now())
            && let Some((_, bell)) = queue.bells.first_key_value()
        {
            bell.notify_one();
        }
    }
}

/// The right to send one request. Dropped, the request counts as ended now.
#[derive(Debug)]
pub struct Permit<'a> {
    limiter: &'a Limiter,
    ticket: Ticket,
}

impl Permit<'_> {
    /// The answer has begun, so the server has counted the request. A caller that reads a stream
    /// says so at its head, and the slot expires the sooner.
    pub fn seen(&self) {
        let mut queue = lock(&self.limiter.queue);
        queue.window.seen(self.ticket, self.limiter.now());
        self.limiter.ring(queue);
    }

    /// Says how the call ended. The limiter learns from it.
    pub fn finish(self, feedback: &Feedback) {
        let window = &mut lock(&self.limiter.queue).window;
        window.finished(self.ticket, feedback, self.limiter.now());
    }

    /// Not a byte of the request was sent. That gives back at once all that it took, but for its
    /// time by the pace, and wakes the next caller.
    pub fn unsent(self) {
        // Then `self` is dropped, and that wakes the next caller.
        lock(&self.limiter.queue).window.unsent(self.ticket);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let limiter = self.limiter;
        let mut queue = lock(&limiter.queue);
        queue.window.leave(self.ticket, limiter.now());
        queue.bells.remove(&self.ticket);
        limiter.ring(queue);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under the locks leaves anything half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
