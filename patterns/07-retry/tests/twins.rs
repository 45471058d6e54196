//! Every behaviour is one case in one table, run through both versions: equal results, equal pauses,
//! and equal traffic in the mock's log. What takes time takes simulated time.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_core::{AsyncClient, CallOptions, Clock, Config, Error, SimulatedClock, SyncClient};
use ai_mock::{Entry, FailFirst, Failure, Mock, Quota, Script, Settings};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use retry::{
    Answer, Budget, Failed, Jitter, Next, Policy, Reason, Retryable, generate_text,
    generate_text_async, retry, retry_async, retry_with, retry_with_async, schedule,
    schedule_table,
};
use tokio::net::TcpSocket;
use wiremock::{MockServer, ResponseTemplate};

#[path = "../examples/as_written.rs"]
#[allow(dead_code)]
mod as_written;

#[path = "../examples/contention.rs"]
#[allow(dead_code)]
mod contention;

const PROMPT: &str = "Explain quantum computing in simple terms";

/// For what is sure to happen. Only a failing test waits as long as this.
const LONG: Duration = Duration::from_secs(30);

const SECOND: Duration = Duration::from_secs(1);

// What the server does, and what comes of it: over real sockets, with pauses of a millisecond.

/// How the server behaves, how many attempts are made (and how many where nothing may be repeated that
/// may have been paid for), and how the operation ends.
fn cases() -> Vec<(Settings, [usize; 2], &'static str)> {
    let always = |failure| Settings {
        fail_first: Some(FailFirst {
            attempts: None,
            failure,
        }),
        ..Settings::default()
    };
    let script = |script| Settings {
        script,
        ..Settings::default()
    };
    let mut cases = Vec::new();
    for status in [400, 401, 403, 404, 422] {
        cases.push((always(Failure::Status(status)), [1, 1], "status"));
    }
    for status in [409, 500, 503, 529, 599] {
        cases.push((always(Failure::Status(status)), [3, 3], "status"));
    }
    // A gateway gave up, and the model behind it may not have.
    for status in [408, 502, 504] {
        cases.push((always(Failure::Status(status)), [3, 1], "status"));
    }
    cases.extend([
        (script(Script::NumericCode), [3, 3], "rate_limited"),
        // It comes with a Retry-After of 1 s, which is above this table's cap.
        (always(Failure::Status(429)), [1, 1], "rate_limited"),
        (always(Failure::Reset), [3, 1], "interrupted"),
        (script(Script::NeverAnswers), [3, 1], "silent"),
        (script(Script::QuotaExhausted), [1, 1], "quota_exhausted"),
        (script(Script::Html502), [3, 1], "status"),
        // From here on an answer had begun: it is paid for, and repeating it would be, too.
        (script(Script::CutBody), [1, 1], "interrupted"),
        (script(Script::NotJson), [1, 1], "malformed"),
        (script(Script::ErrorIn200), [1, 1], "server"),
        (script(Script::Length), [1, 1], "unfinished"),
        (script(Script::Normal), [1, 1], "success"),
    ]);
    for failures in [1, 2] {
        let recovers = Settings {
            fail_first: Some(FailFirst {
                attempts: Some(failures),
                failure: Failure::Status(503),
            }),
            ..Settings::default()
        };
        cases.push((recovers, [failures as usize + 1; 2], "success"));
    }
    cases
}

#[test]
fn what_may_pass_is_retried_and_what_cannot_is_not_in_both_versions() {
    let policy = |retry_maybe_billed| Policy {
        base_delay: Duration::from_millis(1),
        jitter: Jitter::None,
        retry_after_cap: Duration::from_millis(500),
        retry_maybe_billed,
        ..Policy::default()
    };
    let mock = Mock::start().expect("a free port on 127.0.0.1");
    let sync_client = SyncClient::new(config(&mock)).expect("a client can be built");
    let async_client = AsyncClient::new(config(&mock)).expect("a client can be built");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let both = cases().into_iter().flat_map(|(settings, attempts, end)| {
        let [all, unbilled] = attempts;
        [
            (settings.clone(), policy(true), all, end),
            (settings, policy(false), unbilled, end),
        ]
    });
    for (settings, policy, attempts, end) in both {
        mock.set(|now| *now = settings.clone());
        let options = match settings.script {
            Script::NeverAnswers => CallOptions::new().silence(Duration::from_millis(250)),
            _ => CallOptions::new(),
        };
        let sync = observe(&mock, |notes| {
            let client = sync_client.with(options.clone())?;
            generate_text(&client, &policy, PROMPT, |failed| notes.push(note(failed)))
        });
        let awaited = observe(&mock, |notes| {
            let client = async_client.with(options)?;
            let notify = |failed: &Failed<'_, Error>| notes.push(note(failed));
            runtime.block_on(generate_text_async(&client, &policy, PROMPT, notify))
        });
        let about = format!("{settings:?} {policy:?}");
        let (result, _, traffic) = &sync;
        let kind = result
            .as_ref()
            .map_or_else(|error| error.kind(), |_| "success");
        assert_eq!((traffic.len(), kind), (attempts, end), "{about}");
        if let Ok(answer) = result {
            assert_eq!(answer.attempts as usize, attempts, "{about}");
        }
        // Another operation has another key: a server that knows it would give it the answer of the first.
        assert_ne!(key(&sync.2[0]), key(&awaited.2[0]), "{about}");
        assert_eq!(comparable(sync), comparable(awaited), "{about}");
    }
}

