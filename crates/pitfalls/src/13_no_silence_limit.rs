//! A stream without any limit waits for a server that has stalled as long as the connection stands. Who
//! has taken the total timeout away has it, and the guide's sync stream. Limit the silence.

use std::pin::pin;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use tokio::time::{Instant, timeout};

use crate::Both;
use crate::support::{in_virtual_time, secs};

// ANCHOR: wrong
/// Trusts the server to go on, or to close the connection.
pub async fn wrong(tokens: impl Stream<Item = &str>) -> String {
    tokens.collect().await
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Gives up after 30 s of silence, and keeps what has come.
pub async fn right(tokens: impl Stream<Item = &str>) -> String {
    let (mut tokens, mut text) = (pin!(tokens), String::new());
    while let Ok(Some(token)) = timeout(secs(30), tokens.next()).await {
        text.push_str(token);
    }
    text
}
// ANCHOR_END: right

/// In place of an answer that stalls: two tokens, then nothing.
fn stalled() -> impl Stream<Item = &'static str> {
    stream::iter(["Once", " upon"]).chain(stream::pending())
}

/// What came, and when its reader was done, if that was within an hour.
async fn within_an_hour(half: impl Future<Output = String>) -> Option<(String, Duration)> {
    let started = Instant::now();
    let text = timeout(secs(3600), half).await.ok()?;
    Some((text, started.elapsed()))
}

pub(crate) fn both() -> Both {
    let wrong = in_virtual_time(within_an_hour(wrong(stalled())));
    let right = in_virtual_time(within_an_hour(right(stalled())));
    let tell = |seen: &Option<(String, Duration)>| match seen {
        Some((text, time)) => format!("gives up after {time:?}, and keeps {text:?}"),
        None => "still waiting after an hour".to_owned(),
    };
    Both::of(wrong, right, Option::is_some, tell)
}
