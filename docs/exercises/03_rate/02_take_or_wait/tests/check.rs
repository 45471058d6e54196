//! What must hold: the names of the tests say it, their messages say where to look.
//!
//! The time is paused: it jumps to the next timer when nothing else is to be done. So minutes pass in
//! no time, and all times are exact.

use std::sync::Arc;
use std::time::Duration;

use ex_03_02::Limiter;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

const MINUTE: Duration = Duration::from_secs(60);

/// Lets so many acquire a slot at once, and returns when each of them went.
async fn rush(limiter: Limiter, callers: usize) -> Vec<Duration> {
    let start = Instant::now();
    let limiter = Arc::new(limiter);
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let limiter = limiter.clone();
        // If this does not compile ("future cannot be sent between threads"): the lock is held over
        // an `await`. Give it back before.
        tasks.spawn(async move {
            limiter.acquire().await;
            start.elapsed()
        });
    }
    // A day of paused time passes at once, should somebody wait for ever.
    let went = timeout(24 * 60 * MINUTE, tasks.join_all()).await;
    let mut went = went.expect("after a day some still wait: who is told when a slot is free?");
    went.sort();
    went
}

/// Where a timer ends: tokio's are exact to the millisecond, and never early.
fn second(time: Duration) -> u64 {
    (time.as_secs_f64() * 100.0).round() as u64 / 100
}

#[tokio::test(start_paused = true)]
async fn as_many_go_at_once_as_the_limit_allows() {
    let went = rush(Limiter::new(10, MINUTE), 10).await;
    assert_eq!(
        went,
        [Duration::ZERO; 10],
        "there are ten slots: nobody has to wait"
    );
}

#[tokio::test(start_paused = true)]
async fn in_no_minute_go_more_than_the_limit_allows() {
    let went = rush(Limiter::new(10, MINUTE), 61).await;
    for (first, start) in went.iter().enumerate() {
        let in_a_minute = went[first..]
            .iter()
            .take_while(|time| **time < *start + MINUTE)
            .count();
        assert!(
            in_a_minute <= 10,
            "{in_a_minute} went within a minute from {start:?} on, and 10 may. All who wait wake at \
             the same time: waking is no right to go"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn everybody_goes_as_soon_as_the_limit_allows() {
    let went = rush(Limiter::new(10, MINUTE), 61).await;
    let rounds: Vec<_> = went.iter().step_by(10).map(|time| second(*time)).collect();
    assert_eq!(
        rounds,
        [0, 60, 120, 180, 240, 300, 360],
        "ten a minute, the first ten at once"
    );
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_takes_no_slot_with_him() {
    let limiter = Limiter::new(1, MINUTE);
    limiter.acquire().await;
    for _ in 0..5 {
        let in_vain = timeout(Duration::from_secs(1), limiter.acquire()).await;
        assert!(in_vain.is_err(), "the only slot is taken for a minute");
    }
    let start = Instant::now();
    limiter.acquire().await;
    assert_eq!(
        second(start.elapsed()),
        55,
        "the next slot is free after a minute, of which five seconds have passed: wait as long as \
         `try_take` says, and take nothing before"
    );
}
