//! The simulated clock: hours in no time, and the same each time.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ai_core::{Clock, Signal, SimulatedClock, SystemClock};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn one_thread_alone_needs_no_words_with_the_clock() {
    let clock = SimulatedClock::new();
    for hour in 1..=24 {
        clock.sleep(secs(3600));
        assert_eq!(clock.now(), secs(hour * 3600));
    }
}

#[test]
fn threads_wake_in_the_order_of_their_times_and_each_sees_its_own() {
    let clock = SimulatedClock::new();
    let seen = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let parts: Vec<_> = (1..=4).map(|step| (step, clock.take_part())).collect();
        for (step, part) in parts {
            let (clock, seen) = (&clock, &seen);
            scope.spawn(move || {
                for _ in 0..12 / step {
                    clock.sleep(secs(step));
                    seen.lock()
                        .expect("nobody panics")
                        .push((clock.now(), step));
                }
                drop(part);
            });
        }
    });

    let seen = seen.into_inner().expect("nobody panics");
    let mut expected: Vec<_> = (1..=4)
        .flat_map(|step| (1..=12 / step).map(move |count| (secs(step * count), step)))
        .collect();
    expected.sort_unstable();
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert!(seen.is_sorted_by_key(|(time, _)| *time), "{seen:?}");
}

#[test]
fn a_thread_that_is_awake_holds_the_time_back() {
    let clock = SimulatedClock::new();
    let busy = clock.take_part();
    let part = clock.take_part();
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            clock.sleep(secs(5));
            drop(part);
        });
        assert_eq!(clock.now(), secs(0), "the busy thread has not slept yet");
        drop(busy);
        sleeper.join().expect("it wakes");
        assert_eq!(clock.now(), secs(5));
    });
}

#[test]
fn the_system_clock_goes_forward_while_one_sleeps() {
    let clock = SystemClock::new();
    let before = clock.now();
    clock.sleep(Duration::from_millis(2));
    assert!(clock.now() - before >= Duration::from_millis(2));
}

#[test]
fn who_waits_is_woken_by_the_ring_and_runs_when_the_ringer_sleeps() {
    let clock = SimulatedClock::new();
    let (signal, seen) = (Signal::new(), Mutex::new(Vec::new()));
    let note = |what| {
        seen.lock()
            .expect("nobody panics")
            .push((clock.now(), what))
    };
    thread::scope(|scope| {
        let parts = [clock.take_part(), clock.take_part()];
        let [waiter, ringer] = parts;
        let (clock, signal, note) = (&clock, &signal, &note);
        scope.spawn(move || {
            clock.wait(signal, None);
            note("rung");
            clock.wait(signal, Some(secs(10)));
            note("waited in vain");
            drop(waiter);
        });
        scope.spawn(move || {
            clock.sleep(secs(5));
            clock.ring(signal);
            note("ringing");
            clock.sleep(secs(60));
            note("slept");
            drop(ringer);
        });
    });
    let expected = [
        (secs(5), "ringing"),
        (secs(5), "rung"),
        (secs(15), "waited in vain"),
        (secs(65), "slept"),
    ];
    assert_eq!(seen.into_inner().expect("nobody panics"), expected);
}

#[test]
fn a_ring_before_the_wait_is_not_lost_and_counts_once() {
    fn check(clock: &impl Clock) {
        let signal = Signal::new();
        clock.ring(&signal);
        clock.ring(&signal);
        clock.wait(&signal, None);
        let before = clock.now();
        clock.wait(&signal, Some(Duration::from_millis(5)));
        assert!(clock.now() - before >= Duration::from_millis(5));
    }
    check(&SimulatedClock::new());
    check(&SystemClock::new());
}

#[test]
fn a_ring_wakes_a_thread_of_the_real_clock() {
    let (clock, signal) = (SystemClock::new(), Signal::new());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| clock.wait(&signal, None));
        clock.ring(&signal);
        waiter.join().expect("it is woken");
    });
}
