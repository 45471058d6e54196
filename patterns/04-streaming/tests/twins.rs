//! Every behaviour is one case in one table, run through both versions: equal stories, and equal
//! traffic in the mock's log. Below the table: what happens when, and to whom.

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ai_core::{AsyncClient, CallOptions, Config, Error, Event, FinishReason, SyncClient};
use ai_mock::{Gate, Mock, Script};
use crossbeam_channel::{Sender, bounded, never};
use futures::{StreamExt, stream};
use streaming::{
    Ending, Pace, Recorder, Story, follow, follow_async, generate_stream, generate_stream_async,
};

#[path = "../examples/as_written.rs"]
#[allow(dead_code)]
mod as_written;

const PROMPT: &str = "Write a short story";

/// For what is sure to happen. Only a failing test waits as long as this.
const LONG: Duration = Duration::from_secs(30);

/// What a script must lead to.
enum Expected {
    /// The same text and usage as the normal script, complete.
    Whole,
    /// A story with this ending, which has some text or none.
    Ends(Ending, Text),
    /// A story without text, and the model's reason.
    Refuses,
    /// A story that ends in an error of this kind, with the text that had arrived.
    Breaks(&'static str),
    /// No story at all, but an error of this kind.
    Fails(&'static str),
}

#[derive(PartialEq, Debug)]
enum Text {
    Some,
    None,
}

fn expected(script: Script) -> Expected {
    use Expected::{Breaks, Ends, Fails, Refuses, Whole};
    match script {
        Script::Truncated | Script::NoFinish => Ends(Ending::Truncated, Text::Some),
        Script::ResetMidChunk | Script::CutBody => Breaks("interrupted"),
        Script::Stall => Breaks("silent"),
        Script::ErrorMidStream | Script::ErrorEvent | Script::ErrorUnlabelled => Breaks("server"),
        Script::Malformed => Breaks("malformed"),
        Script::Length => Ends(Ending::Complete(FinishReason::Length), Text::Some),
        Script::ContentFilter => Ends(Ending::Complete(FinishReason::ContentFilter), Text::Some),
        Script::ToolCalls | Script::ToolCallsOdd => {
            Ends(Ending::Complete(FinishReason::ToolCalls), Text::None)
        }
        Script::Refusal => Refuses,
        Script::NoUsage | Script::HugeLine | Script::InvalidUtf8 => {
            Ends(Ending::Complete(FinishReason::Stop), Text::Some)
        }
        Script::Unauthorized
        | Script::Unprocessable
        | Script::Detail
        | Script::DetailText
        | Script::Html502
        | Script::Empty500 => Fails("status"),
        Script::Html429 | Script::NumericCode | Script::Cut429 => Fails("rate_limited"),
        Script::QuotaExhausted => Fails("quota_exhausted"),
        Script::ErrorIn200 | Script::ErrorTextPlain => Fails("server"),
        Script::NotJson => Fails("malformed"),
        Script::ResetBeforeHeaders | Script::ResetAfterHeaders => Fails("interrupted"),
        Script::NeverAnswers => Fails("silent"),
        Script::Gzip => Fails("unsupported_encoding"),
        _ => Whole,
    }
}

#[test]
fn every_script_gives_equal_stories_and_equal_traffic_in_both_versions() {
    let (normal, _) = observe(Script::Normal, sync_story);
    let normal = normal.expect("the normal script tells a story");
    for script in Script::ALL {
        let (sync, sync_traffic) = observe(*script, sync_story);
        let (awaited, async_traffic) = observe(*script, async_story);
        check(*script, &sync, &normal);
        assert_eq!(comparable(sync), comparable(awaited), "{script}");
        assert_eq!(sync_traffic, async_traffic, "{script}");
    }
}

fn check(script: Script, result: &Result<Story, Error>, normal: &Story) {
    let kind_of = |ending: &Ending| match ending {
        Ending::Truncated => "truncated",
        Ending::Interrupted(error)
        | Ending::Silent(error)
        | Ending::ServerError(error)
        | Ending::Broken(error) => error.kind(),
        _ => "none",
    };
    let holds = match (expected(script), result) {
        (Expected::Whole, Ok(story)) => {
            (&story.text, &story.ending, story.usage)
                == (
                    &normal.text,
                    &Ending::Complete(FinishReason::Stop),
                    normal.usage,
                )
                && story.usage.is_some()
                && story.pace.tokens == normal.pace.tokens
        }
        (Expected::Ends(ending, text), Ok(story)) => {
            story.ending == ending && (text == Text::None) == story.text.is_empty()
        }
        (Expected::Refuses, Ok(story)) => {
            matches!(&story.ending, Ending::Refused(why) if !why.is_empty())
                && story.text.is_empty()
        }
        (Expected::Breaks(kind), Ok(story)) => {
            kind_of(&story.ending) == kind
                && !story.text.is_empty()
                && normal.text.starts_with(&story.text)
        }
        (Expected::Fails(kind), Err(error)) => error.kind() == kind,
        _ => false,
    };
    assert!(holds, "{script}: {result:?}");
    // Only a whole story is a success.
    if let Ok(story) = result {
        let whole = story.ending == Ending::Complete(FinishReason::Stop);
        assert_eq!(story.ending.success().is_ok(), whole, "{script}");
    }
}

/// Starts a server, runs one version, and returns its story with what the server saw.
fn observe(
    script: Script,
    run: impl FnOnce(Config, Vec<u8>) -> (Result<Story, Error>, Vec<u8>),
) -> (Result<Story, Error>, Vec<(String, serde_json::Value)>) {
    let mock = Mock::builder().script(script).start().expect("a free port");
    let mut config = config(&mock);
    if matches!(script, Script::Stall | Script::NeverAnswers) {
        // Long enough for one token to come through on a busy machine.
        config.timeouts.silence = Duration::from_secs(1);
    }
    let (result, shown) = run(config, Vec::new());
    if let Ok(story) = &result {
        assert_eq!(shown, story.text.as_bytes(), "{script}: shown is not kept");
    }
    let log = mock.log().into_iter();
    (result, log.map(|entry| (entry.path, entry.body)).collect())
}

fn sync_story(config: Config, mut out: Vec<u8>) -> (Result<Story, Error>, Vec<u8>) {
    let client = SyncClient::new(config).expect("a client can be built");
    let story = follow(move || generate_stream(&client, PROMPT), &mut out, &never());
    (story, out)
}

fn async_story(config: Config, mut out: Vec<u8>) -> (Result<Story, Error>, Vec<u8>) {
    let story = block_on(async {
        let client = AsyncClient::new(config).expect("a client can be built");
        let open = generate_stream_async(&client, PROMPT);
        follow_async(open, &mut out, std::future::pending()).await
    });
    (story, out)
}

/// What must be equal: everything but the times, and the network's own words.
fn comparable(result: Result<Story, Error>) -> Result<Story, String> {
    let name = |error: Error| format!("{} {}", error.kind(), error.is_retryable());
    let mut story = result.map_err(name)?;
    if let Ending::Interrupted(Error::Interrupted { message, .. }) = &mut story.ending {
        message.clear();
    }
    story.pace = Pace {
        tokens: story.pace.tokens,
        ..Pace::default()
    };
    Ok(story)
}

// When the text is shown.

#[test]
fn each_token_is_shown_before_the_server_releases_the_next() {
    for script in [Script::Normal, Script::CloseDelimited] {
        for follow in [follow_in_a_thread, follow_in_a_task] {
            let told = Told::start(script, follow);
            let mut text = String::new();
            for _ in 0..5 {
                told.gate.release(1);
                // The next token can't be sent yet: that this one is shown does not depend on it.
                text += &told.piece();
            }
            told.gate.open();
            let story = told.story();
            assert!(story.text.starts_with(&text), "{text:?} {story:?}");
            assert_eq!(story.ending, Ending::Complete(FinishReason::Stop));
        }
    }
}

#[test]
fn a_slow_reader_holds_the_stream_back() {
    /// Compares what was pulled from the stream with what was shown, at each piece.
    struct Slow(Arc<AtomicUsize>, usize, Option<Sender<()>>);
    impl Write for Slow {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            // One piece is shown, and in sync another is in the hands of the thread that reads.
            let ahead = self.0.load(SeqCst) - self.1;
            assert!(ahead <= 1, "{ahead} pieces are piling up");
            if self.1 == 200 {
                self.2 = None;
            }
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let endless = |pulled: Arc<AtomicUsize>| {
        std::iter::repeat_with(move || {
            pulled.fetch_add(1, SeqCst);
            Ok(Event::Text("x".into()))
        })
    };

    let (sender, stop) = bounded(1);
    let mut out = Slow(Arc::default(), 0, Some(sender));
    let items = endless(out.0.clone());
    let story = follow(move || Ok(items), &mut out, &stop).expect("a story");
    assert_eq!((story.text.len(), story.ending), (200, Ending::Stopped));

    let (sender, stop) = bounded(1);
    let mut out = Slow(Arc::default(), 0, Some(sender));
    let items = stream::iter(endless(out.0.clone()));
    let stopped = std::future::poll_fn(move |context| {
        context.waker().wake_by_ref();
        match stop.try_recv() {
            Err(crossbeam_channel::TryRecvError::Empty) => std::task::Poll::Pending,
            _ => std::task::Poll::Ready(()),
        }
    });
    let story = block_on(follow_async(async { Ok(items) }, &mut out, stopped)).expect("a story");
    assert_eq!((story.text.len(), story.ending), (200, Ending::Stopped));
}

// How it is stopped.

#[test]
fn a_stop_after_any_token_keeps_the_text_and_the_server_sees_the_client_leave() {
    for tokens in 0..4 {
        for (follow, extra) in [
            // What can't be helped in sync: the thread that reads finds out with the next token.
            (follow_in_a_thread as Follow, 1),
            (follow_in_a_task, 0),
        ] {
            let told = Told::start(Script::Normal, follow);
            told.gate.release(tokens);
            let text: String = (0..tokens).map(|_| told.piece()).collect();
            told.wait_for("all tokens are sent", |entry| {
                entry.tokens_sent as usize == tokens
            });
            told.stop();
            told.gate.release(extra);
            let mock = told.mock.clone();
            let story = told.story();
            assert_eq!((story.text, story.ending), (text, Ending::Stopped));
            assert_eq!(story.pace.tokens, tokens);
            let left = left_at(&mock) as usize;
            assert!(left == tokens + extra, "{tokens} + {extra}: {left}");
        }
    }
}

#[test]
fn dropping_a_stream_after_any_token_closes_its_connection_at_once() {
    for tokens in 1..6 {
        let (mock, gate, options) = gated(Script::Normal);
        gate.release(tokens);
        let client = SyncClient::new(config(&mock)).and_then(|client| client.with(options));
        let client = client.expect("a client can be built");
        let stream = generate_stream(&client, PROMPT).expect("the stream opens");
        assert_eq!(stream.take(tokens).filter(Result::is_ok).count(), tokens);
        assert_eq!(left_at(&mock) as usize, tokens, "sync");

        let (mock, gate, options) = gated(Script::Normal);
        gate.release(tokens);
        block_on(async {
            let client = AsyncClient::new(config(&mock)).and_then(|client| client.with(options));
            let client = client.expect("a client can be built");
            let stream = generate_stream_async(&client, PROMPT).await;
            let stream = stream.expect("the stream opens").take(tokens);
            assert_eq!(stream.collect::<Vec<_>>().await.len(), tokens);
            // Here, and not after the runtime has ended: that would close it as well.
            let log = mock.wait_for_async(LONG, |log| log[0].left_at_token.is_some());
            let log = log.await.expect("the client leaves");
            assert_eq!(log[0].left_at_token, Some(tokens as u32), "async");
        });
    }
}

#[test]
fn dropping_the_future_at_any_await_closes_the_connection_at_once() {
    // At 0 it awaits the head, then each time the next token.
    for tokens in 0..6 {
        let (mock, gate, options) = gated(Script::Normal);
        gate.release(tokens);
        block_on(async {
            let client = AsyncClient::new(config(&mock)).and_then(|client| client.with(options));
            let client = client.expect("a client can be built");
            let (tap, pieces) = mpsc::channel();
            let mut out = Tap(String::new(), tap);
            let open = generate_stream_async(&client, PROMPT);
            let shown = async {
                let asked = mock.wait_for_async(LONG, |log| !log.is_empty());
                asked.await.expect("it asks");
                let count = move || (0..tokens).try_for_each(|_| pieces.recv().map(drop));
                tokio::task::spawn_blocking(count).await.expect("no panic")
            };
            tokio::select! {
                story = follow_async(open, &mut out, std::future::pending()) => {
                    panic!("the gate is shut, and yet: {story:?}")
                }
                shown = shown => shown.expect("all tokens are shown"),
            }
            let log = mock.wait_for_async(LONG, |log| log[0].left_at_token.is_some());
            let log = log.await.expect("the client leaves");
            assert_eq!(log[0].left_at_token, Some(tokens as u32));
        });
    }
}

#[test]
fn text_that_cannot_be_shown_ends_the_story_and_is_kept() {
    /// Takes two pieces, then has no more room.
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1..=2 => Ok(text.len()),
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let items = || ["a", "b", "c", "d"].map(|text| Ok(Event::Text(text.into())));
    let sync = follow(move || Ok(items().into_iter()), &mut Full(0), &never());
    let open = async { Ok(stream::iter(items())) };
    let awaited = block_on(follow_async(open, &mut Full(0), std::future::pending()));
    for story in [sync, awaited] {
        let story = story.expect("a story");
        // The third one was received, and so it was paid for.
        assert_eq!(story.text, "abc");
        assert_eq!(story.ending, Ending::Unheard(io::ErrorKind::StorageFull));
        let error = story.ending.success().expect_err("no success");
        let error = error.downcast::<io::Error>().expect("an io::Error");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

#[test]
fn a_stream_that_is_just_over_was_cut() {
    let items = || [Ok(Event::Text("a".into()))];
    let sync = follow(move || Ok(items().into_iter()), &mut io::sink(), &never());
    let open = async { Ok(stream::iter(items())) };
    let awaited = block_on(follow_async(open, &mut io::sink(), std::future::pending()));
    for story in [sync, awaited] {
        assert_eq!(story.map(|story| story.ending), Ok(Ending::Truncated));
    }
}

#[test]
fn calls_without_a_finish_reason_are_no_success() {
    let call = || ai_core::protocol::stream::ToolCallDelta {
        index: 0,
        id: Some("call_1".into()),
        name: Some("get_weather".into()),
        arguments: "{}".into(),
    };
    for reason in [FinishReason::Stop, FinishReason::Unstated] {
        let items = || [Event::ToolCall(call()), Event::End(reason.clone())].map(Ok::<_, Error>);
        let (sync, awaited) = (items().into_iter(), stream::iter(items()));
        let sync = follow(move || Ok(sync), &mut io::sink(), &never());
        let open = async { Ok(awaited) };
        let awaited = block_on(follow_async(open, &mut io::sink(), std::future::pending()));
        for story in [sync, awaited] {
            let ending = story.expect("a story").ending;
            assert_eq!(ending, Ending::Complete(FinishReason::ToolCalls));
            assert!(ending.success().is_err());
        }
    }
}

#[test]
fn a_panic_in_opening_or_reading_is_a_panic_of_the_caller() {
    type Items = Box<dyn Iterator<Item = Result<Event, Error>> + Send>;
    fn opening() -> Result<Items, Error> {
        panic!("as it should")
    }
    fn reading() -> Result<Items, Error> {
        let text = std::iter::once(Ok(Event::Text("a".into())));
        let panic = std::iter::from_fn(|| panic!("as it should"));
        Ok(Box::new(text.chain(panic)))
    }
    for open in [opening, reading] {
        let sync = || follow(open, &mut io::sink(), &never());
        let awaited = || {
            let open = async { open().map(stream::iter) };
            block_on(follow_async(open, &mut io::sink(), std::future::pending()))
        };
        let versions: [&dyn Fn() -> Result<Story, Error>; 2] = [&sync, &awaited];
        for follow in versions {
            let panic = catch_unwind(AssertUnwindSafe(follow)).expect_err("it panics");
            assert_eq!(panic.downcast_ref(), Some(&"as it should"));
        }
    }
}

/// The test starts its own program again with stacks so large that the system refuses every thread.
#[test]
fn a_thread_that_is_refused_is_a_clear_error() {
    const NAME: &str = "a_thread_that_is_refused_is_a_clear_error";
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
    let open = || -> Result<std::iter::Empty<_>, _> { panic!("nothing is opened") };
    let error = follow(open, &mut io::sink(), &never()).expect_err("there is no thread");
    assert_eq!(error.kind(), "config");
    let words = error.to_string();
    assert!(words.starts_with("no thread to read with: "), "{words}");
}

// The programs.

#[cfg(unix)]
#[test]
fn ctrl_c_in_mid_silence_ends_the_programs_with_what_arrived() {
    for program in PROGRAMS {
        let mock = Mock::builder().script(Script::Stall).start();
        let mock = mock.expect("a free port");
        let mut child = spawn(program, &mock, &[]);
        let mut out = child.stdout.take().expect("it is piped");
        let mut text = vec![0];
        out.read_exact(&mut text).expect("a first token is shown");
        interrupt(&child);

        out.read_to_end(&mut text).expect("the rest can be read");
        let done = child.wait_with_output().expect("it ends");
        let text = String::from_utf8(text).expect("it writes UTF-8");
        assert!(
            text.len() > 1 && text.ends_with('\n'),
            "{program}: {text:?}"
        );
        assert_eq!(done.status.code(), Some(130), "{program}");
        let report = String::from_utf8(done.stderr).expect("it writes UTF-8");
        assert!(
            report.contains("1 token ") && report.contains("stopped"),
            "{report}"
        );
        assert!(!report.contains("error"), "{report}");
        assert_eq!(left_at(&mock), 1, "{program}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_before_the_first_byte_ends_the_programs() {
    for program in PROGRAMS {
        let mock = Mock::builder().script(Script::NeverAnswers).start();
        let mock = mock.expect("a free port");
        let child = spawn(program, &mock, &["--json"]);
        mock.wait_for(LONG, |log| !log.is_empty()).expect("it asks");
        interrupt(&child);

        let done = child.wait_with_output().expect("it ends");
        assert_eq!(done.status.code(), Some(130), "{program}");
        let story: serde_json::Value = serde_json::from_slice(&done.stdout).expect("one object");
        assert_eq!(
            (&story["text"], &story["ending"]),
            (&"".into(), &"stopped".into())
        );
        assert_eq!(left_at(&mock), 0, "{program}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_programs_quietly() {
    for program in PROGRAMS {
        // Without the end under test it would go on for a minute.
        let mock = Mock::builder()
            .answer_tokens(6_000)
            .tokens_per_second(100.0);
        let mock = mock.start().expect("a free port");
        let mut child = spawn(program, &mock, &[]);
        let mut out = child.stdout.take().expect("it is piped");
        out.read_exact(&mut [0; 10]).expect("ten bytes are shown");
        drop(out);

        let done = child.wait_with_output().expect("it ends");
        let report = String::from_utf8(done.stderr).expect("it writes UTF-8");
        assert_eq!(done.status.code(), Some(0), "{program}: {report}");
        assert_eq!(
            report.lines().count(),
            1,
            "only the server's line: {report}"
        );
        assert!(left_at(&mock) < 6_000, "{program}");
    }
}

#[test]
fn the_programs_print_the_text_alone_or_one_object() {
    for program in PROGRAMS {
        let mock = Mock::start().expect("a free port");
        let text = spawn(program, &mock, &[]).wait_with_output();
        let text = String::from_utf8(text.expect("it ends").stdout).expect("it writes UTF-8");
        let json = spawn(program, &mock, &["--json"]).wait_with_output();
        let json = String::from_utf8(json.expect("it ends").stdout).expect("it writes UTF-8");

        assert!(!text.contains('\u{1b}'), "no colour in a pipe");
        assert_eq!(json.lines().count(), 1);
        let story: serde_json::Value = serde_json::from_str(&json).expect("one object");
        assert_eq!(story["text"], text.trim_end_matches('\n'));
        assert_eq!(story["ending"]["complete"], "stop");
        assert!(
            story["first_token_ms"].is_f64() && story["longest_gap_ms"].is_f64(),
            "{json}"
        );
    }
}

#[test]
fn the_programs_fail_with_one_clear_line() {
    for program in PROGRAMS {
        let mock = Mock::builder().script(Script::Unauthorized).start();
        let mock = mock.expect("a free port");
        let child = spawn(program, &mock, &[]);
        let done = child.wait_with_output().expect("it ends");
        let report = String::from_utf8(done.stderr).expect("it writes UTF-8");
        assert_eq!(
            (done.status.code(), done.stdout),
            (Some(1), vec![]),
            "{report}"
        );
        assert!(
            report.contains("error: ") && report.contains("invalid_api_key"),
            "{report}"
        );
        assert_eq!(
            report.lines().count(),
            2,
            "the server's line and the error: {report}"
        );
    }
}

const PROGRAMS: [&str; 2] = [
    env!("CARGO_BIN_EXE_streaming-sync"),
    env!("CARGO_BIN_EXE_streaming-async"),
];

fn spawn(program: &str, mock: &Mock, arguments: &[&str]) -> Child {
    Command::new(program)
        .arg("--live")
        .args(arguments)
        .env("OPENAI_BASE_URL", mock.base_url())
        .env("OPENAI_API_KEY", "sk-test")
        .env_remove("OPENAI_MODEL")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started")
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let kill = format!("kill -INT {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status();
    assert!(status.expect("there is a shell").success());
}

// The decision.

#[test]
fn pace_is_measured_from_token_to_token() {
    let story = recorded([
        // Nothing but text is a token.
        (10, Ok(Event::Usage(Default::default()))),
        (300, Ok(Event::Text("Once".into()))),
        (320, Ok(Event::Text(" upon".into()))),
        (340, Ok(Event::Text(" a".into()))),
        (400, Ok(Event::Text(" time".into()))),
        (900, Ok(Event::End(FinishReason::Stop))),
    ]);
    let milliseconds = |n| Some(Duration::from_millis(n));
    let pace = Pace {
        tokens: 4,
        first_token: milliseconds(300),
        median_gap: milliseconds(20),
        longest_gap: milliseconds(60),
        tokens_per_second: Some(30.0),
    };
    let story = story.expect("a story");
    assert_eq!(
        (story.text.as_str(), story.pace),
        ("Once upon a time", pace)
    );
}

#[test]
fn a_story_of_one_token_or_none_has_no_gap_and_no_speed() {
    let end = (5, Ok(Event::End(FinishReason::Stop)));
    let none = recorded([end.clone()]).expect("a story");
    let one = recorded([(5, Ok(Event::Text("Once".into()))), end]).expect("a story");
    for (story, tokens) in [(none, 0), (one, 1)] {
        assert_eq!(story.pace.tokens, tokens);
        assert_eq!(
            (story.pace.median_gap, story.pace.longest_gap),
            (None, None)
        );
        assert_eq!(story.pace.tokens_per_second, None);
    }
}

#[test]
fn an_error_is_a_story_only_if_something_was_told_before() {
    let text = (1, Ok(Event::Text("Once".into())));
    for error in [Error::Truncated, Error::TooLarge { limit: 9 }] {
        let failed = (2, Err(error.clone()));
        assert_eq!(recorded([failed.clone()]), Err(error));
        let story = recorded([text.clone(), failed]).expect("a story");
        assert_eq!(story.text, "Once");
        assert!(story.ending.success().is_err());
    }
}

/// The story of these items, which arrive at these milliseconds.
fn recorded<const N: usize>(items: [(u64, Result<Event, Error>); N]) -> Result<Story, Error> {
    let mut recorder = Recorder::default();
    for (now, item) in items {
        let step = recorder.take(item, Duration::from_millis(now));
        if let Some(ending) = step.break_value() {
            return Ok(recorder.finish(ending?));
        }
    }
    panic!("the items have no end")
}

// The guide's version.

#[test]
fn the_guide_takes_a_refusal_for_an_empty_story_and_half_a_story_for_a_whole_one() {
    ai_core::install_tls_provider();
    let mock = Mock::start().expect("a free port");
    let guide = as_written::SyncStreamingAIClient(mock.base_url());
    let tell = |script| {
        mock.set(|settings| settings.script = script);
        let mut text = String::new();
        let result = guide.generate_stream(PROMPT, |piece| text += piece);
        (text, result.map_err(|error| error.to_string()))
    };

    let (whole, Ok(())) = tell(Script::Normal) else {
        panic!("the normal script is told");
    };
    assert_eq!(tell(Script::Unauthorized), (String::new(), Ok(())));
    assert_eq!(tell(Script::NoSpace), (String::new(), Ok(())));
    let (half, result) = tell(Script::Truncated);
    assert!(half.len() < whole.len() && whole.starts_with(&half) && result.is_ok());
    let (_, result) = tell(Script::ErrorMidStream);
    assert_eq!(result, Err("KeyError: 'choices'".to_owned()));
    // The specification allows all three. Behind a byte order mark the first event is lost, which has
    // no text here; two data lines are no JSON each; and lines that end with CR are one line.
    assert_eq!(tell(Script::Bom), (whole, Ok(())));
    assert_eq!(tell(Script::MultiData), (String::new(), Ok(())));
    assert_eq!(tell(Script::Cr), (String::new(), Ok(())));
}

// What the tests share.

/// A story that is being told elsewhere, token by token as the test lets them pass.
struct Told {
    mock: Arc<Mock>,
    gate: Gate,
    pieces: mpsc::Receiver<String>,
    stop: Sender<()>,
    story: std::thread::JoinHandle<Result<Story, Error>>,
}

/// One version of `follow`, with its client, against a server and until a stop.
type Follow = fn(Config, CallOptions, Tap, crossbeam_channel::Receiver<()>) -> Result<Story, Error>;

fn follow_in_a_thread(
    config: Config,
    options: CallOptions,
    mut out: Tap,
    stop: crossbeam_channel::Receiver<()>,
) -> Result<Story, Error> {
    let client = SyncClient::new(config)?.with(options)?;
    follow(move || generate_stream(&client, PROMPT), &mut out, &stop)
}

fn follow_in_a_task(
    config: Config,
    options: CallOptions,
    mut out: Tap,
    stop: crossbeam_channel::Receiver<()>,
) -> Result<Story, Error> {
    block_on(async {
        let client = AsyncClient::new(config)?.with(options)?;
        let (sender, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || stop.recv().map(|()| sender.send(())));
        let stopped = async {
            if stopped.await.is_err() {
                std::future::pending().await
            }
        };
        follow_async(generate_stream_async(&client, PROMPT), &mut out, stopped).await
    })
}

impl Told {
    fn start(script: Script, follow: Follow) -> Told {
        let (mock, gate, options) = gated(script);
        let config = config(&mock);
        let (tap, pieces) = mpsc::channel();
        let (stop, stopped) = bounded(1);
        let story =
            std::thread::spawn(move || follow(config, options, Tap(String::new(), tap), stopped));
        Told {
            mock: Arc::new(mock),
            gate,
            pieces,
            stop,
            story,
        }
    }

    /// The next piece that is shown.
    fn piece(&self) -> String {
        self.pieces.recv_timeout(LONG).expect("a piece is shown")
    }

    fn wait_for(&self, what: &str, met: impl Fn(&ai_mock::Entry) -> bool) {
        let met = self.mock.wait_for(LONG, |log| log.iter().any(&met));
        met.unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    fn stop(&self) {
        self.stop.send(()).expect("somebody listens");
    }

    fn story(self) -> Story {
        let story = self.story.join().expect("it does not panic");
        story.expect("there is a story")
    }
}

/// Hands each piece of text to the test once it is flushed.
struct Tap(String, mpsc::Sender<String>);

impl Write for Tap {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0 += std::str::from_utf8(text).expect("text is shown");
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.0);
        if !text.is_empty() {
            self.1.send(text).expect("the test listens");
        }
        Ok(())
    }
}

fn gated(script: Script) -> (Mock, Gate, CallOptions) {
    let mock = Mock::builder().script(script).start().expect("a free port");
    let gate = mock.gate("story");
    let options = CallOptions::new().header("x-mock-gate", "story");
    (mock, gate, options)
}

fn config(mock: &Mock) -> Config {
    Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid")
}

/// Waits until the server has seen its client leave; after how many tokens it was.
fn left_at(mock: &Mock) -> u32 {
    let left = |log: &[ai_mock::Entry]| log.iter().any(|entry| entry.left_at_token.is_some());
    let log = mock.wait_for(LONG, left).expect("the client leaves");
    log[0].left_at_token.expect("it was just seen")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .build()
        .expect("a runtime can be built")
        .block_on(future)
}
