//! The simulated clock: hours in no time, and the same each time.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ai_core::{Clock, SimulatedClock, SystemClock};

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
