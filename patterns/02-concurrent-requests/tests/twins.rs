//! Every behaviour is one case in one table, run through both versions and all their ways: equal
//! items, and equal traffic in the mock's log.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use ai_core::{AsyncClient, CallOptions, Config, SyncClient};
use ai_mock::{Builder, Entry, Failure as Fault, Gate, Latency, Mock, Quota, Script, Service};
use concurrent_requests::*;
use futures::StreamExt;

#[path = "../examples/as_written.rs"]
#[allow(dead_code)]
mod as_written;

const PROMPTS: [&str; 6] = [
    "Explain AI in one sentence",
    "What is machine learning?",
    "Define neural networks",
    "What is a transformer?",
    "Explain attention",
    "What is a token?",
];

/// How long a test waits for what must happen, before it fails. No test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than any test.
const FOR_EVER: Latency = Latency::Fixed(Duration::from_secs(3600));

fn limit(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).expect("no test asks for a limit of 0")
}

fn start(builder: Builder) -> Mock {
    builder.start().expect("a free port on 127.0.0.1")
}

fn config(mock: &Mock) -> Config {
    Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid")
}

fn sync_client(mock: &Mock) -> SyncClient {
    SyncClient::new(config(mock)).expect("a client can be built")
}

fn async_client(mock: &Mock) -> AsyncClient {
    AsyncClient::new(config(mock)).expect("a client can be built")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .build()
        .expect("a runtime can be built")
        .block_on(future)
}

