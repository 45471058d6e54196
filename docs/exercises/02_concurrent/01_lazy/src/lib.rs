//! Several requests at once: a future does nothing until somebody polls it.

use ai_core::{AsyncClient, Error};

/// What became of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The place of its prompt among the prompts, from 0.
    pub index: usize,
    /// The answer, or why there is none.
    pub result: Result<String, Error>,
}

/// As many write it first: make all the calls, then await them one by one.
pub async fn as_written(client: &AsyncClient, prompts: &[impl AsRef<str>]) -> Vec<Item> {
    let mut calls = Vec::new();
    for (index, prompt) in prompts.iter().enumerate() {
        calls.push(ask(client, index, prompt));
    }
    let mut items = Vec::new();
    for call in calls {
        items.push(call.await);
    }
    items
}

/// Asks everything at once, without a limit: what `asyncio.gather` does.
pub async fn unbounded(client: &AsyncClient, prompts: &[impl AsRef<str>]) -> Vec<Item> {
    // TODO: ask all prompts at once, each with `ask` below, and return the items in their order.
    let asked = prompts.len();
    todo!("ask {} {asked} things", client.config().base_url())
}

/// Asks one prompt, and answers for whatever happens.
async fn ask(client: &AsyncClient, index: usize, prompt: &impl AsRef<str>) -> Item {
    let result = client.generate_text(prompt.as_ref()).await;
    Item { index, result }
}
