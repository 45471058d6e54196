//! The ledger, over all patterns and both versions: the client's books and the server's log agree.
//!
//! The books are what the client tells `tracing`: a span a call, with its tokens. Calls agree exactly,
//! tokens and money exactly where a call was completed. Of what was cut or called off the client can't
//! know what it cost, and says so: a 0 would be added up by somebody.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::pending;
use std::io::sink;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_core::{
    AsyncClient, CallOptions, ChatRequest, ChatResponse, Config, Error, Reply, SyncClient,
    SystemClock, Usage,
};
use ai_mock::{Entry, Failure, Mock, Script};
use futures::StreamExt;
use futures::future::join_all;
use tokio::runtime::Runtime;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

const PROMPTS: [&str; 8] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight",
];

const LIMIT: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");

/// Only a failing test waits as long as this.
const LONG: Duration = Duration::from_secs(30);

/// What the lists of prices say, in billionths of a dollar a token: written down once more, so that
/// the client's arithmetic is checked and not repeated.
const CHAT: (u64, u64) = (150, 600);
const FALLBACK: (u64, u64) = (100, 400);
const EMBEDDING: (u64, u64) = (20, 0);

// One test and not several: the books are the process's.
#[test]
fn the_clients_books_are_the_servers_log() {
    let books = Books::default();
    let subscriber = tracing_subscriber::registry().with(books.clone());
    // For all threads: the sync versions have some of their own.
    tracing::subscriber::set_global_default(subscriber).expect("there is no other");
    let lab = Lab::new(books);

    for (name, failing, run) in completed() {
        lab.mock.set(|settings| {
            settings.script = Script::Normal;
            settings.failure_rate = vec![(failing, Failure::Status(503))];
        });
        let (reported, calls, log) = lab.observe(|| run(&lab));
        assert_eq!(calls.len(), log.len(), "{name}: the calls");

        let done: Vec<_> = calls.iter().filter(|call| call.error.is_none()).collect();
        let served: Vec<_> = log
            .iter()
            .filter(|entry| entry.status == Some(200))
            .collect();
        assert!(!done.is_empty() && done.len() == served.len(), "{name}");
        let booked: Vec<_> = done.iter().map(|call| call.usage(name)).collect();
        let sum = booked.iter().copied().fold(Usage::default(), |a, b| a + b);
        assert_eq!(sum, tokens(&served), "{name}: the tokens");
        let costs = booked.iter().zip(&done);
        let cost = costs.map(|(usage, call)| usage.cost(&call.model).expect("it has a price").0);
        assert_eq!(cost.sum::<u64>(), money(&served), "{name}: the money");
        if let Some(reported) = reported {
            assert_eq!(
                reported, sum,
                "{name}: the pattern says what the client does"
            );
        }
        let refused = calls.iter().filter(|call| call.error.is_some());
        for call in refused {
            assert_eq!((call.input, call.output), (None, None), "{name}: {call:?}");
        }
        if failing > 0.0 {
            assert!(
                done.len() < calls.len(),
                "{name}: some failed, as they should"
            );
        }
    }

    for (name, script, count, run) in unknown() {
        lab.mock.set(|settings| {
            settings.script = script;
            settings.failure_rate.clear();
        });
        let ((), calls, log) = lab.observe(|| run(&lab));
        assert_eq!(
            (calls.len(), log.len()),
            (count, count),
            "{name}: the calls"
        );
        for call in calls {
            assert_eq!((call.input, call.output), (None, None), "{name}: {call:?}");
            // Without an error only where all came but the usage.
            assert_eq!(call.error.is_none(), script == Script::NoUsage, "{name}");
        }
    }
}

