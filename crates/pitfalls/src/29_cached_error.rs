//! A cache that keeps whatever came keeps errors, too: a second of trouble lasts as long as the entry.
//! Who caches the whole result of a function has it. Keep what is good, and nothing else.

use std::collections::HashMap;

use ai_core::{AsyncClient, Error};
use ai_mock::{Failure, Mock};

use crate::Both;
use crate::support::{block_on, client, start};

type Cache<T> = HashMap<&'static str, T>;

// ANCHOR: wrong
/// The error is an entry like any other.
pub async fn wrong(
    client: &AsyncClient,
    cache: &mut Cache<Result<String, Error>>,
    prompt: &'static str,
) -> Result<String, Error> {
    if !cache.contains_key(prompt) {
        cache.insert(prompt, client.generate_text(prompt).await);
    }
    cache[prompt].clone()
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Only an answer becomes an entry. (A whole one: `generate_text` takes no other.)
pub async fn right(
    client: &AsyncClient,
    cache: &mut Cache<String>,
    prompt: &'static str,
) -> Result<String, Error> {
    if !cache.contains_key(prompt) {
        cache.insert(prompt, client.generate_text(prompt).await?);
    }
    Ok(cache[prompt].clone())
}
// ANCHOR_END: right

/// How often of five times there is an answer, from a server whose first one fails.
fn answers<T>(ask: impl AsyncFn(&AsyncClient, &mut Cache<T>) -> Result<String, Error>) -> usize {
    let mock = start(Mock::builder().fail_first(1, Failure::Status(503)));
    let (client, mut cache) = (client(&mock), Cache::new());
    block_on(async {
        let mut answers = 0;
        for _ in 0..5 {
            answers += usize::from(ask(&client, &mut cache).await.is_ok());
        }
        answers
    })
}

pub(crate) fn both() -> Both {
    let wrong = answers(async |client, cache| wrong(client, cache, "What is AI?").await);
    let right = answers(async |client, cache| right(client, cache, "What is AI?").await);
    let tell =
        |answers: &usize| format!("after one failure of the server, {answers} of 5 are answered");
    Both::of(wrong, right, |answers| *answers == 4, tell)
}
