//! The layers and their order: the same cases through both versions, with equal results and equal
//! traffic. In virtual time, and where it takes a server, over sockets.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use ai_core::{
    AsyncClient, CallOptions, ChatRequest, ChatResponse, Clock, Config, Error, Reply,
    SimulatedClock, SyncClient, SystemClock,
};
use ai_mock::{Entry, Failure as Fault, Mock, Script};
use caching::{AsyncCache, Cache, Place, Scope, TTL, chat_key};
use futures::future::{join, join_all};
use http::HeaderMap;
use rate_limited_batch::{AsyncLimiter, Limiter, Limits};
use resilient_batch::*;
use retry::{Jitter, Policy};

/// How long a test waits for what must happen, before it fails. No test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
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

// A world in virtual time.

/// An answer, which only a client can make.
static ANSWER: LazyLock<Reply<ChatResponse>> = LazyLock::new(|| {
    // In a thread of its own, since the first to ask for it may be an async task, where this client
    // refuses to block.
    let ask = || {
        let mock = Mock::start().expect("a free port on 127.0.0.1");
        let client = SyncClient::new(config(&mock)).expect("a client can be built");
        let request = ChatRequest::new(ai_core::DEFAULT_MODEL, "Say hello");
        client.chat(&request).expect("the mock answers")
    };
    let answer = std::thread::spawn(ask).join();
    answer.expect("there is an answer")
});

fn config(mock: &Mock) -> Config {
    Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is one")
}

/// Waits for what another thread does.
fn wait_for(there: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !there() {
        assert!(begun.elapsed() < PATIENCE, "it does not come");
        std::thread::yield_now();
    }
}

fn status(status: u16) -> Error {
    Error::from_response(status, &HeaderMap::new(), b"")
}

/// What happens to a call: how long it takes, and with what it ends. Told are its number in the
/// whole run, from 1, its prompt, its model and the time.
type Fate = fn(u32, &str, &str, Duration) -> (Duration, Result<(), Error>);

struct World {
    limits: Limits,
    rules: Rules,
    /// When each job comes, with its prompt, which is its name, too.
    jobs: Vec<(u64, &'static str)>,
    fate: Fate,
    /// When the program is stopped, in milliseconds.
    stops: Option<u64>,
    /// After how long an attempt is hedged.
    hedge: Option<Duration>,
}

impl Default for World {
    fn default() -> World {
        World {
            limits: Limits::new(60, secs(60)),
            rules: Rules {
                policy: Policy {
                    jitter: Jitter::None,
                    ..Policy::default()
                },
                breaker: BreakerRules::default(),
                fallback: None,
                deadline: None,
                scope: Scope::new("a world"),
                named: false,
            },
            jobs: vec![(0, "a")],
            fate: |_, _, _, _| (ms(100), Ok(())),
            stops: None,
            hedge: None,
        }
    }
}

/// One call as the server saw it: when, for what and of which model.
type Seen = (u64, String, String);

/// What the twins have to agree on. Everything is sorted: among what happens at the same time, either
/// may come first.
#[derive(Debug, PartialEq)]
struct Outcome {
    calls: Vec<Seen>,
    /// Name, end (`ok`, the kind of the error, or `unfinished`), whether it was cached, attempts.
    jobs: Vec<(String, String, bool, u32)>,
    /// When each job was done, in milliseconds.
    ends: Vec<u64>,
    /// How long each has waited and called by its own words, in milliseconds; 0 if it is unfinished.
    waited: Vec<u64>,
    called: Vec<u64>,
    /// How many calls may be paid for or not.
    unknown: usize,
}

impl Outcome {
    fn of(calls: &Mutex<Vec<Seen>>, mut done: Vec<(String, Done, Duration)>) -> Outcome {
        done.sort_by(|one, other| one.0.cmp(&other.0));
        let mut calls = calls.lock().expect("no test panics with it").clone();
        calls.sort();
        let job = |(name, done, _): &(String, Done, Duration)| match &done.record {
            None => (
                name.clone(),
                "unfinished".into(),
                false,
                done.calls.len() as u32,
            ),
            Some(record) => {
                assert_eq!(record.attempts as usize, done.calls.len());
                assert_eq!(record.response.is_none(), record.error.is_some());
                let end = record.error.as_ref().map_or("ok", |error| error.kind);
                (name.clone(), end.into(), record.cached, record.attempts)
            }
        };
        let time = |of: fn(&Record) -> u64| {
            let records = done.iter().map(|(_, done, _)| done.record.as_ref());
            records.map(|record| record.map_or(0, of)).collect()
        };
        let outcome = Outcome {
            waited: time(|record| record.wait_ms),
            called: time(|record| record.call_ms),
            jobs: done.iter().map(job).collect(),
            ends: done
                .iter()
                .map(|(_, _, end)| end.as_millis() as u64)
                .collect(),
            calls,
            unknown: done
                .iter()
                .flat_map(|(_, done, _)| &done.calls)
                .filter(|call| call.maybe_billed)
                .count(),
        };
        let attempts: u32 = outcome.jobs.iter().map(|job| job.3).sum();
        assert_eq!(
            attempts as usize,
            outcome.calls.len(),
            "the ledger: {outcome:?}"
        );
        outcome
    }

    /// When the calls were made, in milliseconds.
    fn times(&self) -> Vec<u64> {
        self.calls.iter().map(|(at, ..)| *at).collect()
    }

    /// How the jobs ended.
    fn ends_with(&self) -> Vec<&str> {
        self.jobs.iter().map(|(_, end, ..)| end.as_str()).collect()
    }
}

impl World {
    fn job(prompt: &str) -> Job {
        let line = serde_json::json!({"custom_id": prompt, "prompt": prompt}).to_string();
        Job::parse(line.as_bytes(), 1, &Defaults::default()).expect("a good line")
    }

    /// Notes a call and tells its fate.
    fn meet(
        fate: Fate,
        seen: &Mutex<Vec<Seen>>,
        request: &ChatRequest,
        now: Duration,
    ) -> (Duration, Result<(), Error>) {
        let prompt = request.messages[0].text();
        let number = {
            let mut seen = seen.lock().expect("no test panics with it");
            let now = now.as_millis() as u64;
            seen.push((now, prompt.to_string(), request.model.clone()));
            seen.len() as u32
        };
        fate(number, &prompt, &request.model, now)
    }

