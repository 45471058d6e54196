//! What is decided without waiting: the breaker against a naive one, the lines of the input and of
//! the output, their order, and the figures.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufReader, Read};
use std::time::Duration;

use ai_core::{Error, Phase, Usage};
use clap::Parser;
use http::HeaderMap;
use proptest::prelude::*;
use resilient_batch::*;
use serde_json::{Value, json};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

// The breaker.

const RULES: BreakerRules = BreakerRules {
    failures: 3,
    of_the_last: 5,
    cool_down: ms(100),
};

/// A breaker as one would write it down, with no thought for what it costs.
#[derive(Debug)]
enum Naive {
    Closed { last: Vec<Outcome> },
    Open { until: u64 },
    Probing,
}

#[derive(Debug, Clone)]
enum Step {
    Ask,
    End { which: usize, outcome: Outcome },
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        2 => Just(Outcome::Failed),
        2 => Just(Outcome::Answered),
        1 => Just(Outcome::Neutral),
    ];
    let step = prop_oneof![
        3 => Just(Step::Ask),
        3 => (0..8_usize, outcome).prop_map(|(which, outcome)| Step::End { which, outcome }),
        1 => (0..150_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn the_breaker_does_what_a_naive_one_does_and_shuts_nobody_out_for_ever(steps in steps()) {
        let mut breaker = Breaker::new(RULES);
        let mut naive = Naive::Closed { last: Vec::new() };
        // Who is under way, and since which state of the naive one.
        let (mut under_way, mut era, mut now) = (Vec::new(), 0, 0);
        for step in steps {
            match step {
                Step::Wait(time) => now += time,
                Step::Ask => {
                    let asked = breaker.ask(ms(now));
                    let expected = match naive {
                        Naive::Closed { .. } => None,
                        Naive::Open { until } if now < until => Some(Ask::WaitUntil(ms(until))),
                        Naive::Open { .. } => {
                            (naive, era) = (Naive::Probing, era + 1);
                            None
                        }
                        Naive::Probing => Some(Ask::Wait),
                    };
                    match (asked, expected) {
                        (Ask::Go(pass), None) => under_way.push((pass, era)),
                        (asked, expected) => prop_assert_eq!(Some(asked), expected),
                    }
                }
                Step::End { which, outcome } if !under_way.is_empty() => {
                    let (pass, since) = under_way.swap_remove(which % under_way.len());
                    prop_assert_eq!(breaker.holds(pass), since == era);
                    let changed = breaker.ended(pass, outcome, ms(now));
                    if since != era {
                        // What no longer counts wakes no caller.
                        prop_assert!(!changed);
                        continue;
                    }
                    let open = |time| Naive::Open { until: now + time };
                    let next = match (&mut naive, outcome) {
                        (Naive::Closed { .. }, Outcome::Neutral) => None,
                        (Naive::Closed { last }, outcome) => {
                            last.push(outcome);
                            let tail = &last[last.len().saturating_sub(5)..];
                            let failed = tail.iter().filter(|it| **it == Outcome::Failed);
                            (failed.count() >= 3).then(|| open(100))
                        }
                        (_, Outcome::Answered) => Some(Naive::Closed { last: Vec::new() }),
                        (_, Outcome::Failed) => Some(open(100)),
                        (_, Outcome::Neutral) => Some(open(0)),
                    };
                    prop_assert_eq!(changed, next.is_some());
                    if let Some(next) = next {
                        (naive, era) = (next, era + 1);
                    }
                }
                Step::End { .. } => {}
            }
            // Whatever was, one probe at the most is let out at one time.
            let holding = under_way.iter().filter(|(pass, _)| breaker.holds(*pass));
            prop_assert!(!matches!(naive, Naive::Probing) || holding.count() == 1);
        }
        for (pass, _) in under_way {
            breaker.ended(pass, Outcome::Neutral, ms(now));
        }
        prop_assert!(matches!(breaker.ask(ms(now + 100)), Ask::Go(_)));
    }

    #[test]
    fn refusals_alone_never_open_it(outcomes in prop::collection::vec(any::<bool>(), 0..100)) {
        let mut breaker = Breaker::new(RULES);
        for good in outcomes {
            let Ask::Go(pass) = breaker.ask(ms(0)) else { panic!("it is open") };
            let outcome = if good { Outcome::Answered } else { Outcome::Neutral };
            breaker.ended(pass, outcome, ms(0));
        }
    }

    #[test]
    fn any_rules_make_a_breaker_that_opens_and_closes(failures in 0..=63_u32, more: u32) {
        let of_the_last = failures.saturating_add(more);
        let mut breaker = Breaker::new(BreakerRules { failures, of_the_last, ..RULES });
        let mut failed = 0;
        while let Ask::Go(pass) = breaker.ask(ms(0)) {
            breaker.ended(pass, Outcome::Failed, ms(0));
            failed += 1;
            prop_assert!(failed <= 63, "it never opens");
        }
        let Ask::Go(probe) = breaker.ask(ms(100)) else { panic!("no probe") };
        breaker.ended(probe, Outcome::Answered, ms(100));
        prop_assert!(matches!(breaker.ask(ms(100)), Ask::Go(_)));
    }
}

#[test]
fn more_failures_than_calls_are_counted_never_open_it() {
    for (failures, of_the_last) in [(u32::MAX, 20), (u32::MAX, u32::MAX), (21, 20), (64, 64)] {
        let mut breaker = Breaker::new(BreakerRules {
            failures,
            of_the_last,
            ..RULES
        });
        for _ in 0..100 {
            let Ask::Go(pass) = breaker.ask(ms(0)) else {
                panic!("{failures} of {of_the_last} opened it")
            };
            assert!(!breaker.ended(pass, Outcome::Failed, ms(0)));
        }
    }
}

#[test]
fn what_counts_is_what_the_service_cannot_help() {
    let status = |status| Error::from_response(status, &HeaderMap::new(), b"");
    let interrupted = Error::Interrupted {
        phase: Phase::Head,
        message: "reset".into(),
    };
    let silent = Error::Silent {
        phase: Phase::Head,
        limit: ms(1),
    };
    let of = |error: &Error| Outcome::of::<()>(&Err(error.clone()), None);
    for error in [
        status(500),
        status(503),
        status(529),
        Error::Connect("refused".into()),
        interrupted,
        silent,
    ] {
        assert_eq!(of(&error), Outcome::Failed, "{error:?}");
    }
    for code in [400, 401, 403, 404, 408, 409, 422, 429] {
        assert_eq!(of(&status(code)), Outcome::Neutral, "{code}");
    }
    assert_eq!(Outcome::of(&Ok(()), None), Outcome::Answered);
    // How long a call had, of how long its job had in all.
    for (limit, deadline, outcome) in [
        (100, Some(100), Outcome::Failed),
        (50, Some(100), Outcome::Failed),
        (49, Some(100), Outcome::Neutral),
        (0, Some(100), Outcome::Neutral),
        // The client has a limit of its own, and each call has all of it.
        (1, None, Outcome::Failed),
    ] {
        let ended = Err::<(), _>(Error::Deadline { limit: ms(limit) });
        let of = Outcome::of(&ended, deadline.map(ms));
        assert_eq!(of, outcome, "{limit} of {deadline:?}");
    }
}

#[test]
fn another_model_is_asked_only_where_it_may_help() {
    let status = |status, body: &str| {
        Failure::Call(Error::from_response(
            status,
            &HeaderMap::new(),
            body.as_bytes(),
        ))
    };
    let code = |code: &str| format!(r#"{{"error": {{"message": "no", "code": "{code}"}}}}"#);
    for failure in [
        status(500, ""),
        status(429, ""),
        status(404, ""),
        status(400, &code("model_not_found")),
        Failure::Call(Error::Connect("refused".into())),
        Failure::Open,
    ] {
        assert!(failure.may_not_hold_elsewhere(), "{failure:?}");
    }
    for failure in [
        status(400, ""),
        status(401, ""),
        status(429, &code("insufficient_quota")),
        Failure::Call(Error::Deadline { limit: ms(1) }),
        Failure::Deadline(ms(1)),
        Failure::Stopped,
        Failure::Panicked("a bug".into()),
    ] {
        assert!(!failure.may_not_hold_elsewhere(), "{failure:?}");
    }
}

// The lines of the input.

fn job(line: &str) -> Result<Job, String> {
    Job::parse(line.as_bytes(), 7, &Defaults::default())
}

#[test]
fn a_prompt_and_a_request_of_the_batch_api_are_jobs() {
    let bare = job(r#"{"prompt": "Say hello"}"#).expect("a job");
    assert_eq!((&*bare.id, &*bare.request.model), ("line-7", "gpt-4o-mini"));
    assert_eq!(bare.request.max_tokens, Some(512));
    assert_eq!(bare.tokens, bytes(&bare) + 512);

    let whole = job(
        r#"{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m",
            "messages": [{"role": "user", "content": "x"}], "stop": "END", "temperature": null, "stream": false,
            "n": 2, "max_completion_tokens": 9, "logit_bias": {"50256": -100}}}"#
            .replace('\n', " ")
            .as_str(),
    )
    .expect("a job");
    let sent = serde_json::to_value(&whole.request).expect("it is JSON");
    let expected = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "x"}],
        "stop": ["END"], "n": 2, "max_completion_tokens": 9, "logit_bias": {"50256": -100}});
    assert_eq!(sent, expected);
    assert_eq!((&*whole.id, whole.tokens), ("a", bytes(&whole) + 2 * 9));

    let short =
        job(r#"{"body": {"messages": [{"role": "user", "content": "x"}]}}"#).expect("a job");
    assert_eq!(short.request.model, "gpt-4o-mini");
}

