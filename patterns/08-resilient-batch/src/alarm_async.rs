//! Waiting that can be ended, and for the first of two calls, awaited. Diff this file with
//! `alarm_sync.rs`: only the waiting differs.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// Wakes all waiting jobs, when something has changed or when the user stops the program.
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

    /// Wakes all waiting jobs, to look again.
    pub(crate) fn ring(&self) {
        self.stopped.send_modify(|_| {});
    }

    /// A bell for a job that is going to wait. Take it before you look: what changes in between rings
    /// it.
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

/// What a future ends with. Nothing if that takes longer than this, and it may be dropped then.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    may_drop: impl Fn() -> bool,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    if let Some(limit) = limit {
        let ended = timeout(limit, &mut future).await;
        if ended.is_ok() || may_drop() {
            return ended.ok();
        }
    }
    Some(future.await)
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
        // The alarm rang, or the time elapsed, or nothing is left that could ring: it is time to look.
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

/// Calls under way at one time. When it is dropped, the calls that have not ended are called off.
pub(crate) struct Calls<F> {
    under_way: FuturesUnordered<F>,
}

impl<F: Future> Calls<F> {
    /// None yet.
    pub(crate) fn new() -> Calls<F> {
        let under_way = FuturesUnordered::new();
        Calls { under_way }
    }

    /// Begins a call: it goes on while the next one to end is waited for.
    pub(crate) fn begin(&mut self, call: F) {
        self.under_way.push(call);
    }

    /// What the next call to end ended with; nothing if that takes longer than this.
    pub(crate) async fn next_within(&mut self, limit: Option<Duration>) -> Option<F::Output> {
        let next = self.under_way.next();
        match limit {
            Some(limit) => timeout(limit, next).await.ok().flatten(),
            None => next.await,
        }
    }
}
