//! The decision against an adversarial server, both drivers in virtual time, and both over sockets
//! against a server with a true quota: equal items, and equal traffic in its log.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use ai_core::{AsyncClient, CallOptions, Clock, Config, Error, SimulatedClock, SyncClient};
use ai_mock::{Latency, Mock, Quota, Script};
use demo::fullest_window;
use futures::future::join_all;
use proptest::prelude::*;
use rate_limited_batch::*;

#[path = "../examples/as_written.rs"]
#[allow(dead_code)]
mod as_written;

/// How long a test waits for what must happen, before it fails. No test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at_once(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).expect("no test asks for a limit of 0")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    runtime.expect("a runtime can be built").block_on(future)
}

/// As [`block_on`], with tokio's time paused: it jumps when all wait. No sockets here.
fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(future)
}

// The decision alone.

/// One request of the model, with all its fate. Times are milliseconds.
#[derive(Debug, Clone)]
struct Request {
    arrives: u64,
    tokens: u64,
    used: u64,
    /// From sending to the first evidence, and from there to the end.
    evidence: u64,
    rest: u64,
    /// Where between sending and evidence the server counts it.
    counted: f64,
    /// When its caller loses patience, from its arrival.
    patience: Option<u64>,
    /// It is refused, with this Retry-After.
    refused: Option<u64>,
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (
        (0..400_u64, 1..50_u64, 0.0..=1.0),
        (0..60_u64, 0..60_u64),
        // The instants at which an adversary would count: at once, at the last moment, or between.
        prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0],
        prop::option::weighted(0.2, 0..200_u64),
        prop::option::weighted(0.1, 0..100_u64),
    );
    let request = request.prop_map(
        |((arrives, tokens, used), times, counted, patience, refused)| Request {
            arrives,
            tokens,
            used: (tokens as f64 * used) as u64,
            evidence: times.0,
            rest: times.1,
            counted,
            patience,
            refused,
        },
    );
    prop::collection::vec(request, 1..80)
}

proptest! {
    #[test]
    fn the_server_never_sees_more_than_it_allows_whenever_it_counts(
        mut requests in requests(),
        limits in (1..12_u32, 50..200_u64, 1..15_usize, any::<[bool; 3]>()),
    ) {
        requests.sort_by_key(|request| request.arrives);
        let (most_requests, most_tokens, concurrency, [paced, trued_up, has_tokens]) = limits;
        let limits = Limits {
            tokens: has_tokens.then_some(most_tokens),
            concurrency: at_once(concurrency),
            paced,
            trued_up,
            ..Limits::new(most_requests, ms(100))
        };
        let mut window = Window::new(limits);
        // Who waits, who is under way (with its sending, evidence and end), and what the server saw.
        let mut waiting: Vec<(Ticket, &Request)> = Vec::new();
        let mut sent: Vec<(Ticket, &Request, u64)> = Vec::new();
        let mut server: Vec<(f64, u64)> = Vec::new();
        let mut arriving = requests.iter().peekable();
        let (mut paused_until, mut last, mut now) = (0, None, 0);
        while arriving.peek().is_some() || !waiting.is_empty() || !sent.is_empty() {
            prop_assert!(now < 100_000, "somebody waits for ever: {waiting:?}");
            while let Some(request) = arriving.next_if(|request| request.arrives <= now) {
                waiting.push((window.enter(request.tokens).expect("it fits"), request));
            }
            waiting.retain(|(ticket, request)| {
                let stays = request.patience.is_none_or(|patience| now < request.arrives + patience);
                if !stays {
                    window.leave(*ticket, ms(now));
                }
                stays
            });
            sent.retain(|&(ticket, request, at)| {
                let evidence = at + request.evidence;
                let gone = request.patience.map(|patience| request.arrives + patience);
                if now >= evidence {
                    window.seen(ticket, ms(now));
                }
                let done = now >= evidence + request.rest;
                if done {
                    window.finished(ticket, Some(request.used), ms(now));
                    if let Some(wait) = request.refused {
                        window.pause(ms(now + wait));
                        paused_until = paused_until.max(now + wait);
                    }
                } else if gone.is_some_and(|gone| now >= gone) {
                    window.leave(ticket, ms(now));
                }
                let over = done || gone.is_some_and(|gone| now >= gone);
                if over {
                    // What has been sent is counted before its evidence or its connection's end.
                    let until = evidence.min(now);
                    let counted = at as f64 + (until - at) as f64 * request.counted;
                    server.push((counted, if trued_up { request.used } else { request.tokens }));
                }
                !over
            });
            // Everybody asks, the last one first: only the head may go, and it must be told when.
            while let Some(going) = (0..waiting.len())
                .rev()
                .find(|&index| window.poll(waiting[index].0, ms(now)) == Turn::Go)
            {
                prop_assert_eq!(going, 0, "first come, first served");
                let (ticket, request) = waiting.remove(going);
                prop_assert!(last < Some(ticket));
                last = Some(ticket);
                prop_assert!(now >= paused_until, "sent during a pause");
                sent.push((ticket, request, now));
                prop_assert!(sent.len() <= concurrency);
            }
            if let Some((head, _)) = waiting.first() {
                match window.poll(*head, ms(now)) {
                    Turn::WaitUntil(time) => prop_assert!(time > ms(now)),
                    turn => prop_assert!(turn == Turn::Wait && !sent.is_empty(), "nobody wakes it"),
                }
            }
            now += 1;
        }

        for (start, _) in &server {
            let inside = server.iter().filter(|(at, _)| at >= start && *at < start + 100.0);
            let (count, tokens) = inside.fold((0, 0), |sum, one| (sum.0 + 1, sum.1 + one.1));
            prop_assert!(count <= most_requests, "{count} requests");
            prop_assert!(!has_tokens || tokens <= most_tokens, "{tokens} tokens");
        }
        // Nothing is left behind: after a window as many go at once as in the beginning.
        let later = ms(now.max(paused_until) + 200);
        let goes = if paced { 1 } else { concurrency.min(most_requests as usize) };
        for _ in 0..goes {
            let ticket = window.enter(0).expect("it fits");
            prop_assert_eq!(window.poll(ticket, later), Turn::Go);
        }
    }
}