fn key(entry: &Entry) -> &str {
    &entry.headers["idempotency-key"]
}

type Observed = (Result<Answer, Error>, Vec<(u32, Next)>, Vec<Entry>);

/// Runs one version, and returns its result, what its hook heard, and what the server saw.
fn observe(
    mock: &Mock,
    run: impl FnOnce(&mut Vec<(u32, Next)>) -> Result<Answer, Error>,
) -> Observed {
    mock.clear_log();
    let mut notes = Vec::new();
    let result = run(&mut notes);
    (result, notes, mock.log())
}

/// What must be equal. Of the key of the operation only that all attempts have the same: it is drawn.
fn comparable((result, notes, traffic): Observed) -> impl PartialEq + std::fmt::Debug {
    let result = result.map_err(|error| error.kind());
    let mut keys: Vec<_> = traffic.iter().map(key).collect();
    keys.dedup();
    let one_key = keys.len() == 1;
    assert!(one_key && keys[0].len() == 32, "{keys:?}");
    let traffic: Vec<_> = traffic
        .into_iter()
        .map(|entry| (entry.path, entry.attempt, entry.body, entry.status))
        .collect();
    (result, notes, traffic)
}

fn note<E>(failed: &Failed<'_, E>) -> (u32, Next) {
    (failed.attempt, failed.next)
}

fn config(mock: &Mock) -> Config {
    Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    runtime.expect("a runtime can be built").block_on(future)
}

// When it is tried again: no sockets, in simulated time.

/// What one version did: when each attempt began, what the hook heard, when it ended and how.
type Trace<E> = (Vec<Duration>, Vec<(u32, Next)>, Duration, Result<u32, E>);

/// Runs both versions with attempts that take `each` and end as `outcome` says for their number,
/// and returns what they did, which must be the same.
fn trace<E: Retryable + Clone + PartialEq + std::fmt::Debug>(
    policy: &Policy,
    each: Duration,
    outcome: impl Fn(u32) -> Result<u32, E>,
) -> Trace<E> {
    let chance = || {
        let mut drawn = [0.5, 0.0, 0.999, 0.25].into_iter().cycle();
        move || drawn.next().expect("it is endless")
    };

    let clock = SimulatedClock::new();
    let (mut begun, mut notes, mut told) = (Vec::new(), Vec::new(), Vec::new());
    let result = retry_with(
        policy,
        &clock,
        chance(),
        |failed: &Failed<'_, E>| {
            notes.push(note(failed));
            told.push(clock.now());
        },
        || {
            begun.push(clock.now());
            clock.sleep(each);
            outcome(begun.len() as u32)
        },
    );
    let sync_told = told;
    let sync = (begun, notes, clock.now(), result);

    let (awaited, awaited_told) = paused(async {
        let clock = tokio::time::Instant::now();
        let begun = RefCell::new(Vec::new());
        let (mut notes, mut told) = (Vec::new(), Vec::new());
        let result = retry_with_async(
            policy,
            chance(),
            |failed: &Failed<'_, E>| {
                notes.push(note(failed));
                told.push(clock.elapsed());
            },
            || async {
                begun.borrow_mut().push(clock.elapsed());
                tokio::time::sleep(each).await;
                let number = begun.borrow().len() as u32;
                outcome(number)
            },
        )
        .await;
        let awaited = (begun.into_inner(), notes, clock.elapsed(), result);
        (awaited, told)
    });

    // tokio's timers have whole milliseconds, and are late rather than early.
    let near = |(sync, awaited): (&Duration, &Duration)| {
        (*sync..=*sync + Duration::from_millis(20)).contains(awaited)
    };
    assert_eq!((&sync.1, &sync.3), (&awaited.1, &awaited.3));
    assert_eq!(sync.0.len(), awaited.0.len());
    assert!(
        sync.0.iter().zip(&awaited.0).all(near),
        "{:?} {:?}",
        sync.0,
        awaited.0
    );
    assert!(near((&sync.2, &awaited.2)), "{:?} {:?}", sync.2, awaited.2);
    // The hook is told when the attempt has failed, and not after its pause.
    let ends = || sync.0.iter().map(|begun| *begun + each);
    assert!(sync_told.iter().copied().eq(ends().take(sync.1.len())));
    let ends: Vec<_> = ends().take(awaited_told.len()).collect();
    let in_time = ends.iter().zip(&awaited_told).all(near);
    assert!(in_time, "{ends:?} {awaited_told:?}");
    sync
}

/// Runs in tokio's time while it is paused: it jumps to the next timer when there is nothing to do.
fn paused<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(future)
}

/// A failure that passes, whoever makes it: the drivers are not bound to AI services.
#[derive(Debug, Clone, PartialEq)]
struct Busy {
    asks: Option<Duration>,
    billed: bool,
}

