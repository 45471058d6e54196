//! `timeout` of reqwest limits each wait in its blocking client, when that is read piece by piece, and
//! the whole in its async one. Who ports one version to the other has it, and the guide's two versions
//! differ in the same way. Name the limit you mean.

use std::{io, thread};

use ai_core::install_tls_provider;
use ai_mock::Mock;
use reqwest::{Client, Error, blocking};
use serde_json::json;

use crate::Both;
use crate::support::{block_on, secs, start};

// ANCHOR: wrong
/// The same word.
pub fn wrong() -> Result<(blocking::Client, Client), Error> {
    let (sync, awaits) = (blocking::Client::builder(), Client::builder());
    let sync = sync.no_proxy().timeout(secs(1)).build()?;
    let awaits = awaits.no_proxy().timeout(secs(1)).build()?;
    Ok((sync, awaits))
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The same limit.
pub fn right() -> Result<(blocking::Client, Client), Error> {
    let (sync, awaits) = (blocking::Client::builder(), Client::builder());
    let sync = sync.no_proxy().timeout(secs(1)).build()?;
    let awaits = awaits.no_proxy().read_timeout(secs(1)).build()?;
    Ok((sync, awaits))
}
// ANCHOR_END: right

/// Whether the sync and the async client read an answer to its end that takes a second and a half.
fn whole((sync, awaits): (blocking::Client, Client)) -> (bool, bool) {
    let mock = start(Mock::builder().answer_tokens(60).tokens_per_second(40.0));
    let url = format!("{}/chat/completions", mock.base_url());
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": ""}]});
    let sync = sync.post(&url).bearer_auth("sk-test").json(&body);
    let awaits = awaits.post(&url).bearer_auth("sk-test").json(&body);
    thread::scope(|scope| {
        let sync = scope.spawn(|| io::copy(&mut sync.send().ok()?, &mut io::sink()).ok());
        let awaits = block_on(async { awaits.send().await?.text().await });
        let sync = sync.join().expect("it does not panic");
        (sync.is_some(), awaits.is_ok())
    })
}

pub(crate) fn both() -> Both {
    install_tls_provider();
    let (wrong, right) = (
        wrong().expect("it can be built"),
        right().expect("it can be built"),
    );
    let (wrong, right) = thread::scope(|scope| {
        let wrong = scope.spawn(|| whole(wrong));
        let right = whole(right);
        (wrong.join().expect("it does not panic"), right)
    });
    let end = |whole: &bool| if *whole { "reads it all" } else { "is cut off" };
    let tell = |(a, b): &(bool, bool)| format!("sync {}, async {}", end(a), end(b));
    Both::of(wrong, right, |(a, b)| *a && *b, tell)
}
