//! The calls of a `buffer_unordered` go on only while it is polled, and a loop body that awaits
//! something else does not poll it (futures-rs#2387). Who stores each answer in a database has it.
//! Spawn the calls.

use std::pin::pin;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::time::sleep;

use crate::Both;
use crate::support::{in_virtual_time, ms, timed};

// ANCHOR: wrong
/// While an answer is stored, the other calls stand still.
pub async fn wrong(calls: u32) {
    let calls = stream::iter(0..calls).map(call);
    let mut answers = pin!(calls.buffer_unordered(2));
    while let Some(answer) = answers.next().await {
        store(answer).await;
    }
}
// ANCHOR_END: wrong

// ANCHOR: right
/// A task goes on by itself.
pub async fn right(calls: u32) {
    let calls = stream::iter(0..calls).map(|number| tokio::spawn(call(number)));
    let mut answers = pin!(calls.buffer_unordered(2));
    while let Some(answer) = answers.next().await {
        store(answer.expect("no call panics")).await;
    }
}
// ANCHOR_END: right

/// In place of a call: it waits for a connection, then for the answer.
async fn call(number: u32) -> u32 {
    sleep(ms(50)).await;
    sleep(ms(50)).await;
    number
}

async fn store(_answer: u32) {
    sleep(ms(100)).await;
}

pub(crate) fn both() -> Both {
    let (_, wrong) = in_virtual_time(timed(wrong(6)));
    let (_, right) = in_virtual_time(timed(right(6)));
    let tell = |time: &Duration| format!("6 calls, each stored for 100 ms: {time:?}");
    Both::of(wrong, right, |time| *time <= ms(700), tell)
}
