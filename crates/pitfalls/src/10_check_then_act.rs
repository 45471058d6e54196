//! A limiter that looks, sleeps, and then acts without looking again lets all who slept act at once.
//! It is the guide's limiter. Look and take in one step, and look again after each sleep.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use demo::fullest_window;
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::Both;
use crate::support::{in_virtual_time, lock, secs};

const LIMIT: usize = 5;
const MINUTE: Duration = secs(60);

type Sent = Mutex<VecDeque<Instant>>;

// ANCHOR: wrong
/// Everybody who waits has seen the same oldest request, and goes when that expires.
pub async fn wrong(sent: &Sent) {
    let pause = until_free(&mut lock(sent));
    if let Some(pause) = pause {
        sleep(pause).await;
    }
    lock(sent).push_back(Instant::now());
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Whoever finds a place free takes it under the same lock.
pub async fn right(sent: &Sent) {
    while let Some(pause) = take(sent) {
        sleep(pause).await;
    }
}

fn take(sent: &Sent) -> Option<Duration> {
    let mut sent = lock(sent);
    let pause = until_free(&mut sent);
    if pause.is_none() {
        sent.push_back(Instant::now());
    }
    pause
}
// ANCHOR_END: right

/// How long it takes until a place is free; `None` if there is one.
fn until_free(sent: &mut VecDeque<Instant>) -> Option<Duration> {
    sent.retain(|time| time.elapsed() < MINUTE);
    let oldest = sent.front().filter(|_| sent.len() >= LIMIT)?;
    Some(MINUTE - oldest.elapsed())
}

/// The most of 25 callers that went within a minute.
fn fullest(half: impl AsyncFn(&Sent)) -> usize {
    in_virtual_time(async {
        let (sent, started) = (Sent::default(), Instant::now());
        let went = join_all((0..25).map(|_| async {
            half(&sent).await;
            started.elapsed()
        }));
        fullest_window(went.await, MINUTE)
    })
}

pub(crate) fn both() -> Both {
    let tell = |fullest: &usize| format!("{LIMIT} a minute are allowed, and {fullest} went");
    Both::of(fullest(wrong), fullest(right), |it| *it <= LIMIT, tell)
}
