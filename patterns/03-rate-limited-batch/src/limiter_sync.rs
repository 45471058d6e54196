//! Waiting for one's turn, blocking. Diff this file with `limiter_async.rs`: only the waiting differs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ai_core::{Clock, Signal, SystemClock};

use crate::batch::in_order;
use crate::feedback::Feedback;
use crate::limits::{Limits, NoSlot};
use crate::window::{Ticket, Turn, Window};

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
    /// A bell for each caller who waits, so that a call that ends wakes one and not all.
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

    /// Waits for a slot for a request that costs at most so many tokens.
    ///
    /// # Errors
    /// When it never fits; that is known at once. And when the limiter is closed.
    pub fn enter(&self, tokens: u64) -> Result<Slot<'_, C>, NoSlot> {
        self.enter_until(tokens, None)
    }

    /// As [`enter`](Self::enter), and waits for so long at most.
    ///
    /// # Errors
    /// Also when there is none in time.
    pub fn enter_within(&self, tokens: u64, limit: Duration) -> Result<Slot<'_, C>, NoSlot> {
        // A limit that is later than time can count is none.
        self.enter_until(tokens, self.now().checked_add(limit))
    }

    fn enter_until(&self, tokens: u64, deadline: Option<Duration>) -> Result<Slot<'_, C>, NoSlot> {
        let bell = Arc::new(Signal::new());
        let ticket = {
            let mut queue = lock(&self.queue);
            let ticket = queue.window.enter(tokens)?;
            queue.bells.insert(ticket, bell.clone());
            ticket
        };
        // From here on it is in the queue, and leaves it whatever happens.
        let limiter = self;
        let slot = Slot { limiter, ticket };
        loop {
            let now = self.now();
            let wake = match self.poll(ticket, now) {
                Turn::Go => return Ok(slot),
                Turn::Closed => return Err(NoSlot::Closed),
                _ if deadline.is_some_and(|deadline| deadline <= now) => {
                    return Err(NoSlot::Elapsed);
                }
                Turn::WaitUntil(time) => Some(deadline.map_or(time, |deadline| time.min(deadline))),
                Turn::Wait => deadline,
            };
            self.clock.wait(&bell, wake.map(|time| time - now));
        }
    }

    /// Lets nobody go any more: who waits is told so at once, and who is under way goes on.
    pub fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.window.close();
        for bell in queue.bells.values() {
            self.clock.ring(bell);
        }
    }

    /// Does pieces of work that each need a slot, and returns what they made in their order. (That
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
        thread::scope(|scope| {
            let parts: Vec<_> = (0..workers).map(|_| self.clock.take_part()).collect();
            for part in parts {
                let (next, arrivals, work) = (&next, &arrivals, &work);
                scope.spawn(move || {
                    while let Some(index) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < count)
                    {
                        let made = work(index);
                        lock(arrivals).push((index, made));
                    }
                    drop(part);
                });
            }
        });
        let arrivals = arrivals.into_inner();
        in_order(arrivals.unwrap_or_else(PoisonError::into_inner))
    }

    fn poll(&self, ticket: Ticket, now: Duration) -> Turn {
        let mut queue = lock(&self.queue);
        let turn = queue.window.poll(ticket, now);
        if turn == Turn::Go {
            queue.bells.remove(&ticket);
            self.ring(queue);
        }
        turn
    }

    /// Wakes who is first in the queue now, if there is anything to wake up for.
    fn ring(&self, mut queue: MutexGuard<'_, Queue>) {
        if queue.window.is_open(self.now())
            && let Some((_, bell)) = queue.bells.first_key_value()
        {
            self.clock.ring(bell);
        }
    }
}

/// The right to send one request. Dropped, the request counts as ended now.
#[derive(Debug)]
pub struct Slot<'a, C: Clock = SystemClock> {
    limiter: &'a Limiter<C>,
    ticket: Ticket,
}

impl<C: Clock> Slot<'_, C> {
    /// The answer has begun: the server has counted the request. Who reads a stream says so at its
    /// head, and the slot expires the sooner.
    pub fn seen(&self) {
        let now = self.limiter.now();
        let mut queue = lock(&self.limiter.queue);
        queue.window.seen(self.ticket, now);
        self.limiter.ring(queue);
    }

    /// Says how the call ended. The limiter learns from it.
    pub fn finish(self, feedback: &Feedback) {
        let now = self.limiter.now();
        let window = &mut lock(&self.limiter.queue).window;
        window.finished(self.ticket, feedback, now);
    }

    /// The request was not sent, not a byte of it: gives everything back at once, but for its time
    /// by the pace, and wakes the next one.
    pub fn unsent(self) {
        // It is dropped then, and that wakes the next one.
        lock(&self.limiter.queue).window.unsent(self.ticket);
    }
}

impl<C: Clock> Drop for Slot<'_, C> {
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
