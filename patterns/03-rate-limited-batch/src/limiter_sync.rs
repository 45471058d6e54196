//! Waiting for one's turn, blocking. Diff this file with `limiter_async.rs`: only the waiting differs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ai_core::{Clock, Signal, SystemClock};

use crate::batch::in_order;
use crate::feedback::Feedback;
use crate::limits::{AcquireError, Limits};
use crate::window::{Admission, Ticket, Window};

/// Lets callers through one after another, as the limits allow. Share it by reference.
#[derive(Debug)]
pub struct Limiter<C = SystemClock> {
    pub(crate) limits: Limits,
    clock: C,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    window: Window,
    /// A bell for each caller that waits, so that a call that ends wakes one and not all.
    bells: BTreeMap<Ticket, Arc<Signal>>,
}

impl Limiter {
    /// A limiter of which nothing has been used.
    pub fn new(limits: Limits) -> Limiter {
        Limiter::with_clock(limits, SystemClock::new())
    }
}

impl<C: Clock> Limiter<C> {
    /// As [`new`](Limiter::new), on a clock of one's own.
    pub fn with_clock(limits: Limits, clock: C) -> Limiter<C> {
        let (window, bells) = (Window::new(limits), BTreeMap::new());
        let queue = Mutex::new(Queue { window, bells });
        Limiter {
            limits,
            clock,
            queue,
        }
    }

    /// The time by its clock.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Waits for a permit for a request that costs at most so many tokens.
    ///
    /// # Errors
    /// When it never fits, which is known at once, and when the limiter is closed.
    pub fn acquire(&self, tokens: u64) -> Result<Permit<'_, C>, AcquireError> {
        self.acquire_until(tokens, None)
    }

    /// As [`acquire`](Self::acquire), but waits for so long at most.
    ///
    /// # Errors
    /// As for `acquire`, and when there is no permit in time.
    pub fn acquire_within(
        &self,
        tokens: u64,
        limit: Duration,
    ) -> Result<Permit<'_, C>, AcquireError> {
        // A limit that is later than time can count is none.
        self.acquire_until(tokens, self.now().checked_add(limit))
    }

    fn acquire_until(
        &self,
        tokens: u64,
        deadline: Option<Duration>,
    ) -> Result<Permit<'_, C>, AcquireError> {
        let bell = Arc::new(Signal::new());
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
            self.clock.wait(&bell, wake.map(|time| time - now));
        }
    }

    /// Lets no request go any more. Callers that wait are told so at once; calls under way go on.
    pub fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.window.close();
        for bell in queue.bells.values() {
            self.clock.ring(bell);
        }
    }

    /// Does pieces of work that each need a permit, and returns what they made in their order. (That
    /// is pattern 2: the limiter adds nothing but how many are done at one time.)
    pub(crate) fn share_out<T: Send>(
        &self,
        count: usize,
        work: impl Fn(usize) -> T + Sync,
    ) -> Vec<T> {
        // No more workers than may be under way: one more could do nothing but wait.
        let workers = self.limits.concurrency.get().min(count);
        let next = AtomicUsize::new(0);
        let arrivals = Mutex::new(Vec::with_capacity(count));
        let worker = || loop {
            // Each number is given out once. `Relaxed` is enough: no other memory hangs on it.
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            let made = work(index);
            lock(&arrivals).push((index, made));
        };
        thread::scope(|scope| {
            let own_part = self.clock.take_part();
            let parts: Vec<_> = (1..workers).map(|_| self.clock.take_part()).collect();
            for part in parts {
                let helper = thread::Builder::new().spawn_scoped(scope, move || {
                    worker();
                    drop(part);
                });
                if helper.is_err() {
                    // The system has no more threads for us: those we have do all the work.
                    break;
                }
            }
            // This thread would only wait, so it is a worker as well.
            worker();
            drop(own_part);
        });
        let arrivals = arrivals.into_inner();
        in_order(arrivals.unwrap_or_else(PoisonError::into_inner))
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
            self.clock.ring(bell);
        }
    }
}

/// The right to send one request. Dropped, the request counts as ended now.
#[derive(Debug)]
pub struct Permit<'a, C: Clock = SystemClock> {
    limiter: &'a Limiter<C>,
    ticket: Ticket,
}

impl<C: Clock> Permit<'_, C> {
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

impl<C: Clock> Drop for Permit<'_, C> {
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
