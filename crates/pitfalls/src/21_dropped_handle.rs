//! A task whose handle is dropped goes on by itself, and ends with the runtime, done or not; its panic
//! is told to nobody. Who spawns and forgets has it. Keep the tasks in a `JoinSet`, and wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Both;
use crate::support::{in_virtual_time, ms};

// ANCHOR: wrong
/// Nobody waits for the tasks: when `main` returns, they are gone.
pub async fn wrong(stored: &Arc<AtomicU32>) {
    for _ in 0..5 {
        tokio::spawn(store(stored.clone()));
    }
}
// ANCHOR_END: wrong

// ANCHOR: right
/// They are waited for. A set that is dropped ends its tasks, which is as clear.
pub async fn right(stored: &Arc<AtomicU32>) {
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        tasks.spawn(store(stored.clone()));
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no task panics");
    }
}
// ANCHOR_END: right

async fn store(stored: Arc<AtomicU32>) {
    sleep(ms(10)).await;
    stored.fetch_add(1, Relaxed);
}

fn stored(half: impl AsyncFnOnce(&Arc<AtomicU32>)) -> u32 {
    let stored = Arc::default();
    in_virtual_time(half(&stored));
    stored.load(Relaxed)
}

pub(crate) fn both() -> Both {
    let tell = |stored: &u32| format!("{stored} of 5 answers are stored when the program ends");
    Both::of(stored(wrong), stored(right), |stored| *stored == 5, tell)
}
