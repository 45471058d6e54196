//! Waiting that can be ended, awaited. Diff this file with `alarm_sync.rs`: only the waiting differs.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Wakes all who wait, when something has changed or when the user stops the program.
#[derive(Debug)]
pub(crate) struct Alarm {
    start: Instant,
    stopped: watch::Sender<bool>,
}

impl Alarm {
    /// An alarm that has not been given. Its clock, which is tokio's, starts now.
    pub(crate) fn new() -> Alarm {
        let (stopped, _) = watch::channel(false);
        let start = Instant::now();
        Alarm { start, stopped }
    }

    /// The time since it was made.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Ends all waiting, now and later.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether it was stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Wakes all, to look again.
    pub(crate) fn ring(&self) {
        self.stopped.send_modify(|_| {});
    }

    /// A bell for one who is going to wait. Take it before you look: what changes in between rings it.
    pub(crate) fn bell(&self) -> Bell {
        Bell {
            start: self.start,
            heard: self.stopped.subscribe(),
        }
    }
}

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm::new()
    }
}

/// Hears the alarm, until it is dropped.
#[derive(Debug)]
pub(crate) struct Bell {
    start: Instant,
    heard: watch::Receiver<bool>,
}

impl Bell {
    /// Waits until the alarm rings, at most until this time.
    pub(crate) async fn wait(&mut self, until: Option<Duration>) {
        // Rung or elapsed, or the alarm is gone with all who could ring it: it is time to look.
        let changed = self.heard.changed();
        match until.and_then(|until| self.start.checked_add(until)) {
            Some(until) => drop(timeout_at(until, changed).await),
            None => drop(changed.await),
        }
    }

    /// Waits until the alarm is stopped.
    pub(crate) async fn stopped(&mut self) {
        while !*self.heard.borrow_and_update() {
            self.wait(None).await;
        }
    }
}
