//! Time for drivers that block: the real one, and a simulated one in which an hour takes no time.
//!
//! Drivers that await need none of this: tokio's time can be paused (`tokio::time::pause`), and
//! then does what [`SimulatedClock`] does here for threads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a driver that blocks wants to know of time. Decisions take a `now` from it as an argument.
pub trait Clock: Sync {
    /// The time since some fixed start.
    fn now(&self) -> Duration;

    /// Blocks the calling thread for `time`.
    fn sleep(&self, time: Duration);
}

/// The time of this machine, by the clock that is never set back.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn new() -> SystemClock {
        SystemClock {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// A clock that jumps: when every thread that [takes part](Self::take_part) is asleep, it is the
/// time at which the first of them wakes.
///
/// Threads are woken one at a time, in the order of their times, and the next only when the one
/// before sleeps again or has left. So a run is the same each time, whatever the machine does.
///
/// ```
/// use std::time::Duration;
/// use ai_core::{Clock, SimulatedClock};
///
/// let clock = SimulatedClock::new();
/// clock.sleep(Duration::from_secs(3600));
/// assert_eq!(clock.now(), Duration::from_secs(3600));
/// ```
#[derive(Debug, Default)]
pub struct SimulatedClock {
    state: Mutex<Simulation>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Simulation {
    now: Duration,
    /// How many threads take part.
    threads: usize,
    /// When each sleeping thread wakes. The second number tells apart those of the same time, in
    /// the order in which they fell asleep.
    asleep: Vec<(Duration, u64)>,
    next: u64,
}

impl Simulation {
    /// Whose turn it is to wake, once nobody is awake.
    fn first(&self) -> Option<(Duration, u64)> {
        let all_asleep = self.asleep.len() >= self.threads;
        self.asleep.iter().min().copied().filter(|_| all_asleep)
    }
}

impl SimulatedClock {
    /// A clock that stands at 0. As long as no thread has said that it takes part, it is for one.
    pub fn new() -> SimulatedClock {
        SimulatedClock::default()
    }

    /// Says that a thread more takes part, until what is returned is dropped. Call it before the
    /// threads start, once for each, and move it into the thread: or the first one to sleep would
    /// find nobody else awake, and not wait for the others.
    pub fn take_part(&self) -> impl Drop + '_ {
        self.lock().threads += 1;
        Part { clock: self }
    }

    fn lock(&self) -> MutexGuard<'_, Simulation> {
        // A test that fails panics, maybe while it holds the lock; the others are to end, too.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Part<'a> {
    clock: &'a SimulatedClock,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.clock.lock().threads -= 1;
        self.clock.moved.notify_all();
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Duration {
        self.lock().now
    }

    fn sleep(&self, time: Duration) {
        let mut simulation = self.lock();
        let me = (simulation.now.saturating_add(time), simulation.next);
        simulation.next += 1;
        simulation.asleep.push(me);
        self.moved.notify_all();
        while simulation.first() != Some(me) {
            simulation = self
                .moved
                .wait(simulation)
                .unwrap_or_else(PoisonError::into_inner);
        }
        simulation.now = me.0;
        simulation.asleep.retain(|sleeper| *sleeper != me);
    }
}