const BUSY: Busy = Busy {
    asks: None,
    billed: false,
};

impl Retryable for Busy {
    fn is_retryable(&self) -> bool {
        true
    }

    fn retry_after(&self) -> Option<Duration> {
        self.asks
    }

    fn maybe_billed(&self) -> bool {
        self.billed
    }
}

fn seconds(all: &[f64]) -> Vec<Duration> {
    all.iter().copied().map(Duration::from_secs_f64).collect()
}

#[test]
fn each_jitter_gives_its_schedule_in_both_versions() {
    let expected: [(Jitter, &[f64]); 4] = [
        (Jitter::None, &[1.0, 2.0, 4.0, 8.0]),
        (Jitter::Full, &[0.5, 0.0, 3.996, 2.0]),
        (Jitter::Equal, &[0.75, 1.0, 3.998, 5.0]),
        (Jitter::Decorrelated, &[2.0, 1.0, 2.998, 2.9985]),
    ];
    for (jitter, pauses) in expected {
        let policy = Policy {
            max_attempts: 5,
            jitter,
            ..Policy::default()
        };
        let (begun, notes, _, result) = trace(&policy, Duration::ZERO, |_| Err(BUSY));
        let waits = seconds(pauses).into_iter().map(Next::Wait);
        let ends = waits.chain([Next::GiveUp(Reason::NoAttemptsLeft)]);
        assert_eq!(notes, (1..).zip(ends).collect::<Vec<_>>(), "{jitter:?}");
        let gaps: Vec<_> = begun.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(
            gaps,
            seconds(pauses),
            "{jitter:?}: it waits as long as it says"
        );
        assert_eq!(result, Err(BUSY));
    }
}

#[test]
fn a_success_ends_it_and_no_attempt_at_all_is_still_one() {
    let policy = Policy::default();
    let second = |attempt| if attempt == 2 { Ok(attempt) } else { Err(BUSY) };
    let (begun, notes, _, result) = trace(&policy, SECOND, second);
    assert_eq!((begun.len(), notes.len(), result), (2, 1, Ok(2)));

    for max_attempts in [0, 1] {
        let policy = Policy {
            max_attempts,
            ..Policy::default()
        };
        let (begun, notes, _, result) = trace(&policy, SECOND, |_| Err(BUSY));
        assert_eq!((begun.len(), result), (1, Err(BUSY)));
        assert_eq!(notes, [(1, Next::GiveUp(Reason::NoAttemptsLeft))]);
    }
}

type Headers = &'static [(&'static str, &'static str)];

/// What a server may say of the next attempt, and what follows where the schedule has a second.
fn wishes() -> Vec<(Headers, Next)> {
    const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
    let schedule = Next::Wait(SECOND);
    let wait = |time: f64| Next::Wait(Duration::from_secs_f64(time));
    let give_up = |time: u64| Next::GiveUp(Reason::AskedTooMuch(Duration::from_secs(time)));
    vec![
        (&[("retry-after", "7")], wait(7.0)),
        (&[("retry-after", "1.5")], wait(1.5)),
        (&[("retry-after-ms", "2500")], wait(2.5)),
        (
            &[("retry-after-ms", "2500"), ("retry-after", "9")],
            wait(2.5),
        ),
        (
            &[
                ("retry-after", "Wed, 21 Oct 2015 07:28:05 GMT"),
                ("date", DATE),
            ],
            wait(5.0),
        ),
        (&[("retry-after", "120")], wait(120.0)),
        // Less than the schedule, nothing, the past: the schedule holds.
        (&[("retry-after", "0.2")], schedule),
        (&[("retry-after", "0")], schedule),
        (
            &[
                ("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT"),
                ("date", DATE),
            ],
            schedule,
        ),
        // What nobody can read is as good as nothing.
        (&[("retry-after", "soon")], schedule),
        (&[("retry-after", "-5")], schedule),
        (&[("retry-after", "NaN")], schedule),
        (
            &[("retry-after", "Wed, 21 Oct 2015 07:28:05 GMT")],
            schedule,
        ),
        // More than anybody should wait, and more than a number of seconds can hold.
        (
            &[("retry-after", "99999999999999999999")],
            Next::GiveUp(Reason::AskedTooMuch(Duration::MAX)),
        ),
        (&[("retry-after", "121")], give_up(121)),
        (&[("retry-after", "604800")], give_up(604_800)),
        (
            &[
                ("retry-after", "Wed, 21 Oct 2015 08:28:00 GMT"),
                ("date", DATE),
            ],
            give_up(3600),
        ),
    ]
}

fn header_map(headers: Headers) -> HeaderMap {
    let headers = headers.iter().map(|(name, value)| {
        let value = HeaderValue::from_static(value);
        (HeaderName::from_static(name), value)
    });
    headers.collect()
}

