//! What must hold: the names of the tests say it, their messages say where to look.

use std::time::Duration;

use ai_core::{AsyncClient, Config, Error};
use ai_mock::{Builder, Failure, Mock};
use ex_06_02::Flights;
use futures::future::join_all;

const PROMPT: &str = "What is a token?";

/// Long enough for ten to come while the first one's call is under way.
const LATENCY: Duration = Duration::from_millis(200);

/// How long a test waits for what must happen. Only one that fails waits as long.
const PATIENCE: Duration = Duration::from_secs(5);

fn start(builder: Builder) -> (Mock, AsyncClient) {
    let mock = builder
        .latency(LATENCY)
        .start()
        .expect("a free port on 127.0.0.1");
    let config = Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid");
    (
        mock,
        AsyncClient::new(config).expect("a client can be built"),
    )
}

async fn ask(flights: &Flights, client: &AsyncClient, prompt: &str) -> Result<String, Error> {
    flights.ask(prompt, || client.generate_text(prompt)).await
}

#[tokio::test]
async fn ten_who_ask_the_same_at_once_make_one_call() {
    let (mock, client) = start(Mock::builder());
    let flights = Flights::default();
    let answers = join_all((0..10).map(|_| ask(&flights, &client, PROMPT))).await;
    let calls = mock.log().len();
    assert_eq!(
        calls, 1,
        "{calls} calls for one question: do all ten share one cell?"
    );
    let first = answers[0].as_ref().expect("the server is well");
    for answer in &answers {
        assert_eq!(answer.as_ref(), Ok(first), "all of them get the one answer");
    }
}

#[tokio::test]
async fn two_questions_are_two_calls() {
    let (mock, client) = start(Mock::builder());
    let flights = Flights::default();
    let other = "What is a transformer?";
    let (one, two) = tokio::join!(
        ask(&flights, &client, PROMPT),
        ask(&flights, &client, other)
    );
    assert_ne!(
        one, two,
        "one of them got the answer to the other's question"
    );
    assert_eq!(mock.log().len(), 2);
}

#[tokio::test]
async fn when_the_call_fails_all_ten_hear_of_it_and_nobody_calls_again() {
    let (mock, client) = start(Mock::builder().fail_first(1, Failure::Status(503)));
    let flights = Flights::default();
    let answers = join_all((0..10).map(|_| ask(&flights, &client, PROMPT))).await;
    assert_eq!(
        mock.log().len(),
        1,
        "a server in trouble is asked by one after the other: let the cell hold the error, too"
    );
    assert!(
        answers.iter().all(Result::is_err),
        "there was one call, and it failed: {answers:?}"
    );
}

#[tokio::test]
async fn who_comes_after_the_flight_has_landed_makes_a_call_of_his_own() {
    let (mock, client) = start(Mock::builder().fail_first(1, Failure::Status(503)));
    let flights = Flights::default();
    ask(&flights, &client, PROMPT)
        .await
        .expect_err("the first attempt fails");
    if let Err(error) = ask(&flights, &client, PROMPT).await {
        panic!("the server is well again, and the old flight's error is still handed out: {error}");
    }
    assert_eq!(mock.log().len(), 2);
}

#[tokio::test]
async fn when_the_caller_is_cancelled_another_one_calls() {
    let (mock, client) = start(Mock::builder());
    let flights = Flights::default();
    let first = async {
        tokio::select! {
            _ = ask(&flights, &client, PROMPT) => panic!("it is called off before its answer is there"),
            asked = mock.wait_for_async(PATIENCE, |log| !log.is_empty()) => {
                asked.expect("the first one calls");
            }
        }
    };
    let (_, second) = tokio::join!(first, ask(&flights, &client, PROMPT));
    if let Err(error) = second {
        panic!("the first one was called off, and the second did not call: {error}");
    }
    assert_eq!(
        mock.log().len(),
        2,
        "the one that was called off, and that of the second"
    );
}

#[tokio::test]
async fn nothing_stays_of_a_flight_that_has_landed() {
    let (_mock, client) = start(Mock::builder());
    let flights = Flights::default();
    join_all((0..10).map(|_| ask(&flights, &client, PROMPT)))
        .await
        .len();
    assert_eq!(
        flights.count(),
        0,
        "a cell that stays is a cache without an end to its answers"
    );
}
