//! `block_on` inside async code, as whoever calls async code from a sync function has it that async
//! code calls. Make that function async too, and await.

use tokio::runtime::Handle;
use tokio::task::JoinError;

use crate::Both;
use crate::support::{block_on, ms, panic_words};

// ANCHOR: wrong
/// Asks a runtime to run on a thread on which it runs already.
pub async fn wrong() -> usize {
    count_tokens_sync()
}

fn count_tokens_sync() -> usize {
    Handle::current().block_on(count_tokens())
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Async all the way up.
pub async fn right() -> usize {
    count_tokens().await
}
// ANCHOR_END: right

async fn count_tokens() -> usize {
    tokio::time::sleep(ms(1)).await;
    42
}

fn call(half: impl Future<Output = usize> + Send + 'static) -> Result<usize, JoinError> {
    block_on(async { tokio::spawn(half).await })
}

pub(crate) fn both() -> Both {
    let told = |result: Result<usize, JoinError>| match result {
        Ok(tokens) => (true, format!("{tokens} tokens")),
        Err(error) => (false, format!("panic: {}", panic_words(error))),
    };
    Both::of(
        told(call(wrong())),
        told(call(right())),
        |it| it.0,
        |it| it.1.clone(),
    )
}