#[test]
fn the_server_is_not_asked_before_it_wants_to_be() {
    let policy = Policy {
        max_attempts: 2,
        jitter: Jitter::None,
        ..Policy::default()
    };
    for (headers, expected) in wishes() {
        for status in [429, 503] {
            let error = Error::from_response(status, &header_map(headers), b"");
            let (begun, notes, end, _) = trace(&policy, Duration::ZERO, |_| Err(error.clone()));
            assert_eq!(notes[0], (1, expected), "{headers:?}");
            match expected {
                Next::Wait(pause) => assert_eq!(begun, [Duration::ZERO, pause], "{headers:?}"),
                Next::GiveUp(_) => assert_eq!((begun.len(), end), (1, Duration::ZERO)),
            }
        }
    }
}

#[test]
fn what_the_server_says_over_the_wire_is_what_is_waited_for_in_both_versions() {
    // wiremock and not our mock: a mistake in the headers that both sides share would show here.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let server = runtime.block_on(MockServer::start());
    let url = format!("{}/v1", server.uri());
    let config = Config::new(&url, "sk-test").expect("it is a URL");
    let sync_client = SyncClient::new(config.clone()).expect("a client can be built");
    let async_client = AsyncClient::new(config).expect("a client can be built");
    let patient = Policy {
        max_attempts: 2,
        jitter: Jitter::None,
        ..Policy::default()
    };
    let hurried = Policy {
        deadline: Some(Duration::from_secs(60)),
        ..patient.clone()
    };
    for (headers, expected) in wishes() {
        for (status, policy) in [(429, &patient), (503, &patient), (503, &hurried)] {
            let expected = match expected {
                Next::Wait(pause) if policy.deadline.is_some_and(|limit| pause > limit) => {
                    Next::GiveUp(Reason::PastDeadline(pause))
                }
                other => other,
            };
            let mut answer = ResponseTemplate::new(status);
            for (name, value) in headers {
                answer = answer.insert_header(*name, *value);
            }
            runtime.block_on(async {
                server.reset().await;
                let anything = wiremock::Mock::given(wiremock::matchers::any());
                anything.respond_with(answer).mount(&server).await;
            });
            let asked = || {
                let requests = runtime.block_on(server.received_requests());
                requests.expect("they are recorded").len()
            };
            let about = format!("{status} {headers:?} {policy:?}");

            // The pause is simulated, the request is not.
            let clock = SimulatedClock::new();
            let mut notes = Vec::new();
            let result = retry_with(
                policy,
                &clock,
                || 0.0,
                |failed| notes.push(note(failed)),
                || sync_client.generate_text(PROMPT),
            );
            assert!(result.is_err(), "{about}");
            assert_eq!(notes[0], (1, expected), "{about}");
            match expected {
                Next::Wait(pause) => assert_eq!((asked(), clock.now()), (2, pause), "{about}"),
                Next::GiveUp(_) => assert_eq!((asked(), clock.now()), (1, Duration::ZERO)),
            }

            // tokio's time can't be paused around a socket, so this one is dropped in its pause.
            let before = asked();
            let (mut notes, told) = (Vec::new(), tokio::sync::Notify::new());
            runtime.block_on(async {
                let operation = retry_with_async(
                    policy,
                    || 0.0,
                    |failed| {
                        notes.push(note(failed));
                        told.notify_one();
                    },
                    || async_client.generate_text(PROMPT),
                );
                tokio::select! {
                    biased;
                    result = operation => assert!(result.is_err(), "{about}"),
                    () = told.notified() => {}
                }
            });
            assert_eq!(notes, [(1, expected)], "{about}");
            assert_eq!(asked() - before, 1, "{about}");
        }
    }
}

#[test]
fn the_servers_second_is_really_waited_for_in_both_versions() {
    let policy = Policy {
        base_delay: Duration::from_millis(1),
        ..Policy::default()
    };
    let once = FailFirst {
        attempts: Some(1),
        // The mock says "in 1000 ms".
        failure: Failure::Status(429),
    };
    let mock = Mock::start().expect("a free port on 127.0.0.1");
    mock.set(|settings| settings.fail_first = Some(once));
    let sync = observe(&mock, |notes| {
        let client = SyncClient::new(config(&mock))?;
        generate_text(&client, &policy, PROMPT, |failed| notes.push(note(failed)))
    });
    let awaited = observe(&mock, |notes| {
        let client = AsyncClient::new(config(&mock))?;
        let notify = |failed: &Failed<'_, Error>| notes.push(note(failed));
        block_on(generate_text_async(&client, &policy, PROMPT, notify))
    });
    for (result, notes, traffic) in [sync, awaited] {
        assert_eq!(result.map(|answer| answer.attempts), Ok(2));
        assert_eq!(notes, [(1, Next::Wait(SECOND))]);
        assert_eq!(traffic.len(), 2);
        let gap = traffic[1].arrived - traffic[0].arrived;
        assert!(gap >= SECOND, "{gap:?}");
    }
}