#[test]
fn a_slot_expires_one_window_after_the_first_evidence() {
    let mut window = Window::new(Limits::new(1, secs(60)));
    let tickets = [(); 2].map(|()| window.enter(0).expect("it fits"));
    assert_eq!(window.poll(tickets[1], secs(0)), Turn::Wait);
    assert_eq!(window.poll(tickets[0], secs(0)), Turn::Go);
    // Under way, nobody knows when it will be counted, however long that takes.
    assert_eq!(window.poll(tickets[1], secs(100)), Turn::Wait);
    window.seen(tickets[0], secs(101));
    window.finished(tickets[0], None, secs(105));
    assert_eq!(
        window.poll(tickets[1], secs(105)),
        Turn::WaitUntil(secs(161))
    );
    assert_eq!(window.poll(tickets[1], secs(161)), Turn::Go);
}

#[test]
fn a_request_larger_than_a_window_fails_at_once() {
    let limits = Limits {
        tokens: Some(100),
        ..Limits::new(60, secs(60))
    };
    let error = Window::new(limits).enter(101).expect_err("it never fits");
    assert_eq!(
        error.to_string(),
        "a request of 101 tokens never fits into 60 requests and 100 tokens each 60s"
    );
    assert!(Window::new(Limits::new(0, secs(60))).enter(1).is_err());
    let limits = Limits {
        tokens: Some(u64::MAX),
        ..Limits::new(60, secs(60))
    };
    assert!(Window::new(limits).enter(u64::MAX).is_ok());
}

#[test]
fn what_the_server_says_is_left_counts_downward_only() {
    let mut window = Window::new(Limits::new(10, secs(60)));
    window.left(10, secs(0), secs(0));
    // Seven were taken by somebody else.
    window.left(3, secs(20), secs(0));
    window.left(3, secs(20), secs(0));
    // More than we think is no news: some of ours may be on their way.
    window.left(9, secs(20), secs(0));
    for _ in 0..3 {
        let ticket = window.enter(0).expect("it fits");
        assert_eq!(window.poll(ticket, secs(0)), Turn::Go);
    }
    let ticket = window.enter(0).expect("it fits");
    assert_eq!(window.poll(ticket, secs(0)), Turn::WaitUntil(secs(20)));
}