    fn sync(&self) -> Outcome {
        // The loser of a hedge is in a thread that outlives its job, and maybe this function.
        let clock: &'static SimulatedClock = Box::leak(Box::default());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let limiter = Limiter::with_clock(self.limits, clock);
        let cache = Cache::open(&Place::Memory, TTL);
        let (fate, noted) = (self.fate, seen.clone());
        let call = move |request: &ChatRequest, _: CallOptions| {
            let (time, end) = World::meet(fate, &noted, request, clock.now());
            clock.sleep(time);
            end.map(|()| ANSWER.clone())
        };
        let mut layers = Layers::new(self.rules.clone(), cache, limiter, clock, call);
        if let Some(after) = self.hedge {
            layers = layers.hedged(after);
        }
        let done = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let parts: Vec<_> = self.jobs.iter().map(|_| clock.take_part()).collect();
            let stopper = self.stops.map(|at| (at, clock.take_part()));
            for (part, (at, prompt)) in parts.into_iter().zip(&self.jobs) {
                let (layers, done) = (&layers, &done);
                scope.spawn(move || {
                    clock.sleep(ms(*at));
                    let ended = layers.answer(&World::job(prompt));
                    let mut done = done.lock().expect("no test panics with it");
                    done.push((prompt.to_string(), ended, clock.now()));
                    drop(part);
                });
            }
            if let Some((at, part)) = stopper {
                let layers = &layers;
                scope.spawn(move || {
                    clock.sleep(ms(at));
                    layers.stop();
                    drop(part);
                });
            }
        });
        Outcome::of(&seen, done.into_inner().expect("no test panics with it"))
    }

    fn awaited(&self) -> Outcome {
        in_virtual_time(async {
            let start = tokio::time::Instant::now();
            let seen = Mutex::default();
            let limiter = AsyncLimiter::new(self.limits);
            let cache = AsyncCache::open(&Place::Memory, TTL);
            let call = async |request: &ChatRequest, _: CallOptions| {
                let (time, end) = World::meet(self.fate, &seen, request, start.elapsed());
                tokio::time::sleep(time).await;
                end.map(|()| ANSWER.clone())
            };
            let mut layers = AsyncLayers::new(self.rules.clone(), cache, limiter, call);
            if let Some(after) = self.hedge {
                layers = layers.hedged(after);
            }
            let work = async |at: u64, prompt: &str| {
                tokio::time::sleep(ms(at)).await;
                let ended = layers.answer(&World::job(prompt)).await;
                (prompt.to_owned(), ended, start.elapsed())
            };
            let jobs = join_all(self.jobs.iter().map(|(at, prompt)| work(*at, prompt)));
            let stop = async {
                if let Some(at) = self.stops {
                    tokio::time::sleep(ms(at)).await;
                    layers.stop();
                }
            };
            let (done, ()) = tokio::join!(jobs, stop);
            Outcome::of(&seen, done)
        })
    }

    /// Runs both, which must agree.
    fn run(self) -> Outcome {
        let (sync, awaited) = (self.sync(), self.awaited());
        assert_eq!(sync.calls, awaited.calls);
        assert_eq!(sync.jobs, awaited.jobs);
        assert_eq!(sync.unknown, awaited.unknown);
        agree(&sync.ends, &awaited.ends);
        agree(&sync.waited, &awaited.waited);
        agree(&sync.called, &awaited.called);
        sync
    }

    /// As [`run`](Self::run), where jobs that wait for the breaker may be let through in any order.
    fn run_whoever_is_first(self) -> Outcome {
        let (sync, awaited) = (self.sync(), self.awaited());
        assert_eq!(sync.times(), awaited.times());
        assert_eq!(sync.ends_with(), awaited.ends_with());
        let sorted = |outcome: &Outcome| {
            let mut ends = outcome.ends.clone();
            ends.sort_unstable();
            ends
        };
        agree(&sorted(&sync), &sorted(&awaited));
        sync
    }
}

/// tokio's timers are a millisecond coarse.
fn agree(one: &[u64], other: &[u64]) {
    let mut pairs = one.iter().zip(other);
    assert!(
        pairs.all(|(one, other)| one.abs_diff(*other) <= 20),
        "{one:?} {other:?}"
    );
}

// The order of the layers.

#[test]
fn a_hit_takes_no_budget() {
    let outcome = World {
        limits: Limits::new(1, secs(60)),
        jobs: vec![(0, "a"), (1000, "a"), (2000, "b")],
        ..World::default()
    }
    .run();
    assert_eq!(
        outcome.times(),
        [0, 60_100],
        "b waits for the one slot there is"
    );
    let expected = [("a", false, 1), ("a", true, 0), ("b", false, 1)];
    for (job, (name, cached, attempts)) in outcome.jobs.iter().zip(expected) {
        assert_eq!(*job, (name.into(), "ok".into(), cached, attempts));
    }
    assert_eq!(outcome.ends[..2], [100, 1000]);
}

#[test]
fn each_attempt_pays_the_limiter() {
    let outcome = World {
        limits: Limits::new(2, secs(60)),
        fate: |number, _, _, _| (ms(100), if number < 3 { Err(status(500)) } else { Ok(()) }),
        ..World::default()
    }
    .run();
    // A pause of 1 s, one of 2 s, and then the wait until the first slot is free again.
    assert_eq!(outcome.times(), [0, 1100, 60_100]);
    // What is no call is waiting.
    assert_eq!(outcome.ends, [60_200]);
    assert_eq!(
        (&*outcome.waited, &*outcome.called),
        (&[59_900][..], &[300][..])
    );
}

#[test]
fn a_pause_holds_no_place_under_way() {
    let limits = Limits {
        concurrency: std::num::NonZeroUsize::MIN,
        ..Limits::new(60, secs(60))
    };
    let outcome = World {
        limits,
        jobs: vec![(0, "a"), (10, "b")],
        fate: |number, _, _, _| {
            (
                ms(100),
                if number == 1 {
                    Err(status(500))
                } else {
                    Ok(())
                },
            )
        },
        ..World::default()
    }
    .run();
    assert_eq!(outcome.times(), [0, 100, 1100], "b goes while a waits");
}

#[test]
fn one_deadline_is_seen_by_the_limiter_the_retry_and_the_breaker() {
    let deadline = |rules: Rules| Rules {
        deadline: Some(ms(2500)),
        ..rules
    };
    // The wait for a slot ends with it.
    let world = World::default();
    let outcome = World {
        limits: Limits::new(1, secs(60)),
        jobs: vec![(0, "a"), (500, "b")],
        rules: deadline(world.rules),
        ..World::default()
    }
    .run();
    assert_eq!(outcome.ends_with(), ["ok", "deadline"]);
    assert_eq!(outcome.ends, [100, 3000]);

    // No pause runs past it: the second one would take 2 s.
    let world = World::default();
    let outcome = World {
        rules: deadline(world.rules),
        fate: |_, _, _, _| (ms(100), Err(status(500))),
        ..World::default()
    }
    .run();
    assert_eq!(outcome.times(), [0, 1100]);
    assert_eq!(
        (outcome.ends_with(), &*outcome.ends),
        (vec!["status"], &[1200][..])
    );

    // And no wait for the breaker, which opens with the first failure.
    let world = World::default();
    let rules = Rules {
        breaker: BreakerRules {
            failures: 1,
            ..BreakerRules::default()
        },
        ..world.rules
    };
    let outcome = World {
        rules: deadline(rules),
        fate: |_, _, _, _| (ms(100), Err(status(500))),
        ..World::default()
    }
    .run();
    assert_eq!(outcome.times(), [0]);
    assert_eq!(
        (outcome.ends_with(), &*outcome.ends),
        (vec!["deadline"], &[2500][..])
    );

    // Both models together have it.
    let world = World::default();
    let rules = Rules {
        fallback: Some("other".into()),
        ..world.rules
    };
    let outcome = World {
        rules: deadline(rules),
        fate: |_, _, _, _| (ms(100), Err(status(500))),
        ..World::default()
    }
    .run();
    assert_eq!(outcome.times(), [0, 1100, 1200, 2300]);
}

