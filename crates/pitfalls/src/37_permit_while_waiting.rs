//! Whoever waits for the rate limit with a permit in hand keeps out those who need not wait. It is the
//! guide's `async with semaphore` around its limiter. Wait first, and take the permit last.

use std::time::Duration;

use tokio::join;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep};

use crate::Both;
use crate::support::{in_virtual_time, secs};

// ANCHOR: wrong
/// A permit is "under way", and this call is not.
pub async fn wrong(permits: &Semaphore, turn: impl Future) {
    let _held = permits.acquire().await.expect("it is never closed");
    turn.await;
    call().await;
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Nothing is held while it waits for its turn.
pub async fn right(permits: &Semaphore, turn: impl Future) {
    turn.await;
    let _held = permits.acquire().await.expect("it is never closed");
    call().await;
}
// ANCHOR_END: right

/// In place of a call.
async fn call() {
    sleep(secs(1)).await;
}

/// Two calls to a model whose limit is used up, and one to another model: when that one is done.
async fn third<'a, F: Future>(
    permits: &'a Semaphore,
    half: impl Fn(&'a Semaphore, Sleep) -> F,
) -> Duration {
    let started = Instant::now();
    let other_model = async {
        half(permits, sleep(secs(0))).await;
        started.elapsed()
    };
    let limited = || half(permits, sleep(secs(60)));
    join!(limited(), limited(), other_model).2
}

pub(crate) fn both() -> Both {
    let wrong = in_virtual_time(async { third(&Semaphore::new(2), wrong).await });
    let right = in_virtual_time(async { third(&Semaphore::new(2), right).await });
    let tell = |done: &Duration| format!("the call that need not wait is done after {done:?}");
    Both::of(wrong, right, |done| *done < secs(60), tell)
}