#[test]
fn a_pace_keeps_its_schedule_and_makes_up_for_one_request_at_most() {
    let mut pace = Pace::new(secs(1));
    // A little late each time, and yet none is lost.
    for second in 0..100 {
        assert_eq!(pace.next(), secs(second));
        pace.go(secs(second) + ms(300));
    }
    // A long pause: one goes at once, one to make up for it, and then it is paced again.
    pace.go(secs(200));
    assert_eq!(pace.next(), secs(200));
    pace.go(secs(200));
    assert_eq!(pace.next(), secs(201));
}

// Both drivers in virtual time: minutes take milliseconds.

/// Both versions: from limits, prompts and the time a call takes to the items and the sendings.
type Version = fn(Limits, &[String], Duration) -> (Batch, Vec<Duration>, Duration);

const VERSIONS: [(&str, Version); 2] = [
    ("sync", |limits, prompts, latency| {
        let clock = SimulatedClock::new();
        let limiter = Limiter::with_clock(limits, &clock);
        let sent = Mutex::default();
        let batch = process_batch(&limiter, prompts, |prompt| {
            record(&sent, clock.now());
            clock.sleep(latency);
            answer(prompt)
        });
        (
            batch,
            sent.into_inner().expect("nobody panics"),
            clock.now(),
        )
    }),
    ("async", |limits, prompts, latency| {
        in_virtual_time(async {
            let start = tokio::time::Instant::now();
            let limiter = AsyncLimiter::new(limits);
            let sent = Mutex::default();
            let batch = process_batch_async(&limiter, prompts, async |prompt| {
                record(&sent, start.elapsed());
                tokio::time::sleep(latency).await;
                answer(prompt)
            });
            let batch = batch.await;
            (
                batch,
                sent.into_inner().expect("nobody panics"),
                start.elapsed(),
            )
        })
    }),
];

fn record(sent: &Mutex<Vec<Duration>>, now: Duration) {
    sent.lock().expect("nobody panics").push(now);
}

fn answer(prompt: &str) -> Result<Answer, Error> {
    let text = prompt.to_uppercase();
    Ok(Answer {
        text,
        ..Answer::default()
    })
}

#[test]
fn the_guides_hundred_prompts_take_a_minute_and_their_latencies_in_virtual_time() {
    for (version, run) in VERSIONS {
        let (batch, sent, took) = run(Limits::new(60, secs(60)), &topics(), secs(3));
        assert_eq!(batch.to_string(), "Processed 100/100 prompts successfully");
        let prompts: Vec<_> = batch.items.iter().map(|item| item.prompt.clone()).collect();
        assert_eq!(prompts, topics(), "{version}");
        let answers = batch
            .items
            .iter()
            .all(|item| item.result == Ok(item.prompt.to_uppercase()));
        assert!(answers, "{version}");
        // Ten at a time, each 3 s: the first ten are seen after 3 s, and free again after 63.
        // The last forty are four rounds more. (tokio's timers count whole milliseconds.)
        assert!(
            took >= secs(75) && took < secs(75) + ms(50),
            "{version}: {took:?}"
        );
        assert_eq!(
            fullest_window(sent.iter().copied(), secs(60)),
            60,
            "{version}"
        );
        // Waiting is told apart from calling.
        let longest = |time: fn(&Item) -> Duration| batch.items.iter().map(time).max();
        let called = longest(|item| item.called).expect("there are items");
        assert!(
            called >= secs(3) && called < secs(3) + ms(5),
            "{version}: {called:?}"
        );
        let waited = longest(|item| item.waited).expect("there are items");
        assert!(
            waited > secs(40) && waited < secs(50),
            "{version}: {waited:?}"
        );
    }
}

