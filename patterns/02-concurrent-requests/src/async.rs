//! Several requests, awaited. Here the difference to `sync.rs` is the lesson: no threads.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;

use ai_core::AsyncClient;
use futures::future::{FutureExt, join_all};
use futures::stream::{self, Stream, StreamExt};
use tokio::time::Instant;

use crate::outcome::{Item, Run, in_input_order};

/// Asks one prompt after another: the times add up, although this is async.
pub async fn in_turn(client: &AsyncClient, prompts: &[impl AsRef<str>]) -> Vec<Item> {
    let mut items = Vec::with_capacity(prompts.len());
    for (index, prompt) in prompts.iter().enumerate() {
        items.push(ask(client, index, prompt).await);
    }
    items
}

/// Asks with at most `limit` requests under way, and returns the items in the order of the prompts.
///
/// Dropping the future before it is done calls off what is under way.
pub async fn at_once(
    client: &AsyncClient,
    prompts: &[impl AsRef<str>],
    limit: NonZeroUsize,
) -> Vec<Item> {
    // Over numbers, and not over `prompts.iter()`: a stream that maps references makes a future which
    // `tokio::spawn` refuses ("implementation of `FnOnce` is not general enough", rust#89976).
    let calls = stream::iter(0..prompts.len()).map(|index| ask(client, index, &prompts[index]));
    // Not `buffered`, which hands out in order as well: behind one slow answer it counts those that
    // are ready against the limit, and asks nothing more.
    let arrivals: Vec<_> = calls.buffer_unordered(limit.get()).collect().await;
    in_input_order(arrivals)
}

/// As [`at_once`], but hands each item out as it arrives; its `index` tells whose answer it is.
///
/// Dropping the stream keeps what has not begun from being asked, and calls off what is under way.
///
/// The requests go on only while the stream is polled. A loop body that awaits something else for
/// long holds them up (futures-rs#2387): hand the items to another task, then.
pub fn as_they_come(
    client: &AsyncClient,
    prompts: &[impl AsRef<str>],
    limit: NonZeroUsize,
) -> impl Stream<Item = Item> {
    let calls = stream::iter(0..prompts.len());
    let calls = calls.map(move |index| ask(client, index, &prompts[index]));
    calls.buffer_unordered(limit.get())
}

/// Asks everything at once, without a limit: what `asyncio.gather` does.
///
/// Right for a handful of prompts whose number you know. A list of 5,000 opens 5,000 connections,
/// and a server with a rate limit refuses most of them. [`at_once`] is as short.
pub async fn unbounded(client: &AsyncClient, prompts: &[impl AsRef<str>]) -> Vec<Item> {
    let calls = prompts.iter().enumerate();
    join_all(calls.map(|(index, prompt)| ask(client, index, prompt))).await
}

/// Asks one prompt, and answers for whatever happens.
async fn ask(client: &AsyncClient, index: usize, prompt: &impl AsRef<str>) -> Item {
    let call = async { client.generate_text(prompt.as_ref()).await };
    // The client is the only thing that lives on after a panic, and it holds no half-made state.
    Item::new(index, AssertUnwindSafe(call).catch_unwind().await)
}

/// Times one way of asking.
pub async fn timed(strategy: &'static str, ask_all: impl Future<Output = Vec<Item>>) -> Run {
    let started = Instant::now();
    let items = ask_all.await;
    Run {
        strategy,
        elapsed: started.elapsed(),
        items,
    }
}
