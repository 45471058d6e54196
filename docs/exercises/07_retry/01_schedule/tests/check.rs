//! What must hold: the names of the tests say it, their messages say where to look.

use std::time::Duration;

use ex_07_01::{Jitter, Policy};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn policy(jitter: Jitter) -> Policy {
    Policy {
        jitter,
        ..Policy::default()
    }
}

/// The pauses after the first attempts.
fn pauses(policy: &Policy, attempts: u32, random: f64) -> Vec<Duration> {
    let pause = |attempt| policy.backoff(attempt, policy.base_delay, random);
    (1..=attempts).map(pause).collect()
}

#[test]
fn without_jitter_each_pause_is_twice_as_long_as_the_one_before() {
    let pauses = pauses(&policy(Jitter::None), 4, 0.9);
    assert_eq!(
        pauses,
        [ms(1000), ms(2000), ms(4000), ms(8000)],
        "attempts are counted from 1: the first pause is base_delay * factor^0"
    );
}

#[test]
fn the_factor_is_the_policys() {
    let policy = Policy {
        factor: 1.5,
        ..policy(Jitter::None)
    };
    assert_eq!(
        pauses(&policy, 3, 0.0),
        [ms(1000), ms(1500), ms(2250)],
        "it is 1.5 here"
    );
}

#[test]
fn no_pause_is_longer_than_the_longest() {
    for jitter in [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
    ] {
        let policy = policy(jitter);
        for attempt in [7, 8, 100] {
            let pause = policy.backoff(attempt, ms(50_000), 0.999);
            assert!(
                pause <= policy.max_delay,
                "{jitter:?}: {pause:?} after attempt {attempt}"
            );
        }
    }
    assert_eq!(
        policy(Jitter::None).backoff(7, ms(0), 0.0),
        ms(60_000),
        "64 s are cut to 60 s"
    );
}

#[test]
fn full_jitter_is_anything_up_to_the_delay() {
    let policy = policy(Jitter::Full);
    let after_third = |random| policy.backoff(3, ms(2000), random);
    assert_eq!(
        [0.0, 0.25, 0.5].map(after_third),
        [ms(0), ms(1000), ms(2000)],
        "the delay after the third attempt is 4 s"
    );
}

#[test]
fn equal_jitter_keeps_half_of_the_delay() {
    let policy = policy(Jitter::Equal);
    let after_third = |random| policy.backoff(3, ms(2000), random);
    assert_eq!(
        [0.0, 0.25, 0.5].map(after_third),
        [ms(2000), ms(2500), ms(3000)],
        "the delay after the third attempt is 4 s"
    );
}

#[test]
fn the_delay_is_cut_before_chance_takes_its_part() {
    let pause = policy(Jitter::Equal).backoff(20, ms(60_000), 0.0);
    assert_eq!(
        pause,
        ms(30_000),
        "cut afterwards, all who wait long would wait equally long"
    );
}

#[test]
fn decorrelated_jitter_is_between_the_base_and_three_times_the_pause_before() {
    let policy = policy(Jitter::Decorrelated);
    let pause = |random| policy.backoff(2, ms(3000), random);
    assert_eq!(
        [0.0, 0.5].map(pause),
        [ms(1000), ms(5000)],
        "it is even between 1 s and 9 s"
    );
}

#[test]
fn nothing_makes_it_panic() {
    for jitter in [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
    ] {
        for factor in [1.0, 2.0, f64::INFINITY] {
            for base_delay in [Duration::ZERO, ms(1), Duration::MAX] {
                let policy = Policy {
                    base_delay,
                    factor,
                    ..policy(jitter)
                };
                for attempt in [1, 2, 1000, u32::MAX] {
                    let pause = policy.backoff(attempt, Duration::MAX, 0.999);
                    assert!(
                        pause <= policy.max_delay,
                        "{pause:?} after attempt {attempt}, by {policy:?}: cut it in seconds, before it \
                         is a `Duration`, which has its limits"
                    );
                }
            }
        }
    }
}
