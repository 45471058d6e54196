//! The log: what came in, what went out and when, and whether the client stayed to the end.
//!
//! It is the ground truth of lessons and tests, so it keeps two rules. The head and the end of a reply are entered
//! *before* their bytes are written: who has read a reply finds it complete in the log. A token of a stream counts
//! *after* it has been written: who waits for three tokens and then leaves is said to have left at the third.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::Notify;

/// How many requests the log keeps; the oldest are forgotten first, so that a long lesson can't fill the memory.
pub const LOG_LIMIT: usize = 100_000;

/// One request as the server saw it. Times count from the start of the mock.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// Number of the request, from 1, in order of arrival.
    pub id: u64,
    /// Name that all attempts of one piece of work share: the header `x-mock-item`, else
    /// `idempotency-key`, else a hash of path and body.
    pub item: String,
    /// Which attempt of its item this is, from 1.
    pub attempt: u32,
    /// Number of the connection it came on, from 1.
    pub connection: u64,
    /// The method, like `POST`.
    pub method: String,
    /// The path without its query, like `/v1/chat/completions`.
    pub path: String,
    /// The headers by lower-case name; of a credential only its scheme is kept, like `Bearer ***`.
    pub headers: BTreeMap<String, String>,
    /// The body as JSON; as a string if it is none, and null if it is empty.
    pub body: Value,
    /// When the whole request had been read.
    #[serde(rename = "arrived_ms", serialize_with = "milliseconds")]
    pub arrived: Duration,
    /// When the response head was sent.
    #[serde(rename = "first_byte_ms", serialize_with = "optional_milliseconds")]
    pub first_byte: Option<Duration>,
    /// When the last byte was sent, or the connection ended.
    #[serde(rename = "last_byte_ms", serialize_with = "optional_milliseconds")]
    pub last_byte: Option<Duration>,
    /// The status sent; `None` before the head, and if none was ever sent.
    pub status: Option<u16>,
    /// Tokens of the prompt, by the mock's own tokenizer.
    pub prompt_tokens: u32,
    /// Tokens of the answer that were sent.
    pub tokens_sent: u32,
    /// The client went away early, after this many tokens; 0 also stands for "before the head".
    pub left_at_token: Option<u32>,
    /// The wire script that was played.
    pub script: &'static str,
    /// Why the request failed on purpose: an injected fault, the quota, or a mistake in the request.
    pub fault: Option<String>,
}

impl Entry {
    /// Whether nothing more will be sent.
    pub fn is_finished(&self) -> bool {
        self.last_byte.is_some()
    }
}

fn milliseconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_micros() as f64 / 1000.0)
}

fn optional_milliseconds<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => milliseconds(time, to),
        None => to.serialize_none(),
    }
}

/// Counters since the start of the mock, or since the log was cleared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Requests read, those of the control API aside.
    pub requests: u64,
    /// Connections on which a first request came in.
    pub connections: u64,
    /// Requests being worked on or waiting for a slot now.
    pub in_flight: u64,
    /// The most there were at one time.
    pub peak_in_flight: u64,
    /// Tokens of answers sent.
    pub tokens_sent: u64,
    /// Requests whose client went away before the end.
    pub left: u64,
}