/// A way of asking: from a server, prompts and a limit to items.
type Way<P> = (&'static str, fn(&Mock, &[P], NonZeroUsize) -> Vec<Item>);

fn ways<P: AsRef<str> + Sync>() -> [Way<P>; 7] {
    [
        ("sync in turn", |mock, prompts, _| {
            in_turn(&sync_client(mock), prompts)
        }),
        ("sync at once", |mock, prompts, limit| {
            at_once(&sync_client(mock), prompts, limit)
        }),
        ("sync as they come", |mock, prompts, limit| {
            let mut items: Vec<_> = as_they_come(&sync_client(mock), prompts, limit).collect();
            items.sort_by_key(|item| item.index);
            items
        }),
        ("async in turn", |mock, prompts, _| {
            block_on(async { in_turn_async(&async_client(mock), prompts).await })
        }),
        ("async at once", |mock, prompts, limit| {
            block_on(async { at_once_async(&async_client(mock), prompts, limit).await })
        }),
        ("async as they come", |mock, prompts, limit| {
            let mut items: Vec<_> = block_on(async {
                let client = async_client(mock);
                as_they_come_async(&client, prompts, limit).collect().await
            });
            items.sort_by_key(|item| item.index);
            items
        }),
        ("async unbounded", |mock, prompts, _| {
            block_on(async { unbounded_async(&async_client(mock), prompts).await })
        }),
    ]
}

/// What must be equal of an item: its index, and its text or the kind of its failure.
fn comparable(items: Vec<Item>) -> Vec<(usize, Result<String, String>)> {
    let comparable = |item: Item| {
        let result = item.result.map_err(|failure| match failure {
            Failure::Call(error) => error.kind().to_owned(),
            Failure::Panicked(message) => message,
        });
        (item.index, result)
    };
    items.into_iter().map(comparable).collect()
}

/// What the server was asked, in an order that does not depend on who came first.
fn traffic(mock: &Mock) -> Vec<String> {
    let mut traffic: Vec<_> = mock
        .log()
        .into_iter()
        .map(|entry| format!("{} {}", entry.path, entry.body))
        .collect();
    traffic.sort();
    traffic
}

/// How the server behaves, how many prompts are asked, and what each item must be.
type Case = (
    &'static str,
    fn() -> Builder,
    usize,
    Result<(), &'static str>,
);

const CASES: &[Case] = &[
    ("all answer", Mock::builder, 6, Ok(())),
    ("there is one prompt", Mock::builder, 1, Ok(())),
    ("there is no prompt", Mock::builder, 0, Ok(())),
    (
        "they answer in another order",
        || Mock::builder().latency("1ms..40ms".parse::<Latency>().expect("it is a latency")),
        6,
        Ok(()),
    ),
    (
        "the server serves one at a time",
        || Mock::builder().slots(1),
        6,
        Ok(()),
    ),
    (
        "answers are cut",
        || Mock::builder().script(Script::Length),
        6,
        Err("unfinished"),
    ),
    (
        "the key is wrong",
        || Mock::builder().api_key("sk-right"),
        6,
        Err("status"),
    ),
    (
        "the server is down",
        || Mock::builder().script(Script::Html502),
        6,
        Err("status"),
    ),
    (
        "connections are reset",
        || Mock::builder().script(Script::ResetBeforeHeaders),
        6,
        Err("interrupted"),
    ),
    (
        "the account is out of money",
        || Mock::builder().script(Script::QuotaExhausted),
        6,
        Err("quota_exhausted"),
    ),
];

#[test]
fn all_ways_of_both_versions_give_the_same_items_and_the_same_traffic() {
    for (case, builder, prompts, expected) in CASES {
        let prompts = &PROMPTS[..*prompts];
        let mut first = None;
        for (way, ask_all) in ways() {
            let mock = start(builder());
            let items = comparable(ask_all(&mock, prompts, limit(4)));
            for (place, (index, result)) in items.iter().enumerate() {
                assert_eq!(place, *index, "{case}, {way}");
                let kind = result.as_ref().map(|_| ()).map_err(String::as_str);
                assert_eq!(kind, *expected, "{case}, {way}");
            }
            let seen = (items, traffic(&mock));
            assert_eq!(seen.0.len(), prompts.len(), "{case}, {way}");
            assert_eq!(seen.1.len(), prompts.len(), "{case}, {way}");
            let first = first.get_or_insert_with(|| seen.clone());
            assert_eq!(seen, *first, "{case}, {way}");
        }
    }
}

#[test]
fn each_item_answers_the_prompt_of_its_index() {
    let mock = start(Mock::builder());
    let client = sync_client(&mock);
    let alone = PROMPTS.map(|prompt| client.generate_text(prompt).expect("it answers"));
    for (way, ask_all) in ways() {
        for item in ask_all(&mock, &PROMPTS, limit(3)) {
            assert_eq!(item.result.as_ref(), Ok(&alone[item.index]), "{way}");
        }
    }
}

#[test]
fn a_failure_at_any_position_loses_no_answer() {
    // Who fails is a function of the seed and the prompt, so these seeds fail at other positions,
    // alone and together, and all ways must see the same.
    let mut failed_with_answered_neighbours = [0; PROMPTS.len()];
    for seed in 0..8 {
        let flaky = || {
            Mock::builder()
                .seed(seed)
                .failure_rate(0.4, Fault::Status(503))
        };
        let mut first = None;
        for (way, ask_all) in ways() {
            let items = comparable(ask_all(&start(flaky()), &PROMPTS, limit(4)));
            let first = first.get_or_insert_with(|| items.clone());
            assert_eq!(items, *first, "seed {seed}, {way}");
        }
        let items = first.expect("there are ways");
        if items.iter().any(|(_, result)| result.is_ok()) {
            for (index, _) in items.iter().filter(|(_, result)| result.is_err()) {
                failed_with_answered_neighbours[*index] += 1;
            }
        }
    }
    assert!(
        failed_with_answered_neighbours
            .iter()
            .all(|times| *times > 0),
        "each position must have been seen to fail: {failed_with_answered_neighbours:?}"
    );
}

#[test]
fn a_panic_in_one_call_is_the_failure_of_that_item_alone() {
    /// A prompt whose use is a bug, at one position.
    enum Prompt {
        Fine(&'static str),
        Bug,
    }
    impl AsRef<str> for Prompt {
        fn as_ref(&self) -> &str {
            match self {
                Prompt::Fine(text) => text,
                Prompt::Bug => panic!("index out of range"),
            }
        }
    }
    for bug in 0..PROMPTS.len() {
        let mut prompts = PROMPTS.map(Prompt::Fine);
        prompts[bug] = Prompt::Bug;
        for (way, ask_all) in ways() {
            if way == "sync as they come" {
                // It copies the prompts before it asks anything, so the caller has the panic.
                continue;
            }
            // A limit of 1 is the hardest: the thread that panics is the only one.
            let items = comparable(ask_all(&start(Mock::builder()), &prompts, limit(1)));
            for (index, result) in items {
                match index == bug {
                    true => assert_eq!(result, Err("index out of range".into()), "{way}"),
                    false => assert!(result.is_ok(), "{way}: {result:?}"),
                }
            }
        }
    }
}

/// A mock whose requests wait at a gate, and clients that send them there.
fn gated() -> (Mock, Gate, SyncClient, AsyncClient) {
    let mock = start(Mock::builder());
    let gate = mock.gate("answers");
    let options = || CallOptions::new().header("x-mock-gate", "answers");
    let sync = sync_client(&mock).with(options());
    let awaited = async_client(&mock).with(options());
    (
        mock,
        gate,
        sync.expect("the header can be sent"),
        awaited.expect("the header can be sent"),
    )
}

#[test]
fn as_many_requests_are_under_way_as_the_limit_says_and_never_more() {
    let bounds: [fn(NonZeroUsize, &SyncClient, &AsyncClient) -> usize; 4] = [
        |limit, client, _| at_once(client, &PROMPTS, limit).len(),
        |limit, client, _| as_they_come(client, &PROMPTS, limit).count(),
        |limit, _, client| block_on(at_once_async(client, &PROMPTS, limit)).len(),
        |limit, _, client| block_on(as_they_come_async(client, &PROMPTS, limit).count()),
    ];
    for ask_all in bounds {
        for most in [1, 3, PROMPTS.len(), 100] {
            let (mock, gate, sync, awaited) = gated();
            let expected = most.min(PROMPTS.len());
            thread::scope(|scope| {
                let items = scope.spawn(|| ask_all(limit(most), &sync, &awaited));
                // Nothing is answered yet, so as many have come as there may be.
                mock.wait_for(PATIENCE, |log| log.len() == expected)
                    .expect("the limit is reached");
                gate.open();
                assert_eq!(items.join().expect("it does not panic"), PROMPTS.len());
            });
            assert_eq!(mock.stats().peak_in_flight, expected as u64);
        }
    }
}

#[test]
fn without_a_limit_all_are_under_way_at_one_time() {
    let (mock, gate, _, client) = gated();
    thread::scope(|scope| {
        let items = scope.spawn(|| block_on(unbounded_async(&client, &["Hello"; 50])));
        mock.wait_for(PATIENCE, |log| log.len() == 50)
            .expect("all have come, though none is answered");
        gate.open();
        assert_eq!(items.join().expect("it does not panic").len(), 50);
    });
}

#[test]
fn in_turn_there_is_one_request_at_a_time_and_one_connection() {
    for (way, ask_all) in ways()
        .into_iter()
        .filter(|(way, _)| way.ends_with("in turn"))
    {
        let mock = start(Mock::builder());
        ask_all(&mock, &PROMPTS, limit(6));
        let stats = mock.stats();
        assert_eq!((stats.peak_in_flight, stats.connections), (1, 1), "{way}");
    }
}

#[test]
fn an_item_is_handed_out_while_the_others_are_held_back() {
    let (mock, gate, sync, awaited) = gated();

    let mut items = as_they_come(&sync, &PROMPTS, limit(6));
    mock.wait_for(PATIENCE, |log| log.len() == 6)
        .expect("all have come");
    gate.release(1);
    assert!(items.next().is_some_and(|item| item.result.is_ok()));
    assert_eq!(mock.stats().in_flight, 5);
    gate.release(5);
    assert_eq!(items.count(), 5);

    block_on(async {
        gate.release(1);
        let mut items = std::pin::pin!(as_they_come_async(&awaited, &PROMPTS, limit(6)));
        assert!(items.next().await.is_some_and(|item| item.result.is_ok()));
        gate.release(5);
        assert_eq!(items.count().await, 5);
    });
}

#[test]
fn one_slow_answer_does_not_hold_up_those_behind_it() {
    let prompts = ["Summarize this: one long text.", "A", "B", "C", "D", "E"];
    type AskAll = fn(&Mock, &[&str]) -> Vec<Item>;
    let both: [AskAll; 2] = [
        |mock, prompts| at_once(&sync_client(mock), prompts, limit(2)),
        |mock, prompts| block_on(at_once_async(&async_client(mock), prompts, limit(2))),
    ];
    for ask_all in both {
        let slow = Latency::Fixed(Duration::from_secs(2));
        let mock = start(Mock::builder().service_latency(Service::Summary, slow));
        thread::scope(|scope| {
            let items = scope.spawn(|| ask_all(&mock, &prompts));
            mock.wait_for(PATIENCE, |log| {
                let done = log.iter().filter(|entry| entry.is_finished()).count();
                done == 5 && !log[0].is_finished()
            })
            .expect("the five quick ones are answered while the first is not");
            let items = items.join().expect("it does not panic");
            assert!(items.iter().map(|item| item.index).eq(0..6));
        });
    }
}

#[test]
fn who_takes_the_items_slowly_is_not_overrun() {
    let mock = start(Mock::builder());
    let client = sync_client(&mock);
    let prompts = vec!["Hello"; 200];
    let mut items = as_they_come(&client, &prompts, limit(3));
    items.next().expect("there is a first item");
    // Three more may be ready to be taken; nobody asks for a fifth.
    mock.wait_for(PATIENCE, |log| {
        log.iter().filter(|entry| entry.is_finished()).count() == 4
    })
    .expect("each thread has one answer");
    drop(items);
    mock.wait_for(PATIENCE, |log| log.iter().all(Entry::is_finished))
        .expect("nothing is under way any more");
    assert_eq!(mock.stats().requests, 4);
}

/// A stage of a run at which its caller leaves, with 6 prompts and a limit of 3.
struct Stage {
    name: &'static str,
    builder: fn() -> Builder,
    /// How many answers the gate lets through.
    answered: usize,
    /// How many requests have come when the caller leaves.
    asked: usize,
}

const STAGES: [Stage; 4] = [
    Stage {
        name: "in the server's queue",
        builder: || Mock::builder().slots(1).latency(FOR_EVER),
        answered: 0,
        asked: 3,
    },
    Stage {
        name: "while the model thinks",
        builder: || Mock::builder().latency(FOR_EVER),
        answered: 0,
        asked: 3,
    },
    Stage {
        name: "with some answered",
        builder: Mock::builder,
        answered: 2,
        asked: 5,
    },
    Stage {
        name: "with the last ones under way",
        builder: Mock::builder,
        answered: 4,
        asked: 6,
    },
];

#[test]
fn who_drops_the_async_one_calls_off_what_is_under_way() {
    let runs: [(&str, StartRun); 2] = [
        ("at once", |client| {
            Box::pin(async move { at_once_async(client, &PROMPTS, limit(3)).await.len() })
        }),
        ("as they come", |client| {
            Box::pin(as_they_come_async(client, &PROMPTS, limit(3)).count())
        }),
    ];
    for stage in STAGES {
        for (way, run) in runs {
            let mock = start((stage.builder)());
            mock.gate("answers").release(stage.answered);
            block_on(async {
                let client = async_client(&mock)
                    .with(CallOptions::new().header("x-mock-gate", "answers"))
                    .expect("the header can be sent");
                let reached = |log: &[Entry]| {
                    let answered = log.iter().filter(|entry| entry.is_finished()).count();
                    log.len() == stage.asked && answered == stage.answered
                };
                tokio::select! {
                    _ = run(&client) => unreachable!("the gate holds some back"),
                    log = mock.wait_for_async(PATIENCE, reached) => {
                        log.expect("the stage is reached");
                    }
                }
                // Here the run is dropped.
                let log = mock.wait_for_async(PATIENCE, |log| log.iter().all(Entry::is_finished));
                let log = log.await.expect("the server sees the caller leave");
                let left = log.iter().filter(|entry| entry.left_at_token == Some(0));
                let (left, asked) = (left.count(), log.len());
                assert_eq!(
                    (left, asked),
                    (stage.asked - stage.answered, stage.asked),
                    "{way}, {}",
                    stage.name
                );
            });
        }
    }
}

type StartRun = fn(&AsyncClient) -> std::pin::Pin<Box<dyn Future<Output = usize> + '_>>;

#[test]
fn a_future_that_is_never_polled_asks_nothing() {
    let mock = start(Mock::builder());
    block_on(async {
        let client = async_client(&mock);
        drop(at_once_async(&client, &PROMPTS, limit(3)));
        drop(as_they_come_async(&client, &PROMPTS, limit(3)));
        drop(unbounded_async(&client, &PROMPTS));
        in_turn_async(&client, &["Hello"]).await;
    });
    assert_eq!(mock.stats().requests, 1, "only the last one was polled");
}

#[test]
fn who_drops_the_blocking_iterator_pays_for_what_is_under_way() {
    let (mock, gate, client, _) = gated();
    let items = as_they_come(&client, &PROMPTS, limit(3));
    mock.wait_for(PATIENCE, |log| log.len() == 3)
        .expect("three threads ask");

    drop(items);
    gate.open();

    // The threads wait for answers nobody will see, and the server writes them to the end.
    let log = mock
        .wait_for(PATIENCE, |log| log.iter().all(Entry::is_finished))
        .expect("the answers are written");
    assert!(log.iter().all(|entry| entry.left_at_token.is_none()));
    assert!(log.iter().all(|entry| entry.status == Some(200)));
    // But what had not begun is not asked any more.
    let asked = mock.log().len();
    in_turn(&client, &["And now?"]);
    assert_eq!((asked, mock.log().len()), (3, 4));
}

#[test]
fn a_blocking_call_that_cannot_be_called_off_can_be_bounded() {
    let mock = start(Mock::builder().latency(FOR_EVER));
    let bounded = sync_client(&mock).with(CallOptions::new().total(Duration::from_millis(500)));
    let client = bounded.expect("the options are sound");

    let items = comparable(at_once(&client, &PROMPTS, limit(3)));

    assert!(
        items
            .iter()
            .all(|(_, result)| *result == Err("deadline".into())),
        "{items:?}"
    );
    let log = mock.wait_for(PATIENCE, |log| {
        log.iter().all(|entry| entry.left_at_token == Some(0))
    });
    assert_eq!(log.expect("the server sees it").len(), PROMPTS.len());
}

#[test]
fn the_futures_can_be_spawned() {
    let mock = start(Mock::builder());
    let client = async_client(&mock);
    let all = async move {
        let prompts = PROMPTS.map(str::to_owned);
        in_turn_async(&client, &prompts).await;
        at_once_async(&client, &prompts, limit(2)).await;
        unbounded_async(&client, &prompts).await;
        as_they_come_async(&client, &prompts, limit(2))
            .count()
            .await
    };
    let count = block_on(async { tokio::spawn(all).await });
    assert_eq!(count.expect("it does not panic"), PROMPTS.len());
}

#[test]
fn the_guide_loses_answers_in_turn_and_takes_an_error_for_one_at_once() {
    let two = || {
        Mock::builder().quota(Quota {
            requests: Some(2),
            ..Quota::default()
        })
    };
    let prompts = &PROMPTS[..3];

    let mock = start(two());
    let lost = as_written::process_multiple_prompts_sync(config(&mock), prompts);
    assert_eq!(lost.map_err(|error| error.kind()), Err("rate_limited"));
    let paid = mock
        .log()
        .iter()
        .filter(|entry| entry.status == Some(200))
        .count();
    assert_eq!(paid, 2, "answers that nobody gets");

    let mixed = as_written::process_multiple_prompts_async(config(&start(two())), prompts);
    let mixed = mixed.expect("it never fails");
    let errors = mixed
        .iter()
        .filter(|text| text.starts_with("rate limited"))
        .count();
    assert_eq!(
        (mixed.len(), errors),
        (3, 1),
        "an error among the texts: {mixed:?}"
    );

    for (way, ask_all) in ways() {
        let items = ask_all(&start(two()), prompts, limit(3));
        let failed = items.iter().filter(|item| item.result.is_err()).count();
        assert_eq!((items.len(), failed), (3, 1), "{way}");
    }
}

#[test]
fn the_guide_has_no_limit() {
    let mock = start(Mock::builder().latency(Duration::from_millis(500)));
    as_written::process_multiple_prompts_async(config(&mock), &["Hello"; 100]).expect("it answers");
    let peak = mock.stats().peak_in_flight;
    assert!(peak > LIMIT.get() as u64, "{peak} at one time");
}

#[test]
fn the_report_says_what_the_guide_says_and_what_failed() {
    let mock = start(Mock::builder().quota(Quota {
        requests: Some(2),
        ..Quota::default()
    }));
    let run = timed("in turn", || in_turn(&sync_client(&mock), &PROMPTS[..3]));
    let line = run.to_string();
    assert!(
        line.starts_with("Processed 3 prompts in 0.") && line.ends_with("s, in turn, 1 failed"),
        "{line}"
    );
    let runs = Runs::new([run]);
    let error = runs.success().expect_err("one failed");
    assert!(
        error.starts_with("1 of 3 prompts failed in turn: rate limited: "),
        "{error}"
    );

    let json = serde_json::to_value(&runs).expect("it is JSON");
    let items = &json["runs"][0]["items"];
    assert!(
        items[0]["text"].is_string() && items[0]["error"].is_null(),
        "{json}"
    );
    assert!(
        items[2]["text"].is_null() && items[2]["error"].is_string(),
        "{json}"
    );
    assert_eq!(
        (&items[2]["index"], &json["runs"][0]["strategy"]),
        (&2.into(), &"in turn".into())
    );
}