#[test]
fn where_nobody_listens_it_is_tried_again_in_both_versions() {
    let policy = Policy {
        base_delay: Duration::ZERO,
        ..Policy::default()
    };
    // It is bound, so that nobody else gets this port meanwhile, and nobody listens.
    let nobody = TcpSocket::new_v4().expect("a socket can be made");
    let any_port = "127.0.0.1:0".parse().expect("it is an address");
    nobody.bind(any_port).expect("a free port");
    let url = format!("http://{}/v1", nobody.local_addr().expect("it is bound"));
    let config = Config::new(&url, "sk-test").expect("it is a URL");
    let (mut sync_notes, mut async_notes) = (Vec::new(), Vec::new());
    let client = SyncClient::new(config.clone()).expect("a client can be built");
    let sync = generate_text(&client, &policy, PROMPT, |failed| {
        sync_notes.push(note(failed));
    });
    let awaited = block_on(async {
        let client = AsyncClient::new(config).expect("a client can be built");
        let notify = |failed: &Failed<'_, Error>| async_notes.push(note(failed));
        generate_text_async(&client, &policy, PROMPT, notify).await
    });
    for result in [sync, awaited] {
        assert_eq!(result.expect_err("nobody is there").kind(), "connect");
    }
    let again = Next::Wait(Duration::ZERO);
    let end = Next::GiveUp(Reason::NoAttemptsLeft);
    assert_eq!(sync_notes, [(1, again), (2, again), (3, end)]);
    assert_eq!(sync_notes, async_notes);
}

#[test]
fn the_servers_own_word_on_another_try_counts() {
    let headers = |word| {
        HeaderMap::from_iter([(
            HeaderName::from_static("x-should-retry"),
            HeaderValue::from_static(word),
        )])
    };
    let attempts = |status, word| {
        let error = Error::from_response(status, &headers(word), b"");
        trace(&Policy::default(), Duration::ZERO, |_| Err(error.clone()))
            .0
            .len()
    };
    assert_eq!(attempts(503, "false"), 1);
    assert_eq!(attempts(503, "true"), 3);
    assert_eq!(attempts(400, "true"), 1, "what is wrong stays wrong");
}

#[test]
fn no_pause_runs_past_the_deadline() {
    let policy = |deadline| Policy {
        max_attempts: u32::MAX,
        jitter: Jitter::None,
        deadline: Some(Duration::from_secs(deadline)),
        ..Policy::default()
    };
    // Attempts of 1 s and pauses of 1, 2, 4, 8 s: they begin at 0, 2, 5, 10 and 19 s.
    for (deadline, attempts, given_up) in [(1, 1, 1), (2, 1, 1), (3, 2, 3), (10, 3, 6), (11, 4, 11)]
    {
        let (begun, notes, end, result) = trace(&policy(deadline), SECOND, |_| Err(BUSY));
        let pause = Duration::from_secs(1 << (attempts - 1));
        assert_eq!(begun.len(), attempts, "{deadline}");
        assert_eq!(
            end,
            Duration::from_secs(given_up),
            "{deadline}: it gives up at once"
        );
        let last = notes.last().map(|(_, next)| *next);
        assert_eq!(last, Some(Next::GiveUp(Reason::PastDeadline(pause))));
        assert_eq!(result, Err(BUSY));
    }
    // The server's wish is no exception.
    let asks = Busy {
        asks: Some(Duration::from_secs(20)),
        billed: false,
    };
    let (begun, _, end, _) = trace(&policy(20), SECOND, |_| Err(asks.clone()));
    assert_eq!((begun.len(), end), (1, SECOND));
}

#[test]
fn an_attempt_that_is_not_made_costs_no_budget() {
    let asks = Busy {
        asks: Some(Duration::from_secs(121)),
        billed: true,
    };
    let deadline = Policy {
        deadline: Some(SECOND),
        jitter: Jitter::None,
        ..Policy::default()
    };
    let last = Policy {
        max_attempts: 1,
        ..Policy::default()
    };
    let careful = Policy {
        retry_maybe_billed: false,
        ..Policy::default()
    };
    for (policy, error, reason) in [
        (deadline, BUSY, Reason::PastDeadline(SECOND)),
        (
            Policy::default(),
            asks.clone(),
            Reason::AskedTooMuch(Duration::from_secs(121)),
        ),
        (last, BUSY, Reason::NoAttemptsLeft),
        (careful, asks, Reason::MaybeBilled),
    ] {
        let budget = Arc::new(Budget::new(5));
        let policy = Policy {
            budget: Some(budget.clone()),
            ..policy
        };
        let (_, notes, ..) = trace(&policy, Duration::ZERO, |_| Err(error.clone()));
        assert_eq!(notes, [(1, Next::GiveUp(reason))]);
        assert!(budget.spend(false), "{reason:?}: all of it is left");
    }
}

