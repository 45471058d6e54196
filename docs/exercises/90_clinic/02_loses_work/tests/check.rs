//! What must hold: the names of the tests say it, their messages say what the mock's log has seen.

use std::time::Duration;

use ai_core::{AsyncClient, Config};
use ai_mock::{Builder, Entry, Mock, Script, Service};
use ex_90_02::{Archive, run};

const PROMPTS: [&str; 6] = [
    "Explain AI in one sentence",
    "What is machine learning?",
    "Summarize: Rust is fast.",
    "Define neural networks",
    "What is a transformer?",
    "Explain attention",
];

fn start(builder: Builder) -> (Mock, AsyncClient) {
    let mock = builder.start().expect("a free port on 127.0.0.1");
    let config = Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid");
    (
        mock,
        AsyncClient::new(config).expect("a client can be built"),
    )
}

/// A server that can't summarize: the third prompt fails.
fn bad_night() -> Builder {
    Mock::builder().service_script(Service::Summary, Script::Html502)
}

fn is_answered(entry: &Entry) -> bool {
    entry.status == Some(200) && entry.is_finished() && entry.left_at_token.is_none()
}

#[tokio::test]
async fn on_a_good_night_everything_is_saved() {
    let (_mock, client) = start(Mock::builder());
    let mut archive = Archive::default();
    run(&client, &PROMPTS, &mut archive)
        .await
        .expect("the server is well");
    assert_eq!(archive.count(), 6);
}

#[tokio::test]
async fn what_was_answered_is_saved() {
    // The failure comes last, when the other five have been answered.
    let late = Duration::from_millis(500);
    let (mock, client) = start(bad_night().service_latency(Service::Summary, late));
    let mut archive = Archive::default();
    let _ = run(&client, &PROMPTS, &mut archive).await;
    let answered = mock.log().iter().filter(|entry| is_answered(entry)).count();
    assert_eq!(
        archive.count(),
        answered,
        "{answered} answers of status 200 are in the server's log, and on the bill: are they in the archive?"
    );
}

#[tokio::test]
async fn one_failure_calls_off_nobody_else() {
    // The failure comes first, when the others are under way.
    let slow = Duration::from_millis(500);
    let (mock, client) = start(bad_night().service_latency(Service::Chat, slow));
    let mut archive = Archive::default();
    let _ = run(&client, &PROMPTS, &mut archive).await;
    let log = mock.wait_for_async(Duration::from_secs(5), |log| {
        log.iter().all(Entry::is_finished)
    });
    let log = log.await.expect("nothing holds an answer back");
    let left = log
        .iter()
        .filter(|entry| entry.left_at_token.is_some())
        .count();
    assert_eq!(
        left, 0,
        "the server was still writing {left} answers when the program hung up"
    );
    assert_eq!(archive.count(), 5, "the five others are no worse for it");
}

#[tokio::test]
async fn the_failure_is_told() {
    let (_mock, client) = start(bad_night());
    let error = run(&client, &PROMPTS, &mut Archive::default()).await;
    let error = error.expect_err("a job that has lost an answer must not say that all is well");
    assert_eq!(error.kind(), "status");
}