/// Nothing in the log met the condition in time; shows the log as it was then.
#[derive(Clone, Debug)]
pub struct WaitError {
    /// How long was waited.
    pub limit: Duration,
    /// The log at the end of the wait.
    pub log: Vec<Entry>,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the mock's log did not come to the awaited state in {:?}; it holds {} requests",
            self.limit,
            self.log.len()
        )?;
        for e in &self.log {
            write!(
                f,
                "\n  #{} {} {} item {} attempt {}",
                e.id, e.method, e.path, e.item, e.attempt
            )?;
            match e.status {
                Some(status) => write!(f, ": {status}, {} tokens sent", e.tokens_sent)?,
                None => write!(f, ": no head sent")?,
            }
            if let Some(token) = e.left_at_token {
                write!(f, ", client left at token {token}")?;
            } else if !e.is_finished() {
                write!(f, ", still open")?;
            }
            if let Some(fault) = &e.fault {
                write!(f, ", fault: {fault}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for WaitError {}

/// The log and the counters, shared by the server and the handle.
#[derive(Debug)]
pub(crate) struct Log {
    start: Instant,
    state: Mutex<State>,
    /// For those who wait in a thread and those who wait in a task.
    changed: Condvar,
    changed_async: Notify,
    /// How many wait: while none does, a token costs two atomic steps and no lock.
    waiters: AtomicUsize,
    tokens_sent: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The token counters of requests that are still being answered, by the id of their entry.
    live: HashMap<u64, Arc<AtomicU32>>,
    attempts: HashMap<String, u32>,
    next_id: u64,
    stats: Stats,
}

impl State {
    fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.id;
        self.entries
            .get_mut(usize::try_from(id.checked_sub(first)?).ok()?)
    }

    /// Also forgets the oldest entry's item if no later attempt of it is kept: its next attempt counts from 1 again.
    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front()
            && self.attempts.get(&oldest.item) == Some(&oldest.attempt)
        {
            self.attempts.remove(&oldest.item);
        }
    }

    /// The entries with their token counts brought up to date.
    fn current(&mut self) -> &[Entry] {
        let live = std::mem::take(&mut self.live);
        for (id, tokens) in &live {
            if let Some(entry) = self.entry(*id) {
                entry.tokens_sent = tokens.load(SeqCst);
            }
        }
        self.live = live;
        self.entries.make_contiguous()
    }
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
            changed_async: Notify::new(),
            waiters: AtomicUsize::new(0),
            tokens_sent: AtomicU64::new(0),
        }
    }

    /// Time since the start, the mock's only clock.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().current().to_vec()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            tokens_sent: self.tokens_sent.load(SeqCst),
            ..self.lock().stats
        }
    }

    /// Forgets the entries, the attempts counted so far and the counters; what is in flight goes on unseen.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        state.entries.clear();
        state.live.clear();
        state.attempts.clear();
        let in_flight = state.stats.in_flight;
        state.stats = Stats {
            in_flight,
            peak_in_flight: in_flight,
            ..Stats::default()
        };
        self.tokens_sent.store(0, SeqCst);
    }

    /// Enters a request; `id` and `attempt` are given here. `new_connection` says that it is the first on its own.
    pub(crate) fn open(self: &Arc<Self>, mut entry: Entry, new_connection: bool) -> Ticket {
        let tokens = Arc::new(AtomicU32::new(0));
        let mut state = self.lock();
        state.next_id += 1;
        entry.id = state.next_id;
        let attempt = state.attempts.entry(entry.item.clone()).or_default();
        *attempt += 1;
        entry.attempt = *attempt;
        state.stats.requests += 1;
        state.stats.connections += u64::from(new_connection);
        state.stats.in_flight += 1;
        state.stats.peak_in_flight = state.stats.peak_in_flight.max(state.stats.in_flight);
        state.live.insert(entry.id, tokens.clone());
        if state.entries.len() == LOG_LIMIT {
            state.forget_oldest();
        }
        let (id, attempt) = (entry.id, entry.attempt);
        state.entries.push_back(entry);
        drop(state);
        self.wake();
        Ticket {
            log: self.clone(),
            id,
            attempt,
            tokens,
            finished: false,
        }
    }

    /// Waits in this thread.
    pub(crate) fn wait_for(
        &self,
        limit: Duration,
        met: impl Fn(&[Entry]) -> bool,
    ) -> Result<Vec<Entry>, WaitError> {
        let _waiter = Waiter::new(self);
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            // The condition is asked under the lock, so that no change can slip in between asking and waiting.
            if met(state.current()) {
                return Ok(state.current().to_vec());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WaitError {
                    limit,
                    log: state.current().to_vec(),
                });
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits in this task.
    pub(crate) async fn wait_for_async(
        &self,
        limit: Duration,
        met: impl Fn(&[Entry]) -> bool,
    ) -> Result<Vec<Entry>, WaitError> {
        let _waiter = Waiter::new(self);
        let wait = async {
            loop {
                // Enrolled before asking, so that a change after the question is not missed.
                let mut changed = std::pin::pin!(self.changed_async.notified());
                changed.as_mut().enable();
                {
                    let mut state = self.lock();
                    if met(state.current()) {
                        return state.current().to_vec();
                    }
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(limit, wait).await;
        waited.map_err(|_| WaitError {
            limit,
            log: self.entries(),
        })
    }

    /// A panic in a caller's condition poisons the lock but leaves the state whole, so it is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if self.waiters.load(SeqCst) > 0 {
            // Taking the lock makes sure that a waiter which saw the state before this change already waits.
            drop(self.lock());
            self.changed.notify_all();
            self.changed_async.notify_waiters();
        }
    }
}

/// Counts somebody as waiting for as long as it lives, also when the wait is cancelled.
struct Waiter<'a>(&'a Log);

