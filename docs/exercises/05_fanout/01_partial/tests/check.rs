//! What must hold: the names of the tests say it, their messages say where to look.

use std::time::Duration;

use ai_core::{AsyncClient, Config};
use ai_mock::{Builder, Entry, Mock, Script, Service};
use ex_05_01::{Analysis, analyze, as_written};

const TEXT: &str = "Python is a high-level programming language. People love it.";

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

/// The summary fails, after the others have answered.
fn one_is_down() -> Builder {
    Mock::builder()
        .service_script(Service::Summary, Script::Html502)
        .service_latency(Service::Summary, Duration::from_secs(1))
}

/// Which of the four have answered, in the order of the fields.
fn answered(analysis: &Analysis) -> [bool; 4] {
    let Analysis {
        embedding,
        sentiment,
        summary,
        entities,
    } = analysis;
    [
        embedding.is_ok(),
        sentiment.is_ok(),
        summary.is_ok(),
        entities.is_ok(),
    ]
}

fn was_paid(entry: &Entry) -> bool {
    entry.status == Some(200) && entry.is_finished() && entry.left_at_token.is_none()
}

#[tokio::test]
async fn as_written_one_failure_costs_three_answers_that_were_paid_for() {
    let (mock, client) = start(one_is_down());
    as_written(&client, TEXT)
        .await
        .expect_err("the summary's failure is all it returns");
    let paid = mock.log().iter().filter(|entry| was_paid(entry)).count();
    assert_eq!(paid, 3, "this is `as_written`: leave it as it is");
}

#[tokio::test]
async fn with_one_service_down_three_answers_are_kept() {
    let (_mock, client) = start(one_is_down());
    let analysis = analyze(&client, TEXT).await;
    assert_eq!(
        answered(&analysis),
        [true, true, false, true],
        "only the summary's service is down. Who waits for all four, and who drops them?"
    );
}

#[tokio::test]
async fn a_missing_field_says_why_it_is_missing() {
    let builder = Mock::builder()
        .service_script(Service::Summary, Script::Html502)
        .service_script(Service::Entities, Script::Length);
    let (_mock, client) = start(builder);
    let analysis = analyze(&client, TEXT).await;
    let why = |result: Result<String, ai_core::Error>| result.map_err(|error| error.kind());
    assert_eq!(
        why(analysis.summary),
        Err("status"),
        "its server answered 502"
    );
    assert_eq!(
        why(analysis.entities),
        Err("unfinished"),
        "its answer was cut at a limit"
    );
    assert_eq!(why(analysis.sentiment), Ok("positive".to_owned()));
}

#[tokio::test]
async fn all_four_are_asked_before_the_first_has_answered() {
    let (mock, client) = start(Mock::builder().gate("door"));
    let door = mock.gate("door");
    let all_asked = async {
        // Nobody gets an answer before the server has heard all questions.
        let heard = mock.wait_for_async(PATIENCE, |log| log.len() == 4).await;
        door.open();
        heard
    };
    let (analysis, heard) = tokio::join!(analyze(&client, TEXT), all_asked);
    if let Err(waited) = heard {
        panic!(
            "the server has heard {} of 4 questions, and holds its answers back until it has heard all: \
             four `.await` in a row ask in turn",
            waited.log.len()
        );
    }
    assert_eq!(answered(&analysis), [true; 4]);
}
