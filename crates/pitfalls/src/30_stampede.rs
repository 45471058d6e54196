//! Ten who ask the same at once all look into the empty cache, and all pay. Every cache of "look, call,
//! store" has it, the guide's too. Let the first one call, and the others wait for its answer.

use std::sync::Mutex;

use ai_core::{AsyncClient, Error};
use ai_mock::Mock;
use futures::future::join_all;
use tokio::sync::OnceCell;

use crate::Both;
use crate::support::{block_on, client, lock, start};

// ANCHOR: wrong
/// Between the look and the store there is a call, and nobody sees that it is being made.
pub async fn wrong(client: &AsyncClient, entry: &Mutex<Option<String>>) -> Result<String, Error> {
    let cached = lock(entry).clone();
    if let Some(cached) = cached {
        return Ok(cached);
    }
    let answer = client.generate_text("What is AI?").await?;
    *lock(entry) = Some(answer.clone());
    Ok(answer)
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The cell lets one caller fill it. If that one fails or is dropped, the next one tries.
pub async fn right(client: &AsyncClient, entry: &OnceCell<String>) -> Result<String, Error> {
    let call = || client.generate_text("What is AI?");
    entry.get_or_try_init(call).await.cloned()
}
// ANCHOR_END: right

fn calls<E: Default>(half: impl AsyncFn(&AsyncClient, &E) -> Result<String, Error>) -> u64 {
    let mock = start(Mock::builder());
    let (client, entry) = (client(&mock), E::default());
    let answers = block_on(join_all((0..10).map(|_| half(&client, &entry))));
    assert!(answers.iter().all(Result::is_ok), "the mock answers");
    mock.stats().requests
}

pub(crate) fn both() -> Both {
    let tell = |calls: &u64| format!("10 ask the same at once, calls paid for: {calls}");
    Both::of(calls(wrong), calls(right), |calls| *calls == 1, tell)
}
