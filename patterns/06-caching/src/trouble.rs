//! A store that is down, slow or holds garbage: a warning for each run of trouble, and a pause.
//!
//! Pure but for the hook it calls: `now` is an argument.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a store was of no use. Never a reason for a call to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It did not do what it was asked for: locked, stopped, too slow.
    Unavailable(String),
    /// What it holds under a key is nothing that this version has written.
    Garbage(String),
}

impl Trouble {
    /// The store can't be used, for this reason.
    pub fn unavailable(why: impl fmt::Display) -> Trouble {
        Trouble::Unavailable(why.to_string())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Unavailable(why) => write!(
                f,
                "the cache can't be used ({why}); answers are asked for until it can"
            ),
            Trouble::Garbage(what) => {
                write!(f, "the cache holds {what}; the answer is asked for again")
            }
        }
    }
}

/// How long a store is left alone after it could not be used. Not asked each time: one that hangs
/// would make every call half a second longer.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps an eye on a store. A clone keeps the same eye on it.
#[derive(Clone)]
pub(crate) struct Watch {
    state: Arc<Mutex<State>>,
    pub(crate) warn: Arc<dyn Fn(&Trouble) + Send + Sync>,
}

/// What a store is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Get,
    Put,
}

/// A use of the store that was permitted, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked(Use, Duration);

#[derive(Default)]
struct State {
    /// When it may be tried again; `None` where it works.
    get: Option<Duration>,
    put: Option<Duration>,
    /// The use whose success will end the run of trouble.
    failing: Option<Use>,
    /// Whether it was told of garbage, and no entry could be read since.
    garbage: bool,
    /// When it failed last, or worked again.
    changed: Duration,
}

impl State {
    fn pause(&mut self, what: Use) -> &mut Option<Duration> {
        match what {
            Use::Get => &mut self.get,
            Use::Put => &mut self.put,
        }
    }

    fn worked(&mut self, Asked(what, at): Asked, now: Duration) {
        // What was asked before it failed may be answered after that, and says nothing of it.
        if at < self.changed {
            return;
        }
        *self.pause(what) = None;
        // Each use ends only its own trouble: one that is full can still be read, and one that can't
        // be read be full, or each of their calls would be told of.
        if self.failing == Some(what) {
            self.failing = None;
            self.changed = now;
        }
    }

    /// Whether this is the first trouble of a run.
    fn failed(&mut self, Asked(what, at): Asked, now: Duration) -> bool {
        let first = self.failing.is_none();
        if first && at < self.changed {
            return false;
        }
        self.changed = now;
        self.put = Some(now + PAUSE);
        if first || what == Use::Get {
            self.failing = Some(what);
        }
        if what == Use::Get {
            self.get = Some(now + PAUSE);
        }
        first
    }
}

impl Watch {
    pub(crate) fn new(warn: impl Fn(&Trouble) + Send + Sync + 'static) -> Watch {
        Watch {
            state: Arc::default(),
            warn: Arc::new(warn),
        }
    }

    /// Whether the store is worth asking for this now.
    pub(crate) fn may(&self, what: Use, now: Duration) -> Option<Asked> {
        let mut state = self.lock();
        if let Some(next) = state.pause(what) {
            if now < *next {
                return None;
            }
            // This caller tries it. The next one may do so a second later, and not as soon as it likes:
            // of a crowd, all would wait for a store that hangs. Nor is there a mark that it is being
            // tried, which a caller that leaves would have to take away.
            *next = now + PAUSE;
        }
        Some(Asked(what, now))
    }