#[test]
fn a_job_too_large_for_any_window_is_told_so_at_once() {
    let limits = Limits {
        tokens: Some(100),
        ..Limits::new(60, secs(60))
    };
    let outcome = World {
        limits,
        ..World::default()
    }
    .run();
    assert_eq!(
        (outcome.ends_with(), outcome.calls.len()),
        (vec!["too_large_for_the_limit"], 0)
    );
}

// The breaker among the layers.

/// Fails until the 30th second, and works from then on.
fn down_for_30_s(_: u32, _: &str, _: &str, now: Duration) -> (Duration, Result<(), Error>) {
    (
        ms(100),
        if now < secs(30) {
            Err(status(503))
        } else {
            Ok(())
        },
    )
}

fn tripping(failures: u32) -> Rules {
    let world = World::default();
    Rules {
        breaker: BreakerRules {
            failures,
            ..BreakerRules::default()
        },
        ..world.rules
    }
}

#[test]
fn an_open_breaker_costs_no_slot_and_lets_one_probe_through() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut rules = tripping(3);
    rules.policy.max_attempts = 9;
    let outcome = World {
        // As many as are needed. If one were taken while the breaker is open, the last job would
        // wait for a minute.
        limits: Limits::new(3 + 2 + 8, secs(60)),
        jobs: names
            .map(|name| (0, name))
            .into_iter()
            .take(3)
            .chain(names[3..].iter().map(|name| (5000, *name)))
            .collect(),
        rules,
        fate: down_for_30_s,
        ..World::default()
    }
    .run_whoever_is_first();
    let times = outcome.times();
    assert_eq!(times[..3], [0, 0, 0]);
    // One probe each 10 s, after a call of 0.1 s, until one of them is answered.
    assert_eq!(times[3..6], [10_100, 20_200, 30_300]);
    // Then all others, at once.
    assert_eq!(times[6..], [30_400; 7]);
    assert!(outcome.jobs.iter().all(|job| job.1 == "ok"));
}

#[test]
fn a_breaker_that_opens_while_a_job_waits_for_a_slot_keeps_it_from_calling() {
    let limits = Limits {
        concurrency: std::num::NonZeroUsize::MIN,
        ..Limits::new(60, secs(60))
    };
    let outcome = World {
        limits,
        jobs: vec![(0, "a"), (10, "b"), (20, "c")],
        rules: tripping(1),
        fate: |number, _, _, _| {
            (
                ms(100),
                if number == 1 {
                    Err(status(503))
                } else {
                    Ok(())
                },
            )
        },
        ..World::default()
    }
    .run_whoever_is_first();
    // The probe, then the others one after another.
    assert_eq!(outcome.times(), [0, 10_100, 10_200, 10_300]);
}

#[test]
fn a_slot_that_came_when_the_breaker_had_opened_is_given_back() {
    let limits = Limits {
        concurrency: std::num::NonZeroUsize::MIN,
        // As many as there are calls.
        ..Limits::new(4, secs(60))
    };
    let outcome = World {
        limits,
        jobs: vec![(0, "a"), (10, "b"), (20, "c")],
        rules: tripping(1),
        fate: |number, _, _, _| match number {
            1 => (ms(100), Err(status(503))),
            _ => (ms(100), Ok(())),
        },
        ..World::default()
    }
    .run_whoever_is_first();
    assert_eq!(outcome.times(), [0, 10_100, 10_200, 10_300]);
}

#[test]
fn refusals_do_not_open_it() {
    let outcome = World {
        jobs: vec![(0, "a"), (0, "b"), (0, "c"), (1000, "d")],
        rules: tripping(2),
        fate: |number, _, _, _| (ms(100), if number < 4 { Err(status(400)) } else { Ok(()) }),
        ..World::default()
    }
    .run();
    assert_eq!(outcome.times(), [0, 0, 0, 1000]);
}

#[test]
fn a_breaker_may_stay_open_for_ever() {
    let mut rules = tripping(1);
    rules.breaker.cool_down = Duration::MAX;
    let outcome = World {
        rules,
        fate: down_for_30_s,
        stops: Some(60_000),
        ..World::default()
    }
    .run();
    assert_eq!(outcome.times(), [0]);
    assert_eq!(
        (outcome.ends_with(), &*outcome.ends),
        (vec!["unfinished"], &[60_000][..])
    );
}

#[test]
fn a_request_that_was_never_sent_costs_no_slot() {
    let outcome = World {
        limits: Limits::new(1, secs(60)),
        fate: |number, _, _, _| match number {
            1 => (ms(100), Err(Error::Connect("refused".into()))),
            _ => (ms(100), Ok(())),
        },
        ..World::default()
    }
    .run();
    // The second attempt waits for its pause only, not for the window.
    assert_eq!(outcome.times(), [0, 1100]);
}

// The fallback.

fn with_fallback(rules: Rules) -> Rules {
    Rules {
        fallback: Some("other".into()),
        ..rules
    }
}

/// Only the other model works.
fn only_other(_: u32, _: &str, model: &str, _: Duration) -> (Duration, Result<(), Error>) {
    (
        ms(100),
        if model == "other" {
            Ok(())
        } else {
            Err(status(503))
        },
    )
}

#[test]
fn the_fallback_is_asked_when_the_model_is_given_up_on_and_its_answer_is_kept() {
    let outcome = World {
        jobs: vec![(0, "a"), (60_000, "a")],
        rules: with_fallback(tripping(20)),
        fate: only_other,
        ..World::default()
    }
    .run();
    let calls: Vec<_> = outcome
        .calls
        .iter()
        .map(|(at, _, model)| (*at, model.as_str()))
        .collect();
    let own = ai_core::DEFAULT_MODEL;
    let expected = [
        (0, own),
        (1100, own),
        (3200, own),
        (3300, "other"),
        // A minute later the model itself is tried again; what the other one said is still known.
        (60_000, own),
        (61_100, own),
        (63_200, own),
    ];
    assert_eq!(calls, expected);
    let job = |cached, attempts| ("a".to_owned(), "ok".to_owned(), cached, attempts);
    assert_eq!(outcome.jobs, [job(false, 4), job(true, 3)]);
}