#[test]
fn no_attempt_runs_past_the_deadline_either() {
    let (short, long) = (Duration::from_millis(100), Duration::from_secs(25));
    let ms = Duration::from_millis;
    // The deadline, the client's own limit, the failures before an attempt hangs, and the limit that
    // the caller is told of: one that was set, and not what was left of it.
    let cases = [
        (short, None, 0, short),
        (short, Some(long), 0, short),
        (long, Some(short), 0, short),
        // The second attempt has less than the client's own limit, though the deadline is longer.
        (ms(1500), Some(ms(1300)), 1, ms(1500)),
    ];
    // The client's own limit may come from its settings, or from `with`.
    for (of_with, (deadline, total, failures, told)) in [false, true]
        .into_iter()
        .flat_map(|of_with| cases.map(|case| (of_with, case)))
    {
        let policy = Policy {
            base_delay: ms(300),
            jitter: Jitter::None,
            deadline: Some(deadline),
            ..Policy::default()
        };
        let mock = Mock::builder().script(Script::NeverAnswers).start();
        let mock = mock.expect("a free port on 127.0.0.1");
        mock.set(|settings| {
            settings.fail_first = Some(FailFirst {
                attempts: Some(failures),
                failure: Failure::Status(503),
            });
        });
        let (mut config, mut options) = (config(&mock), CallOptions::new());
        match total {
            Some(total) if of_with => options = options.total(total),
            total => config.timeouts.total = total,
        }
        let client = SyncClient::new(config.clone()).and_then(|it| it.with(options.clone()));
        let client = client.expect("a client can be built");
        let sync = observe(&mock, |notes| {
            generate_text(&client, &policy, PROMPT, |failed| notes.push(note(failed)))
        });
        let awaited = observe(&mock, |notes| {
            let client = AsyncClient::new(config).and_then(|it| it.with(options))?;
            let notify = |failed: &Failed<'_, Error>| notes.push(note(failed));
            block_on(generate_text_async(&client, &policy, PROMPT, notify))
        });
        for (result, notes, traffic) in [sync, awaited] {
            let about = format!("{deadline:?} {total:?} {of_with}: {result:?} {notes:?}");
            assert_eq!(result, Err(Error::Deadline { limit: told }), "{about}");
            assert_eq!(traffic.len(), failures as usize + 1, "{about}");
            let last = notes.last().map(|(_, next)| *next);
            let reason = match told == deadline {
                true => Reason::PastDeadline(Duration::ZERO),
                false => Reason::Permanent,
            };
            assert_eq!(last, Some(Next::GiveUp(reason)), "{about}");
        }
    }
}

#[test]
fn what_may_be_paid_for_is_repeated_only_if_the_policy_says_so() {
    let mut policy = Policy::default();
    let billed = Busy {
        asks: None,
        billed: true,
    };
    assert_eq!(trace(&policy, SECOND, |_| Err(billed.clone())).0.len(), 3);
    policy.retry_maybe_billed = false;
    let (begun, notes, ..) = trace(&policy, SECOND, |_| Err(billed.clone()));
    assert_eq!(begun.len(), 1);
    assert_eq!(notes, [(1, Next::GiveUp(Reason::MaybeBilled))]);
    assert_eq!(trace(&policy, SECOND, |_| Err(BUSY)).0.len(), 3);
}

// How often it is tried, all callers together.

fn failing_mock() -> Mock {
    let mock = Mock::builder()
        .failure_rate(1.0, Failure::Status(503))
        .start();
    mock.expect("a free port on 127.0.0.1")
}

#[test]
fn a_thousand_failing_calls_make_no_more_than_eleven_hundred_requests() {
    let policy = || Policy {
        base_delay: Duration::ZERO,
        budget: Some(Arc::new(Budget::default())),
        ..Policy::default()
    };
    // 500 at 5 each are 100 retries.
    let mock = failing_mock();
    let (client, shared) = (SyncClient::new(config(&mock)), policy());
    let client = client.expect("a client can be built");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let result = generate_text(&client, &shared, PROMPT, |_| {});
                    assert!(result.is_err());
                }
            });
        }
    });
    assert_eq!(mock.stats().requests, 1100);

    let mock = failing_mock();
    let (client, shared) = (AsyncClient::new(config(&mock)), policy());
    let client = client.expect("a client can be built");
    block_on(async {
        for _ in 0..250 {
            let call = || generate_text_async(&client, &shared, PROMPT, |_| {});
            let results = tokio::join!(call(), call(), call(), call());
            assert!(results.0.is_err() && results.1.is_err());
            assert!(results.2.is_err() && results.3.is_err());
        }
    });
    assert_eq!(mock.stats().requests, 1100);
}

#[test]
fn the_dear_kind_of_retry_costs_double_and_a_success_gives_back() {
    let budget = Arc::new(Budget::new(15));
    let policy = Policy {
        budget: Some(budget.clone()),
        ..Policy::default()
    };
    let billed = Busy {
        asks: None,
        billed: true,
    };
    let sync = |error: Busy, good: bool| {
        let calls = Cell::new(0);
        let outcome = || {
            calls.set(calls.get() + 1);
            if good { Ok(()) } else { Err(error.clone()) }
        };
        let _ = retry_with(&policy, &SimulatedClock::new(), || 0.0, |_| {}, outcome);
        calls.get()
    };
    let awaited = |error: Busy, good: bool| {
        let calls = Cell::new(0);
        let outcome = || async {
            calls.set(calls.get() + 1);
            if good { Ok(()) } else { Err(error.clone()) }
        };
        let _ = paused(retry_with_async(&policy, || 0.0, |_| {}, outcome));
        calls.get()
    };
    assert_eq!(
        sync(billed.clone(), false),
        2,
        "10 of 15 are paid, 5 do not buy another"
    );
    assert_eq!(awaited(BUSY, false), 2, "the last 5");
    assert_eq!(sync(BUSY, false), 1, "nothing is left");
    for _ in 0..4 {
        assert_eq!(awaited(BUSY, true), 1);
    }
    assert_eq!(awaited(BUSY, false), 1, "4 are not enough");
    assert_eq!(sync(BUSY, true), 1);
    assert_eq!(sync(BUSY, false), 2, "5 are");
    for _ in 0..100 {
        sync(BUSY, true);
    }
    assert!(
        budget.spend(true) && budget.spend(false),
        "it is full again, with 15"
    );
    assert!(!budget.spend(false), "and not more than full");
}