#[test]
fn paced_one_goes_each_second() {
    let limits = Limits {
        paced: true,
        ..Limits::new(60, secs(60))
    };
    for (version, run) in VERSIONS {
        let (_, sent, _) = run(limits, &topics()[..50], ms(100));
        for (second, at) in (0..).zip(&sent) {
            let late = at.checked_sub(secs(second)).expect("none goes too early");
            assert!(late < ms(5), "{version}: {second} at {at:?}");
        }
        assert_eq!(sent.len(), 50);
    }
}

#[test]
fn tokens_are_a_budget_of_their_own() {
    // Room for two requests, by their tokens.
    let limits = Limits {
        tokens: Some(2 * (u64::from(MAX_TOKENS) + 5)),
        ..Limits::new(60, secs(60))
    };
    for (version, run) in VERSIONS {
        let (_, sent, _) = run(limits, &topics()[..6], secs(1));
        assert_eq!(fullest_window(sent, secs(60)), 2, "{version}");

        let none = Limits {
            tokens: Some(u64::from(MAX_TOKENS)),
            ..limits
        };
        let (batch, sent, took) = run(none, &topics()[..6], secs(1));
        assert!(sent.is_empty() && took < ms(5), "{version}: {took:?}");
        let failed = |item: &Item| matches!(item.result, Err(Failure::TooLarge(_)));
        assert!(batch.items.iter().all(failed), "{version}");
    }
}

#[test]
fn a_call_that_panics_gives_its_slot_back() {
    let clock = SimulatedClock::new();
    let limits = Limits {
        concurrency: at_once(1),
        ..Limits::new(2, secs(60))
    };
    let limiter = Limiter::with_clock(limits, &clock);
    let bug = || process_single(&limiter, "Hello", |_| panic!("a bug in the call"));
    assert!(catch_unwind(AssertUnwindSafe(bug)).is_err());
    assert!(process_single(&limiter, "Hello", answer).result.is_ok());
    assert_eq!(clock.now(), secs(0));
    assert!(process_single(&limiter, "Hello", answer).result.is_ok());
    assert_eq!(clock.now(), secs(60), "it counts all the same");
}

#[test]
fn who_is_dropped_while_he_waits_leaves_no_gap_and_no_slot() {
    in_virtual_time(async {
        let limits = Limits {
            concurrency: at_once(1),
            ..Limits::new(3, secs(60))
        };
        let limiter = AsyncLimiter::new(limits);
        let first = limiter.enter(0).await.expect("it fits");
        let (mut head, mut second) = (Box::pin(limiter.enter(0)), Box::pin(limiter.enter(0)));
        assert!(futures::poll!(head.as_mut()).is_pending());
        assert!(futures::poll!(second.as_mut()).is_pending());
        // The head has been told that it may go, and is dropped before it hears of it.
        drop(first);
        drop(head);
        let second = second.await.expect("it fits");
        drop(second);
        limiter.enter(0).await.expect("the third of three");
        let start = tokio::time::Instant::now();
        limiter.enter(0).await.expect("it fits");
        assert!(
            start.elapsed() >= secs(59),
            "the fourth waits for the first"
        );
    });
}

#[test]
fn a_thousand_who_wait_are_served_in_their_order() {
    in_virtual_time(async {
        let limiter = AsyncLimiter::new(Limits::new(7, secs(1)));
        let served = Mutex::new(Vec::new());
        join_all((0..1000).map(async |number| {
            let _slot = limiter.enter(0).await.expect("it fits");
            served.lock().expect("nobody panics").push(number);
            tokio::time::sleep(ms(number % 13)).await;
        }))
        .await;
        assert!(served.into_inner().expect("nobody panics").is_sorted());
    });
}

// Over sockets.

fn config(mock: &Mock) -> Config {
    Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid")
}

fn sync_client(mock: &Mock) -> SyncClient {
    SyncClient::new(config(mock)).expect("a client can be built")
}

fn async_client(mock: &Mock) -> AsyncClient {
    AsyncClient::new(config(mock)).expect("a client can be built")
}

