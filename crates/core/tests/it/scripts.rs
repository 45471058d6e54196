//! Every wire script of the mock through both clients: equal outcomes, equal traffic, and no way
//! for a cut answer to look like a whole one.

use std::net::TcpListener;
use std::time::Duration;

use ai_core::{CallOptions, ChatRequest, Config, Error, Event, Phase};
use ai_mock::{Entry, Mock, Script};
use futures::StreamExt;

use crate::twins::{self, Call, KEY, Outcome, Twin, Twins};

/// Longer than any test waits; a test that comes near it fails.
const LONG: Duration = Duration::from_secs(30);

struct Row {
    script: Script,
    /// What a stream gives: this many tokens of text, then these lines.
    stream: (usize, &'static [&'static str]),
    /// What a plain call gives.
    plain: &'static [&'static str],
}

const WHOLE: (usize, &[&str]) = (4, &["usage 8/0 4/0", "end stop"]);
const WHOLE_PLAIN: &[&str] = &[r#"answer "The easiest way into" stop"#, "usage 8 4"];

const fn row(
    script: Script,
    stream: (usize, &'static [&'static str]),
    plain: &'static [&'static str],
) -> Row {
    Row {
        script,
        stream,
        plain,
    }
}

/// A script that gives streams and plain calls the same error.
const fn refusing(script: Script, error: &'static [&'static str]) -> Row {
    row(script, (0, error), error)
}

const SERVER_ERROR: &str =
    "error server billed? - internal_error: The server had an error while processing your request.";
const HTML: &str = "an HTML page where JSON was due; is a proxy or gateway in between?";

