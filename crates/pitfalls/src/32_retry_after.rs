//! A server that refuses says when to come back, and who does not listen is refused again. A fixed pause
//! has it, and the guide's backoff. Wait as long as `Retry-After` says, if that is longer.

use ai_core::{AsyncClient, Error};
use ai_mock::{Mock, Quota};
use tokio::time::sleep;

use crate::Both;
use crate::support::{block_on, client, ms, secs, start};

// ANCHOR: wrong
/// Three attempts, by our own schedule.
pub async fn wrong(client: &AsyncClient) -> Result<String, Error> {
    for _ in 0..2 {
        if let Ok(answer) = client.generate_text("Hello").await {
            return Ok(answer);
        }
        sleep(ms(10)).await;
    }
    client.generate_text("Hello").await
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Three attempts, none before the server wants it.
pub async fn right(client: &AsyncClient) -> Result<String, Error> {
    for _ in 0..2 {
        match client.generate_text("Hello").await {
            Ok(answer) => return Ok(answer),
            Err(error) => sleep(error.retry_after().unwrap_or_default().max(ms(10))).await,
        }
    }
    client.generate_text("Hello").await
}
// ANCHOR_END: right

/// Whether there is an answer, and how many attempts were made. The server takes one request a second,
/// and has just had one.
fn attempts(half: impl AsyncFn(&AsyncClient) -> Result<String, Error>) -> (bool, u64) {
    let one_a_second = Quota {
        requests: Some(1),
        window: secs(1),
        ..Quota::default()
    };
    let mock = start(Mock::builder().quota(one_a_second));
    let client = client(&mock);
    block_on(async {
        client
            .generate_text("Hello")
            .await
            .expect("the first is answered");
        let answered = half(&client).await.is_ok();
        (answered, mock.stats().requests - 1)
    })
}

pub(crate) fn both() -> Both {
    let tell = |(answered, attempts): &(bool, u64)| match answered {
        true => format!("{attempts} attempts, an answer"),
        false => format!("{attempts} attempts, no answer"),
    };
    Both::of(
        attempts(wrong),
        attempts(right),
        |(answered, _)| *answered,
        tell,
    )
}
