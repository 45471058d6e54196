//! A timeout for each attempt is none for the operation: five attempts of 30 s, and the pauses, are
//! nearly three minutes. Who sets the client's timeout and adds a retry has it. Put a deadline around.

use std::time::Duration;

use futures::future::pending;
use tokio::time::{sleep, timeout};

use crate::Both;
use crate::support::{in_virtual_time, secs, timed};

// ANCHOR: wrong
/// Each attempt may take 30 s.
pub async fn wrong() -> Option<String> {
    attempts().await
}
// ANCHOR_END: wrong

// ANCHOR: right
/// And all of them together, pauses included, a minute.
pub async fn right() -> Option<String> {
    timeout(secs(60), attempts()).await.unwrap_or_default()
}
// ANCHOR_END: right

async fn attempts() -> Option<String> {
    for pause in [1, 2, 4, 8, 0] {
        if let Ok(answer) = timeout(secs(30), ask()).await {
            return Some(answer);
        }
        sleep(secs(pause)).await;
    }
    None
}

/// In place of a server that does not answer.
async fn ask() -> String {
    pending().await
}

pub(crate) fn both() -> Both {
    let (_, wrong) = in_virtual_time(timed(wrong()));
    let (_, right) = in_virtual_time(timed(right()));
    let tell = |time: &Duration| format!("the caller knows after {time:?} that there is no answer");
    Both::of(wrong, right, |time| *time <= secs(60), tell)
}
