//! What must hold: the names of the tests say it, their messages say where to look.

use std::num::NonZeroUsize;
use std::time::Duration;

use ai_core::{AsyncClient, Config};
use ai_mock::{Builder, Entry, Mock, Script, Service};
use ex_02_02::at_once;

const LIMIT: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");

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

fn prompts(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("What is the number {n}?"))
        .collect()
}

fn asks_for_a_summary(entry: &Entry) -> bool {
    entry.body.to_string().contains("Summarize")
}

#[tokio::test]
async fn never_more_than_the_limit_are_under_way() {
    let (mock, client) = start(Mock::builder().latency(Duration::from_millis(20)));
    at_once(&client, &prompts(12), LIMIT).await;
    let peak = mock.stats().peak_in_flight;
    assert!(
        peak <= 3,
        "{peak} were under way at one time, 3 may be: where is `limit` used?"
    );
}

#[tokio::test]
async fn the_limit_is_used_and_not_only_kept() {
    let (mock, client) = start(Mock::builder().gate("door"));
    let door = mock.gate("door");
    let three_asked = async {
        // Nobody gets an answer before three are under way.
        let heard = mock
            .wait_for_async(PATIENCE, |log| log.len() == LIMIT.get())
            .await;
        door.open();
        heard
    };
    let twelve = prompts(12);
    let (_, heard) = tokio::join!(at_once(&client, &twelve, LIMIT), three_asked);
    if let Err(waited) = heard {
        panic!(
            "the server sees {} under way before the first has its answer, and 3 may be",
            waited.log.len()
        );
    }
}

#[tokio::test]
async fn the_items_stand_in_the_order_of_the_prompts() {
    let slow = Duration::from_millis(200);
    let (_mock, client) = start(Mock::builder().service_latency(Service::Summary, slow));
    let prompts = [
        "Summarize: Rust is fast.",
        "Define AI",
        "Define neural networks",
    ];
    let items = at_once(&client, &prompts, LIMIT).await;
    let order: Vec<_> = items.iter().map(|item| item.index).collect();
    assert_eq!(
        order,
        [0, 1, 2],
        "the first one answers last: put them back into their order"
    );
}

#[tokio::test]
async fn behind_a_slow_answer_the_others_go_on() {
    let slow = Duration::from_secs(1);
    let (mock, client) = start(Mock::builder().service_latency(Service::Summary, slow));
    let mut prompts = prompts(6);
    prompts[0] = "Summarize: Rust is fast.".to_owned();
    at_once(&client, &prompts, LIMIT).await;
    let log = mock.log();
    let slow = log
        .iter()
        .find(|entry| asks_for_a_summary(entry))
        .expect("it was asked");
    let later = log
        .iter()
        .filter(|entry| Some(entry.arrived) > slow.first_byte)
        .count();
    assert_eq!(
        later, 0,
        "{later} prompts were not asked before the slow one was answered. `buffered` counts answers \
         that wait for their turn against the limit, chunks wait for their slowest: what does neither?"
    );
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
    let items = at_once(&client, &prompts, LIMIT).await;
    let answered: Vec<_> = items.iter().map(|item| item.result.is_ok()).collect();
    assert_eq!(
        answered,
        [true, false, true],
        "keep a `Result` for each: no `?`, no `try_collect`"
    );
}

#[tokio::test]
async fn no_prompts_are_no_items() {
    let (mock, client) = start(Mock::builder());
    assert_eq!(at_once(&client, &prompts(0), LIMIT).await, []);
    assert_eq!(mock.log().len(), 0);
}
