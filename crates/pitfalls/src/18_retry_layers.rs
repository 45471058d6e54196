//! Retries multiply: three attempts in the client, in the service and in the job are 27 requests. Who
//! adds a retry where an SDK has one already has two layers. Retry at one.

use ai_core::{AsyncClient, Error};
use ai_mock::{Failure, Mock};

use crate::Both;
use crate::support::{block_on, client, start};

// ANCHOR: wrong
/// Every layer is careful.
pub async fn wrong(client: &AsyncClient) -> Result<String, Error> {
    three_times(|| three_times(|| three_times(|| client.generate_text("Hello")))).await
}
// ANCHOR_END: wrong

// ANCHOR: right
/// One layer is, and the others pass its error on. (A budget bounds what all calls retry together.)
pub async fn right(client: &AsyncClient) -> Result<String, Error> {
    three_times(|| client.generate_text("Hello")).await
}
// ANCHOR_END: right

async fn three_times<T, F: Future<Output = Result<T, Error>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, Error> {
    for _ in 0..2 {
        if let Ok(value) = call().await {
            return Ok(value);
        }
    }
    call().await
}

/// The requests that a server has seen that is down.
fn requests(half: impl AsyncFn(&AsyncClient) -> Result<String, Error>) -> u64 {
    let mock = start(Mock::builder().failure_rate(1.0, Failure::Status(503)));
    let result = block_on(half(&client(&mock)));
    result.expect_err("it is down");
    mock.stats().requests
}

pub(crate) fn both() -> Both {
    let tell =
        |requests: &u64| format!("a server that is down sees {requests} requests for one call");
    Both::of(
        requests(wrong),
        requests(right),
        |requests| *requests == 3,
        tell,
    )
}