/// What both versions make of a server: the texts or kinds of error, and what the server was asked.
fn observe(start: impl Fn() -> Mock, limits: Limits, prompts: &[String]) -> [Observed; 2] {
    let sync = start();
    let client = sync_client(&sync);
    let limiter = Limiter::new(limits);
    let batch = process_batch(&limiter, prompts, |prompt| ask(&client, prompt));
    let first = Observed::new(batch, &sync);
    let awaited = start();
    let batch = block_on(async {
        let client = async_client(&awaited);
        let limiter = AsyncLimiter::new(limits);
        process_batch_async(&limiter, prompts, |prompt| ask_async(&client, prompt)).await
    });
    [first, Observed::new(batch, &awaited)]
}

#[derive(Debug, PartialEq)]
struct Observed {
    results: Vec<Result<String, String>>,
    traffic: Vec<(String, Option<u16>)>,
}

impl Observed {
    fn new(batch: Batch, mock: &Mock) -> Observed {
        let kind = |failure| match failure {
            Failure::Call(error) => error.kind().to_owned(),
            Failure::TooLarge(_) => "too large".to_owned(),
        };
        let log = mock.log().into_iter();
        let mut traffic: Vec<_> = log
            .map(|entry| (entry.body.to_string(), entry.status))
            .collect();
        traffic.sort();
        let items = batch.items.into_iter();
        let results = items.map(|item| item.result.map_err(kind)).collect();
        Observed { results, traffic }
    }
}

#[test]
fn a_server_with_a_true_quota_refuses_neither_version_anything() {
    let window = ms(400);
    let start = || {
        let quota = Quota {
            requests: Some(20),
            tokens: None,
            window,
        };
        let latency: Latency = "1ms..20ms".parse().expect("it is a latency");
        let mock = Mock::builder().latency(latency).quota(quota);
        mock.start().expect("a free port on 127.0.0.1")
    };
    for paced in [false, true] {
        let limits = Limits {
            paced,
            ..Limits::new(20, window)
        };
        let [sync, awaited] = observe(start, limits, &topics()[..45]);
        assert_eq!(sync, awaited);
        assert!(sync.results.iter().all(Result::is_ok), "{sync:?}");
        assert_eq!(sync.traffic.len(), 45, "none was asked twice");
    }
}

#[test]
fn a_failure_stays_with_its_prompt_and_counts() {
    for (script, kind) in [
        (Script::Unauthorized, "status"),
        (Script::ResetBeforeHeaders, "interrupted"),
        (Script::Length, "unfinished"),
    ] {
        let start = || {
            let mock = Mock::builder().script(script);
            mock.start().expect("a free port on 127.0.0.1")
        };
        let limits = Limits::new(60, secs(60));
        let [sync, awaited] = observe(start, limits, &topics()[..15]);
        assert_eq!(sync, awaited, "{script:?}");
        let failed = sync
            .results
            .iter()
            .all(|result| *result == Err(kind.to_owned()));
        assert!(failed, "{script:?}: {sync:?}");
    }
}

#[test]
fn a_429_with_retry_after_stops_everybody_for_so_long() {
    // The server allows one a second; we believe it allows 60.
    let quota = Quota {
        requests: Some(1),
        tokens: None,
        window: secs(1),
    };
    let mock = Mock::builder().quota(quota).start().expect("a free port");
    let client = sync_client(&mock);
    let limiter = Limiter::new(Limits::new(60, secs(60)));
    // Straight through the slot: the first answer's headers would stop the second one as well.
    let first = client.generate_text("Hello").expect("the first one fits");
    assert!(!first.is_empty());
    let single = || process_single(&limiter, "Hello", |prompt| ask(&client, prompt));
    let refused = single();
    assert!(
        matches!(refused.result, Err(Failure::Call(Error::RateLimited(_)))),
        "{refused:?}"
    );
    let next = single();
    assert!(next.result.is_ok(), "{next:?}");
    assert_eq!(mock.log().len(), 3, "nothing was asked during the pause");
}

#[test]
fn the_headers_of_an_answer_tell_that_others_use_the_account() {
    let quota = Quota {
        requests: Some(2),
        tokens: None,
        window: ms(300),
    };
    let mock = Mock::builder().quota(quota).start().expect("a free port");
    // We believe it allows 60; the first answer says that one is left, and then none.
    let limits = Limits {
        concurrency: at_once(1),
        ..Limits::new(60, secs(60))
    };
    let limiter = Limiter::new(limits);
    let client = sync_client(&mock);
    let batch = process_batch(&limiter, &topics()[..5], |prompt| ask(&client, prompt));
    assert_eq!(batch.to_string(), "Processed 5/5 prompts successfully");
    assert_eq!(mock.log().len(), 5);
}