#[test]
fn with_an_open_breaker_the_fallback_is_asked_at_once() {
    let outcome = World {
        jobs: vec![(0, "a"), (1000, "b")],
        rules: with_fallback(tripping(1)),
        fate: only_other,
        ..World::default()
    }
    .run();
    let calls: Vec<_> = outcome
        .calls
        .iter()
        .map(|(at, name, model)| (*at, name.as_str(), model.as_str()))
        .collect();
    // After its first failure job a finds the breaker open, too, when its pause is over.
    let own = ai_core::DEFAULT_MODEL;
    assert_eq!(
        calls,
        [(0, "a", own), (1000, "b", "other"), (1100, "a", "other")]
    );
}

/// The model never answers, so that the deadline ends its calls. The other model works.
fn hangs(_: u32, _: &str, model: &str, _: Duration) -> (Duration, Result<(), Error>) {
    match model {
        "other" => (ms(100), Ok(())),
        _ => (secs(30), Err(Error::Deadline { limit: secs(30) })),
    }
}

#[test]
fn a_model_that_hangs_until_the_deadline_opens_the_breaker() {
    let mut rules = with_fallback(tripping(2));
    rules.deadline = Some(secs(30));
    let outcome = World {
        jobs: vec![
            (0, "a"),
            (0, "b"),
            (31_000, "c"),
            // The probe. It hangs as well, so that the breaker cools down once more.
            (41_000, "d"),
            (72_000, "e"),
        ],
        rules,
        fate: hangs,
        ..World::default()
    }
    .run();
    let own = ai_core::DEFAULT_MODEL;
    let calls: Vec<_> = outcome
        .calls
        .iter()
        .map(|(at, _, model)| (*at, model.as_str()))
        .collect();
    let expected = [
        (0, own),
        (0, own),
        (31_000, "other"),
        (41_000, own),
        (72_000, "other"),
    ];
    assert_eq!(calls, expected);
    assert_eq!(
        outcome.ends_with(),
        ["deadline", "deadline", "ok", "deadline", "ok"]
    );
}

#[test]
fn what_is_left_of_the_fallback_slows_no_other_model_down() {
    let mut rules = with_fallback(World::default().rules);
    rules.policy.max_attempts = 1;
    let outcome = World {
        jobs: vec![(0, "a"), (1000, "b")],
        rules,
        fate: |number, _, model, _| {
            let mut headers = HeaderMap::new();
            for (name, value) in [("remaining", "0"), ("reset", "50s")] {
                let name = format!("x-ratelimit-{name}-requests");
                let name: http::HeaderName = name.parse().expect("a good name");
                headers.insert(name, http::HeaderValue::from_static(value));
            }
            let end = match (number, model) {
                (_, "other") => Err(Error::from_response(500, &headers, b"")),
                (1, _) => Err(status(500)),
                _ => Ok(()),
            };
            (ms(100), end)
        },
        ..World::default()
    }
    .run();
    assert_eq!(outcome.times(), [0, 100, 1000]);
}

#[test]
fn a_model_that_is_not_there_is_replaced_and_a_bad_request_is_not() {
    let fates: [(Fate, &[&str], &str); 2] = [
        (
            |_, _, model, _| {
                (
                    ms(100),
                    if model == "other" {
                        Ok(())
                    } else {
                        Err(status(404))
                    },
                )
            },
            &["gpt-4o-mini", "other"],
            "ok",
        ),
        (
            |_, _, _, _| (ms(100), Err(status(400))),
            &["gpt-4o-mini"],
            "status",
        ),
    ];
    for (fate, models, end) in fates {
        let outcome = World {
            rules: with_fallback(World::default().rules),
            fate,
            ..World::default()
        }
        .run();
        let asked: Vec<_> = outcome
            .calls
            .iter()
            .map(|(_, _, model)| model.as_str())
            .collect();
        assert_eq!((&*asked, outcome.ends_with()), (models, vec![end]));
    }
}

// Stopping.

#[test]
fn what_waits_is_let_go_and_what_is_under_way_is_finished() {
    let limits = Limits {
        concurrency: std::num::NonZeroUsize::new(2).expect("2 is not 0"),
        ..Limits::new(60, secs(60))
    };
    let outcome = World {
        limits,
        // One that is answered after the stop, one that fails after it, one in its pause then, one that
        // waits for a place under way, and one that comes later.
        jobs: vec![
            (500, "answered"),
            (500, "fails"),
            (0, "pauses"),
            (600, "queues"),
            (2000, "late"),
        ],
        fate: |_, prompt, _, _| match prompt {
            "pauses" => (ms(100), Err(status(500))),
            "fails" => (ms(1000), Err(status(500))),
            _ => (ms(1000), Ok(())),
        },
        stops: Some(700),
        ..World::default()
    }
    .run();
    let ends: Vec<_> = outcome
        .jobs
        .iter()
        .map(|(name, end, ..)| (name.as_str(), end.as_str()))
        .collect();
    let expected = [
        ("answered", "ok"),
        ("fails", "unfinished"),
        ("late", "unfinished"),
        ("pauses", "unfinished"),
        ("queues", "unfinished"),
    ];
    assert_eq!(ends, expected);
    assert_eq!(outcome.ends, [1500, 1500, 2000, 700, 700]);
    assert_eq!(outcome.calls.len(), 3);
}

#[test]
fn a_job_that_waits_for_the_breaker_is_let_go() {
    let outcome = World {
        jobs: vec![(0, "a"), (500, "b")],
        rules: tripping(1),
        fate: |_, _, _, _| (ms(100), Err(status(500))),
        stops: Some(700),
        ..World::default()
    }
    .run_whoever_is_first();
    assert_eq!(
        (outcome.ends_with(), &*outcome.ends),
        (vec!["unfinished"; 2], &[700, 700][..])
    );
    // Also while the probe is under way.
    let outcome = World {
        jobs: vec![(0, "a"), (500, "b")],
        rules: tripping(1),
        fate: |number, _, _, _| {
            (
                if number == 1 { ms(100) } else { secs(5) },
                Err(status(500)),
            )
        },
        stops: Some(12_000),
        ..World::default()
    }
    .run_whoever_is_first();
    assert_eq!(outcome.ends_with(), vec!["unfinished"; 2]);
    assert_eq!(
        outcome.ends.iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([&12_000, &15_100])
    );
}

// Hedging.

/// One job, hedged after 200 ms.
fn hedged(fate: Fate) -> World {
    World {
        hedge: Some(ms(200)),
        fate,
        ..World::default()
    }
}

