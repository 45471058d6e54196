//! Waiting that can be ended, blocking. Diff this file with `alarm_async.rs`: only the waiting differs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ai_core::{Clock, Part, Signal};

/// Wakes all who wait, when something has changed or when the user stops the program.
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

    /// Wakes all, to look again.
    pub(crate) fn ring(&self) {
        let bells: Vec<_> = self.lock().bells.values().cloned().collect();
        for bell in bells {
            self.clock.ring(&bell);
        }
    }

    /// A bell for one who is going to wait. Take it before you look: what changes in between rings it.
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

/// A clock whose sleep ends when the alarm is stopped: by it a pause of the retry does.
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