#[test]
fn who_drops_the_async_batch_calls_off_what_is_under_way() {
    let mock = Mock::start().expect("a free port on 127.0.0.1");
    mock.gate("answers").release(2);
    block_on(async {
        let options = CallOptions::new().header("x-mock-gate", "answers");
        let client = async_client(&mock).with(options).expect("it can be sent");
        let limiter = AsyncLimiter::new(Limits::new(5, secs(3600)));
        let topics = topics();
        let batch = process_batch_async(&limiter, &topics, |prompt| ask_async(&client, prompt));
        tokio::select! {
            _ = batch => unreachable!("the gate holds some back"),
            log = mock.wait_for_async(PATIENCE, |log| {
                log.len() == 5 && log.iter().filter(|entry| entry.is_finished()).count() == 2
            }) => drop(log.expect("five are sent, two answered, and the others wait in the queue")),
        }
        let done = |log: &[ai_mock::Entry]| log.iter().all(ai_mock::Entry::is_finished);
        let log = mock.wait_for_async(PATIENCE, done).await;
        let log = log.expect("the server sees the caller leave");
        let left = log.iter().filter(|entry| entry.left_at_token == Some(0));
        assert_eq!((log.len(), left.count()), (5, 3));
        // Called off or answered, the server has counted them, and nobody is under way.
        let next = limiter.enter(0);
        assert!(futures::poll!(std::pin::pin!(next)).is_pending());
    });
}

#[test]
fn the_futures_can_be_spawned() {
    let batch = async {
        let limiter = AsyncLimiter::new(Limits::new(60, secs(60)));
        let call = |prompt: &str| std::future::ready(answer(prompt));
        process_batch_async(&limiter, &["Hello", "world"], call).await
    };
    let batch = block_on(async { tokio::spawn(batch).await });
    assert_eq!(batch.expect("it does not panic").successful(), 2);
}

#[test]
fn the_guide_breaks_its_limit() {
    // By how much depends on who is late, so it has a few tries, and needs one.
    let broken = (0..5).any(|_| {
        let latency: Latency = "10ms..300ms".parse().expect("it is a latency");
        let mock = Mock::builder().latency(latency).start();
        let mock = mock.expect("a free port on 127.0.0.1");
        let answered = as_written::process_batch(config(&mock), &topics());
        assert_eq!(answered, Ok(100));
        let arrivals = mock.log().into_iter().map(|entry| entry.arrived);
        fullest_window(arrivals, as_written::MINUTE) > 60
    });
    assert!(broken, "never more than 60");
}

#[test]
fn the_report_has_the_guides_fields_and_the_times() {
    let item = Item {
        prompt: "Hello".into(),
        result: Ok("Hi".into()),
        waited: ms(1500),
        called: ms(20),
    };
    let failed = Item {
        result: Err(Failure::Call(Error::Truncated)),
        ..item.clone()
    };
    let batch = Batch {
        items: vec![item, failed],
    };
    assert_eq!(batch.to_string(), "Processed 1/2 prompts successfully");
    assert!(batch.success().is_err());
    let json = serde_json::to_value(&batch).expect("it is JSON");
    let [first, second] = [&json["items"][0], &json["items"][1]];
    assert_eq!(
        *first,
        serde_json::json!({
            "prompt": "Hello", "result": "Hi", "error": null, "waited_ms": 1500.0, "called_ms": 20.0
        })
    );
    assert!(second["result"].is_null() && second["error"].is_string());
}

#[test]
fn the_readme_prints_the_decision_as_it_is() {
    let readme = include_str!("../README.md");
    let block = readme
        .split("```rust\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let decision = block.expect("the README prints the decision");
    assert!(
        include_str!("../src/window.rs").contains(decision),
        "not the same text:\n{decision}"
    );
}
