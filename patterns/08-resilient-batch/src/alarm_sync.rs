//! Waiting that can be ended, and for the first of two calls, blocking. Diff this file with
//! `alarm_async.rs`: only the waiting differs.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use ai_core::{Clock, Part, Signal};

/// Wakes all waiting jobs, when something has changed or when the user stops the program.
#[derive(Debug)]
pub(crate) struct Alarm<C> {
    clock: C,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    bells: BTreeMap<u64, Arc<Signal>>,
    next: u64,
}

impl<C: Clock> Alarm<C> {
    /// An alarm that has not been given, on this clock.
    pub(crate) fn new(clock: C) -> Alarm<C> {
        let state = Mutex::default();
        Alarm { clock, state }
    }

    /// Ends all waiting, now and later.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.ring();
    }

    /// Whether it was stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Wakes all waiting jobs, to look again.
    pub(crate) fn ring(&self) {
        let bells: Vec<_> = self.lock().bells.values().cloned().collect();
        for bell in bells {
            self.clock.ring(&bell);
        }
    }

    /// A bell for a job that is going to wait. Take it before you look: what changes in between rings
    /// it.
    pub(crate) fn bell(&self) -> Bell<'_, C> {
        let signal = Arc::new(Signal::new());
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.bells.insert(number, signal.clone());
        Bell {
            alarm: self,
            number,
            signal,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears the alarm, until it is dropped.
#[derive(Debug)]
pub(crate) struct Bell<'a, C: Clock> {
    alarm: &'a Alarm<C>,
    number: u64,
    signal: Arc<Signal>,
}

impl<C: Clock> Bell<'_, C> {
    /// Waits until the alarm rings, at most until this time.
    pub(crate) fn wait(&self, until: Option<Duration>) {
        let clock = &self.alarm.clock;
        let limit = until.map(|until| until.saturating_sub(clock.now()));
        clock.wait(&self.signal, limit);
    }
}

impl<C: Clock> Drop for Bell<'_, C> {
    fn drop(&mut self) {
        self.alarm.lock().bells.remove(&self.number);
    }
}

/// A clock whose sleep ends when the alarm is stopped: so a pause of the retry does, too.
impl<C: Clock> Clock for Alarm<C> {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn sleep(&self, time: Duration) {
        let bell = self.bell();
        let until = self.now().saturating_add(time);
        while !self.is_stopped() && self.now() < until {
            bell.wait(Some(until));
        }
    }

    fn wait(&self, signal: &Signal, limit: Option<Duration>) {
        self.clock.wait(signal, limit);
    }

    fn ring(&self, signal: &Signal) {
        self.clock.ring(signal);
    }

    fn take_part(&self) -> Part<'_> {
        self.clock.take_part()
    }
}

/// Calls under way at one time, each in a thread of its own.
///
/// When it is dropped, the calls that have not ended go on, since nothing can call a thread off; but
/// what becomes of them is not told.
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
