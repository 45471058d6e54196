//! A std lock held over an await blocks the thread for the very task that would give it back. Who adds
//! up totals in several tasks has it. Await first, then lock, and let go before the next await.
//!
//! Clippy finds it (`await_holding_lock`), and `tokio::spawn` refuses such a future, but rustc lets
//! `join!` and `block_on` have it:
//!
//! ```compile_fail
//! let total = std::sync::Mutex::new(0);
//! tokio::spawn(async move {
//!     let held = total.lock();
//!     tokio::task::yield_now().await;
//!     drop(held);
//! });
//! ```

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use tokio::join;
use tokio::time::sleep;

use crate::Both;
use crate::support::{LONG, block_on, lock, ms, secs};

// ANCHOR: wrong
/// The second task waits for the lock, and with it stands the thread that the first one needs.
#[expect(clippy::await_holding_lock, reason = "it is the mistake")]
pub async fn wrong(total: Arc<Mutex<u32>>) {
    let mut total = lock(&total);
    *total += ask().await;
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The lock is held for one addition.
pub async fn right(total: Arc<Mutex<u32>>) {
    let tokens = ask().await;
    *lock(&total) += tokens;
}
// ANCHOR_END: right

/// In place of a call; the answer is how many tokens it has used.
async fn ask() -> u32 {
    sleep(ms(1)).await;
    21
}

/// Runs two tasks on a thread. What deadlocks stays there until the program ends.
fn total<F: Future + 'static>(half: fn(Arc<Mutex<u32>>) -> F, limit: Duration) -> Option<u32> {
    let (done, end) = mpsc::channel();
    thread::spawn(move || {
        let total = Arc::new(Mutex::new(0));
        block_on(async { join!(half(total.clone()), half(total.clone())) });
        done.send(*lock(&total))
    });
    end.recv_timeout(limit).ok()
}

pub(crate) fn both() -> Both {
    let tell = |total: &Option<u32>| match total {
        Some(total) => format!("two tasks on a thread: {total} tokens"),
        None => "two tasks on a thread: a deadlock".to_owned(),
    };
    let (wrong, right) = (total(wrong, secs(1)), total(right, LONG));
    Both::of(wrong, right, Option::is_some, tell)
}
