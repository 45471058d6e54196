//! Sync in turn against async at once measures "at once", and calls it async. It is the guide's
//! comparison, and that of most articles. Compare like with like: threads are the third bar.

use std::thread;

use ai_core::SyncClient;
use ai_mock::Mock;
use futures::future::join_all;
use tokio::join;

use crate::Both;
use crate::support::{LONG, block_on, client, config, start};

const CALLS: usize = 8;

// ANCHOR: wrong
/// How many calls are under way at one time, in the sync and in the async version.
pub fn wrong() -> (u64, u64) {
    (in_turn(), at_once())
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The same, with a thread for each call in the sync version.
pub fn right() -> (u64, u64) {
    (in_threads(), at_once())
}
// ANCHOR_END: right

fn in_turn() -> u64 {
    let mock = start(Mock::builder());
    let client = SyncClient::new(config(&mock)).expect("a client can be built");
    (0..CALLS).for_each(|_| drop(client.generate_text("Hello")));
    mock.stats().peak_in_flight
}

fn in_threads() -> u64 {
    let mock = start(Mock::builder().gate("door"));
    let client = SyncClient::new(config(&mock)).expect("a client can be built");
    thread::scope(|scope| {
        (0..CALLS).for_each(|_| drop(scope.spawn(|| client.generate_text("Hello"))));
        // They are let go once all are there.
        let all = mock.wait_for(LONG, |log| log.len() == CALLS);
        mock.gate("door").open();
        all.expect("they arrive");
    });
    mock.stats().peak_in_flight
}

fn at_once() -> u64 {
    let mock = start(Mock::builder().gate("door"));
    let client = client(&mock);
    let calls = join_all((0..CALLS).map(|_| client.generate_text("Hello")));
    let all = block_on(async {
        let open = async {
            let all = mock.wait_for_async(LONG, |log| log.len() == CALLS).await;
            mock.gate("door").open();
            all
        };
        join!(calls, open).1
    });
    all.expect("they arrive");
    mock.stats().peak_in_flight
}

pub(crate) fn both() -> Both {
    let tell = |(a, b): &(u64, u64)| format!("calls at one time: sync {a}, async {b}");
    Both::of(wrong(), right(), |(a, b)| a == b, tell)
}