/// How long the request is as it is sent.
fn bytes(job: &Job) -> u64 {
    let request = serde_json::to_vec(&job.request).expect("it is JSON");
    request.len() as u64
}

#[test]
fn whatever_a_request_says_is_reserved_and_an_image_by_what_it_takes() {
    const LONG: usize = 3000;
    let long = "x".repeat(LONG);
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let with = |field: &str, value: Value| {
        let mut body = user("x".into());
        body[field] = value;
        body
    };
    let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": long}});
    let history = json!([{"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "y"}]);
    let tool = json!({"type": "function", "function": {"name": "f", "description": long}});
    let named = json!([{"role": "user", "name": long, "content": "x"}]);
    let image = |url: &str| json!([{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}]);
    for body in [
        user(long.clone().into()),
        // A token may be a byte, and a letter three.
        user("\u{4e00}".repeat(LONG / 3).into()),
        // No data, though it begins like some.
        user(format!("data:{long}").into()),
        json!({ "messages": history }),
        json!({ "messages": named }),
        with("tools", json!([tool])),
        with(
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": long}}),
        ),
        with("of_tomorrow", json!(long)),
    ] {
        let job = job(&json!({ "body": body }).to_string()).expect("a job");
        assert!(job.tokens >= LONG as u64 + 512, "{} for {body}", job.tokens);
        assert_eq!(job.tokens, bytes(&job) + 512);
    }
    let elsewhere = "https://example.org/a.png".to_owned();
    for url in [
        elsewhere,
        format!("data:image/png;base64,{}", "A".repeat(1_000_000)),
    ] {
        let job = job(&json!({"body": user(image(&url))}).to_string()).expect("a job");
        let text = bytes(&job) - url.len() as u64;
        assert_eq!(job.tokens, text + 1445 + 512);
    }
}

#[test]
fn a_bad_line_is_told_what_is_wrong_with_it() {
    let body = r#""body": {"model": "m", "messages": [{"role": "user", "content": "x"}]}"#;
    for (line, says) in [
        ("hello", "no JSON: expected value at column 1"),
        (r#"{"prompt": "x""#, "no JSON: EOF"),
        ("[1]", "no JSON object"),
        ("7", "no JSON object"),
        ("{}", r#"expected {"prompt""#),
        (r#"{"prompt": 7}"#, "expected a string"),
        (r#"{"custom_id": 7, "prompt": "x"}"#, "expected a string"),
        (r#"{"custom_id": "", "prompt": "x"}"#, "custom_id is empty"),
        (
            r#"{"prompt": "x", "temperature": 0}"#,
            "unknown field `temperature`",
        ),
        (&format!(r#"{{"prompt": "x", {body}}}"#), "one of the two"),
        (
            &format!(r#"{{"method": "GET", {body}}}"#),
            "only POST /v1/chat/completions",
        ),
        (
            &format!(r#"{{"url": "/v1/embeddings", {body}}}"#),
            "only POST /v1/chat/completions",
        ),
        (
            r#"{"body": {"model": "m", "messages": [], "stream": true}}"#,
            "stream is true",
        ),
        (r#"{"body": {"model": "m", "messages": []}}"#, "empty"),
        (r#"{"body": {"model": "m"}}"#, "missing field `messages`"),
    ] {
        let wrong = job(line).expect_err(line);
        assert!(wrong.contains(says), "{line}: {wrong}");
        assert!(
            !wrong.contains('\n') && !wrong.contains("line 1"),
            "{wrong}"
        );
    }
    let wrong = Job::parse(b"{\"prompt\": \"\xFF\"}", 7, &Defaults::default());
    assert!(
        wrong
            .expect_err("no UTF-8")
            .contains("not UTF-8 from byte 12 on")
    );
}

fn intake(text: impl Into<Vec<u8>>) -> Vec<Taken> {
    let text = std::io::Cursor::new(text.into());
    let taken = Intake::new(
        BufReader::with_capacity(16, text),
        Defaults::default(),
        Ids::default(),
    );
    taken.map(|it| it.expect("memory can be read")).collect()
}

#[test]
fn every_line_is_dealt_with_and_numbers_are_those_of_an_editor() {
    let long = "x".repeat(LONGEST_LINE);
    let text = format!(
        "\u{feff}{{\"prompt\": \"a\"}}\r\n\n   \n{{\"prompt\": \"b\", \"custom_id\": \"line-1\"}}\nno\n{long}x\n{long}\n{{\"prompt\": \"c\"}}"
    );
    let taken: Vec<_> = intake(text)
        .into_iter()
        .map(|taken| match taken {
            Taken::Job(job) => format!("{} {}", job.number, job.id),
            Taken::Bad(bad) => format!("bad {}: {}", bad.number, &bad.wrong[..12]),
            Taken::Skipped => "skipped".into(),
        })
        .collect();
    let expected = [
        "0 line-1",
        "bad 4: custom_id \"l",
        "bad 5: no JSON: exp",
        "bad 6: longer than ",
        // The longest there may be.
        "bad 7: no JSON: exp",
        "1 line-8",
    ];
    assert_eq!(taken, expected);
}

#[test]
fn what_is_done_is_skipped_once() {
    let mut done = Ids::default();
    assert!(done.insert("a") && !done.insert("a"));
    let text = "{\"custom_id\": \"a\", \"prompt\": \"x\"}\n".repeat(2);
    let mut intake = Intake::new(text.as_bytes(), Defaults::default(), done);
    assert!(matches!(intake.next(), Some(Ok(Taken::Skipped))));
    assert!(matches!(intake.next(), Some(Ok(Taken::Bad(_)))));
    assert!(intake.next().is_none());
}

/// As many lines as one likes, made when they are read.
struct Endless {
    made: u64,
    rest: Vec<u8>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() {
            self.made += 1;
            self.rest = format!("{{\"prompt\": \"{}\"}}\n", self.made).into_bytes();
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        self.rest.drain(..length);
        Ok(length)
    }
}

#[test]
fn it_reads_no_further_than_a_buffer() {
    let input = Endless {
        made: 0,
        rest: Vec::new(),
    };
    let mut reader = BufReader::with_capacity(64, input);
    let taken: Vec<_> = Intake::new(&mut reader, Defaults::default(), Ids::default())
        .take(1000)
        .collect();
    assert_eq!(taken.len(), 1000);
    assert!(
        reader.get_ref().made <= 1005,
        "{} lines were read",
        reader.get_ref().made
    );
}

proptest! {
    #[test]
    fn no_bytes_break_the_intake(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        intake(bytes);
    }
}

// The lines of the output.

/// Lines of an output, as the programs write them: five good ones or, if wanted, one that failed among
/// them.
fn output(failed: bool) -> Vec<String> {
    let usage = Usage {
        input_tokens: 1234,
        output_tokens: 567,
        ..Usage::default()
    };
    let line = |n: u32| {
        let body = format!(r#"{{"a":"}}é{n}","b":[-1.5e-3,{{}}]}}"#);
        let failed = failed && n == 2;
        let record = Record {
            custom_id: n.to_string(),
            response: (!failed).then(|| on_one_line(body.as_bytes())),
            error: failed.then(|| Reason::of(&Failure::Open)),
            ..record(n == 3, (n != 4).then_some(usage))
        };
        String::from_utf8(record.line()).expect("it is UTF-8")
    };
    (0..5).map(line).collect()
}

fn open(path: &std::path::Path, flags: &[&str]) -> Result<(Output, Ids), Refused> {
    let path = path.to_str().expect("a name in UTF-8");
    let arguments = ["resilient-batch", "--output", path]
        .into_iter()
        .chain(flags.iter().copied());
    Output::open(&Options::try_parse_from(arguments).expect("good arguments"))
}

/// A file of its own for each test, gone after it.
struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        let name = format!("resilient-batch-{}-{name}.jsonl", std::process::id());
        Temporary(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Not every test gets as far as making it.
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn an_output_cut_at_any_byte_of_its_last_three_lines_is_repaired() {
    let file = Temporary::new("cut");
    for flags in [&["--resume"][..], &["--resume", "--retry-failed"]] {
        let lines = output(false);
        let whole = lines.concat();
        let first = lines[..2].concat().len();
        for cut in first..=whole.len() {
            fs::write(&file.0, &whole.as_bytes()[..cut]).expect("a file can be written");
            let (mut output, done) =
                open(&file.0, flags).unwrap_or_else(|why| panic!("{cut}: {why:?}"));
            output
                .write(b"{\"custom_id\":\"new\"}\n")
                .expect("it can be written");
            drop(output);
            // A line is done when its last brace is there; its end is added.
            let good = (0..=5)
                .rev()
                .find(|&count| cut + 1 >= lines[..count].concat().len())
                .expect("0 lines are always there");
            let expected = lines[..good].concat() + "{\"custom_id\":\"new\"}\n";
            assert_eq!(
                fs::read_to_string(&file.0).expect("it is there"),
                expected,
                "cut at {cut}"
            );
            let names: BTreeSet<_> = (0..5).filter(|n| done.contains(&n.to_string())).collect();
            assert_eq!(names, (0..good).collect(), "cut at {cut}");
            assert_eq!(done.len(), good);
        }
    }
}

#[test]
fn what_failed_is_dropped_only_if_it_is_to_be_tried_again() {
    let file = Temporary::new("failed");
    // A torn line behind it, and another in its place.
    for (tail, flags, kept) in [
        ("", &["--resume"][..], 5),
        ("", &["--resume", "--retry-failed"], 4),
        (
            "{\"custom_id\":\"5\",\"resp",
            &["--resume", "--retry-failed"],
            4,
        ),
        ("{\"custom_", &["--resume"], 5),
    ] {
        let lines = output(true);
        fs::write(&file.0, lines.concat() + tail).expect("a file can be written");
        let (_writer, done) = open(&file.0, flags).expect("it can be gone on with");
        // Nobody else can go on with it, also where it is another file by now.
        let second = open(&file.0, flags).err();
        assert!(matches!(second, Some(Refused::Failure(_))), "{second:?}");
        assert_eq!(done.len(), kept);
        assert_eq!(done.contains("2"), kept == 5);
        let text = fs::read_to_string(&file.0).expect("it is there");
        let left: Vec<_> = lines
            .iter()
            .filter(|line| kept == 5 || !line.contains("\"2\""))
            .cloned()
            .collect();
        assert_eq!(text, left.concat());
        assert!(!file.0.with_extension("jsonl.rewritten").exists());
    }
}

#[test]
fn what_is_no_output_of_ours_is_refused_and_left_alone() {
    let file = Temporary::new("foreign");
    for text in [
        "my diary",
        "my diary\n",
        "\n",
        "{\"custom_id\":\"a\"}\n",
        "{\"custom_id\":\"a\",\"response\":null,\"error\":null}\n",
        "{\"custom_id\":\"a\",\"resp\n",
        "{\"prompt\": \"x\"}",
        // One request, whose line has no end, and answers that went through an old Mac.
        "{\"custom_id\":\"a\",\"prompt\":\"x\"}",
        "{\"custom_id\":\"a\",\"prompt\":\"x\"},",
        "{\"custom_id\":\"a\",\"response\":{},\"error\":null}\r{\"custom_id\":\"b\",\"response\":{},\"error\":null}\r",
        "\u{feff}{\"custom_id\":\"a\",\"response\":{},\"error\":null}\n",
    ] {
        for flags in [&["--resume"][..], &["--resume", "--retry-failed"], &[]] {
            fs::write(&file.0, text).expect("a file can be written");
            let refused = open(&file.0, flags).err();
            assert!(
                matches!(refused, Some(Refused::Usage(_))),
                "{text:?}: {refused:?}"
            );
            assert_eq!(fs::read_to_string(&file.0).expect("it is there"), text);
        }
    }
}

#[test]
fn half_a_line_of_any_answer_is_known_as_ours() {
    let line = r#"{"custom_id":"\u00e9\"\\","response":{"a":-1.5e-3,"b":[true,null,{}],"c":"\ud83d\ude00é"},"error":null}"#.as_bytes();
    for cut in 1..line.len() {
        let fate = Resume::new(false).line(&line[..cut]);
        assert_eq!(fate, Ok(Fate::Drop), "cut at {cut}");
    }
    assert_eq!(Resume::new(false).line(line), Ok(Fate::End));
}

#[test]
#[cfg(unix)]
fn what_is_rewritten_stays_a_link_and_as_private_as_it_was() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (file, link) = (Temporary::new("private"), Temporary::new("link"));
    fs::write(&file.0, output(true).concat()).expect("a file can be written");
    fs::set_permissions(&file.0, fs::Permissions::from_mode(0o600)).expect("it is ours");
    symlink(&file.0, &link.0).expect("a link can be made");
    open(&link.0, &["--resume", "--retry-failed"]).expect("it can be gone on with");
    let is_link = fs::symlink_metadata(&link.0).expect("it is there");
    assert!(is_link.is_symlink());
    let mode = fs::metadata(&file.0).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file.0).expect("it is there");
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn an_output_that_is_not_there_or_empty_is_begun() {
    let file = Temporary::new("new");
    for flags in [&[][..], &["--resume"]] {
        let (mut output, done) = open(&file.0, flags).expect("it can be begun");
        assert!(done.is_empty());
        output.write(b"").expect("nothing is written");
    }
}

proptest! {
    #[test]
    fn order_is_kept_and_little_is_held(shuffled in Just((0..60_u64).collect::<Vec<_>>()).prop_shuffle(), missing in 0..60_u64) {
        let mut order = Order::default();
        let mut out = Vec::new();
        for number in shuffled {
            if number != missing {
                out.extend(order.put(number, number));
            }
        }
        prop_assert_eq!(&out, &(0..missing).collect::<Vec<_>>());
        out.extend(order.rest());
        let all: Vec<_> = (0..60).filter(|number| *number != missing).collect();
        prop_assert_eq!(out, all);
    }
}

// The figures.

fn record(cached: bool, usage: Option<Usage>) -> Record {
    Record {
        custom_id: "a".into(),
        response: None,
        error: None,
        model: "gpt-4o-mini".into(),
        cached,
        usage,
        cost: match cached {
            true => Some(ai_core::Cost(0)),
            false => usage.and_then(|usage| usage.cost("gpt-4o-mini")),
        },
        attempts: 1,
        wait_ms: 37,
        call_ms: 25,
    }
}

#[test]
fn the_summary_says_what_is_known_and_what_is_not() {
    let usage = Some(Usage {
        input_tokens: 1000,
        output_tokens: 500,
        ..Usage::default()
    });
    let mut tally = Tally::new((2, ms(1000)));
    assert_eq!(
        tally.to_string(),
        "nothing to do\n0 calls, 0 tokens in and 0 out, $0.000000"
    );
    let call = |at, took, maybe_billed| Call {
        at: ms(at),
        took: ms(took),
        maybe_billed,
    };
    tally.add_calls(&[
        call(0, 100, true),
        call(0, 100, false),
        call(1250, 100, false),
    ]);
    tally.add(&record(false, usage), None);
    tally.add(&record(false, None), None);
    tally.add(
        &record(true, usage),
        usage.and_then(|usage| usage.cost("gpt-4o-mini")),
    );
    tally.bad_lines = 2;
    let expected = "\
3/3 succeeded, 2 bad lines
3 calls, 1000 tokens in and 500 out, $0.000450 and what 2 calls cost, which is unknown
cache: 1 call saved, 1500 tokens, $0.000450
a call took 100 ms (p50), 100 ms (p99); 80 % of the permitted rate was used";
    assert_eq!(tally.to_string(), expected);
}

#[test]
fn the_slowest_calls_and_the_share_of_the_rate_are_told() {
    // 50 at a time, and those of a batch begin a quarter later than they could. One in fifty is slow.
    let mut tally = Tally::new((50, ms(1000)));
    for n in 0..100 {
        let took = if n % 50 == 0 { 900 } else { n };
        let at = ms(n / 50 * 1250);
        tally.add_calls(&[Call {
            at,
            took: ms(took),
            maybe_billed: false,
        }]);
    }
    assert!(
        tally.to_string().ends_with(
            "a call took 51 ms (p50), 900 ms (p99); 80 % of the permitted rate was used"
        )
    );
    // As many as one window permits have not met the limit.
    let mut tally = Tally::new((50, ms(1000)));
    for n in 0..50 {
        tally.add_calls(&[Call {
            at: ms(n),
            took: ms(1),
            maybe_billed: false,
        }]);
    }
    assert_eq!(tally.share_of_rate(), None);
}

#[test]
fn a_line_of_the_output_is_one_line_whatever_the_server_sends() {
    // As `jq .` prints it.
    let body =
        b"{\n  \"id\": \"a\",\r\n  \"choices\": [{\"message\": {\"content\": \"a\\nb\"}}]\n}\n";
    let line = record(false, None);
    let line = Record {
        response: Some(resilient_batch::on_one_line(body)),
        ..line
    }
    .line();
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    let line: serde_json::Value = serde_json::from_slice(&line).expect("it is JSON");
    let sent: serde_json::Value = serde_json::from_slice(body).expect("it is JSON");
    assert_eq!(line["response"], sent);
}