#[test]
fn a_call_without_an_answer_for_long_is_made_once_more_and_the_first_answer_wins() {
    // The world, its calls, its end and how it ends, and how many calls have an unknown cost.
    let cases: [(World, &[u64], u64, &str, usize); 8] = [
        // Not by default.
        (
            World {
                hedge: None,
                ..hedged(|_, _, _, _| (secs(10), Ok(())))
            },
            &[0],
            10_000,
            "ok",
            0,
        ),
        // Not if there is an answer in time.
        (hedged(|_, _, _, _| (ms(150), Ok(()))), &[0], 150, "ok", 0),
        // The hedge wins. Only one: it has had no answer for 200 ms, either.
        (
            hedged(|number, _, _, _| (ms(if number == 1 { 5000 } else { 500 }), Ok(()))),
            &[0, 200],
            700,
            "ok",
            1,
        ),
        // The first call wins.
        (
            hedged(|number, _, _, _| (ms(if number == 1 { 300 } else { 5000 }), Ok(()))),
            &[0, 200],
            300,
            "ok",
            1,
        ),
        // A failure in time is not hedged but tried again, after a pause of 1 s.
        (
            hedged(|number, _, _, _| match number {
                1 => (ms(100), Err(status(500))),
                _ => (ms(100), Ok(())),
            }),
            &[0, 1100],
            1200,
            "ok",
            0,
        ),
        // A failure waits for the other call, whichever it is of.
        (
            hedged(|number, _, _, _| match number {
                1 => (ms(300), Err(status(500))),
                _ => (ms(400), Ok(())),
            }),
            &[0, 200],
            600,
            "ok",
            0,
        ),
        (
            hedged(|number, _, _, _| match number {
                1 => (ms(600), Ok(())),
                _ => (ms(100), Err(status(500))),
            }),
            &[0, 200],
            600,
            "ok",
            0,
        ),
        // Both fail: the last word counts, and both are one attempt.
        (
            hedged(|number, _, _, _| match number {
                1 => (ms(300), Err(status(500))),
                2 => (ms(200), Err(status(400))),
                _ => (ms(100), Ok(())),
            }),
            &[0, 200],
            400,
            "status",
            0,
        ),
    ];
    for (number, (world, calls, end, ends_with, unknown)) in cases.into_iter().enumerate() {
        let outcome = world.run();
        assert_eq!(outcome.times(), calls, "case {number}");
        agree(&outcome.ends, &[end]);
        assert_eq!(outcome.ends_with(), [ends_with], "case {number}");
        assert_eq!(outcome.unknown, unknown, "case {number}");
        // What two calls did at one time is counted once, and so is a pause between two.
        let pause = if number == 4 { 1000 } else { 0 };
        agree(&outcome.called, &[end - pause]);
        agree(&outcome.waited, &[pause]);
    }
}

/// The first call is slow, and no other.
fn first_is_slow(number: u32, _: &str, _: &str, _: Duration) -> (Duration, Result<(), Error>) {
    (ms(if number == 1 { 5000 } else { 100 }), Ok(()))
}

#[test]
fn a_hedge_pays_the_limiter_and_so_does_its_loser() {
    let outcome = World {
        limits: Limits::new(2, secs(60)),
        jobs: vec![(0, "a"), (1000, "b")],
        ..hedged(first_is_slow)
    }
    .run();
    // Both slots were seen at 300 ms, when the hedge was answered.
    assert_eq!(outcome.times(), [0, 200, 60_300]);
}

#[test]
fn a_hedge_waits_for_nothing_and_takes_nobodys_place() {
    // There is no other slot.
    let outcome = World {
        limits: Limits::new(1, secs(60)),
        ..hedged(first_is_slow)
    }
    .run();
    assert_eq!((outcome.times(), &*outcome.ends), (vec![0], &[5000][..]));
    // Another job waits for it.
    let limits = Limits {
        concurrency: std::num::NonZeroUsize::MIN,
        ..Limits::new(60, secs(60))
    };
    let outcome = World {
        limits,
        jobs: vec![(0, "a"), (100, "b")],
        ..hedged(first_is_slow)
    }
    .run();
    assert_eq!(outcome.times(), [0, 5000]);
}

#[test]
fn a_slow_service_is_not_asked_twice_by_all() {
    let names = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r",
        "s", "t",
    ];
    let later = ["u", "v", "w", "x", "y"].map(|name| (10_000, name));
    let limits = Limits {
        concurrency: std::num::NonZeroUsize::new(50).expect("50 is not 0"),
        ..Limits::new(100, secs(60))
    };
    let outcome = World {
        limits,
        jobs: names
            .map(|name| (0, name))
            .into_iter()
            .chain(later)
            .collect(),
        ..hedged(|_, _, _, _| (secs(1), Ok(())))
    }
    .run_whoever_is_first();
    // Five are free, and twenty answers earn two.
    let at = |time| outcome.times().iter().filter(|at| **at == time).count();
    assert_eq!([0, 200, 10_000, 10_200].map(at), [20, 5, 5, 2]);
}

#[test]
fn no_hedge_begins_after_a_stop_and_one_under_way_is_finished() {
    let outcome = World {
        stops: Some(100),
        ..hedged(first_is_slow)
    }
    .run();
    assert_eq!((outcome.times(), &*outcome.ends), (vec![0], &[5000][..]));
    let outcome = World {
        stops: Some(250),
        ..hedged(first_is_slow)
    }
    .run();
    assert_eq!(outcome.times(), [0, 200]);
    agree(&outcome.ends, &[300]);
    assert_eq!(outcome.ends_with(), ["ok"]);
}

#[test]
fn no_hedge_begins_when_the_time_is_over() {
    let world = hedged(|_, _, _, _| (ms(400), Ok(())));
    let rules = Rules {
        deadline: Some(ms(150)),
        ..world.rules
    };
    let outcome = World { rules, ..world }.run();
    assert_eq!(outcome.times(), [0]);
}

#[test]
fn no_hedge_begins_unless_the_breaker_is_closed() {
    // A probe is alone.
    let outcome = World {
        rules: tripping(1),
        ..hedged(|number, _, _, _| match number {
            1 => (ms(100), Err(status(503))),
            _ => (secs(1), Ok(())),
        })
    }
    .run();
    assert_eq!(outcome.times(), [0, 10_100]);
    // It opens while the slow call is under way.
    let outcome = World {
        jobs: vec![(0, "slow"), (0, "fails")],
        rules: tripping(1),
        ..hedged(|_, prompt, _, now| match prompt {
            "fails" if now == ms(0) => (ms(100), Err(status(503))),
            "fails" => (ms(100), Ok(())),
            _ => (secs(1), Ok(())),
        })
    }
    .run();
    assert_eq!(outcome.times(), [0, 0, 10_100]);
    // It would let a probe go again, but a hedge is none.
    let mut rules = tripping(1);
    rules.policy.max_attempts = 1;
    let outcome = World {
        jobs: vec![(0, "slow"), (0, "fails")],
        rules,
        hedge: Some(secs(11)),
        ..hedged(|_, prompt, _, _| match prompt {
            "fails" => (ms(100), Err(status(503))),
            _ => (secs(20), Ok(())),
        })
    }
    .run();
    assert_eq!(outcome.times(), [0, 0]);
}

