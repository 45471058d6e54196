//! `buffer_unordered(0)` never begins anything, and never ends (futures-rs#2348). Who computes the
//! limit, from a length or a setting, gets a zero one day. Make it at least 1, or a `NonZeroUsize`.

use futures::stream::{self, StreamExt};
use tokio::time::timeout;

use crate::Both;
use crate::support::{in_virtual_time, secs};

// ANCHOR: wrong
/// A quarter of them at once, which for 3 is none.
pub async fn wrong(prompts: &[&str]) -> Vec<String> {
    let limit = prompts.len() / 4;
    let calls = stream::iter(prompts).map(|prompt| ask(prompt));
    calls.buffer_unordered(limit).collect().await
}
// ANCHOR_END: wrong

// ANCHOR: right
/// A quarter of them at once, and at least one.
pub async fn right(prompts: &[&str]) -> Vec<String> {
    let limit = (prompts.len() / 4).max(1);
    let calls = stream::iter(prompts).map(|prompt| ask(prompt));
    calls.buffer_unordered(limit).collect().await
}
// ANCHOR_END: right

/// In place of a call.
async fn ask(prompt: &str) -> String {
    format!("About {prompt}")
}

pub(crate) fn both() -> Both {
    let prompts = ["AI", "machine learning", "neural networks"];
    let hour = secs(3600);
    let wrong = in_virtual_time(async { timeout(hour, wrong(&prompts)).await });
    let right = in_virtual_time(async { timeout(hour, right(&prompts)).await });
    let tell = |answers: &Result<Vec<String>, _>| match answers {
        Ok(answers) => format!("{} answers to 3 prompts", answers.len()),
        Err(_) => "still waiting after an hour".to_owned(),
    };
    Both::of(wrong, right, Result::is_ok, tell)
}
