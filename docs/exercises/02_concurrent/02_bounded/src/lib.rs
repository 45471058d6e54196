//! Several requests at once, and never more than so many: order kept, no answer lost.

use std::num::NonZeroUsize;

use ai_core::{AsyncClient, Error};

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
pub async fn at_once(
    client: &AsyncClient,
    prompts: &[impl AsRef<str>],
    limit: NonZeroUsize,
) -> Vec<Item> {
    // TODO: make a stream of calls of `ask`, run at most `limit` of them at once, and collect the items.
    // The two functions below are given: use them.
    let asked = prompts.len();
    todo!(
        "ask {} {asked} things, {limit} at a time",
        client.config().base_url()
    )
}

/// Puts what arrived in any order into the order of the prompts.
pub fn in_input_order(arrivals: impl IntoIterator<Item = Item>) -> Vec<Item> {
    let mut items: Vec<_> = arrivals.into_iter().collect();
    items.sort_unstable_by_key(|item| item.index);
    items
}

/// Asks one prompt, and answers for whatever happens.
pub async fn ask(client: &AsyncClient, index: usize, prompt: &impl AsRef<str>) -> Item {
    let result = client.generate_text(prompt.as_ref()).await;
    Item { index, result }
}
