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

/// Keeps an eye on a store.
#[derive(Clone)]
pub(crate) struct Watch {
    state: Arc<Mutex<State>>,
    warn: Arc<dyn Fn(&Trouble) + Send + Sync>,
}

/// What a store is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Get,
    Put,
}

#[derive(Default)]
struct State {
    /// The use that began the run of trouble.
    failing: Option<Use>,
    get_after: Duration,
    put_after: Duration,
}

impl Watch {
    pub(crate) fn new(warn: impl Fn(&Trouble) + Send + Sync + 'static) -> Watch {
        Watch {
            state: Arc::default(),
            warn: Arc::new(warn),
        }
    }

    /// Whether the store is worth asking for this now.
    pub(crate) fn may(&self, what: Use, now: Duration) -> bool {
        let state = self.lock();
        match what {
            Use::Get => now >= state.get_after,
            Use::Put => now >= state.put_after,
        }
    }

    /// Takes note of how a use of the store went. The first trouble of a run is told.
    pub(crate) fn note<T>(&self, what: Use, now: Duration, done: Result<T, Trouble>) -> Option<T> {
        let mut state = self.lock();
        match done {
            Ok(value) => {
                // A store that is full can still be read: that does not end its trouble, or each of
                // its calls would be told of.
                if what == Use::Put || state.failing == Some(Use::Get) {
                    state.failing = None;
                }
                Some(value)
            }
            Err(trouble) => {
                if let Trouble::Unavailable(_) = trouble {
                    state.put_after = now + PAUSE;
                    if what == Use::Get {
                        state.get_after = now + PAUSE;
                    }
                }
                let first = state.failing.is_none();
                state.failing.get_or_insert(what);
                // The hook is somebody else's code, and may take its time.
                drop(state);
                if first {
                    (self.warn)(&trouble);
                }
                None
            }
        }
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

    const DOWN: Result<(), Trouble> = Err(Trouble::Unavailable(String::new()));
    const ODD: Result<(), Trouble> = Err(Trouble::Garbage(String::new()));

    fn watch() -> (Watch, Arc<AtomicUsize>) {
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let watch = Watch::new(move |_| {
            count.fetch_add(1, SeqCst);
        });
        (watch, told)
    }

    fn may(watch: &Watch, now: Duration) -> (bool, bool) {
        (watch.may(Use::Get, now), watch.may(Use::Put, now))
    }

    #[test]
    fn what_cannot_be_used_is_left_alone_for_a_while() {
        let (watch, _) = watch();
        let now = Duration::from_secs(10);
        watch.note(Use::Get, now, ODD);
        assert_eq!(may(&watch, now), (true, true), "garbage is no reason");
        watch.note(Use::Put, now, DOWN);
        assert_eq!(may(&watch, now), (true, false), "one that is full is read");
        watch.note(Use::Get, now, DOWN);
        assert_eq!(may(&watch, now), (false, false));
        let nearly = now + PAUSE - Duration::from_nanos(1);
        assert_eq!(may(&watch, nearly), (false, false));
        assert_eq!(may(&watch, now + PAUSE), (true, true));
    }

    #[test]
    fn each_run_of_trouble_is_told_once() {
        let (watch, told) = watch();
        let mut now = Duration::ZERO;
        let mut note = |what, done| {
            now += PAUSE;
            watch.note(what, now, done);
            told.load(SeqCst)
        };
        assert_eq!([note(Use::Get, DOWN), note(Use::Put, DOWN)], [1, 1]);
        assert_eq!([note(Use::Get, Ok(())), note(Use::Get, DOWN)], [1, 2]);
        assert_eq!([note(Use::Put, Ok(())), note(Use::Get, ODD)], [2, 3]);
        // One that is full can be read all the while.
        assert_eq!([note(Use::Get, Ok(())), note(Use::Put, DOWN)], [3, 4]);
        assert_eq!([note(Use::Get, Ok(())), note(Use::Put, DOWN)], [4, 4]);
        assert_eq!([note(Use::Put, Ok(())), note(Use::Put, DOWN)], [4, 5]);
    }
}
