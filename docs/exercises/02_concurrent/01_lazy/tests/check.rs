//! What must hold: the names of the tests say it, their messages say where to look.

use std::time::Duration;

use ai_core::{AsyncClient, Config};
use ai_mock::{Builder, Mock, Script, Service};
use ex_02_01::{as_written, unbounded};

const PROMPTS: [&str; 4] = [
    "Explain AI in one sentence",
    "What is machine learning?",
    "Define neural networks",
    "What is a transformer?",
];

/// How long a test waits for what must happen. Only one that fails waits as long.
const PATIENCE: Duration = Duration::from_secs(5);

fn start(builder: Builder) -> (Mock, AsyncClient) {
    let mock = builder.start().expect("a free port on 127.0.0.1");
    let config = Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid");
    (
        mock,
        AsyncClient::new(config).expect("a client can be built"),
    )
}

#[tokio::test]
async fn calls_that_are_made_first_and_awaited_later_are_not_under_way() {
    let (mock, client) = start(Mock::builder().latency(Duration::from_millis(50)));
    as_written(&client, &PROMPTS).await;
    assert_eq!(
        mock.stats().peak_in_flight,
        1,
        "this is `as_written`: leave it as it is"
    );
}

#[tokio::test]
async fn all_are_asked_before_the_first_has_answered() {
    let (mock, client) = start(Mock::builder().gate("door"));
    let door = mock.gate("door");
    let all_asked = async {
        // Nobody gets an answer before the server has heard all questions.
        let heard = mock
            .wait_for_async(PATIENCE, |log| log.len() == PROMPTS.len())
            .await;
        door.open();
        heard
    };
    let (_, heard) = tokio::join!(unbounded(&client, &PROMPTS), all_asked);
    if let Err(waited) = heard {
        panic!(
            "the server has heard {} of 4 questions, and holds its answers back until it has heard all: \
             the other futures are not polled. One `await` must poll them all",
            waited.log.len()
        );
    }
}

#[tokio::test]
async fn each_answer_stands_in_the_place_of_its_prompt() {
    let (_mock, client) = start(Mock::builder());
    let expected = as_written(&client, &PROMPTS).await;
    let items = unbounded(&client, &PROMPTS).await;
    assert_eq!(items, expected, "`as_written` gives the same, slower");
}

#[tokio::test]
async fn a_prompt_that_fails_costs_no_other_its_answer() {
    let builder = Mock::builder().service_script(Service::Summary, Script::Html502);
    let (_mock, client) = start(builder);
    let prompts = [
        "Define AI",
        "Summarize: Rust is fast.",
        "Define neural networks",
    ];
    let items = unbounded(&client, &prompts).await;
    let answered: Vec<_> = items.iter().map(|item| item.result.is_ok()).collect();
    assert_eq!(
        answered,
        [true, false, true],
        "the second call fails, and the others were paid for: keep a `Result` for each"
    );
}
