//! The solution of 02.02.
//!
//! The same as patterns/02-concurrent-requests/src/async.rs: fn at_once
//! The same as patterns/02-concurrent-requests/src/outcome.rs: fn in_input_order

use std::num::NonZeroUsize;

use ai_core::{AsyncClient, Error};
use futures::stream::{self, StreamExt};

/// What became of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The place of its prompt among the prompts, from 0. It stays with the answer, whenever that
    /// arrives.
    pub index: usize,
    /// The answer, or why there is none.
    pub result: Result<String, Error>,
}

/// Asks with at most `limit` requests under way, and returns the items in the order of the prompts.
// ANCHOR: at_once
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
// ANCHOR_END: at_once

/// Puts what arrived in any order into the order of the prompts.
// ANCHOR: in_input_order
pub fn in_input_order(arrivals: impl IntoIterator<Item = Item>) -> Vec<Item> {
    let mut items: Vec<_> = arrivals.into_iter().collect();
    items.sort_unstable_by_key(|item| item.index);
    items
}
// ANCHOR_END: in_input_order

/// Asks one prompt, and answers for whatever happens.
pub async fn ask(client: &AsyncClient, index: usize, prompt: &impl AsRef<str>) -> Item {
    let result = client.generate_text(prompt.as_ref()).await;
    Item { index, result }
}