#[test]
fn three_layers_of_three_attempts_make_27_requests_and_one_owner_3() {
    let policy = Policy {
        base_delay: Duration::ZERO,
        ..Policy::default()
    };
    let mock = failing_mock();
    let client = SyncClient::new(config(&mock)).expect("a client can be built");
    let call = || client.generate_text(PROMPT);
    let layers = retry(&policy, || retry(&policy, || retry(&policy, call)));
    assert!(layers.is_err());
    assert_eq!(mock.stats().requests, 27);
    mock.clear_log();
    assert!(retry(&policy, call).is_err());
    assert_eq!(mock.stats().requests, 3);

    mock.clear_log();
    block_on(async {
        let client = AsyncClient::new(config(&mock)).expect("a client can be built");
        let call = || client.generate_text(PROMPT);
        let inner = || retry_async(&policy, call);
        let layers = retry_async(&policy, || retry_async(&policy, inner)).await;
        assert!(layers.is_err());
        assert_eq!(mock.stats().requests, 27);
        mock.clear_log();
        assert!(retry_async(&policy, call).await.is_err());
        assert_eq!(mock.stats().requests, 3);
    });
}

// What only the awaiting version can.

#[test]
fn dropped_in_an_attempt_it_stops_the_request_and_makes_no_other() {
    let mock = Mock::builder().script(Script::NeverAnswers).start();
    let mock = mock.expect("a free port on 127.0.0.1");
    block_on(async {
        let client = AsyncClient::new(config(&mock)).expect("a client can be built");
        // That this compiles is half of the test: the future can be spawned.
        let task = tokio::spawn(async move {
            generate_text_async(&client, &Policy::default(), PROMPT, |_| {}).await
        });
        let arrived = mock.wait_for_async(LONG, |log| log.len() == 1).await;
        arrived.expect("the first attempt arrives");
        task.abort();
        let left = |log: &[Entry]| log.iter().all(|entry| entry.left_at_token.is_some());
        let log = mock
            .wait_for_async(LONG, left)
            .await
            .expect("the client leaves");
        assert_eq!(log.len(), 1);
        assert!(task.await.expect_err("it was aborted").is_cancelled());
    });
    assert_eq!(mock.log().len(), 1);
}

#[test]
fn dropped_in_a_pause_it_makes_no_other_attempt() {
    let calls = Cell::new(0);
    paused(async {
        let op = || async {
            calls.set(calls.get() + 1);
            Err::<(), _>(BUSY)
        };
        let policy = Policy::default();
        let call = retry_async(&policy, op);
        let limit = Duration::from_millis(400);
        let ended = tokio::time::timeout(limit, call).await;
        assert!(
            ended.is_err(),
            "the first pause takes half a second at least"
        );
        tokio::time::sleep(Duration::from_secs(3600)).await;
    });
    assert_eq!(calls.get(), 1);
}

// What is seen from outside.

#[test]
fn the_hook_prints_the_guides_line() {
    let error = Error::Connect("refused".into());
    let mut failed = Failed {
        attempt: 1,
        cause: &error,
        next: Next::Wait(Duration::from_millis(874)),
    };
    let line = "Attempt 1 failed: cannot connect: refused. Retrying in 0.87s...";
    assert_eq!(failed.to_string(), line);
    failed.next = Next::GiveUp(Reason::NoAttemptsLeft);
    let line = "Attempt 1 failed: cannot connect: refused. Giving up: no attempt is left";
    assert_eq!(failed.to_string(), line);
    failed.next = Next::GiveUp(Reason::PastDeadline(Duration::ZERO));
    let line = "Attempt 1 failed: cannot connect: refused. Giving up: no time is left";
    assert_eq!(failed.to_string(), line);
}

#[test]
fn each_attempt_is_a_span_within_that_of_the_operation() {
    use tracing_subscriber::layer::SubscriberExt;

    let second = |attempt| if attempt == 2 { Ok(attempt) } else { Err(BUSY) };
    let spans = Spans::default();
    let seen = tracing::Dispatch::new(tracing_subscriber::registry().with(spans.clone()));
    // As long as there is one subscriber only, tracing asks whichever thread meets a span first
    // whether anybody wants it. Here that may be another test's, where nobody does.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    // `trace` runs both versions, so everything is seen twice.
    let (_, _, _, result) = tracing::dispatcher::with_default(&seen, || {
        trace(&Policy::default(), SECOND, |attempt| {
            tracing::info_span!("op");
            second(attempt)
        })
    });
    assert_eq!(result, Ok(2));
    let one = [
        "retry",
        "retry attempt",
        "retry attempt op",
        "retry attempt",
        "retry attempt op",
    ];
    assert_eq!(
        *spans.0.lock().expect("no test panics with it"),
        [one, one].concat()
    );
}

