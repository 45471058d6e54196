//! A list of futures is a list of calls that have not begun; awaited in a loop, they run in turn. Who
//! comes from Python's tasks or JavaScript's promises expects them to run. Join them.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;

use crate::Both;
use crate::support::{in_virtual_time, ms, timed};

// ANCHOR: wrong
/// Each call begins when the loop comes to it.
pub async fn wrong(prompts: &[&str]) -> Vec<String> {
    let calls: Vec<_> = prompts.iter().map(|prompt| ask(prompt)).collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await);
    }
    answers
}
// ANCHOR_END: wrong

// ANCHOR: right
/// All calls are polled together. For more than a handful, bound them: see the next pitfall.
pub async fn right(prompts: &[&str]) -> Vec<String> {
    let calls = prompts.iter().map(|prompt| ask(prompt));
    join_all(calls).await
}
// ANCHOR_END: right

/// In place of a call: it takes 100 ms.
async fn ask(prompt: &str) -> String {
    sleep(ms(100)).await;
    format!("About {prompt}")
}

pub(crate) fn both() -> Both {
    let prompts = ["AI", "machine learning", "neural networks", "Rust"];
    let (_, wrong) = in_virtual_time(timed(wrong(&prompts)));
    let (_, right) = in_virtual_time(timed(right(&prompts)));
    let tell = |time: &Duration| format!("4 calls of 100 ms take {time:?}");
    Both::of(wrong, right, |time| *time < ms(200), tell)
}
