//! What must hold: the names of the tests say it, their messages say what the mock's log has seen.

use std::num::NonZeroUsize;
use std::time::Duration;

use ai_core::{AsyncClient, Config};
use ai_mock::{Builder, Mock};
use ex_90_01::summarize_book;
use tokio::time::timeout;

const LIMIT: NonZeroUsize = NonZeroUsize::new(2).expect("2 is not 0");

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

fn book(chapters: usize, parts: usize) -> Vec<Vec<String>> {
    let part = |chapter, part| format!("This is part {part} of chapter {chapter}.");
    (0..chapters)
        .map(|c| (0..parts).map(|p| part(c, p)).collect())
        .collect()
}

#[tokio::test]
async fn a_short_book_is_summarized() {
    let (mock, client) = start(Mock::builder());
    let summaries = summarize_book(&client, &book(1, 6), LIMIT).await;
    assert!(
        summaries.iter().flatten().all(Result::is_ok),
        "{summaries:?}"
    );
    assert_eq!(mock.log().len(), 6);
}

#[tokio::test]
async fn a_long_book_is_summarized() {
    let (mock, client) = start(Mock::builder());
    let summaries = timeout(PATIENCE, summarize_book(&client, &book(4, 6), LIMIT)).await;
    let answered = mock
        .log()
        .iter()
        .filter(|entry| entry.is_finished())
        .count();
    let Ok(summaries) = summaries else {
        panic!(
            "not done in {PATIENCE:?}. The server has heard {} of 24 questions, has answered {answered}, \
             and has {} under way: it waits for the program. For what does the program wait?",
            mock.log().len(),
            mock.stats().in_flight
        );
    };
    assert_eq!(
        summaries.iter().flatten().filter(|it| it.is_ok()).count(),
        24
    );
}

#[tokio::test]
async fn as_many_requests_are_under_way_as_may_be() {
    let (mock, client) = start(Mock::builder().gate("door"));
    let door = mock.gate("door");
    let two_asked = async {
        // Nobody gets an answer before two are under way.
        let heard = mock
            .wait_for_async(PATIENCE, |log| log.len() == LIMIT.get())
            .await;
        door.open();
        heard
    };
    let book = book(1, 6);
    let (_, heard) = tokio::join!(summarize_book(&client, &book, LIMIT), two_asked);
    if let Err(waited) = heard {
        panic!(
            "the server sees {} under way before the first has its answer, and 2 may be: who has the permits?",
            waited.log.len()
        );
    }
}

#[tokio::test]
async fn and_never_more() {
    let (mock, client) = start(Mock::builder().latency(Duration::from_millis(20)));
    summarize_book(&client, &book(1, 12), LIMIT).await;
    let peak = mock.stats().peak_in_flight;
    assert!(
        peak <= 2,
        "{peak} requests were under way: the permit of a request must stay"
    );
}
