//! A total timeout on a stream cuts an answer that is long, and healthy. Who gives one HTTP client one
//! `timeout` for all calls has it. Limit the silence between two tokens instead.

use std::pin::pin;

use futures::stream::{self, Stream, StreamExt};
use tokio::time::{sleep, timeout};

use crate::Both;
use crate::support::{in_virtual_time, ms, secs};

// ANCHOR: wrong
/// 30 s for the whole answer.
pub async fn wrong(tokens: impl Stream<Item = u32>) -> (usize, bool) {
    let (mut tokens, mut seen) = (pin!(tokens), 0);
    let all = async {
        while tokens.next().await.is_some() {
            seen += 1;
        }
    };
    let in_time = timeout(secs(30), all).await.is_ok();
    (seen, in_time)
}
// ANCHOR_END: wrong

// ANCHOR: right
/// 30 s for each next token.
pub async fn right(tokens: impl Stream<Item = u32>) -> (usize, bool) {
    let (mut tokens, mut seen) = (pin!(tokens), 0);
    loop {
        match timeout(secs(30), tokens.next()).await {
            Ok(Some(_)) => seen += 1,
            Ok(None) => return (seen, true),
            Err(_) => return (seen, false),
        }
    }
}
// ANCHOR_END: right

/// In place of a long answer: 1,000 tokens in 70 s.
fn answer() -> impl Stream<Item = u32> {
    stream::iter(0..1000).then(async |token| {
        sleep(ms(70)).await;
        token
    })
}

pub(crate) fn both() -> Both {
    let wrong = in_virtual_time(wrong(answer()));
    let right = in_virtual_time(right(answer()));
    let tell = |(seen, _): &(usize, bool)| format!("{seen} of 1000 tokens arrive");
    Both::of(wrong, right, |(_, in_time)| *in_time, tell)
}
