//! A wrong key is still wrong the fifth time. Who retries on every error has it, as the guide does.
//! Ask whether the same call can succeed at all.

use ai_core::{AsyncClient, Error};
use ai_mock::Mock;

use crate::Both;
use crate::support::{block_on, client, start};

// ANCHOR: wrong
/// Whatever it was, it is tried again.
pub async fn wrong(client: &AsyncClient) -> Result<String, Error> {
    let mut attempt = 1;
    loop {
        match client.generate_text("Hello").await {
            Err(_) if attempt < 5 => attempt += 1,
            result => return result,
        }
    }
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Only what may pass is tried again: no connection, a timeout before the answer, 429, 5xx.
pub async fn right(client: &AsyncClient) -> Result<String, Error> {
    let mut attempt = 1;
    loop {
        match client.generate_text("Hello").await {
            Err(error) if error.is_retryable() && attempt < 5 => attempt += 1,
            result => return result,
        }
    }
}
// ANCHOR_END: right

fn requests(half: impl AsyncFn(&AsyncClient) -> Result<String, Error>) -> u64 {
    let mock = start(Mock::builder().api_key("another"));
    let result = block_on(half(&client(&mock)));
    result.expect_err("the key is wrong");
    mock.stats().requests
}

pub(crate) fn both() -> Both {
    let tell = |requests: &u64| format!("requests with a wrong key: {requests}");
    Both::of(
        requests(wrong),
        requests(right),
        |requests| *requests == 1,
        tell,
    )
}
