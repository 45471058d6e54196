//! A request was sent and its answer is lost: the server may have done the work, and bills it. An attempt
//! with a key of its own is new work to it. Draw the idempotency key once, for all attempts.

use std::collections::BTreeSet;

use ai_core::{AsyncClient, CallOptions, Error};
use ai_mock::{Failure, Mock};
use retry::{Policy, retry_async};

use crate::Both;
use crate::support::{block_on, client, ms, start};

// ANCHOR: wrong
/// The key is drawn within the attempt: the second attempt has another one.
pub async fn wrong(client: &AsyncClient, policy: &Policy) -> Result<String, Error> {
    let attempt = || async {
        let options = CallOptions::new().idempotency_key(draw_key());
        client.with(options)?.generate_text("Hello").await
    };
    retry_async(policy, attempt).await
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The key is drawn before the first attempt. (For a server that knows no keys there is
/// `retry_maybe_billed: false` in the policy.)
pub async fn right(client: &AsyncClient, policy: &Policy) -> Result<String, Error> {
    let options = CallOptions::new().idempotency_key(draw_key());
    let client = client.with(options)?;
    retry_async(policy, || client.generate_text("Hello")).await
}
// ANCHOR_END: right

fn draw_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// How many requests were sent for one answer, and how many keys they had. The first request is read,
/// and its connection is reset.
fn sent(half: impl AsyncFn(&AsyncClient, &Policy) -> Result<String, Error>) -> (usize, usize) {
    let mock = start(Mock::builder().fail_first(1, Failure::Reset));
    // The mock fails the first request of each item, and would take each key for an item.
    let one_item = CallOptions::new().header("x-mock-item", "hello");
    let client = client(&mock).with(one_item).expect("it can be sent");
    let policy = Policy {
        base_delay: ms(1),
        ..Policy::default()
    };
    block_on(half(&client, &policy)).expect("the second attempt is answered");
    let log = mock.log();
    let keys = log.iter().map(|entry| &entry.headers["idempotency-key"]);
    (log.len(), keys.collect::<BTreeSet<_>>().len())
}

pub(crate) fn both() -> Both {
    let tell = |(requests, keys): &(usize, usize)| {
        format!("requests for one answer: {requests}, different keys: {keys}")
    };
    Both::of(sent(wrong), sent(right), |sent| *sent == (2, 1), tell)
}
