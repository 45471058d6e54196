//! What must hold: the names of the tests say it, their messages say what the mock's log has seen.

use ai_core::{Config, SyncClient};
use ai_mock::{Builder, Failure, Mock};
use ex_90_03::{ATTEMPTS, report};

const TOPICS: [&str; 4] = [
    "Rust is fast.",
    "Tea is hot.",
    "Ice is cold.",
    "Snow is white.",
];

fn start(builder: Builder) -> (Mock, SyncClient) {
    let mock = builder.start().expect("a free port on 127.0.0.1");
    let config = Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid");
    (
        mock,
        SyncClient::new(config).expect("a client can be built"),
    )
}

#[test]
fn a_server_that_is_well_gets_one_request_a_topic() {
    let (mock, client) = start(Mock::builder());
    let summaries = report(&client, &TOPICS);
    assert!(summaries.iter().all(Result::is_ok), "{summaries:?}");
    assert_eq!(mock.log().len(), TOPICS.len());
}

#[test]
fn a_server_that_fails_twice_is_asked_a_third_time() {
    let (mock, client) = start(Mock::builder().fail_first(2, Failure::Status(503)));
    let summaries = report(&client, &TOPICS);
    assert!(summaries.iter().all(Result::is_ok), "{summaries:?}");
    assert_eq!(mock.log().len(), 3 * TOPICS.len());
}

#[test]
fn a_server_that_is_down_gets_three_requests_a_topic_and_no_more() {
    let down = Mock::builder().failure_rate(1.0, Failure::Status(503));
    let (mock, client) = start(down);
    let summaries = report(&client, &TOPICS);
    assert!(summaries.iter().all(Result::is_err), "{summaries:?}");
    let log = mock.log();
    let most = log.iter().map(|entry| entry.attempt).max();
    assert_eq!(
        most,
        Some(ATTEMPTS),
        "the log has {} requests for {} topics. `attempt` says how often the same one came; {ATTEMPTS} \
         were meant. Three times three are nine: who tries again what has been tried again?",
        log.len(),
        TOPICS.len()
    );
}

#[test]
fn a_wrong_key_is_told_at_once() {
    let (mock, client) = start(Mock::builder().api_key("sk-right"));
    let summaries = report(&client, &TOPICS[..1]);
    assert!(summaries[0].is_err());
    assert_eq!(mock.log().len(), 1, "another try would fail as well");
}