/// Notes the path of each span.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl<S> tracing_subscriber::Layer<S> for Spans
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fn on_new_span(
        &self,
        _: &tracing::span::Attributes<'_>,
        id: &tracing::Id,
        context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        let path = context.span_scope(id).expect("the span is new").from_root();
        let path: Vec<_> = path.map(|span| span.name()).collect();
        self.0
            .lock()
            .expect("no test panics with it")
            .push(path.join(" "));
    }
}

// The decision alone.

fn jitters() -> impl Strategy<Value = Jitter> {
    prop_oneof![
        Just(Jitter::None),
        Just(Jitter::Full),
        Just(Jitter::Equal),
        Just(Jitter::Decorrelated)
    ]
}

proptest! {
    #[test]
    fn pauses_stay_within_their_bounds_whatever_the_settings_are(
        jitter in jitters(),
        base in prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), any::<Duration>()],
        longest in prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), any::<Duration>()],
        factor in prop_oneof![0.0..4.0, any::<f64>()],
        asks in proptest::option::of(any::<Duration>()),
        drawn in proptest::collection::vec(0.0..1.0_f64, 1..200),
    ) {
        let policy = Policy {
            max_attempts: u32::MAX,
            base_delay: base,
            max_delay: longest,
            factor,
            jitter,
            ..Policy::default()
        };
        let error = Busy { asks, billed: false };
        let mut attempts = policy.start(Duration::ZERO);
        for random in drawn {
            match attempts.after(&error, Duration::ZERO, random) {
                Next::Wait(pause) => {
                    prop_assert!(pause >= asks.unwrap_or_default());
                    prop_assert!(pause <= longest.max(policy.retry_after_cap));
                }
                Next::GiveUp(reason) => {
                    let asked = asks.expect("it gives up for nothing else");
                    prop_assert_eq!(reason, Reason::AskedTooMuch(asked));
                    prop_assert!(asked > policy.retry_after_cap);
                }
            }
        }
    }

    #[test]
    fn equal_jitter_takes_between_half_and_all_of_the_delay(
        random in 0.0..1.0_f64,
        attempt in 1..5_u32,
    ) {
        let policy = Policy { max_attempts: 9, ..Policy::default() };
        let mut attempts = policy.start(Duration::ZERO);
        let mut next = Next::Wait(Duration::ZERO);
        for _ in 0..attempt {
            next = attempts.after(&BUSY, Duration::ZERO, random);
        }
        let delay = f64::from(1 << (attempt - 1));
        let Next::Wait(pause) = next else { panic!("{next:?}") };
        prop_assert!((delay / 2.0..=delay).contains(&pause.as_secs_f64()));
    }
}

#[test]
fn the_guides_schedule_is_three_quarters_of_what_it_says() {
    let means = schedule(Jitter::Equal).map(|[mean, ..]| mean);
    for (mean, says) in means.into_iter().zip([1.0, 2.0, 4.0, 8.0]) {
        assert!((mean / says - 0.75).abs() < 0.01, "{mean} of {says}");
    }
}

#[test]
fn jitter_saves_most_of_the_calls_and_of_the_time_the_same_each_time() {
    let run = |jitter| contention::contend(100, jitter, 7);
    let (calls, time) = run(Jitter::None);
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let (fewer, sooner) = run(jitter);
        assert!(fewer * 2 < calls && sooner * 2 < time, "{jitter:?}");
        assert_eq!(run(jitter), (fewer, sooner));
    }
}

// The guide's version, and the README.

#[test]
fn the_guide_retries_a_wrong_key_and_is_deaf_to_retry_after() {
    let mock = Mock::builder().api_key("sk-right").start();
    let mock = mock.expect("a free port on 127.0.0.1");
    let guide = |max_retries| {
        block_on(async {
            let client = AsyncClient::new(config(&mock)).expect("a client can be built");
            let call = || client.generate_text(PROMPT);
            let result = as_written::retry_with_backoff(call, max_retries, 0.001).await;
            result.expect_err("nothing works here").to_string()
        })
    };
    guide(5);
    assert_eq!(mock.stats().requests, 5);

    mock.clear_log();
    mock.set(|settings| {
        settings.api_key = None;
        settings.quota = Some(Quota {
            requests: Some(0),
            ..Quota::default()
        });
    });
    guide(3);
    let log = mock.log();
    assert!(log.iter().all(|entry| entry.status == Some(429)));
    assert!(
        log[2].arrived - log[0].arrived < LONG,
        "a minute was asked for"
    );

    assert!(guide(0).contains("TypeError"));
}

#[test]
fn the_readme_prints_the_tables_of_both_commands_to_the_last_figure() {
    let readme = include_str!("../README.md");
    for table in [schedule_table(), contention::table()] {
        assert!(readme.contains(&table), "not in the README:\n{table}");
    }
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
        include_str!("../src/backoff.rs").contains(decision),
        "not the same text:\n{decision}"
    );
}
