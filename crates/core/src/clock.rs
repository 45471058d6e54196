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

    /// Blocks the calling thread until `signal` is rung, at most for `limit`. If it was rung since
    /// the last wait, it returns at once. One thread waits for one signal.
    fn wait(&self, signal: &Signal, limit: Option<Duration>);

    /// Wakes the thread that waits for `signal`, or the next one to wait.
    fn ring(&self, signal: &Signal);

    /// Says that a thread more takes part, until what is returned is dropped. It matters to
    /// [`SimulatedClock`] only.
    fn take_part(&self) -> Part<'_> {
        Part { clock: None }
    }
}

/// What one thread waits for and another rings: a condition variable that remembers one ring, as
/// tokio's `Notify` does.
#[derive(Debug, Default)]
pub struct Signal {
    rung: Mutex<bool>,
    ring: Condvar,
}

impl Signal {
    /// A signal that has not been rung.
    pub fn new() -> Signal {
        Signal::default()
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was rung. It is not, after that.
    fn take(&self) -> bool {
        std::mem::take(&mut *self.lock())
    }

    /// Tells signals apart, as long as they live.
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<C: Clock> Clock for &C {
    fn now(&self) -> Duration {
        C::now(self)
    }

    fn sleep(&self, time: Duration) {
        C::sleep(self, time);
    }

    fn wait(&self, signal: &Signal, limit: Option<Duration>) {
        C::wait(self, signal, limit);
    }

    fn ring(&self, signal: &Signal) {
        C::ring(self, signal);
    }

    fn take_part(&self) -> Part<'_> {
        C::take_part(self)
    }
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

    fn wait(&self, signal: &Signal, limit: Option<Duration>) {
        let rung = signal.lock();
        let mut rung = match limit {
            Some(limit) => {
                let waited = signal.ring.wait_timeout_while(rung, limit, |rung| !*rung);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = signal.ring.wait_while(rung, |rung| !*rung);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        *rung = false;
    }

    fn ring(&self, signal: &Signal) {
        *signal.lock() = true;
        signal.ring.notify_one();
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
    asleep: Vec<Sleeper>,
    next: u64,
}

/// A thread that sleeps. They are sorted by the time at which they wake, and those of the same time
/// in the order in which they fell asleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sleeper {
    wakes: Duration,
    number: u64,
    /// The signal that wakes it sooner.
    signal: Option<usize>,
}

impl Simulation {
    /// Whose turn it is to wake, once nobody is awake.
    fn first(&self) -> Option<u64> {
        let all_asleep = self.asleep.len() >= self.threads;
        let first = self.asleep.iter().min().filter(|_| all_asleep)?;
        assert!(
            first.wakes < Duration::MAX,
            "every thread waits for a signal, and nobody is left to ring it"
        );
        Some(first.number)
    }
}

impl SimulatedClock {
    /// A clock that stands at 0. As long as no thread has said that it takes part, it is for one.
    pub fn new() -> SimulatedClock {
        SimulatedClock::default()
    }

    fn sleep_for(&self, time: Duration, signal: Option<&Signal>) {
        // The simulation is locked first, here and in `ring`: a ring comes either before this wait
        // or when it is known.
        let mut simulation = self.lock();
        if signal.is_some_and(Signal::take) {
            return;
        }
        let number = simulation.next;
        simulation.next += 1;
        let sleeper = Sleeper {
            wakes: simulation.now.saturating_add(time),
            number,
            signal: signal.map(Signal::id),
        };
        simulation.asleep.push(sleeper);
        self.moved.notify_all();
        while simulation.first() != Some(number) {
            simulation = self
                .moved
                .wait(simulation)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut asleep = simulation.asleep.iter();
        let me = asleep.position(|sleeper| sleeper.number == number);
        let me = me.expect("nobody but itself takes a sleeper away");
        simulation.now = simulation.asleep.swap_remove(me).wakes;
        signal.map(Signal::take);
    }

    fn lock(&self) -> MutexGuard<'_, Simulation> {
        // A test that fails panics, maybe while it holds the lock; the others are to end, too.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's part in a simulation, until it is dropped.
#[derive(Debug)]
pub struct Part<'a> {
    clock: Option<&'a SimulatedClock>,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Some(clock) = self.clock {
            clock.lock().threads -= 1;
            clock.moved.notify_all();
        }
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Duration {
        self.lock().now
    }

    fn sleep(&self, time: Duration) {
        self.sleep_for(time, None);
    }

    /// # Panics
    /// When every thread that takes part waits without a limit: that is a deadlock.
    fn wait(&self, signal: &Signal, limit: Option<Duration>) {
        self.sleep_for(limit.unwrap_or(Duration::MAX), Some(signal));
    }

    /// Who waits becomes due now, and runs when it is the first of those who sleep: when the one
    /// who has rung sleeps itself.
    fn ring(&self, signal: &Signal) {
        let mut simulation = self.lock();
        *signal.lock() = true;
        let (now, id) = (simulation.now, Some(signal.id()));
        let mut sleepers = simulation.asleep.iter_mut();
        if let Some(sleeper) = sleepers.find(|sleeper| sleeper.signal == id) {
            sleeper.wakes = sleeper.wakes.min(now);
        }
        self.moved.notify_all();
    }

    /// Says that a thread more takes part, until what is returned is dropped. Call it before the
    /// threads start, once for each, and move it into the thread: or the first one to sleep would
    /// find nobody else awake, and not wait for the others.
    fn take_part(&self) -> Part<'_> {
        self.lock().threads += 1;
        Part { clock: Some(self) }
    }
}
