//! Both drivers in virtual time, and both over sockets against a server with a true quota: equal
//! items, and equal traffic in its log. The decision alone is tested in `window.rs`.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use ai_core::{
    AsyncClient, CallOptions, Clock, Config, Error, FinishPolicy, Phase, SimulatedClock, SyncClient,
};
use ai_mock::{Failure as Fault, Latency, Mock, Quota, Script};
use demo::fullest_window;
use futures::future::join_all;
use http::HeaderMap;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rate_limited_batch::*;

#[path = "../examples/as_written.rs"]
#[allow(dead_code)]
mod as_written;
#[path = "../examples/long_answers.rs"]
#[allow(dead_code)]
mod long_answers;

/// How long a test waits for what must happen, before it fails. No test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tokens reserved for one of the first ten topics: a token a byte, and what stands around it.
const RESERVED: u32 = "Summarize topic 0".len() as u32 + 7 + MAX_TOKENS;

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
    runtime.expect("a runtime can be built").block_on(async {
        // Where all wait for each other, the time jumps to here.
        let finished = tokio::time::timeout(secs(86_400), future).await;
        finished.expect("somebody waits for ever")
    })
}

// Both drivers in virtual time: minutes take milliseconds.

/// Both versions: from limits, prompts, the time each call takes and how it ends to the items, the
/// times of sending, and the time that the whole batch took.
type Version =
    fn(Limits, &[String], Latencies, fn(&str) -> Ended) -> (Batch, Vec<Duration>, Duration);

type Latencies = fn(prompt: &str) -> Duration;