impl<'a> Waiter<'a> {
    fn new(log: &'a Log) -> Self {
        log.waiters.fetch_add(1, SeqCst);
        Self(log)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, SeqCst);
    }
}

/// The right to write into one entry. Dropped before [`finish`](Self::finish), it says that the client left.
#[derive(Debug)]
pub(crate) struct Ticket {
    log: Arc<Log>,
    id: u64,
    pub(crate) attempt: u32,
    tokens: Arc<AtomicU32>,
    finished: bool,
}

impl Ticket {
    /// A number for this request that no other has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// What became known after arrival.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.log.lock().entry(self.id) {
            change(entry);
        }
        self.log.wake();
    }

    /// The head is about to be written.
    pub(crate) fn head(&mut self, status: u16) {
        let now = self.log.now();
        self.note(|entry| {
            entry.status = Some(status);
            entry.first_byte = Some(now);
        });
    }

    /// Tokens have been written, or will be as part of the last bytes.
    pub(crate) fn tokens(&mut self, n: u32) {
        self.tokens.fetch_add(n, SeqCst);
        self.log.tokens_sent.fetch_add(n.into(), SeqCst);
        self.log.wake();
    }

    /// The last bytes are about to be written: a client that goes from here on has lost nothing.
    pub(crate) fn finish(&mut self) {
        if !self.finished {
            self.close(None);
        }
    }

    fn close(&mut self, left: Option<u32>) {
        self.finished = true;
        let now = self.log.now();
        let mut state = self.log.lock();
        // An in-flight number can't go below zero here: each ticket was counted once when it was opened.
        state.stats.in_flight -= 1;
        if state.live.remove(&self.id).is_some() {
            state.stats.left += u64::from(left.is_some());
        }
        let tokens = self.tokens.load(SeqCst);
        if let Some(entry) = state.entry(self.id) {
            entry.tokens_sent = tokens;
            entry.last_byte = Some(now);
            entry.left_at_token = left;
        }
        drop(state);
        self.log.wake();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.finished {
            self.close(Some(self.tokens.load(SeqCst)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_requests_are_forgotten_with_the_attempts_of_their_items() {
        let log = Arc::new(Log::new());
        let open = |item: &str| {
            let entry = Entry {
                item: item.to_owned(),
                ..Entry::default()
            };
            log.open(entry, false).attempt
        };
        open("early");
        for _ in 1..LOG_LIMIT {
            open("busy");
        }
        assert_eq!(
            open("busy") as usize,
            LOG_LIMIT,
            "this takes the place of the early one"
        );
        assert_eq!(
            open("busy") as usize,
            LOG_LIMIT + 1,
            "its own oldest is gone, the item is not"
        );
        assert_eq!(open("early"), 1);
        let entries = log.entries();
        assert_eq!(entries.len(), LOG_LIMIT);
        assert_eq!(entries[0].id, 4);
    }
}
