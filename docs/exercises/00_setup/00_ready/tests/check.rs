//! What must work on every laptop before the workshop begins.

use std::time::{Duration, Instant};

use ai_core::{Config, SyncClient};
use ai_mock::Mock;
use ex_00_00::{PROMPT, ask};

/// The guide's 3 s a reply, at a tenth.
const LATENCY: Duration = Duration::from_millis(300);

fn start() -> (Mock, SyncClient) {
    // One seed for the whole room: everybody gets the same answer.
    let mock = Mock::builder().seed(7).latency(LATENCY).start();
    let mock = mock.expect("no port on 127.0.0.1: does a firewall or a sandbox forbid it?");
    let config = Config::new(&mock.base_url(), "sk-room").expect("the mock's URL is valid");
    let client = SyncClient::new(config).expect("TLS can be set up");
    (mock, client)
}

#[test]
fn the_offline_server_starts_on_this_machine() {
    let (mock, _) = start();
    assert_ne!(mock.addr().port(), 0);
}

#[test]
fn a_client_reaches_it_without_network_and_without_a_key() {
    let (mock, client) = start();
    let text = client.generate_text("Say hello");
    let text = text.expect("is there a proxy between this program and 127.0.0.1?");
    assert!(!text.is_empty());
    assert_eq!(mock.log().len(), 1);
}

#[test]
fn the_answer_is_the_one_that_everybody_in_the_room_gets() {
    let (mock, client) = start();
    let started = Instant::now();
    let text = ask(&client, PROMPT);
    let elapsed = started.elapsed();
    let log = mock.log();
    let text = text.unwrap_or_else(|error| panic!("the call failed: {error}; the log: {log:?}"));
    assert_eq!(
        log.len(),
        1,
        "one call is one request; look at what `ask` does besides it"
    );
    println!("The room's numbers:");
    println!("  {text}");
    println!(
        "  {} + {} tokens, {:.2} s",
        log[0].prompt_tokens,
        log[0].tokens_sent,
        elapsed.as_secs_f64()
    );
    assert!(
        elapsed >= LATENCY,
        "the mock answers after {LATENCY:?}, and not after {elapsed:?}"
    );
    assert_eq!(
        (log[0].prompt_tokens, log[0].tokens_sent),
        ROOM,
        "is the prompt `PROMPT`?"
    );
}

/// The tokens of the prompt and of the answer.
const ROOM: (u32, u32) = (12, 69);