fn rows() -> Vec<Row> {
    vec![
        row(Script::Normal, WHOLE, WHOLE_PLAIN),
        refusing(
            Script::Unauthorized,
            &["error status 401 invalid_api_key: Incorrect API key provided."],
        ),
        row(
            Script::NullContent,
            WHOLE,
            &[r#"answer "" stop"#, "usage 8 4"],
        ),
        row(Script::UsageNoChoices, WHOLE, WHOLE_PLAIN),
        row(Script::UsageWithChoices, WHOLE, WHOLE_PLAIN),
        row(Script::ErrorMidStream, (2, &[SERVER_ERROR]), WHOLE_PLAIN),
        row(Script::ErrorEvent, (2, &[SERVER_ERROR]), WHOLE_PLAIN),
        row(
            Script::Truncated,
            (2, &["error truncated billed?"]),
            WHOLE_PLAIN,
        ),
        row(
            Script::ResetMidChunk,
            (2, &["error interrupted body billed?"]),
            &["error interrupted body billed?"],
        ),
        row(Script::NoSpace, WHOLE, WHOLE_PLAIN),
        row(Script::Bom, WHOLE, WHOLE_PLAIN),
        row(Script::RetryOnly, WHOLE, WHOLE_PLAIN),
        row(Script::Comments, WHOLE, WHOLE_PLAIN),
        row(
            Script::Malformed,
            (2, &["error malformed billed?"]),
            WHOLE_PLAIN,
        ),
        row(Script::Crlf, WHOLE, WHOLE_PLAIN),
        row(Script::Cr, WHOLE, WHOLE_PLAIN),
        row(Script::MultiData, WHOLE, WHOLE_PLAIN),
        row(Script::CloseDelimited, WHOLE, WHOLE_PLAIN),
        // The mock holds the connection for a minute, and our limit on silence is LONG.
        row(Script::HoldAfterDone, WHOLE, WHOLE_PLAIN),
        row(
            Script::Stall,
            (1, &["error silent body billed?"]),
            &["error silent body billed?"],
        ),
        row(Script::NoRole, WHOLE, WHOLE_PLAIN),
        row(
            Script::NoFinish,
            (4, &["usage 8/0 4/0", "error truncated billed?"]),
            &[r#"answer "The easiest way into" -"#, "usage 8 4"],
        ),
        row(Script::NoDone, WHOLE, WHOLE_PLAIN),
        row(
            Script::NoUsage,
            (4, &["end stop"]),
            &[r#"answer "The easiest way into" stop"#, "usage unknown"],
        ),
        row(Script::TextPlain, WHOLE, WHOLE_PLAIN),
        row(Script::ToolCalls, (0, TOOL_CALLS), TOOL_CALLS_PLAIN),
        row(Script::ToolCallsOdd, (0, TOOL_CALLS), TOOL_CALLS_PLAIN),
        row(
            Script::Refusal,
            (
                0,
                &[
                    r#"refusal "I'm sorry, but I can't help with that request.""#,
                    "usage 8/0 15/0",
                    "end stop",
                ],
            ),
            &[r#"answer "" stop"#, "usage 8 15"],
        ),
        row(
            Script::ContentFilter,
            (2, &["usage 8/0 2/0", "end content_filter"]),
            &[r#"answer "The easiest" content_filter"#, "usage 8 2"],
        ),
        row(
            Script::Length,
            (2, &["usage 8/0 2/0", "end length"]),
            &[r#"answer "The easiest" length"#, "usage 8 2"],
        ),
        refusing(
            Script::Unprocessable,
            &["error status 422 -: The request could not be processed."],
        ),
        refusing(Script::Detail, &["error status 422 -: Field required"]),
        refusing(
            Script::DetailText,
            &["error status 400 -: This model can't be used for chat."],
        ),
        refusing(
            Script::Html502,
            &["error status retryable billed? 502 -: HTML"],
        ),
        refusing(
            Script::Html429,
            &["error rate_limited retryable 429 - after 1s: HTML"],
        ),
        refusing(
            Script::Empty500,
            &["error status retryable 500 -: the server gave no reason"],
        ),
        refusing(
            Script::NumericCode,
            &["error rate_limited retryable 429 429: Rate limit exceeded."],
        ),
        refusing(
            Script::QuotaExhausted,
            &[
                "error quota_exhausted 429 insufficient_quota: You exceeded your current quota, please check your plan and billing details.",
            ],
        ),
        refusing(
            Script::ErrorIn200,
            &["error server billed? 200 -: The upstream model is not available."],
        ),
        refusing(
            Script::ResetBeforeHeaders,
            &["error interrupted head retryable billed?"],
        ),
        refusing(
            Script::ResetAfterHeaders,
            &["error interrupted body billed?"],
        ),
        row(Script::SlowHeaders, WHOLE, WHOLE_PLAIN),
        refusing(
            Script::NeverAnswers,
            &["error silent head retryable billed?"],
        ),
        row(Script::SplitBytes, WHOLE, WHOLE_PLAIN),
        row(
            Script::HugeLine,
            (0, &["text of 4194304 bytes", "usage 8/0 1/0", "end stop"]),
            &["answer of 4194304 bytes stop", "usage 8 1"],
        ),
        refusing(Script::Gzip, &["error unsupported_encoding billed?"]),
        refusing(Script::NotJson, &["error malformed billed?"]),
        row(Script::EmptyChoices, WHOLE, &["error malformed billed?"]),
        row(
            Script::InvalidUtf8,
            (
                0,
                &[
                    "text \"\u{FFFD}The\"",
                    r#"text " easiest""#,
                    r#"text " way""#,
                    r#"text " into""#,
                    "usage 8/0 4/0",
                    "end stop",
                ],
            ),
            &["answer \"\u{FFFD}The easiest way into\" stop", "usage 8 4"],
        ),
        row(
            Script::CutBody,
            (2, &["error interrupted body billed?"]),
            &["error interrupted body billed?"],
        ),
        row(Script::EventIds, WHOLE, WHOLE_PLAIN),
        row(Script::EmptyData, WHOLE, WHOLE_PLAIN),
        row(
            Script::ErrorUnlabelled,
            (
                2,
                &["error server billed? - 500: The engine ran out of memory."],
            ),
            WHOLE_PLAIN,
        ),
        refusing(
            Script::ErrorTextPlain,
            &["error server billed? 200 -: The upstream model is not available."],
        ),
        refusing(
            Script::Cut429,
            &[
                "error rate_limited retryable 429 - after 1s: {\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"R",
            ],
        ),
        row(Script::NoFinalNewline, WHOLE, WHOLE_PLAIN),
    ]
}

const TOOL_CALLS: &[&str] = &[
    r#"call 0 get_weather {"city":"Paris","unit":"celsius"}"#,
    r#"call 1 get_time {"zone":"Europe/Paris"}"#,
    "usage 8/0 30/0",
    "end tool_calls",
];
const TOOL_CALLS_PLAIN: &[&str] = &[
    r#"answer "" tool_calls"#,
    r#"call get_weather {"city":"Paris","unit":"celsius"}"#,
    r#"call get_time {"zone":"Europe/Paris"}"#,
    "usage 8 30",
];

#[test]
fn the_table_has_every_script_once() {
    let rows = rows();
    for script in Script::ALL {
        let count = rows.iter().filter(|row| row.script == *script).count();
        assert_eq!(count, 1, "{script}");
    }
    assert_eq!(rows.len(), Script::ALL.len());
}

#[test]
fn both_clients_take_every_script_alike() {
    // Where the server falls silent the limit is short; elsewhere it must not be what ends a call.
    let falls_silent = |row: &Row| matches!(row.script, Script::Stall | Script::NeverAnswers);
    let (silent, others): (Vec<_>, Vec<_>) = rows().into_iter().partition(falls_silent);
    std::thread::scope(|threads| {
        threads.spawn(|| play(&silent, Duration::from_millis(700)));
        play(&others, LONG);
    });
}

fn play(rows: &[Row], silence: Duration) {
    let mock = twins::mock();
    let mut config = Config::new(&mock.base_url(), KEY).expect("a good URL");
    config.timeouts.silence = silence;
    let twins = Twins::new(config);
    let tokens: Vec<_> = ["The", " easiest", " way", " into"]
        .map(|token| format!("text {token:?}"))
        .into();
    for Row {
        script,
        stream: (count, rest),
        plain,
    } in rows
    {
        let mut stream = tokens[..*count].to_vec();
        stream.extend(expand(rest));
        for (call, expected) in [
            (Call::stream("Say hi"), stream),
            (Call::chat("Say hi"), expand(plain)),
        ] {
            mock.clear_log();
            let options = CallOptions::new().header("x-mock-script", script.name());
            for twin in Twin::BOTH {
                assert_eq!(
                    twins.outcome(twin, &options, &call),
                    expected,
                    "{script} {twin:?} {call:?}"
                );
            }
            let is_over = |log: &[Entry]| log.iter().all(Entry::is_finished);
            let log = mock.wait_for(LONG, is_over).expect("all calls end");
            let [by_sync, by_async] = &log[..] else {
                panic!("{script}: one request each, not {log:#?}")
            };
            assert_eq!(traffic(by_sync), traffic(by_async), "{script} {call:?}");
            assert_eq!(
                by_sync.script,
                script.name(),
                "the mock played something else"
            );
            // These two are left by the client while the server may still be writing.
            if !matches!(script, Script::Malformed | Script::Gzip) {
                let sent = |entry: &Entry| (entry.tokens_sent, entry.left_at_token);
                assert_eq!(sent(by_sync), sent(by_async), "{script} {call:?}");
            }
        }
    }
}

/// The lines of a table, with what would make them too long.
fn expand(lines: &[&str]) -> Outcome {
    lines
        .iter()
        .map(|line| line.replace("HTML", HTML))
        .collect()
}

/// What a request was, and how it was answered: all that does not change from call to call.
fn traffic(entry: &Entry) -> impl PartialEq + std::fmt::Debug {
    (
        entry.method.clone(),
        entry.path.clone(),
        entry.headers.clone(),
        entry.body.clone(),
        entry.status,
    )
}

#[test]
fn an_embedding_and_its_failures_are_alike_too() {
    let mock = Mock::builder().seed(7).start().unwrap();
    let twins = Twins::of(&mock.base_url());
    let cases = [
        (Script::Normal, "vector 1536"),
        (Script::SplitBytes, "vector 1536"),
        (Script::Detail, "error status 422 -: Field required"),
        (Script::ErrorIn200, "error server billed? 200 -"),
        (Script::NotJson, "error malformed billed?"),
        (
            Script::ResetBeforeHeaders,
            "error interrupted head retryable billed?",
        ),
        (Script::ResetMidChunk, "error interrupted body billed?"),
        (Script::CutBody, "error interrupted body billed?"),
        (Script::Gzip, "error unsupported_encoding billed?"),
    ];
    for (script, expected) in cases {
        let options = CallOptions::new().header("x-mock-script", script.name());
        let outcomes =
            Twin::BOTH.map(|twin| twins.outcome(twin, &options, &Call::embed("some text")));
        assert!(
            outcomes[0][0].starts_with(expected),
            "{script}: {outcomes:?}"
        );
        assert_eq!(outcomes[0], outcomes[1], "{script}");
    }
}

#[test]
fn a_token_is_handed_out_while_the_server_holds_the_next_one_back() {
    let mock = twins::mock();
    let twins = Twins::of(&mock.base_url());
    let request = ChatRequest::new("gpt-4o-mini", "Say hi");
    for script in [
        Script::Normal,
        Script::CloseDelimited,
        Script::Comments,
        Script::Crlf,
        Script::Cr,
        Script::TextPlain,
    ] {
        for twin in Twin::BOTH {
            mock.clear_log();
            let name = format!("{script}-{twin:?}");
            let gate = mock.gate(&name);
            let options = CallOptions::new()
                .header("x-mock-script", script.name())
                .header("x-mock-gate", &*name);
            let first = Ok(Event::Text("The".into()));
            let sent = || mock.log()[0].tokens_sent;
            let rest: Vec<_> = match twin {
                Twin::Sync => {
                    let client = twins.sync.with(options).unwrap();
                    let mut stream = client.chat_stream(&request).unwrap();
                    gate.release(1);
                    assert_eq!(stream.next(), Some(first), "{name}");
                    assert!(sent() <= 1, "{name}: the second token was held back");
                    gate.open();
                    stream.collect()
                }
                Twin::Async => twins.runtime.block_on(async {
                    let client = twins.asynchronous.with(options).unwrap();
                    let mut stream = client.chat_stream(&request).await.unwrap();
                    gate.release(1);
                    assert_eq!(stream.next().await, Some(first), "{name}");
                    assert!(sent() <= 1, "{name}: the second token was held back");
                    gate.open();
                    stream.collect().await
                }),
            };
            assert_eq!(rest.len(), 5, "{name}: {rest:?}");
            assert!(
                matches!(rest.last(), Some(Ok(Event::End(_)))),
                "{name}: {rest:?}"
            );
        }
    }
}

#[test]
fn a_shorter_silence_may_be_set_for_one_call() {
    let mock = Mock::builder()
        .script(Script::NeverAnswers)
        .start()
        .unwrap();
    let twins = Twins::of(&mock.base_url());
    let limit = Duration::from_millis(100);
    for twin in Twin::BOTH {
        let error = twins.error(twin, &CallOptions::new().silence(limit), &Call::chat("x"));
        assert_eq!(
            error,
            Error::Silent {
                phase: Phase::Head,
                limit
            },
            "{twin:?}"
        );
    }
}

#[test]
fn an_answer_that_keeps_coming_may_take_longer_than_the_limit_on_silence() {
    let silence = Duration::from_secs(1);
    let mock = Mock::builder()
        .seed(7)
        .answer_tokens(36)
        .tokens_per_second(30.0)
        .start()
        .unwrap();
    let twins = Twins::of(&mock.base_url());
    for twin in Twin::BOTH {
        let outcome = twins.outcome(
            twin,
            &CallOptions::new().silence(silence),
            &Call::stream("Say hi"),
        );
        assert_eq!(
            outcome.last().map(|line| &**line),
            Some("end stop"),
            "{twin:?}"
        );
        let entry = mock.log().pop().unwrap();
        assert!(
            entry.last_byte.unwrap() - entry.arrived > silence,
            "the answer was too short"
        );
    }
}

#[test]
fn the_total_limit_ends_a_call_in_every_phase() {
    let mock = Mock::builder()
        .seed(7)
        .answer_tokens(10_000)
        .tokens_per_second(50.0)
        .start()
        .unwrap();
    let twins = Twins::of(&mock.base_url());
    let deadline = "error deadline billed?";
    // The script, the limit, and how long a silence is allowed. In the last cases the total is the
    // longer one, which the sync client checks between two reads.
    let cases = [
        (Script::NeverAnswers, 200, LONG),
        (Script::Stall, 400, LONG),
        (Script::Normal, 400, LONG),
        (Script::Normal, 400, Duration::from_millis(400)),
        (Script::Normal, 1_200, Duration::from_millis(1_100)),
    ];
    for (script, total, silence) in cases {
        for twin in Twin::BOTH {
            let options = CallOptions::new()
                .header("x-mock-script", script.name())
                .total(Duration::from_millis(total))
                .silence(silence);
            let outcome = twins.outcome(twin, &options, &Call::stream("Say hi"));
            assert_eq!(
                outcome.last().map(|line| &**line),
                Some(deadline),
                "{script} {twin:?}"
            );
        }
    }
    for twin in Twin::BOTH {
        for script in [Script::NeverAnswers, Script::Stall] {
            let options = CallOptions::new()
                .header("x-mock-script", script.name())
                .total(Duration::from_millis(200));
            assert_eq!(
                twins.outcome(twin, &options, &Call::chat("Say hi")),
                [deadline],
                "{script} {twin:?}"
            );
        }
    }
}

#[test]
fn the_longest_durations_mean_no_limit() {
    let mock = twins::mock();
    let mut config = Config::new(&mock.base_url(), KEY).unwrap();
    config.timeouts.connect = Duration::MAX;
    config.timeouts.silence = Duration::MAX;
    config.timeouts.total = Some(Duration::MAX);
    let twins = Twins::new(config);
    for twin in Twin::BOTH {
        for call in [
            Call::chat("Say hi"),
            Call::stream("Say hi"),
            Call::embed("hi"),
        ] {
            let outcome = twins.outcome(twin, &CallOptions::new(), &call);
            assert!(!outcome[0].starts_with("error"), "{twin:?} {outcome:?}");
        }
    }
}

#[test]
fn a_refused_connection_is_named_with_its_address() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let twins = Twins::of(&format!("http://{free}/v1"));
    for twin in Twin::BOTH {
        let error = twins.error(twin, &CallOptions::new(), &Call::chat("x"));
        assert!(matches!(error, Error::Connect(_)), "{twin:?} {error:?}");
        let line = error.to_string();
        assert!(
            line.contains(&free.to_string()) && line.to_lowercase().contains("refused"),
            "{line}"
        );
        assert!(error.is_retryable() && !error.maybe_billed());
    }
}

#[test]
fn a_reader_that_is_slower_than_the_server_still_has_a_total_limit() {
    let mock = Mock::builder().answer_tokens(10_000).start().unwrap();
    let twins = Twins::of(&mock.base_url());
    // All of the answer arrives at once, so nothing is ever waited for but the reader itself.
    let limit = Duration::from_millis(200);
    let options = CallOptions::new().total(limit);
    let request = ai_core::ChatRequest::new("m", "Say hi");
    let pause = || std::thread::sleep(Duration::from_millis(5));

    let by_sync = twins.sync.with(options.clone()).unwrap();
    let by_sync = by_sync.chat_stream(&request).unwrap();
    let by_sync = by_sync.inspect(|_| pause()).last();
    let by_async = twins.runtime.block_on(async {
        let client = twins.asynchronous.with(options).unwrap();
        let stream = client.chat_stream(&request).await.unwrap();
        let items: Vec<_> = stream.inspect(|_| pause()).collect().await;
        items.into_iter().last()
    });
    assert_eq!(by_sync, Some(Err(Error::Deadline { limit })));
    assert_eq!(by_async, by_sync);
}

#[test]
fn a_stream_that_is_over_stays_over_however_often_it_is_asked() {
    let mock = twins::mock();
    let twins = Twins::of(&mock.base_url());
    let request = ai_core::ChatRequest::new("m", "Say hi");

    let mut by_sync = twins.sync.chat_stream(&request).unwrap();
    assert!(by_sync.by_ref().all(|item| item.is_ok()));
    assert_eq!((by_sync.next(), by_sync.next()), (None, None));
    twins.runtime.block_on(async {
        let mut stream = twins.asynchronous.chat_stream(&request).await.unwrap();
        while stream.next().await.is_some() {}
        assert_eq!((stream.next().await, stream.next().await), (None, None));
    });
}