/// What is run, which share of its attempts fails, and what the pattern itself says of its tokens,
/// where it does.
type Completed = (&'static str, f64, fn(&Lab) -> Option<Usage>);

fn completed() -> Vec<Completed> {
    vec![
        ("1 sync", 0.3, |lab| {
            let answers = PROMPTS.map(|prompt| single_request::ask(&lab.sync, prompt));
            answers
                .into_iter()
                .flatten()
                .map(|it| it.usage)
                .fold(Some(Usage::default()), add)
        }),
        ("1 async", 0.3, |lab| {
            let ask = |prompt| {
                lab.runtime
                    .block_on(single_request::ask_async(&lab.awaited, prompt))
            };
            let answers = PROMPTS.map(ask);
            answers
                .into_iter()
                .flatten()
                .map(|it| it.usage)
                .fold(Some(Usage::default()), add)
        }),
        ("2 sync in turn", 0.3, |lab| {
            concurrent_requests::in_turn(&lab.sync, &PROMPTS);
            None
        }),
        ("2 sync at once", 0.3, |lab| {
            concurrent_requests::at_once(&lab.sync, &PROMPTS, LIMIT);
            None
        }),
        ("2 sync as they come", 0.3, |lab| {
            concurrent_requests::as_they_come(&lab.sync, &PROMPTS, LIMIT).for_each(drop);
            None
        }),
        ("2 async in turn", 0.3, |lab| {
            let all = concurrent_requests::in_turn_async(&lab.awaited, &PROMPTS);
            lab.runtime.block_on(all);
            None
        }),
        ("2 async at once", 0.3, |lab| {
            let all = concurrent_requests::at_once_async(&lab.awaited, &PROMPTS, LIMIT);
            lab.runtime.block_on(all);
            None
        }),
        ("2 async as they come", 0.3, |lab| {
            let all = concurrent_requests::as_they_come_async(&lab.awaited, &PROMPTS, LIMIT);
            lab.runtime.block_on(all.collect::<Vec<_>>());
            None
        }),
        ("2 async, unbounded", 0.3, |lab| {
            let all = concurrent_requests::unbounded_async(&lab.awaited, &PROMPTS);
            lab.runtime.block_on(all);
            None
        }),
        ("3 sync", 0.3, |lab| {
            use rate_limited_batch::{Limiter, Limits, ask, process_batch};
            let limiter = Limiter::new(Limits::new(60, LONG));
            process_batch(&limiter, &PROMPTS, |prompt| ask(&lab.sync, prompt));
            None
        }),
        ("3 async", 0.3, |lab| {
            use rate_limited_batch::{AsyncLimiter, Limits, ask_async, process_batch_async};
            let limiter = AsyncLimiter::new(Limits::new(60, LONG));
            let ask = |prompt| ask_async(&lab.awaited, prompt);
            lab.runtime
                .block_on(process_batch_async(&limiter, &PROMPTS, ask));
            None
        }),
        ("4 sync", 0.3, |lab| {
            let stories = PROMPTS.map(|prompt| lab.story(prompt));
            stories
                .into_iter()
                .flatten()
                .map(|it| it.usage)
                .fold(Some(Usage::default()), add)
        }),
        ("4 async", 0.3, |lab| {
            let stories = PROMPTS.map(|prompt| lab.story_async(prompt));
            stories
                .into_iter()
                .flatten()
                .map(|it| it.usage)
                .fold(Some(Usage::default()), add)
        }),
        ("5 sync", 0.0, |lab| {
            let limits = multi_service::Limits::default();
            multi_service::comprehensive_analysis(&lab.sync, multi_service::TEXT, limits);
            multi_service::comprehensive_analysis_in_turn(&lab.sync, PROMPTS[0], limits);
            None
        }),
        ("5 async", 0.0, |lab| {
            use multi_service::{
                comprehensive_analysis_async, comprehensive_analysis_in_turn_async,
            };
            let limits = multi_service::Limits::default();
            lab.runtime.block_on(async {
                comprehensive_analysis_async(&lab.awaited, multi_service::TEXT, limits).await;
                comprehensive_analysis_in_turn_async(&lab.awaited, PROMPTS[0], limits).await;
            });
            None
        }),
        // Each is asked for twice. A hit is no call; a failure is not kept, and so asked for again.
        ("6 sync", 0.3, |lab| {
            let cache = caching::Cache::open(&caching::Place::Memory, LONG);
            for prompt in PROMPTS.repeat(2) {
                // Which of them fail is the server's choice, and its log tells.
                let _ = caching::generate_text(&lab.sync, &cache, prompt);
            }
            None
        }),
        ("6 async", 0.3, |lab| {
            lab.runtime.block_on(async {
                let cache = caching::AsyncCache::open(&caching::Place::Memory, LONG);
                for prompt in PROMPTS.repeat(2) {
                    let _ = caching::generate_text_async(&lab.awaited, &cache, prompt).await;
                }
            });
            None
        }),
        ("6 sync streams", 0.3, |lab| {
            let cache = caching::Cache::open(&caching::Place::Memory, LONG);
            for prompt in PROMPTS.repeat(2) {
                if let Ok(stream) = caching::stream(&lab.sync, &cache, prompt) {
                    stream.for_each(drop);
                }
            }
            None
        }),
        ("6 async streams", 0.3, |lab| {
            lab.runtime.block_on(async {
                let cache = caching::AsyncCache::open(&caching::Place::Memory, LONG);
                for prompt in PROMPTS.repeat(2) {
                    if let Ok(stream) = caching::stream_async(&lab.awaited, &cache, prompt).await {
                        stream.collect::<Vec<_>>().await;
                    }
                }
            });
            None
        }),
        ("6 sync vectors", 0.3, |lab| {
            let cache = caching::Cache::open(&caching::Place::Memory, LONG);
            let texts = PROMPTS.repeat(2);
            let vectors = texts
                .iter()
                .map(|text| caching::embed(&lab.sync, &cache, &[*text]));
            vectors
                .flatten()
                .map(|it| it.usage)
                .fold(Some(Usage::default()), add)
        }),
        ("6 async vectors", 0.3, |lab| {
            lab.runtime.block_on(async {
                let cache = caching::AsyncCache::open(&caching::Place::Memory, LONG);
                let mut sum = Some(Usage::default());
                for text in PROMPTS.repeat(2) {
                    let vectors = caching::embed_async(&lab.awaited, &cache, &[text]).await;
                    sum = vectors.map_or(sum, |it| add(sum, it.usage));
                }
                sum
            })
        }),
        ("7 sync", 0.7, |lab| {
            for prompt in PROMPTS {
                let answer = retry::generate_text(&lab.sync, &patient(), prompt, |_| {});
                answer.expect("in the end it works");
            }
            None
        }),
        ("7 async", 0.7, |lab| {
            for prompt in PROMPTS {
                let policy = patient();
                let answer = retry::generate_text_async(&lab.awaited, &policy, prompt, |_| {});
                lab.runtime.block_on(answer).expect("in the end it works");
            }
            None
        }),
        // Each line is there twice, and the second is a hit.
        ("8 sync", 0.3, |lab| {
            let layers = layers(lab, rules());
            let done = jobs().iter().map(|job| layers.answer(job)).collect();
            Some(tally(lab, done))
        }),
        ("8 async", 0.3, |lab| {
            let layers = async_layers(lab, rules());
            Some(tally(lab, lab.in_turn(&layers)))
        }),
        // And here it follows the first.
        ("8 sync, at once", 0.0, |lab| {
            let (layers, jobs) = (layers(lab, rules()), jobs());
            let done = std::thread::scope(|scope| {
                let work = |job| {
                    let layers = &layers;
                    scope.spawn(move || layers.answer(job))
                };
                let threads: Vec<_> = jobs.iter().map(work).collect();
                let done = threads.into_iter().map(|thread| thread.join());
                done.collect::<Result<_, _>>().expect("no job panics")
            });
            Some(tally(lab, done))
        }),
        ("8 async, at once", 0.0, |lab| {
            let (layers, jobs) = (async_layers(lab, rules()), jobs());
            let done = join_all(jobs.iter().map(|job| layers.answer(job)));
            Some(tally(lab, lab.runtime.block_on(done)))
        }),
        ("8 sync, with a fallback", 0.3, |lab| {
            let layers = layers(lab, with_fallback());
            let done = jobs().iter().map(|job| layers.answer(job)).collect();
            Some(tally_of_two_models(lab, done))
        }),
        ("8 async, with a fallback", 0.3, |lab| {
            let layers = async_layers(lab, with_fallback());
            Some(tally_of_two_models(lab, lab.in_turn(&layers)))
        }),
    ]
}

/// What is run against which script, and how many calls that is.
type Unknown = (&'static str, Script, usize, fn(&Lab));

fn unknown() -> Vec<Unknown> {
    vec![
        ("1 sync, no usage told", Script::NoUsage, 1, |lab| {
            let answer = single_request::ask(&lab.sync, PROMPTS[0]).expect("it is whole");
            assert_eq!((answer.usage, answer.cost), (None, None));
        }),
        ("1 async, no usage told", Script::NoUsage, 1, |lab| {
            let answer = single_request::ask_async(&lab.awaited, PROMPTS[0]);
            let answer = lab.runtime.block_on(answer).expect("it is whole");
            assert_eq!((answer.usage, answer.cost), (None, None));
        }),
        ("1 sync, cut", Script::CutBody, 1, |lab| {
            fails(single_request::ask(&lab.sync, PROMPTS[0]));
        }),
        ("1 async, cut", Script::CutBody, 1, |lab| {
            fails(
                lab.runtime
                    .block_on(single_request::ask_async(&lab.awaited, PROMPTS[0])),
            );
        }),
        ("1 sync, past its limit", Script::NeverAnswers, 1, |lab| {
            let client = lab
                .sync
                .with(CallOptions::new().total(SHORT))
                .expect("it has no bad header");
            fails(single_request::ask(&client, PROMPTS[0]));
        }),
        ("1 async, past its limit", Script::NeverAnswers, 1, |lab| {
            let client = lab
                .awaited
                .with(CallOptions::new().total(SHORT))
                .expect("it has no bad header");
            fails(
                lab.runtime
                    .block_on(single_request::ask_async(&client, PROMPTS[0])),
            );
        }),
        ("1 async, called off", Script::NeverAnswers, 1, |lab| {
            lab.call_off(single_request::ask_async(&lab.awaited, PROMPTS[0]), 1);
        }),
        ("2 sync, cut", Script::CutBody, 8, |lab| {
            concurrent_requests::at_once(&lab.sync, &PROMPTS, LIMIT);
        }),
        ("2 async, called off", Script::NeverAnswers, 3, |lab| {
            let all = concurrent_requests::at_once_async(&lab.awaited, &PROMPTS, LIMIT);
            lab.call_off(all, 3);
        }),
        ("3 sync, cut", Script::CutBody, 8, |lab| {
            use rate_limited_batch::{Limiter, Limits, ask, process_batch};
            let limiter = Limiter::new(Limits::new(60, LONG));
            process_batch(&limiter, &PROMPTS, |prompt| ask(&lab.sync, prompt));
        }),
        ("3 async, called off", Script::NeverAnswers, 8, |lab| {
            use rate_limited_batch::{AsyncLimiter, Limits, ask_async, process_batch_async};
            let limiter = AsyncLimiter::new(Limits::new(60, LONG));
            let ask = |prompt| ask_async(&lab.awaited, prompt);
            lab.call_off(process_batch_async(&limiter, &PROMPTS, ask), 8);
        }),
        ("4 sync, truncated", Script::Truncated, 1, |lab| {
            assert_eq!(lab.story(PROMPTS[0]).expect("it began").usage, None);
        }),
        ("4 async, truncated", Script::Truncated, 1, |lab| {
            assert_eq!(lab.story_async(PROMPTS[0]).expect("it began").usage, None);
        }),
        ("4 sync, interrupted", Script::ResetMidChunk, 1, |lab| {
            assert_eq!(lab.story(PROMPTS[0]).expect("it began").usage, None);
        }),
        ("4 async, interrupted", Script::ResetMidChunk, 1, |lab| {
            assert_eq!(lab.story_async(PROMPTS[0]).expect("it began").usage, None);
        }),
        ("4 sync, stopped", Script::Stall, 1, |lab| {
            let stream = streaming::generate_stream(&lab.sync, PROMPTS[0]);
            let mut stream = stream.expect("it begins");
            assert!(stream.next().is_some_and(|event| event.is_ok()));
        }),
        ("4 async, stopped", Script::Stall, 1, |lab| {
            lab.runtime.block_on(async {
                let stream = streaming::generate_stream_async(&lab.awaited, PROMPTS[0]).await;
                let mut stream = stream.expect("it begins");
                assert!(stream.next().await.is_some_and(|event| event.is_ok()));
            });
        }),
        ("5 sync, past its limit", Script::NeverAnswers, 4, |lab| {
            let limits = multi_service::Limits {
                branch: SHORT,
                total: SHORT,
            };
            multi_service::comprehensive_analysis(&lab.sync, PROMPTS[0], limits);
        }),
        ("5 async, called off", Script::NeverAnswers, 4, |lab| {
            let all = multi_service::comprehensive_analysis_async;
            let limits = multi_service::Limits::default();
            lab.call_off(all(&lab.awaited, PROMPTS[0], limits), 4);
        }),
        ("6 sync, cut", Script::CutBody, 1, |lab| {
            let cache = caching::Cache::open(&caching::Place::Memory, LONG);
            fails(caching::generate_text(&lab.sync, &cache, PROMPTS[0]));
        }),
        ("6 async, cut", Script::CutBody, 1, |lab| {
            let cache = caching::AsyncCache::open(&caching::Place::Memory, LONG);
            let answer = caching::generate_text_async(&lab.awaited, &cache, PROMPTS[0]);
            fails(lab.runtime.block_on(answer));
        }),
        ("6 async, called off", Script::NeverAnswers, 1, |lab| {
            let cache = caching::AsyncCache::open(&caching::Place::Memory, LONG);
            let answer = caching::generate_text_async(&lab.awaited, &cache, PROMPTS[0]);
            lab.call_off(answer, 1);
        }),
        ("7 sync, cut", Script::CutBody, 1, |lab| {
            fails(retry::generate_text(
                &lab.sync,
                &patient(),
                PROMPTS[0],
                |_| {},
            ));
        }),
        ("7 async, cut", Script::CutBody, 1, |lab| {
            let policy = patient();
            let answer = retry::generate_text_async(&lab.awaited, &policy, PROMPTS[0], |_| {});
            fails(lab.runtime.block_on(answer));
        }),
        ("7 async, called off", Script::NeverAnswers, 1, |lab| {
            let policy = patient();
            let answer = retry::generate_text_async(&lab.awaited, &policy, PROMPTS[0], |_| {});
            lab.call_off(answer, 1);
        }),
        ("8 sync, cut", Script::CutBody, 1, |lab| {
            unknown_cost(&layers(lab, rules()).answer(&jobs()[0]), 1);
        }),
        ("8 async, cut", Script::CutBody, 1, |lab| {
            let (layers, jobs) = (async_layers(lab, rules()), jobs());
            unknown_cost(&lab.runtime.block_on(layers.answer(&jobs[0])), 1);
        }),
        ("8 async, called off", Script::NeverAnswers, 1, |lab| {
            let (layers, jobs) = (async_layers(lab, rules()), jobs());
            lab.call_off(layers.answer(&jobs[0]), 1);
        }),
        (
            "8 sync, past its deadline",
            Script::NeverAnswers,
            1,
            |lab| {
                unknown_cost(&layers(lab, with_deadline()).answer(&jobs()[0]), 1);
            },
        ),
        (
            "8 async, past its deadline",
            Script::NeverAnswers,
            1,
            |lab| {
                let (layers, jobs) = (async_layers(lab, with_deadline()), jobs());
                unknown_cost(&lab.runtime.block_on(layers.answer(&jobs[0])), 1);
            },
        ),
        ("8 sync, hedged in vain", Script::NeverAnswers, 2, |lab| {
            let layers = layers(lab, with_deadline()).hedged(AT_ONCE);
            unknown_cost(&layers.answer(&jobs()[0]), 2);
        }),
        ("8 async, hedged in vain", Script::NeverAnswers, 2, |lab| {
            let (layers, jobs) = (async_layers(lab, with_deadline()).hedged(AT_ONCE), jobs());
            unknown_cost(&lab.runtime.block_on(layers.answer(&jobs[0])), 2);
        }),
    ]
}

fn add(sum: Option<Usage>, usage: Option<Usage>) -> Option<Usage> {
    Some(sum? + usage?)
}

// What pattern 8 needs.

type Answered = Result<Reply<ChatResponse>, Error>;

fn layers(
    lab: &Lab,
    rules: resilient_batch::Rules,
) -> resilient_batch::Layers<
    SystemClock,
    impl Fn(&ChatRequest, CallOptions) -> Answered + Send + Sync + use<>,
> {
    let cache = caching::Cache::open(&caching::Place::Memory, LONG);
    let clock = SystemClock::new();
    let limiter = rate_limited_batch::Limiter::with_clock(limits(), clock);
    let client = lab.sync.clone();
    let call =
        move |request: &ChatRequest, options: CallOptions| client.with(options)?.chat(request);
    resilient_batch::Layers::new(rules, cache, limiter, clock, call)
}

fn async_layers(
    lab: &Lab,
    rules: resilient_batch::Rules,
) -> resilient_batch::AsyncLayers<impl AsyncFn(&ChatRequest, CallOptions) -> Answered> {
    let cache = caching::AsyncCache::open(&caching::Place::Memory, LONG);
    let limiter = rate_limited_batch::AsyncLimiter::new(limits());
    let call = async |request: &ChatRequest, options: CallOptions| {
        lab.awaited.with(options)?.chat(request).await
    };
    resilient_batch::AsyncLayers::new(rules, cache, limiter, call)
}

fn limits() -> rate_limited_batch::Limits {
    rate_limited_batch::Limits::new(1000, LONG)
}

fn rules() -> resilient_batch::Rules {
    resilient_batch::Rules {
        policy: patient(),
        breaker: resilient_batch::BreakerRules::default(),
        fallback: None,
        deadline: None,
        scope: caching::Scope::new("the ledger"),
        named: true,
    }
}

/// What its own model fails at, the other one is asked.
fn with_fallback() -> resilient_batch::Rules {
    let mut rules = rules();
    rules.policy.max_attempts = 1;
    rules.fallback = Some("gpt-4.1-nano".into());
    rules
}

fn with_deadline() -> resilient_batch::Rules {
    let mut rules = rules();
    rules.deadline = Some(SHORT);
    rules
}

fn jobs() -> Vec<resilient_batch::Job> {
    let job = |(index, prompt): (usize, &str)| {
        let line = format!(r#"{{"prompt": "{prompt}"}}"#);
        let defaults = resilient_batch::Defaults::default();
        resilient_batch::Job::parse(line.as_bytes(), index as u64 + 1, &defaults)
    };
    let jobs: Result<_, _> = PROMPTS.repeat(2).into_iter().enumerate().map(job).collect();
    jobs.expect("they are good lines")
}

fn unknown_cost(done: &resilient_batch::Done, calls: u64) {
    let record = done.record.as_ref().expect("nobody stops it");
    assert_eq!((record.usage, record.cost), (None, None));
    let mut tally = resilient_batch::Tally::new((1000, LONG));
    tally.add_calls(&done.calls);
    tally.add(record, done.saved);
    assert_eq!((tally.failed, tally.cost_unknown), (1, calls));
    assert_eq!((tally.calls, tally.cost.0), (calls, 0));
}

/// What the summary says was used.
fn tally(lab: &Lab, done: Vec<resilient_batch::Done>) -> Usage {
    let tally = books_of(lab, done);
    // Half of them are hits: as much was saved as was spent.
    assert_eq!((tally.succeeded, tally.cached), (16, 8));
    assert_eq!((tally.saved, tally.saved_cost), (tally.usage, tally.cost));
    tally.usage
}

/// As [`tally`], where either of two models may answer, or neither.
fn tally_of_two_models(lab: &Lab, done: Vec<resilient_batch::Done>) -> Usage {
    let tally = books_of(lab, done);
    assert_eq!(tally.succeeded + tally.failed, 16);
    let log = lab.mock.log();
    let answered = log.iter().filter(|entry| entry.status == Some(200));
    let models: BTreeSet<_> = answered.map(|entry| entry.body["model"].as_str()).collect();
    assert_eq!(models.len(), 2, "{models:?}");
    tally.usage
}

/// The summary of a run: its calls and its money are the server's.
fn books_of(lab: &Lab, done: Vec<resilient_batch::Done>) -> resilient_batch::Tally {
    let mut tally = resilient_batch::Tally::new((1000, LONG));
    for done in done {
        let record = done.record.expect("nobody stops it");
        tally.add_calls(&done.calls);
        tally.add(&record, done.saved);
    }
    let log = lab.mock.log();
    let served: Vec<_> = log
        .iter()
        .filter(|entry| entry.status == Some(200))
        .collect();
    assert_eq!(tally.calls, log.len() as u64);
    assert_eq!(tally.cost.0, money(&served));
    assert_eq!((tally.cost_unknown, tally.saved_unknown), (0, 0));
    tally
}

fn fails<T: Debug>(result: Result<T, Error>) {
    result.expect_err("the server did not let it end well");
}

/// Long enough for the requests to be sent on any machine. The server never answers, so it is sure to
/// be reached.
const SHORT: Duration = Duration::from_secs(1);

/// Shorter than any call.
const AT_ONCE: Duration = Duration::from_millis(1);

fn patient() -> retry::Policy {
    retry::Policy {
        max_attempts: 100,
        base_delay: Duration::ZERO,
        ..retry::Policy::default()
    }
}

// The server's side.

fn tokens(served: &[&Entry]) -> Usage {
    let sum = |of: fn(&Entry) -> u32| served.iter().map(|entry| u64::from(of(entry))).sum();
    Usage {
        input_tokens: sum(|entry| entry.prompt_tokens),
        output_tokens: sum(|entry| entry.tokens_sent),
        ..Usage::default()
    }
}

fn money(served: &[&Entry]) -> u64 {
    let cost = |entry: &&Entry| {
        let (input, output) = match entry.body["model"].as_str() {
            Some("gpt-4o-mini") => CHAT,
            Some("gpt-4.1-nano") => FALLBACK,
            Some("text-embedding-3-small") => EMBEDDING,
            other => panic!("nobody asked for {other:?}"),
        };
        u64::from(entry.prompt_tokens) * input + u64::from(entry.tokens_sent) * output
    };
    served.iter().map(cost).sum()
}

/// A server, and a client of each kind.
struct Lab {
    mock: Mock,
    sync: SyncClient,
    awaited: AsyncClient,
    runtime: Runtime,
    books: Books,
}

impl Lab {
    fn new(books: Books) -> Lab {
        let mock = Mock::builder().seed(7).start().expect("a free port");
        let config = Config::new(&mock.base_url(), "sk-test").expect("it is a URL");
        Lab {
            mock,
            sync: SyncClient::new(config.clone()).expect("a client can be built"),
            awaited: AsyncClient::new(config).expect("a client can be built"),
            runtime: Runtime::new().expect("a runtime can be built"),
            books,
        }
    }

    /// What came of it, what the client booked, and what the server saw.
    fn observe<T>(&self, run: impl FnOnce() -> T) -> (T, Vec<Call>, Vec<Entry>) {
        self.mock.clear_log();
        self.books.open().clear();
        let made = run();
        // Whoever left has to be missed before the next one comes.
        let ended = |log: &[Entry]| log.iter().all(Entry::is_finished);
        let log = self.mock.wait_for(LONG, ended).expect("all end");
        (made, self.books.open().clone(), log)
    }

    /// Drops a future when the server has this many of its calls.
    fn call_off(&self, future: impl Future<Output: Debug>, calls: usize) {
        self.runtime.block_on(async {
            let arrived = self.mock.wait_for_async(LONG, |log| log.len() == calls);
            tokio::select! {
                ended = future => panic!("nothing answers: {ended:?}"),
                arrived = arrived => arrived.expect("they arrive"),
            };
        });
    }

    fn in_turn<F>(&self, layers: &resilient_batch::AsyncLayers<F>) -> Vec<resilient_batch::Done>
    where
        F: AsyncFn(&ChatRequest, CallOptions) -> Answered,
    {
        self.runtime.block_on(async {
            let mut done = Vec::new();
            for job in &jobs() {
                done.push(layers.answer(job).await);
            }
            done
        })
    }

    fn story(&self, prompt: &'static str) -> Result<streaming::Story, Error> {
        let client = self.sync.clone();
        let open = move || streaming::generate_stream(&client, prompt);
        streaming::follow(open, &mut sink(), &crossbeam_channel::never())
    }

    fn story_async(&self, prompt: &str) -> Result<streaming::Story, Error> {
        let open = streaming::generate_stream_async(&self.awaited, prompt);
        let mut nowhere = sink();
        let story = streaming::follow_async(open, &mut nowhere, pending());
        self.runtime.block_on(story)
    }
}

// The client's side.

/// One call, as the client tells of it.
#[derive(Debug, Clone, Default)]
struct Call {
    model: String,
    input: Option<u64>,
    output: Option<u64>,
    error: Option<String>,
}

impl Call {
    fn usage(&self, about: &str) -> Usage {
        let known = |tokens: Option<u64>| tokens.unwrap_or_else(|| panic!("{about}: {self:?}"));
        Usage {
            input_tokens: known(self.input),
            output_tokens: known(self.output),
            ..Usage::default()
        }
    }
}

impl Visit for Call {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "gen_ai.request.model" => self.model = text.trim_matches('"').to_owned(),
            "gen_ai.usage.input_tokens" => self.input = text.parse().ok(),
            "gen_ai.usage.output_tokens" => self.output = text.parse().ok(),
            "error.type" => self.error = Some(text),
            _ => {}
        }
    }
}

/// Takes down each call.
#[derive(Debug, Clone, Default)]
struct Books(Arc<Mutex<Vec<Call>>>);

/// Where in the books a span is.
struct Place(usize);

impl Books {
    fn open(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.0.lock().expect("nobody panics over the books")
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Books {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == "gen_ai" {
            let mut call = Call::default();
            attributes.record(&mut call);
            let mut calls = self.open();
            let span = context.span(id).expect("it is new");
            span.extensions_mut().insert(Place(calls.len()));
            calls.push(call);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("it is still there");
        if let Some(Place(place)) = span.extensions().get() {
            values.record(&mut self.open()[*place]);
        }
    }
}
