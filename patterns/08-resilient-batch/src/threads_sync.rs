//! Calls at one time, for a version that blocks: what `FuturesUnordered` is for the one that awaits.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use ai_core::{Clock, Signal};

/// Calls under way, each in a thread of its own.
///
/// Dropped, those that have not ended go on, since nothing can call a thread off; but nobody learns
/// what becomes of them.
pub(crate) struct Calls<C, T> {
    clock: C,
    under_way: usize,
    ended: Arc<Ended<T>>,
}

struct Ended<T> {
    results: Mutex<VecDeque<thread::Result<T>>>,
    bell: Signal,
}

impl<C: Clock + Copy, T> Calls<C, T> {
    /// None yet.
    pub(crate) fn new(clock: C) -> Calls<C, T> {
        let (results, bell) = (Mutex::default(), Signal::new());
        Calls {
            clock,
            under_way: 0,
            ended: Arc::new(Ended { results, bell }),
        }
    }

    /// Makes a call in this thread, and comes back when it has ended.
    pub(crate) fn make(&mut self, call: impl FnOnce() -> T) {
        self.under_way += 1;
        self.ended.lock().push_back(Ok(call()));
    }

    /// Begins a call in a thread of its own.
    pub(crate) fn begin(&mut self, call: impl FnOnce() -> T + Send + 'static)
    where
        C: Send + 'static,
        T: Send + 'static,
    {
        let (clock, ended) = (self.clock, self.ended.clone());
        let (hand_over, taken) = mpsc::sync_channel(0);
        let thread = thread::Builder::new().spawn(move || {
            // First of all, so that no simulated time passes before the call has begun.
            let part = clock.take_part();
            if let Ok(call) = taken.recv() {
                let result = catch_unwind(AssertUnwindSafe(call));
                ended.lock().push_back(result);
                clock.ring(&ended.bell);
            }
            drop(part);
        });
        match thread {
            Ok(_) => {
                self.under_way += 1;
                let sent = hand_over.send(call);
                sent.expect("the thread takes it before anything else");
            }
            // There is no thread to be had.
            Err(_) => self.make(call),
        }
    }

    /// What the next call to end ended with; nothing if that takes longer than this.
    pub(crate) fn next_within(&mut self, limit: Option<Duration>) -> Option<T> {
        let until = limit.map(|limit| self.clock.now().saturating_add(limit));
        loop {
            let result = self.ended.lock().pop_front();
            if let Some(result) = result {
                self.under_way -= 1;
                return Some(result.unwrap_or_else(|panic| resume_unwind(panic)));
            }
            let left = until.map(|until| until.saturating_sub(self.clock.now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            self.clock.wait(&self.ended.bell, left);
        }
    }
}

impl<T> Ended<T> {
    fn lock(&self) -> MutexGuard<'_, VecDeque<thread::Result<T>>> {
        // Nothing that is done under the lock leaves anything half done.
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