    /// Takes note of how a use of the store went, and gives what it has found. The first trouble of a
    /// run is told.
    pub(crate) fn note<T>(
        &self,
        asked: Asked,
        now: Duration,
        done: Result<Option<T>, Trouble>,
    ) -> Option<T> {
        let mut state = self.lock();
        let first = match &done {
            Err(Trouble::Unavailable(_)) => state.failed(asked, now),
            // It works, whatever it holds. A store full of garbage is told of once, and not whenever
            // something else has gone well in between.
            Err(Trouble::Garbage(_)) => {
                state.worked(asked, now);
                !std::mem::replace(&mut state.garbage, true)
            }
            Ok(found) => {
                state.worked(asked, now);
                state.garbage &= found.is_none();
                false
            }
        };
        // The hook is somebody else's code, and may take its time.
        drop(state);
        let trouble = match done {
            Ok(found) => return found,
            Err(trouble) => trouble,
        };
        if first {
            (self.warn)(&trouble);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Watch {
    fn default() -> Watch {
        Watch::new(|trouble| tracing::warn!("{trouble}"))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl std::error::Error for Trouble {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    type Done = Result<Option<()>, Trouble>;

    const NOTHING: Done = Ok(None);
    const FOUND: Done = Ok(Some(()));
    const DOWN: Done = Err(Trouble::Unavailable(String::new()));
    const ODD: Done = Err(Trouble::Garbage(String::new()));

    fn watch() -> (Watch, Arc<AtomicUsize>) {
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let watch = Watch::new(move |_| {
            count.fetch_add(1, SeqCst);
        });
        (watch, told)
    }

    /// What is permitted at a time, by somebody who does not use it.
    fn may(watch: &Watch, now: Duration) -> (bool, bool) {
        let open = |next: Option<Duration>| next.is_none_or(|next| now >= next);
        let state = watch.lock();
        (open(state.get), open(state.put))
    }

    #[test]
    fn what_cannot_be_used_is_left_alone_for_a_while() {
        let (watch, _) = watch();
        let now = Duration::from_secs(10);
        let note = |what, done| watch.note(Asked(what, now), now, done);
        note(Use::Get, ODD);
        assert_eq!(may(&watch, now), (true, true), "garbage is no reason");
        note(Use::Put, DOWN);
        assert_eq!(may(&watch, now), (true, false), "one that is full is read");
        note(Use::Get, DOWN);
        assert_eq!(may(&watch, now), (false, false));
        let nearly = now + PAUSE - Duration::from_nanos(1);
        assert_eq!(watch.may(Use::Get, nearly), None);
        assert_eq!(may(&watch, now + PAUSE), (true, true));
    }

    #[test]
    fn of_a_crowd_one_tries_each_second_and_when_it_works_all_may() {
        for what in [Use::Get, Use::Put] {
            let (watch, _) = watch();
            watch.note(Asked(what, Duration::ZERO), Duration::ZERO, DOWN);
            let crowd = |now| {
                let tries = [(); 50].map(|()| watch.may(what, now));
                tries.into_iter().flatten().count()
            };
            // It hangs, or whoever tries it leaves: nobody takes note of how it went.
            assert_eq!([1, 1, 2, 5].map(|n| crowd(PAUSE * n)), [1, 0, 1, 1]);
            let asked = watch.may(what, PAUSE * 6).expect("a second is over");
            assert_eq!(crowd(PAUSE * 6), 0);
            watch.note(asked, PAUSE * 6, NOTHING);
            assert_eq!(crowd(PAUSE * 6), 50);
        }
    }

    #[test]
    fn each_run_of_trouble_is_told_once() {
        let (watch, told) = watch();
        let mut now = Duration::ZERO;
        let mut note = |what, done| {
            now += PAUSE;
            watch.note(Asked(what, now), now, done);
            told.load(SeqCst)
        };
        assert_eq!([note(Use::Get, DOWN), note(Use::Put, DOWN)], [1, 1]);
        assert_eq!([note(Use::Get, NOTHING), note(Use::Get, DOWN)], [1, 2]);
        // One that can be written to and not read.
        assert_eq!([note(Use::Put, NOTHING), note(Use::Get, DOWN)], [2, 2]);
        // One that is full can be read all the while.
        assert_eq!([note(Use::Get, FOUND), note(Use::Put, DOWN)], [2, 3]);
        assert_eq!([note(Use::Get, FOUND), note(Use::Put, DOWN)], [3, 3]);
        assert_eq!([note(Use::Put, NOTHING), note(Use::Put, DOWN)], [3, 4]);
        // It stops altogether, works, and stops again.
        assert_eq!([note(Use::Get, DOWN), note(Use::Get, FOUND)], [4, 4]);
        assert_eq!([note(Use::Get, DOWN), note(Use::Get, FOUND)], [5, 5]);
    }

    #[test]
    fn a_store_full_of_garbage_is_told_of_once() {
        let (watch, told) = watch();
        let note = |what, done| {
            watch.note(Asked(what, PAUSE), PAUSE, done);
            told.load(SeqCst)
        };
        for _ in 0..3 {
            assert_eq!([note(Use::Get, ODD), note(Use::Put, NOTHING)], [1, 1]);
            assert_eq!(note(Use::Get, NOTHING), 1);
        }
        assert_eq!([note(Use::Get, FOUND), note(Use::Get, ODD)], [1, 2]);
    }

    #[test]
    fn what_was_asked_before_it_failed_or_worked_again_says_nothing_of_it() {
        let (watch, told) = watch();
        let [early, late] = [1, 3].map(|n| Asked(Use::Get, PAUSE * n));
        watch.note(early, PAUSE * 2, DOWN);
        watch.note(early, PAUSE * 2, FOUND);
        assert_eq!(may(&watch, PAUSE * 2), (false, false));
        watch.note(early, PAUSE * 2, DOWN);
        assert_eq!(told.load(SeqCst), 1);
        watch.note(late, PAUSE * 4, FOUND);
        watch.note(late, PAUSE * 4, DOWN);
        assert_eq!((may(&watch, PAUSE * 4).0, told.load(SeqCst)), (true, 1));
    }
}