const VERSIONS: [(&str, Version); 2] = [
    ("sync", |limits, prompts, latency, end| {
        let clock = SimulatedClock::new();
        let limiter = Limiter::with_clock(limits, &clock);
        let sent = Mutex::default();
        let batch = process_batch(&limiter, prompts, |prompt| {
            record(&sent, clock.now());
            clock.sleep(latency(prompt));
            end(prompt)
        });
        (
            batch,
            sent.into_inner().expect("nobody panics"),
            clock.now(),
        )
    }),
    ("async", |limits, prompts, latency, end| {
        in_virtual_time(async {
            let start = tokio::time::Instant::now();
            let limiter = AsyncLimiter::new(limits);
            let sent = Mutex::default();
            let batch = process_batch_async(&limiter, prompts, async |prompt| {
                record(&sent, start.elapsed());
                tokio::time::sleep(latency(prompt)).await;
                end(prompt)
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

fn answer(prompt: &str) -> Ended {
    Ended {
        result: Ok(prompt.to_uppercase()),
        feedback: Feedback::default(),
    }
}

#[test]
fn the_guides_hundred_prompts_take_a_minute_and_their_latencies_in_virtual_time() {
    for (version, run) in VERSIONS {
        let started = Instant::now();
        let (batch, sent, took) = run(Limits::new(60, secs(60)), &topics(), |_| secs(3), answer);
        assert!(
            started.elapsed() < secs(5),
            "{version}: virtual time is not waited for"
        );
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
fn the_items_are_in_the_order_of_the_prompts_whoever_is_answered_last() {
    let first_is_slowest: Latencies = |prompt| match prompt {
        "Summarize topic 0" => secs(30),
        _ => secs(1),
    };
    for (version, run) in VERSIONS {
        let (batch, ..) = run(
            Limits::new(60, secs(60)),
            &topics(),
            first_is_slowest,
            answer,
        );
        let items = batch.items.iter();
        let prompts: Vec<_> = items.map(|item| item.prompt.clone()).collect();
        assert_eq!(prompts, topics(), "{version}");
    }
}

#[test]
fn a_budget_for_ever_is_used_up_once() {
    for margin in [None, Some(secs(2))] {
        let limits = Limits {
            margin,
            ..Limits::new(3, Duration::MAX)
        };
        for (version, run) in VERSIONS {
            let (batch, _, took) = run(limits, &topics()[..3], |_| secs(1), answer);
            assert_eq!(batch.successful(), 3, "{version}");
            assert!(about(took, secs(1)), "{version}: {took:?}");
        }
    }
}

#[test]
fn paced_one_goes_each_second() {
    let limits = Limits {
        paced: true,
        ..Limits::new(60, secs(60))
    };
    for (version, run) in VERSIONS {
        let (_, sent, _) = run(limits, &topics()[..50], |_| ms(100), answer);
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
        tokens: Some(2 * u64::from(RESERVED)),
        ..Limits::new(60, secs(60))
    };
    for (version, run) in VERSIONS {
        let (_, sent, _) = run(limits, &topics()[..6], |_| secs(1), answer);
        assert_eq!(fullest_window(sent, secs(60)), 2, "{version}");

        let none = Limits {
            tokens: Some(u64::from(RESERVED) - 1),
            ..limits
        };
        let (batch, sent, took) = run(none, &topics()[..6], |_| secs(1), answer);
        assert!(sent.is_empty() && took < ms(5), "{version}: {took:?}");
        let failed = |item: &Item| matches!(item.result, Err(Failure::Acquire(_)));
        assert!(batch.items.iter().all(failed), "{version}");
    }
}

#[test]
fn a_call_that_panics_fails_alone_and_counts() {
    let limits = Limits {
        concurrency: at_once(1),
        ..Limits::new(2, secs(60))
    };
    let first_panics = |prompt: &str| {
        assert_ne!(prompt, "Summarize topic 0", "a bug in the call");
        answer(prompt)
    };
    for (version, run) in VERSIONS {
        let (batch, sent, _) = run(limits, &topics()[..4], |_| secs(1), first_panics);
        let [first, others @ ..] = &batch.items[..] else {
            panic!("{version}: no items");
        };
        assert!(
            matches!(&first.result, Err(Failure::Panicked(message)) if message.contains("a bug")),
            "{version}: {first:?}"
        );
        let answered = others.iter().filter(|item| item.result.is_ok()).count();
        assert_eq!(answered, 3, "{version}: {others:?}");
        // Its place under way is free at once, and its slot after a window.
        for (sent, at) in sent.iter().zip([0, 1, 61, 62]) {
            assert!(about(*sent, secs(at)), "{version}: {sent:?}");
        }
    }
}

#[test]
fn a_permit_dropped_by_a_panic_gives_its_place_back() {
    let limits = Limits {
        concurrency: at_once(1),
        ..Limits::new(2, secs(60))
    };
    let clock = SimulatedClock::new();
    let limiter = Limiter::with_clock(limits, &clock);
    let bug = || {
        let _permit = limiter.acquire(0);
        panic!("a bug in the caller");
    };
    assert!(catch_unwind(AssertUnwindSafe(bug)).is_err());
    drop(limiter.acquire(0).expect("it fits"));
    assert_eq!(clock.now(), secs(0));
    drop(limiter.acquire(0).expect("it fits"));
    assert_eq!(clock.now(), secs(60), "it counts all the same");
}

#[test]
fn a_call_that_sent_nothing_costs_nothing() {
    let limits = Limits::new(2, secs(60));
    fn failed(error: Error) -> Ended {
        Ended::new(Err(error), FinishPolicy::default())
    }
    let refused: fn(&str) -> Ended = |_| failed(Error::Connect("refused".into()));
    let invalid: fn(&str) -> Ended = |_| failed(Error::Config("no such header".into()));
    let broken: fn(&str) -> Ended = |_| {
        failed(Error::Interrupted {
            phase: Phase::Head,
            message: "reset".into(),
        })
    };
    let silent: fn(&str) -> Ended = |_| {
        failed(Error::Silent {
            phase: Phase::Head,
            limit: ms(10),
        })
    };
    let cut: fn(&str) -> Ended = |_| failed(Error::Truncated);
    for (version, run) in VERSIONS {
        for (end, least) in [
            (refused, secs(0)),
            (invalid, secs(0)),
            // What has been sent has been counted, however little came of it.
            (broken, secs(120)),
            (silent, secs(120)),
            (cut, secs(120)),
        ] {
            let (batch, sent, took) = run(limits, &topics()[..6], |_| ms(10), end);
            assert_eq!((batch.successful(), sent.len()), (0, 6), "{version}");
            assert!(about(took, least), "{version}: {took:?}, {batch:?}");
        }
    }
}

/// The test starts its own program again with stacks so large that the system refuses every thread.
#[test]
fn where_no_thread_can_be_started_the_caller_processes_the_whole_batch() {
    const NAME: &str = "where_no_thread_can_be_started_the_caller_processes_the_whole_batch";
    const TOO_LARGE: &str = "4611686018427387904";
    if std::env::var("RUST_MIN_STACK").as_deref() != Ok(TOO_LARGE) {
        let program = std::env::current_exe().expect("a test has a program");
        let mut child = Command::new(program);
        child.args(["--exact", NAME, "--test-threads=1"]);
        let child = child.env("RUST_MIN_STACK", TOO_LARGE).output();
        let child = child.expect("it can be started");
        let stdout = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{child:?}");
        assert!(stdout.contains("1 passed"), "{stdout}");
        return;
    }
    assert!(thread::Builder::new().spawn(|| ()).is_err());
    let clock = SimulatedClock::new();
    let limiter = Limiter::with_clock(Limits::new(60, secs(60)), &clock);
    let batch = process_batch(&limiter, &topics(), |prompt| {
        clock.sleep(secs(2));
        answer(prompt)
    });
    assert_eq!(batch.successful(), 100);
    assert_eq!(clock.now(), secs(200), "one after another");
}

#[test]
fn a_caller_dropped_while_waiting_leaves_no_gap_and_no_slot() {
    in_virtual_time(async {
        let limits = Limits {
            concurrency: at_once(1),
            ..Limits::new(3, secs(60))
        };
        let limiter = AsyncLimiter::new(limits);
        let first = limiter.acquire(0).await.expect("it fits");
        let (mut head, mut second) = (Box::pin(limiter.acquire(0)), Box::pin(limiter.acquire(0)));
        assert!(futures::poll!(head.as_mut()).is_pending());
        assert!(futures::poll!(second.as_mut()).is_pending());
        // The head has been told that it may go, and is dropped before it hears of it.
        drop(first);
        drop(head);
        let second = second.await.expect("it fits");
        drop(second);
        limiter.acquire(0).await.expect("the third of three");
        let start = tokio::time::Instant::now();
        limiter.acquire(0).await.expect("it fits");
        assert!(
            start.elapsed() >= secs(59),
            "the fourth waits for the first"
        );
    });
}

#[test]
fn a_caller_that_sent_nothing_gives_its_slot_back_and_wakes_the_next_one() {
    let limits = Limits::new(1, secs(60));
    let clock = SimulatedClock::new();
    let limiter = Limiter::with_clock(limits, &clock);
    std::thread::scope(|scope| {
        let parts = [(); 2].map(|()| clock.take_part());
        for (part, comes) in parts.into_iter().zip([0, 1]) {
            let (clock, limiter) = (&clock, &limiter);
            scope.spawn(move || {
                clock.sleep(secs(comes));
                let permit = limiter.acquire(0).expect("it fits");
                if comes == 0 {
                    clock.sleep(secs(5));
                    permit.unsent();
                } else {
                    assert_eq!(clock.now(), secs(5));
                }
                drop(part);
            });
        }
    });
    in_virtual_time(async {
        let start = tokio::time::Instant::now();
        let limiter = AsyncLimiter::new(limits);
        let first = async {
            let permit = limiter.acquire(0).await.expect("it fits");
            tokio::time::sleep(secs(5)).await;
            permit.unsent();
        };
        let next = async {
            tokio::time::sleep(secs(1)).await;
            drop(limiter.acquire(0).await.expect("it fits"));
            assert!(about(start.elapsed(), secs(5)));
        };
        tokio::join!(first, next);
    });
}

#[test]
fn a_thousand_that_wait_are_served_in_their_order_and_woken_when_it_is_their_turn() {
    in_virtual_time(async {
        let limiter = AsyncLimiter::new(Limits::new(7, secs(1)));
        let (served, polls) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        join_all((0..1000).map(async |number| {
            let mut entering = Box::pin(limiter.acquire(0));
            let counted = poll_fn(|context| {
                polls.fetch_add(1, Ordering::Relaxed);
                entering.as_mut().poll(context)
            });
            let _permit = counted.await.expect("it fits");
            served.lock().expect("nobody panics").push(number);
            tokio::time::sleep(ms(number % 13)).await;
        }))
        .await;
        assert!(served.into_inner().expect("nobody panics").is_sorted());
        // Each asks when it comes, as the new head of the queue, and when the time has come that it
        // was told then. No other caller is woken.
        let polls = polls.into_inner();
        assert!(polls <= 3 * 1000, "{polls} polls");
    });
}

// Both limiters by hand, in virtual time.

/// A caller that queues up: when it does, for how long it waits at most, how long its call takes,
/// and what the limiter learns at the end of that.
#[derive(Debug, Clone, Copy)]
struct Caller {
    comes: Duration,
    tokens: u64,
    patience: Option<Duration>,
    /// When the head of the answer comes, if the caller says so.
    head: Option<Duration>,
    call: Duration,
    feedback: Feedback,
}

impl Caller {
    fn at(comes: Duration, call: Duration) -> Caller {
        Caller {
            comes,
            tokens: 1,
            patience: None,
            head: None,
            call,
            feedback: Feedback::default(),
        }
    }
}

/// What became of a caller: when it had its permit or knew that there is none, and when its call
/// ended.
type Fate = Result<(Duration, Duration), (AcquireError, Duration)>;

/// Both versions: callers in the order in which they queue up, and when the limiter is closed. Then
/// how many more may go at once after a window, to see whether slots are left behind.
type Queue = fn(Limits, &[Caller], Option<Duration>) -> (Vec<Fate>, usize);

const QUEUES: [(&str, Queue); 2] = [
    ("sync", |limits, callers, closes| {
        let clock = SimulatedClock::new();
        let limiter = Limiter::with_clock(limits, &clock);
        let one = |caller: &Caller| -> Fate {
            clock.sleep(caller.comes);
            let permit = match caller.patience {
                Some(patience) => limiter.acquire_within(caller.tokens, patience),
                None => limiter.acquire(caller.tokens),
            };
            let permit = permit.map_err(|error| (error, clock.now()))?;
            let sent = clock.now();
            if let Some(head) = caller.head {
                clock.sleep(head);
                permit.seen();
            }
            clock.sleep(caller.call - caller.head.unwrap_or_default());
            permit.finish(&caller.feedback);
            Ok((sent, clock.now()))
        };
        let (one, clock, limiter) = (&one, &clock, &limiter);
        let fates = thread::scope(|scope| {
            // All take part before any starts, or the first to sleep would wait for nobody.
            let parts: Vec<_> = callers.iter().map(|_| clock.take_part()).collect();
            let closer = closes.map(|time| (time, clock.take_part()));
            let threads: Vec<_> = callers
                .iter()
                .zip(parts)
                .map(|(caller, part)| {
                    scope.spawn(move || {
                        let fate = one(caller);
                        drop(part);
                        fate
                    })
                })
                .collect();
            if let Some((time, part)) = closer {
                scope.spawn(move || {
                    clock.sleep(time);
                    limiter.close();
                    drop(part);
                });
            }
            let threads = threads.into_iter();
            threads
                .map(|thread| thread.join().expect("nobody panics"))
                .collect()
        });
        clock.sleep(limits.length * 3);
        let more: Vec<_> = (0..1000)
            .map_while(|_| limiter.acquire_within(0, Duration::ZERO).ok())
            .collect();
        (fates, more.len())
    }),
    ("async", |limits, callers, closes| {
        in_virtual_time(async {
            let start = tokio::time::Instant::now();
            let limiter = AsyncLimiter::new(limits);
            let one = async |caller: &Caller| -> Fate {
                tokio::time::sleep(caller.comes).await;
                let permit = match caller.patience {
                    Some(patience) => limiter.acquire_within(caller.tokens, patience).await,
                    None => limiter.acquire(caller.tokens).await,
                };
                let permit = permit.map_err(|error| (error, start.elapsed()))?;
                let sent = start.elapsed();
                if let Some(head) = caller.head {
                    tokio::time::sleep(head).await;
                    permit.seen();
                }
                tokio::time::sleep(caller.call - caller.head.unwrap_or_default()).await;
                permit.finish(&caller.feedback);
                Ok((sent, start.elapsed()))
            };
            let closed = async {
                if let Some(time) = closes {
                    tokio::time::sleep(time).await;
                    limiter.close();
                }
            };
            let (fates, ()) =
                futures::future::join(join_all(callers.iter().map(one)), closed).await;
            tokio::time::sleep(limits.length * 3).await;
            let mut more = Vec::new();
            while more.len() < 1000
                && let Ok(permit) = limiter.acquire_within(0, Duration::ZERO).await
            {
                more.push(permit);
            }
            (fates, more.len())
        })
    }),
];

/// Tokio's timers count whole milliseconds, and round up.
fn about(time: Duration, expected: Duration) -> bool {
    time >= expected && time < expected + ms(50)
}

#[test]
fn a_caller_that_waits_too_long_is_told_so_in_time_and_leaves_the_queue() {
    let limits = Limits::new(1, secs(60));
    let callers = [
        Caller::at(secs(0), secs(1)),
        // The head of the queue leaves, and the one behind it leaves sooner.
        Caller {
            patience: Some(secs(30)),
            ..Caller::at(secs(1), secs(1))
        },
        Caller {
            patience: Some(secs(10)),
            ..Caller::at(secs(2), secs(1))
        },
        Caller::at(secs(3), secs(1)),
        // One slot a minute: this one gives up a second too early, and the next one is in time.
        Caller {
            patience: Some(secs(117)),
            ..Caller::at(secs(4), secs(1))
        },
        Caller {
            patience: Some(Duration::MAX),
            ..Caller::at(secs(5), secs(1))
        },
    ];
    for (version, run) in QUEUES {
        let (fates, more) = run(limits, &callers, None);
        let went = |fate: Fate, at| matches!(fate, Ok((sent, _)) if about(sent, at));
        let left =
            |fate: Fate, at| matches!(fate, Err((AcquireError::Elapsed, told)) if about(told, at));
        assert!(went(fates[0], secs(0)), "{version}: {fates:?}");
        assert!(left(fates[1], secs(31)), "{version}: {fates:?}");
        assert!(left(fates[2], secs(12)), "{version}: {fates:?}");
        assert!(went(fates[3], secs(61)), "{version}: {fates:?}");
        assert!(left(fates[4], secs(121)), "{version}: {fates:?}");
        assert!(went(fates[5], secs(122)), "{version}: {fates:?}");
        assert_eq!(more, 1, "{version}");
    }
}

#[test]
fn when_a_window_opens_all_whom_it_holds_go_at_once() {
    let callers = [0; 9].map(|_| Caller::at(secs(0), secs(20)));
    for (version, run) in QUEUES {
        let (fates, _) = run(Limits::new(3, secs(60)), &callers, None);
        let mut sent: Vec<_> = fates.iter().flatten().map(|(sent, _)| *sent).collect();
        sent.sort();
        for (sent, window) in sent.chunks(3).zip([0, 80, 160]) {
            let all = sent.iter().all(|at| about(*at, secs(window)));
            assert!(all, "{version}: {sent:?}");
        }
    }
}

#[test]
fn the_head_of_an_answer_is_evidence_enough() {
    let mut callers = [0, 1].map(|comes| Caller::at(secs(comes), secs(100)));
    callers[0].head = Some(secs(2));
    for (version, run) in QUEUES {
        let (fates, _) = run(Limits::new(1, secs(60)), &callers, None);
        // The first call lasts until 100.
        assert!(
            matches!(fates[1], Ok((sent, _)) if about(sent, secs(62))),
            "{version}: {fates:?}"
        );
    }
}

#[test]
fn without_patience_one_gets_a_slot_at_once_or_none() {
    let at_once = |comes| Caller {
        patience: Some(Duration::ZERO),
        ..Caller::at(comes, secs(1))
    };
    for (version, run) in QUEUES {
        let callers = [secs(0), secs(1), secs(62)].map(at_once);
        let (fates, _) = run(Limits::new(1, secs(60)), &callers, None);
        assert!(fates[0].is_ok() && fates[2].is_ok(), "{version}: {fates:?}");
        assert!(
            matches!(fates[1], Err((AcquireError::Elapsed, told)) if about(told, secs(1))),
            "{version}: {fates:?}"
        );
    }
}

#[test]
fn a_limiter_that_closes_tells_all_that_wait_and_lets_calls_under_way_go_on() {
    let limits = Limits {
        concurrency: at_once(2),
        ..Limits::new(60, secs(60))
    };
    let comes = [0, 0, 1, 2, 3, 9];
    let mut callers = comes.map(|comes| Caller::at(secs(comes), secs(20)));
    callers[3].patience = Some(secs(60));
    for (version, run) in QUEUES {
        let (fates, more) = run(limits, &callers, Some(secs(5)));
        for fate in &fates[..2] {
            assert!(
                matches!(fate, Ok((_, ended)) if about(*ended, secs(20))),
                "{version}: {fates:?}"
            );
        }
        for (fate, told) in fates[2..].iter().zip([5, 5, 5, 9]) {
            assert!(
                matches!(fate, Err((AcquireError::Closed, at)) if about(*at, secs(told))),
                "{version}: {fates:?}"
            );
        }
        assert_eq!(more, 0, "{version}: it stays closed");
    }
}

#[test]
fn a_batch_whose_limiter_closes_returns_an_item_for_each_prompt() {
    let limits = Limits::new(10, secs(60));
    let closed = |batch: Batch| {
        let items = batch.items.into_iter();
        items
            .filter(|item| item.result == Err(Failure::Acquire(AcquireError::Closed)))
            .count()
    };
    let clock = SimulatedClock::new();
    let limiter = Limiter::with_clock(limits, &clock);
    let batch = process_batch(&limiter, &topics(), |prompt| {
        clock.sleep(secs(1));
        limiter.close();
        answer(prompt)
    });
    assert_eq!(closed(batch), 90);
    assert_eq!(clock.now(), secs(1));
    let batch = in_virtual_time(async {
        let limiter = AsyncLimiter::new(limits);
        let topics = topics();
        let call = async |prompt: &str| {
            tokio::time::sleep(secs(1)).await;
            limiter.close();
            answer(prompt)
        };
        process_batch_async(&limiter, &topics, call).await
    });
    assert_eq!(closed(batch), 90);
}

#[test]
fn a_429_stops_everybody_also_where_it_does_not_say_for_how_long() {
    let refused = |retry_after: Option<&str>| {
        let headers = retry_after.map(|time| {
            let time = time.parse().expect("a value");
            (http::header::RETRY_AFTER, time)
        });
        let page = b"<html>Too many requests</html>";
        Feedback::of_error(&Error::from_response(
            429,
            &HeaderMap::from_iter(headers),
            page,
        ))
    };
    for (retry_after, pause) in [
        (Some("7"), secs(7)),
        (Some("86400"), secs(120)),
        (None, secs(1)),
    ] {
        let mut callers = [0, 500, 1100, 1200, 1300].map(|comes| Caller::at(ms(comes), secs(1)));
        callers[0].feedback = refused(retry_after);
        for (version, run) in QUEUES {
            let (fates, _) = run(Limits::new(60, secs(60)), &callers, None);
            let times = [secs(0), ms(500)].into_iter().chain([secs(1) + pause; 3]);
            for (fate, time) in fates.iter().zip(times) {
                assert!(
                    matches!(fate, Ok((sent, _)) if about(*sent, time)),
                    "{version}, {retry_after:?}: {fates:?}"
                );
            }
        }
    }
}

fn callers() -> impl Strategy<Value = Vec<(Caller, f64)>> {
    let caller = (
        (0..40_u64, 1..50_u64),
        prop::option::weighted(0.3, 0..20_000_u64),
        (0..6000_u64, 0.0..=1.0),
        prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0],
        prop::option::weighted(0.1, 0..10_000_u64),
    );
    let caller = caller.prop_map(
        |((comes, tokens), patience, (call, used), counted, pause)| {
            let caller = Caller {
                comes: secs(comes),
                tokens,
                patience: patience.map(ms),
                head: None,
                call: ms(call),
                feedback: Feedback {
                    tokens: Some((tokens as f64 * used) as u64),
                    pause: pause.map(ms),
                    ..Feedback::default()
                },
            };
            (caller, counted)
        },
    );
    prop::collection::vec(caller, 1..24).prop_map(|mut callers| {
        callers.sort_by_key(|(caller, _)| caller.comes);
        // No two at one time: threads that wake together have no order to keep.
        let mut late = Duration::ZERO;
        for (caller, _) in &mut callers {
            caller.comes += late;
            late += ms(1);
        }
        callers
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let limits = (1..6_u32, 50..120_u64, 1..6_usize, any::<[bool; 3]>());
    limits.prop_map(
        |(requests, tokens, concurrency, [paced, trued_up, has_margin])| Limits {
            tokens: Some(tokens),
            concurrency: at_once(concurrency),
            margin: has_margin.then_some(secs(6)),
            paced,
            trued_up,
            ..Limits::new(requests, secs(10))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_limiters_keep_the_limit_serve_in_order_and_lose_nobody(
        callers in callers(),
        limits in limits(),
    ) {
        let Limits { requests, tokens, concurrency, paced, trued_up, .. } = limits;
        let tokens = tokens.expect("they are limited");
        let (callers, counts): (Vec<Caller>, Vec<f64>) = callers.into_iter().unzip();
        for (version, run) in QUEUES {
            let (fates, more) = run(limits, &callers, None);
            let mut server = Vec::new();
            let mut last = Duration::ZERO;
            let pauses = callers.iter().zip(&fates).filter_map(|(caller, fate)| {
                let (_, ended) = (*fate).ok()?;
                Some((ended, ended + caller.feedback.pause?))
            });
            let pauses: Vec<_> = pauses.collect();
            for ((caller, counted), fate) in callers.iter().zip(&counts).zip(&fates) {
                match fate {
                    Ok((sent, ended)) => {
                        prop_assert!(*sent >= last, "{version}: not in order: {fates:?}");
                        last = *sent;
                        // In the instant in which a pause is told of, either may be first.
                        let in_a_pause = pauses.iter().any(|(told, end)| told < sent && sent < end);
                        prop_assert!(!in_a_pause, "{version}: sent in a pause: {fates:?}");
                        let at = *sent + (*ended - *sent).mul_f64(*counted);
                        let refunded = trued_up.then_some((*ended, caller.feedback.tokens));
                        server.push((at.min(*ended), caller.tokens, refunded));
                    }
                    Err((error, told)) => {
                        prop_assert_eq!(error, &AcquireError::Elapsed);
                        let patience = caller.patience.expect("only the impatient leave");
                        prop_assert!(about(*told, caller.comes + patience), "{version}: {fates:?}");
                    }
                }
            }
            for (now, _, _) in &server {
                let live = server.iter().filter(|(at, ..)| at <= now && *now < *at + secs(10));
                let (count, sum) = live.fold((0, 0), |(count, sum), (_, tokens, refunded)| {
                    let tokens = match refunded {
                        Some((at, Some(used))) if at <= now => *used,
                        _ => *tokens,
                    };
                    (count + 1, sum + tokens)
                });
                prop_assert!(count <= requests, "{version}: {count} requests");
                prop_assert!(sum <= tokens, "{version}: {sum} tokens");
            }
            // Paced, one goes that is due, and one to make up for.
            let most = if paced { 2 } else { usize::MAX };
            let goes = most.min(concurrency.get()).min(requests as usize);
            prop_assert_eq!(more, goes, "{}: slots are left behind", version);
        }
    }
}

#[test]
fn each_caller_has_the_same_fate_in_both_versions() {
    // The same cases each time: where two things happen in one instant, either may be first.
    let mut runner = TestRunner::deterministic();
    for _ in 0..48 {
        let case = (limits(), callers()).new_tree(&mut runner);
        let (limits, callers) = case.expect("nothing is filtered out").current();
        let callers: Vec<_> = callers.into_iter().map(|(caller, _)| caller).collect();
        let [sync, awaited] = QUEUES.map(|(_, run)| run(limits, &callers, None).0);
        for (sync, awaited) in sync.into_iter().zip(awaited) {
            let same = match (sync, awaited) {
                (Ok(sync), Ok(awaited)) => about(awaited.0, sync.0) && about(awaited.1, sync.1),
                (Err(sync), Err(awaited)) => sync.0 == awaited.0 && about(awaited.1, sync.1),
                _ => false,
            };
            assert!(same, "{limits:?}, {callers:?}: {sync:?}, but {awaited:?}");
        }
    }
}

// Both limiters by hand, with real threads: what one at a time can't show.

/// Callers on one limiter, and how often each of them calls. Many, and the window opens again and
/// again; or a few, and it never closes: then the one that waits for a place is woken by a call that
/// ends, maybe just when it falls asleep.
fn crowds(many: usize, rounds: usize, few: usize) -> [(Limits, usize, usize); 2] {
    let three_at_once = Limits {
        concurrency: at_once(3),
        ..Limits::new(u32::MAX, ms(1))
    };
    [
        (Limits::new(20, ms(20)), many, rounds),
        (three_at_once, few, 5000),
    ]
}

/// Fails where it would hang for ever.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    let made = wait.recv_timeout(PATIENCE);
    made.expect("it neither hangs nor panics")
}

#[test]
fn of_tasks_that_run_in_parallel_none_is_lost_also_when_others_are_aborted() {
    for (limits, callers, rounds) in crowds(500, 1, 6) {
        let sent = in_time(move || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(4).enable_time().build();
            let work = async {
                let start = Instant::now();
                let limiter = Arc::new(AsyncLimiter::new(limits));
                let sent = Arc::new(Mutex::default());
                let tasks = (0..callers).map(|_| {
                    let (limiter, sent) = (limiter.clone(), sent.clone());
                    tokio::spawn(async move {
                        for _ in 0..rounds {
                            let permit = limiter.acquire(0).await.expect("it fits");
                            record(&sent, start.elapsed());
                            tokio::task::yield_now().await;
                            permit.finish(&Feedback::default());
                        }
                    })
                });
                let tasks: Vec<_> = tasks.collect();
                for task in tasks.iter().step_by(3) {
                    tokio::task::yield_now().await;
                    task.abort();
                }
                for (number, task) in tasks.into_iter().enumerate() {
                    assert!(task.await.is_ok() || number % 3 == 0, "a bug");
                }
                let mut places = Vec::new();
                for _ in 0..limits.concurrency.get() {
                    let place = limiter.acquire_within(0, PATIENCE).await;
                    places.push(place.expect("no place is left behind"));
                }
                std::mem::take(&mut *sent.lock().expect("nobody panics"))
            };
            runtime.expect("a runtime can be built").block_on(work)
        });
        let fullest = fullest_window(sent, limits.length);
        assert!(fullest <= limits.requests as usize, "{fullest}");
    }
}

#[test]
fn of_threads_none_is_lost_also_when_others_lose_patience() {
    for (limits, callers, rounds) in crowds(32, 20, 4) {
        let sent = in_time(move || {
            let start = Instant::now();
            let limiter = Limiter::new(limits);
            let sent = Mutex::default();
            let call = |number| {
                for round in 0..rounds {
                    let permit = match (number + round) % 3 {
                        0 => limiter.acquire_within(0, ms(1)),
                        _ => limiter.acquire(0),
                    };
                    match permit {
                        Ok(permit) => {
                            record(&sent, start.elapsed());
                            thread::yield_now();
                            permit.finish(&Feedback::default());
                        }
                        Err(error) => assert_eq!(error, AcquireError::Elapsed),
                    }
                }
            };
            thread::scope(|scope| {
                for number in 0..callers {
                    let call = &call;
                    scope.spawn(move || call(number));
                }
            });
            let places = (0..limits.concurrency.get()).map(|_| limiter.acquire_within(0, PATIENCE));
            let places: Result<Vec<_>, _> = places.collect();
            places.expect("no place is left behind");
            sent.into_inner().expect("nobody panics")
        });
        let fullest = fullest_window(sent, limits.length);
        assert!(fullest <= limits.requests as usize, "{fullest}");
    }
}

/// A future that is dropped after so many polls: at once, or when it is woken the next time.
struct Dropped<F> {
    future: Option<Pin<Box<F>>>,
    polls: usize,
    when_woken: bool,
}

impl<F: Future> Future for Dropped<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(left) = self.polls.checked_sub(1) {
            self.polls = left;
            let future = self.future.as_mut().expect("it is not dropped yet");
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            if left > 0 || self.when_woken {
                return Poll::Pending;
            }
        }
        self.future = None;
        Poll::Ready(None)
    }
}

#[test]
fn whichever_caller_is_dropped_at_whatever_await_the_others_are_served_in_time() {
    const CALLERS: usize = 6;
    let limits = Limits {
        concurrency: at_once(2),
        ..Limits::new(3, secs(10))
    };
    // Each caller, after each number of polls, until it is no longer dropped but done.
    for (victim, when_woken) in (0..CALLERS).flat_map(|victim| [(victim, false), (victim, true)]) {
        let dropped = (0..).find(|&polls| !is_dropped(limits, CALLERS, victim, polls, when_woken));
        // Waiting as the head, being told a time, and two awaits in the call: at least these.
        assert!(
            dropped >= Some(3),
            "{victim}: {dropped:?} polls and it is done"
        );
    }
}

/// Whether the victim was dropped before it was done.
fn is_dropped(
    limits: Limits,
    callers: usize,
    victim: usize,
    polls: usize,
    when_woken: bool,
) -> bool {
    in_virtual_time(async {
        let start = tokio::time::Instant::now();
        let limiter = AsyncLimiter::new(limits);
        let sent = Mutex::default();
        let call = async |prompt: &str| {
            record(&sent, start.elapsed());
            tokio::time::sleep(ms(500)).await;
            tokio::time::sleep(ms(500)).await;
            answer(prompt)
        };
        let items = join_all((0..callers).map(|number| Dropped {
            future: Some(Box::pin(process_single_async(&limiter, "Hello", call))),
            polls: if number == victim { polls } else { usize::MAX },
            when_woken,
        }));
        let items = items.await;
        let case = format!("caller {victim} dropped after {polls} polls, woken: {when_woken}");
        for (number, item) in items.iter().enumerate() {
            let answered = item.as_ref().is_some_and(|item| item.result.is_ok());
            assert!(answered || number == victim, "{case}: {number}");
        }
        // Three in ten seconds, two at one time: six take 11 s and a second or two at the end.
        assert!(start.elapsed() < secs(14), "{case}: {:?}", start.elapsed());
        let sent: Vec<Duration> = sent.into_inner().expect("nobody panics");
        assert!(fullest_window(sent, secs(10)) <= 3, "{case}");
        // Two at one time again, and not a third one.
        tokio::time::sleep(secs(10)).await;
        let now = Duration::ZERO;
        let permits = [(); 3].map(|()| limiter.acquire_within(0, now));
        let permits = join_all(permits).await;
        let free = permits.iter().filter(|permit| permit.is_ok()).count();
        assert_eq!(free, 2, "{case}");
        items[victim].is_none()
    })
}

#[test]
fn a_margin_serves_long_answers_and_breaks_the_limit_when_it_is_too_short() {
    use long_answers::{Policy, quick, run, slow_at_first};
    let shares = [Policy::Answer, Policy::Head, Policy::Margin].map(|policy| run(policy, quick));
    // 60 each 80 s, each 60.5 s, each 62 s.
    for ((share, fullest), expected) in shares.into_iter().zip([0.757, 0.992, 0.969]) {
        assert!((share - expected).abs() < 0.002, "{share}");
        assert_eq!(fullest, 60);
    }
    for policy in [Policy::Answer, Policy::Head] {
        assert_eq!(run(policy, slow_at_first).1, 60);
    }
    assert!(
        run(Policy::Margin, slow_at_first).1 > 60,
        "it would be safe"
    );
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

/// A batch by both versions, each with a server of its own.
fn process(start: impl Fn() -> Mock, limits: Limits, prompts: &[String]) -> [(Batch, Mock); 2] {
    let sync = start();
    let client = sync_client(&sync);
    let limiter = Limiter::new(limits);
    let first = process_batch(&limiter, prompts, |prompt| ask(&client, prompt));
    let awaited = start();
    let second = block_on(async {
        let client = async_client(&awaited);
        let limiter = AsyncLimiter::new(limits);
        process_batch_async(&limiter, prompts, |prompt| ask_async(&client, prompt)).await
    });
    [(first, sync), (second, awaited)]
}

/// What both versions make of a server: the texts or kinds of error, and what the server was asked.
fn observe(start: impl Fn() -> Mock, limits: Limits, prompts: &[String]) -> [Observed; 2] {
    process(start, limits, prompts).map(|(batch, mock)| Observed::new(batch, &mock))
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
            Failure::Acquire(_) | Failure::Panicked(_) => failure.to_string(),
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
    let requests = Quota {
        requests: Some(20),
        tokens: None,
        window,
    };
    let tokens = |tokens| Quota {
        requests: None,
        tokens: Some(tokens),
        window,
    };
    let signs = ["?".repeat(400), "?".repeat(399), "?".repeat(398)];
    for (quota, paced, prompts) in [
        (requests, false, &topics()[..45]),
        (requests, true, &topics()[..45]),
        // Four letters a token would make it 517 for each topic, and the server counts 521.
        (tokens(20 * 517), false, &topics()[..45]),
        // Two of three, when a token is a sign.
        (tokens(2 * (400 + 7 + MAX_TOKENS)), false, &signs),
    ] {
        let start = || {
            let latency: Latency = "1ms..20ms".parse().expect("it is a latency");
            let mock = Mock::builder().latency(latency).quota(quota);
            mock.start().expect("a free port on 127.0.0.1")
        };
        let limits = Limits {
            tokens: quota.tokens.map(u64::from),
            paced,
            ..Limits::new(quota.requests.unwrap_or(60), window)
        };
        let [sync, awaited] = observe(start, limits, prompts);
        assert_eq!(sync, awaited);
        assert!(sync.results.iter().all(Result::is_ok), "{sync:?}");
        assert_eq!(sync.traffic.len(), prompts.len(), "none was asked twice");
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
    // To the mock equal prompts are attempts of one piece of work. Its 429 asks for a second.
    let start = || {
        let mock = Mock::builder().fail_first(1, Fault::Status(429));
        mock.start().expect("a free port on 127.0.0.1")
    };
    let limits = Limits {
        concurrency: at_once(1),
        ..Limits::new(60, secs(60))
    };
    let prompts = [(); 3].map(|()| "Hello".to_owned());
    for (batch, mock) in process(start, limits, &prompts) {
        let results = batch.items.iter().map(|item| &item.result);
        let [refused, others @ ..] = &results.collect::<Vec<_>>()[..] else {
            panic!("no items");
        };
        assert!(
            matches!(refused, Err(Failure::Call(Error::RateLimited(_)))),
            "{refused:?}"
        );
        assert!(others.iter().all(|result| result.is_ok()), "{others:?}");
        let log = mock.log();
        let pause_ends = log[0].arrived + secs(1);
        let later = log[1..].iter().filter(|entry| entry.arrived >= pause_ends);
        assert_eq!((log.len(), later.count()), (3, 2));
    }
}

#[test]
fn the_headers_of_an_answer_tell_that_others_use_the_account() {
    let window = ms(300);
    let requests = Quota {
        requests: Some(2),
        tokens: None,
        window,
    };
    let tokens = Quota {
        requests: None,
        tokens: Some(2 * RESERVED),
        window,
    };
    for (quota, script) in [
        (requests, Script::Normal),
        (tokens, Script::Normal),
        // An answer that was cut has headers as well.
        (requests, Script::Length),
    ] {
        let start = || {
            let mock = Mock::builder().quota(quota).script(script);
            mock.start().expect("a free port")
        };
        // We believe it allows many; the first answer says that one is left, and then none.
        let limits = Limits {
            concurrency: at_once(1),
            tokens: Some(100_000),
            ..Limits::new(60, secs(60))
        };
        let [sync, awaited] = observe(start, limits, &topics()[..5]);
        assert_eq!(sync, awaited);
        // None is refused.
        let expected = |result: &Result<String, String>| match script {
            Script::Length => *result == Err("unfinished".to_owned()),
            _ => result.is_ok(),
        };
        assert!(sync.results.iter().all(expected), "{sync:?}");
        assert_eq!(sync.traffic.len(), 5);
    }
}

#[test]
fn dropping_the_async_batch_calls_off_what_is_under_way() {
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
        let next = limiter.acquire(0);
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
        let guides = as_written::RateLimitedAIProcessor {
            client: async_client(&mock),
            requests_per_minute: 60,
            minute: ms(1500),
            semaphore: tokio::sync::Semaphore::new(10),
            request_times: Mutex::default(),
        };
        assert_eq!(guides.process_batch(&topics()), 100);
        let arrivals = mock.log().into_iter().map(|entry| entry.arrived);
        fullest_window(arrivals, guides.minute) > 60
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
fn the_readme_shows_the_figures_of_long_answers_as_they_are() {
    let report = long_answers::report();
    assert!(include_str!("../README.md").contains(&report), "{report}");
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
