//! `join_all` over a list has every request of it under way at one time. Who tried it with three
//! prompts ships it, and the first list of 5,000 is 5,000 connections. Bound what is under way.

use ai_core::{AsyncClient, Error};
use ai_mock::Mock;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use tokio::join;

use crate::Both;
use crate::support::{LONG, block_on, client, start};

// ANCHOR: wrong
/// As many at once as there are prompts.
pub async fn wrong(client: &AsyncClient, prompts: &[&str]) -> Vec<Result<String, Error>> {
    join_all(prompts.iter().map(|prompt| client.generate_text(prompt))).await
}
// ANCHOR_END: wrong

// ANCHOR: right
/// At most 8 at once. (They come out as they are answered; pattern 2 puts them in order.)
pub async fn right(client: &AsyncClient, prompts: &[&str]) -> Vec<Result<String, Error>> {
    let calls = stream::iter(prompts).map(|prompt| client.generate_text(prompt));
    calls.buffer_unordered(8).collect().await
}
// ANCHOR_END: right

/// The most requests that the server had at one time. It answers none before it has so many.
async fn peak(half: impl Future, mock: &Mock, expected: usize) -> u64 {
    let open = async {
        let all = mock.wait_for_async(LONG, |log| log.len() >= expected).await;
        mock.gate("door").open();
        all
    };
    let (_, all) = join!(half, open);
    all.expect("they arrive");
    mock.stats().peak_in_flight
}

pub(crate) fn both() -> Both {
    let prompts = ["Hello"; 100];
    let wrong = block_on(async {
        let mock = start(Mock::builder().gate("door"));
        peak(wrong(&client(&mock), &prompts), &mock, 100).await
    });
    let right = block_on(async {
        let mock = start(Mock::builder().gate("door"));
        peak(right(&client(&mock), &prompts), &mock, 8).await
    });
    let tell = |peak: &u64| format!("100 prompts, {peak} requests at one time");
    Both::of(wrong, right, |peak| *peak <= 8, tell)
}