#[test]
fn followers_of_a_flight_do_not_notice_a_hedge() {
    let outcome = World {
        jobs: vec![(0, "a"), (60_000, "a")],
        ..hedged(first_is_slow)
    }
    .run();
    let job = |cached, attempts| ("a".to_owned(), "ok".to_owned(), cached, attempts);
    assert_eq!(outcome.jobs, [job(false, 2), job(true, 0)]);
}

#[test]
fn a_job_that_panics_has_failed_and_no_other() {
    // With a hedge, the call of the sync version has a thread of its own.
    for hedge in [None, Some(ms(200))] {
        let limits = Limits {
            concurrency: std::num::NonZeroUsize::MIN,
            ..Limits::new(60, secs(60))
        };
        let outcome = World {
            limits,
            jobs: vec![(0, "a"), (10, "b")],
            fate: |_, prompt, _, _| match prompt {
                "a" => panic!("a bug in the call"),
                _ => (ms(100), Ok(())),
            },
            hedge,
            ..World::default()
        }
        .run();
        assert_eq!(outcome.ends_with(), ["panicked", "ok"]);
        assert_eq!(outcome.times(), [0, 10]);
        // The call of the one that panicked may be paid for.
        assert_eq!(outcome.unknown, 1);
    }
}

/// Async only: nothing can call off a thread.
#[test]
fn a_call_is_gone_before_its_slot_is_free() {
    type Next = RefCell<Option<Pin<Box<dyn Future<Output = Done>>>>>;

    /// Lives as long as a call does. When it is dropped, the next job tries to go.
    struct Call(&'static Next, &'static RefCell<Vec<String>>);

    impl Drop for Call {
        fn drop(&mut self) {
            if let Some(next) = &mut *self.0.borrow_mut() {
                let _ = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            self.1.borrow_mut().push("gone".into());
        }
    }

    let next: &'static Next = Box::leak(Box::default());
    let events: &'static RefCell<Vec<String>> = Box::leak(Box::default());
    in_virtual_time(async move {
        let cache = AsyncCache::open(&Place::Memory, TTL);
        let call = async move |request: &ChatRequest, _: CallOptions| {
            let prompt = request.messages[0].text();
            events.borrow_mut().push(format!("call {prompt}"));
            let _call = (prompt == "a").then(|| Call(next, events));
            tokio::time::sleep(secs(5)).await;
            Ok(ANSWER.clone())
        };
        let limits = Limits {
            concurrency: std::num::NonZeroUsize::MIN,
            ..Limits::new(60, secs(60))
        };
        let limiter = AsyncLimiter::new(limits);
        let layers = AsyncLayers::new(World::default().rules, cache, limiter, call);
        let layers = &*Box::leak(Box::new(layers));
        let [a, b] = ["a", "b"].map(|prompt| &*Box::leak(Box::new(World::job(prompt))));
        let mut first = Box::pin(layers.answer(a));
        let mut second = Box::pin(layers.answer(b));
        let begun = join(
            tokio::time::timeout(ms(10), &mut first),
            tokio::time::timeout(ms(10), &mut second),
        );
        assert!(matches!(begun.await, (Err(_), Err(_))), "b waits for a");
        *next.borrow_mut() = Some(second);
        drop(first);
        assert_eq!(*events.borrow(), ["call a", "gone"]);
        let second = next.take().expect("it was put there");
        assert!(second.await.record.is_some());
    });
}

#[test]
fn a_job_that_is_dropped_at_any_time_of_a_hedge_leaves_nothing_behind() {
    let limits = Limits {
        concurrency: std::num::NonZeroUsize::new(2).expect("2 is not 0"),
        ..Limits::new(4, secs(60))
    };
    for dropped in [0, 100, 200, 201, 250, 299, 301].map(ms) {
        in_virtual_time(async {
            let calls = Mutex::new(0);
            let cache = AsyncCache::open(&Place::Memory, TTL);
            let call = async |_: &ChatRequest, _: CallOptions| {
                *calls.lock().expect("no test panics with it") += 1;
                tokio::time::sleep(secs(5)).await;
                Ok(ANSWER.clone())
            };
            let rules = World::default().rules;
            let layers = AsyncLayers::new(rules, cache, AsyncLimiter::new(limits), call);
            let layers = layers.hedged(ms(200));
            let job = World::job("a");
            let left = tokio::time::timeout(dropped, layers.answer(&job)).await;
            assert!(left.is_err(), "there was no answer yet");
            // Both places under way are free again, and so are the slots that were not taken.
            let before = *calls.lock().expect("no test panics with it");
            let start = tokio::time::Instant::now();
            let jobs = ["b", "c"].map(World::job);
            let done = join_all(jobs.iter().map(|job| layers.answer(job))).await;
            assert!(done.iter().all(|done| done.record.is_some()));
            assert!(
                start.elapsed() < secs(6),
                "{dropped:?}: {:?}",
                start.elapsed()
            );
            let after = *calls.lock().expect("no test panics with it");
            assert!(
                before <= 2 && after == before + 2,
                "{dropped:?}: {before} {after}"
            );
        });
    }
}

// Over sockets.

/// Runs jobs through both versions, each with a mock of its own, and returns what was done and what
/// the mock saw. `meanwhile` is called while they run.
fn over_sockets(
    prompts: &[&str],
    (rules, limits): (&Rules, Limits),
    mock: impl Fn() -> Mock,
    meanwhile: impl Fn(&Mock, &dyn Fn() -> usize) + Sync,
) -> [(Vec<Done>, Vec<Entry>); 2] {
    let jobs: Vec<_> = prompts.iter().map(|prompt| World::job(prompt)).collect();

    let server = mock();
    let client = SyncClient::new(config(&server)).expect("a client can be built");
    let cache = Cache::open(&Place::Memory, TTL);
    let callers = {
        let cache = cache.clone();
        move || cache.callers()
    };
    let clock = SystemClock::new();
    let call = |request: &ChatRequest, options| client.with(gated(options))?.chat(request);
    let limiter = Limiter::with_clock(limits, clock);
    let layers = Layers::new(rules.clone(), cache, limiter, clock, call);
    let done = std::thread::scope(|scope| {
        let jobs: Vec<_> = jobs
            .iter()
            .map(|job| scope.spawn(|| layers.answer(job)))
            .collect();
        meanwhile(&server, &callers);
        jobs.into_iter()
            .map(|job| job.join().expect("no job panics"))
            .collect()
    });
    let sync = (done, server.log());

    let server = mock();
    let client = AsyncClient::new(config(&server)).expect("a client can be built");
    let cache = AsyncCache::open(&Place::Memory, TTL);
    let callers = {
        let cache = cache.clone();
        move || cache.callers()
    };
    let call =
        async |request: &ChatRequest, options| client.with(gated(options))?.chat(request).await;
    let layers = AsyncLayers::new(rules.clone(), cache, AsyncLimiter::new(limits), call);
    let awaited = std::thread::scope(|scope| {
        scope.spawn(|| meanwhile(&server, &callers));
        block_on(join_all(jobs.iter().map(|job| layers.answer(job))))
    });
    [sync, (awaited, server.log())]
}

/// Lets the mock hold its answer back.
fn gated(options: CallOptions) -> CallOptions {
    options.header("x-mock-gate", "all")
}

/// Lets the mock answer at once.
fn open_gate(mock: &Mock, _: &dyn Fn() -> usize) {
    mock.gate("all").open();
}

/// More requests than any test makes.
fn wide() -> Limits {
    Limits::new(1000, secs(60))
}

fn quick(rules: Rules) -> Rules {
    Rules {
        policy: Policy {
            base_delay: Duration::ZERO,
            ..rules.policy
        },
        ..rules
    }
}

fn started(mock: ai_mock::Builder) -> Mock {
    mock.start().expect("a free port on 127.0.0.1")
}

#[test]
fn a_follower_of_a_flight_pays_nothing() {
    let mock = || started(Mock::builder());
    // The answer is held back until all are there.
    let meanwhile = |mock: &Mock, callers: &dyn Fn() -> usize| {
        wait_for(|| callers() == 20);
        mock.gate("all").open();
    };
    // There is one slot. A follower that wanted one would have none within its time.
    let rules = Rules {
        deadline: Some(PATIENCE),
        ..World::default().rules
    };
    let limits = Limits::new(1, 2 * PATIENCE);
    for (done, log) in over_sockets(&["a"; 20], (&rules, limits), mock, meanwhile) {
        let called = done.iter().filter(|done| !done.calls.is_empty());
        assert_eq!((called.count(), log.len()), (1, 1));
        let cached = done
            .iter()
            .filter(|done| done.record.as_ref().is_some_and(|it| it.cached));
        assert_eq!(cached.count(), 19);
    }
}

#[test]
fn all_attempts_of_a_job_and_model_carry_one_key_of_their_own() {
    let mock = || started(Mock::builder().failure_rate(1.0, Fault::Status(500)));
    let rules = quick(with_fallback(World::default().rules));
    for (_, log) in over_sockets(&["a", "b"], (&rules, wide()), mock, open_gate) {
        assert_eq!(log.len(), 2 * 2 * 3);
        let part = |entry: &Entry| {
            let model = entry.body["model"].as_str().expect("a model is named");
            (
                entry.headers["idempotency-key"].clone(),
                model.to_owned(),
                entry.body["messages"].to_string(),
            )
        };
        let parts: BTreeSet<_> = log.iter().map(part).collect();
        let keys: BTreeSet<_> = parts.iter().map(|(key, ..)| key).collect();
        assert_eq!((parts.len(), keys.len()), (4, 4));
    }
}

/// Async only: in a flight threads wait without the simulated clock, which would wait for them.
#[test]
fn a_job_that_has_waited_for_anothers_call_has_a_deadline_of_its_own() {
    let world = World::default();
    let outcome = World {
        jobs: vec![(0, "a"), (1500, "a")],
        rules: Rules {
            deadline: Some(ms(2500)),
            ..world.rules
        },
        fate: |number, _, _, _| match number {
            1 => (ms(2500), Err(Error::Deadline { limit: ms(2500) })),
            _ => (ms(100), Ok(())),
        },
        ..World::default()
    }
    .awaited();
    assert_eq!(outcome.times(), [0, 2500]);
    assert_eq!(outcome.ends_with(), ["deadline", "ok"]);
    agree(&outcome.ends, &[2500, 2600]);

    // The second calls next, and the third waits for that, but no longer than its own time lasts.
    let world = World::default();
    let outcome = World {
        jobs: vec![(0, "a"), (1000, "a"), (500, "a")],
        rules: Rules {
            deadline: Some(ms(2500)),
            ..world.rules
        },
        fate: |number, _, _, _| match number {
            1 => (ms(2500), Err(Error::Deadline { limit: ms(2500) })),
            _ => (ms(1000), Err(Error::Deadline { limit: ms(1000) })),
        },
        ..World::default()
    }
    .awaited();
    assert_eq!(outcome.times(), [0, 2500]);
    assert_eq!(outcome.ends_with(), ["deadline"; 3]);
    agree(&outcome.ends, &[2500, 3500, 3000]);

    // The second has called its own model in vain, and waits for the fallback's call of the first.
    let mut rules = with_fallback(World::default().rules);
    rules.deadline = Some(ms(2500));
    rules.policy.max_attempts = 1;
    let outcome = World {
        jobs: vec![(0, "a"), (1000, "a")],
        rules,
        fate: |number, _, model, _| match (number, model) {
            (2, _) => (ms(2400), Err(Error::Deadline { limit: ms(2400) })),
            (_, "other") => (ms(100), Ok(())),
            _ => (ms(100), Err(status(500))),
        },
        ..World::default()
    }
    .awaited();
    assert_eq!(outcome.times(), [0, 100, 1000, 2500]);
    assert_eq!(outcome.ends_with(), ["deadline", "ok"]);
    agree(&outcome.ends, &[2500, 2600]);
}

/// The job's time is 100 ms, and it follows a call that is not a job's: one that ends when it has been
/// joined, and after so much time.
#[test]
fn who_follows_a_call_asks_again_when_that_was_out_of_time_and_a_thread_waits_for_its_end() {
    let job = World::job("a");
    let rules = Rules {
        deadline: Some(ms(100)),
        ..World::default().rules
    };
    let key = chat_key(&job.request, &rules.scope);
    type Ends = Result<Reply<ChatResponse>, Failure>;
    let late: Ends = Ok(ANSWER.clone());
    let out_of_time: Ends = Err(Failure::Deadline(ms(1)));
    // How the other's call ends and when; then how the job does in either version, how many calls it
    // has made, and when it is done.
    let rows = [
        (out_of_time, 0, [(None, 1, 50); 2]),
        (late, 1000, [(None, 0, 1000), (Some("deadline"), 0, 100)]),
    ];
    for (ends, takes, [in_thread, awaited]) in rows {
        let seen = |done: Done, end: Duration| {
            let record = done.record.expect("nobody stops it");
            let error = record.error.map(|reason| reason.kind);
            (error, done.calls.len(), end.as_millis() as u64)
        };

        let clock = &SimulatedClock::new();
        let cache = Cache::open(&Place::Memory, TTL);
        let call = |_: &ChatRequest, _: CallOptions| {
            clock.sleep(ms(50));
            Ok(ANSWER.clone())
        };
        let limiter = Limiter::with_clock(wide(), clock);
        let layers = Layers::new(rules.clone(), cache.clone(), limiter, clock, call);
        let result = std::thread::scope(|scope| {
            let mut follower = None;
            let lead = || {
                follower = Some(scope.spawn(|| (layers.answer(&job), clock.now())));
                wait_for(|| cache.callers() == 2);
                clock.sleep(ms(takes));
                ends.clone()
            };
            // What becomes of the other one is its own.
            let _ = cache.chat(&key, lead);
            let (done, end) = follower.expect("it led").join().expect("it is no bug");
            seen(done, end)
        });
        assert_eq!(result, in_thread);

        let result = in_virtual_time(async {
            let start = tokio::time::Instant::now();
            let cache = AsyncCache::open(&Place::Memory, TTL);
            let call = async |_: &ChatRequest, _: CallOptions| {
                tokio::time::sleep(ms(50)).await;
                Ok(ANSWER.clone())
            };
            let limiter = AsyncLimiter::new(wide());
            let layers = AsyncLayers::new(rules.clone(), cache.clone(), limiter, call);
            let lead = async || {
                while cache.callers() < 2 {
                    tokio::task::yield_now().await;
                }
                tokio::time::sleep(ms(takes)).await;
                ends.clone()
            };
            let follow = async { (layers.answer(&job).await, start.elapsed()) };
            let (_, (done, end)) = join(cache.chat(&key, lead), follow).await;
            seen(done, end)
        });
        assert_eq!((result.0, result.1), (awaited.0, awaited.1));
        agree(&[result.2], &[awaited.2]);
    }
}

#[test]
fn no_attempt_runs_past_the_deadline_either() {
    let mock = || started(Mock::builder().script(Script::NeverAnswers));
    let rules = Rules {
        deadline: Some(ms(100)),
        ..World::default().rules
    };
    for (done, log) in over_sockets(&["a"], (&rules, wide()), mock, open_gate) {
        let error = done[0]
            .record
            .as_ref()
            .and_then(|record| record.error.as_ref());
        let error = error.expect("it has no answer");
        assert_eq!(
            (error.kind, error.retryable, log.len()),
            ("deadline", true, 1)
        );
    }
}

#[test]
fn a_server_that_hangs_until_the_deadline_opens_the_breaker() {
    let own = ai_core::DEFAULT_MODEL;
    let options = |request: &ChatRequest, options: CallOptions| match &*request.model {
        "other" => options,
        _ => options.header("x-mock-script", Script::NeverAnswers.name()),
    };
    let mut rules = with_fallback(tripping(1));
    rules.deadline = Some(secs(1));
    let limits = Limits::new(1000, secs(60));
    let jobs = ["a", "b"].map(World::job);
    let expect = |done: [Done; 2], log: &[Entry]| {
        let answered = done.map(|done| done.record.is_some_and(|it| it.response.is_some()));
        assert_eq!(answered, [false, true]);
        let models: Vec<_> = log
            .iter()
            .map(|entry| entry.body["model"].clone())
            .collect();
        assert_eq!(models, [own, "other"]);
    };

    let server = started(Mock::builder());
    let client = SyncClient::new(config(&server)).expect("a client can be built");
    let call = |request: &ChatRequest, own| client.with(options(request, own))?.chat(request);
    let clock = SystemClock::new();
    let limiter = Limiter::with_clock(limits, clock);
    let cache = Cache::open(&Place::Memory, TTL);
    let layers = Layers::new(rules.clone(), cache, limiter, clock, call);
    expect(jobs.each_ref().map(|job| layers.answer(job)), &server.log());

    let server = started(Mock::builder());
    let client = AsyncClient::new(config(&server)).expect("a client can be built");
    let call = async |request: &ChatRequest, own| {
        let client = client.with(options(request, own))?;
        client.chat(request).await
    };
    block_on(async {
        let cache = AsyncCache::open(&Place::Memory, TTL);
        let layers = AsyncLayers::new(rules, cache, AsyncLimiter::new(limits), call);
        let done = [layers.answer(&jobs[0]).await, layers.answer(&jobs[1]).await];
        expect(done, &server.log());
    });
}

#[test]
fn what_nobody_knows_the_cost_of_is_told() {
    let mock = || started(Mock::builder().fail_first(1, Fault::Reset));
    let rules = quick(World::default().rules);
    for (done, log) in over_sockets(&["a"], (&rules, wide()), mock, open_gate) {
        let billed: Vec<_> = done[0].calls.iter().map(|call| call.maybe_billed).collect();
        assert_eq!((billed, log.len()), (vec![true, false], 2));
    }
}

/// The first call is held back by the mock, and the next ones are not.
fn only_first_gated(calls: &AtomicUsize, options: CallOptions) -> CallOptions {
    match calls.fetch_add(1, Ordering::Relaxed) {
        0 => gated(options),
        _ => options,
    }
}

#[test]
fn a_hedge_has_a_key_of_its_own_and_its_loser_is_called_off_but_by_threads() {
    let (rules, limits) = (World::default().rules, Limits::new(1000, secs(60)));
    let job = World::job("a");
    let expect = |done: Done, log: &[Entry]| {
        let record = done.record.expect("it was not stopped");
        assert_eq!((record.attempts, record.response.is_some()), (2, true));
        let unknown: Vec<_> = done.calls.iter().map(|call| call.maybe_billed).collect();
        assert_eq!(unknown, [false, true]);
        let key = |entry: &Entry| entry.headers["idempotency-key"].clone();
        assert_ne!(key(&log[0]), key(&log[1]));
    };

    let server = started(Mock::builder());
    let client = SyncClient::new(config(&server)).expect("a client can be built");
    let (clock, calls) = (SystemClock::new(), AtomicUsize::new(0));
    let call = move |request: &ChatRequest, options| {
        client
            .with(only_first_gated(&calls, options))?
            .chat(request)
    };
    let cache = Cache::open(&Place::Memory, TTL);
    let limiter = Limiter::with_clock(limits, clock);
    let layers = Layers::new(rules.clone(), cache, limiter, clock, call).hedged(ms(50));
    let done = layers.answer(&job);
    let log = server.log();
    assert_eq!((log.len(), log[0].is_finished()), (2, false), "it goes on");
    expect(done, &log);
    server.gate("all").open();
    let log = server.wait_for(PATIENCE, |log| log[0].is_finished());
    let log = log.expect("it is answered, unheard");
    assert_eq!((log[0].status, log[0].left_at_token), (Some(200), None));

    let server = started(Mock::builder());
    let client = AsyncClient::new(config(&server)).expect("a client can be built");
    let calls = AtomicUsize::new(0);
    let call = async |request: &ChatRequest, options| {
        let client = client.with(only_first_gated(&calls, options))?;
        client.chat(request).await
    };
    block_on(async {
        let cache = AsyncCache::open(&Place::Memory, TTL);
        let layers = AsyncLayers::new(rules, cache, AsyncLimiter::new(limits), call);
        let layers = layers.hedged(ms(50));
        let done = layers.answer(&job).await;
        let left = |log: &[Entry]| log[0].left_at_token.is_some();
        let log = server.wait_for_async(PATIENCE, left).await;
        expect(done, &log.expect("its connection is closed"));
    });
}
