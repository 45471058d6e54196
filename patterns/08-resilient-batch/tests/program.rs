//! The programs as a user runs and stops them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ai_mock::{Entry, Failure, Mock, Quota, Script, Service, Settings};
use serde_json::Value;

const PROGRAMS: [&str; 2] = [
    env!("CARGO_BIN_EXE_resilient-batch-sync"),
    env!("CARGO_BIN_EXE_resilient-batch-async"),
];

/// How long a test waits for what must happen, before it fails. No test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of its own for each test, gone after it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("resilient-batch-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Left by a run that was killed, with the same number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a folder can be made");
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("the name is UTF-8").to_owned()
    }

    /// A file with a line for each number.
    fn input(&self, numbers: std::ops::Range<u32>) -> String {
        self.prompts(numbers.map(|n| format!("number {n}")))
    }

    /// A file with a line for each prompt.
    fn prompts(&self, prompts: impl IntoIterator<Item = String>) -> String {
        let path = self.file("input.jsonl");
        let line =
            |(n, prompt)| format!("{{\"custom_id\": \"item-{n}\", \"prompt\": \"{prompt}\"}}\n");
        let lines: String = prompts.into_iter().enumerate().map(line).collect();
        fs::write(&path, lines).expect("it can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program, offline.
fn program(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The program, which takes a mock for a real service.
fn live(path: &str, mock: &Mock, arguments: &[&str]) -> Command {
    let mut command = program(path, arguments);
    command
        .arg("--live")
        .env("OPENAI_API_KEY", "sk-test")
        .env("OPENAI_BASE_URL", mock.base_url())
        .env_remove("OPENAI_MODEL");
    command
}

fn run(mut command: Command) -> (Output, String) {
    let output = command.output().expect("it can be started");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!error.contains("panicked"), "{error}");
    (output, error)
}

/// A running program, ended when the test is.
struct Running(Child);

impl Running {
    #[cfg(unix)]
    fn signal(&self, signal: &str) {
        let kill = Command::new("kill")
            .args([signal, &self.0.id().to_string()])
            .status();
        assert!(kill.expect("there is kill").success());
    }
}

impl Running {
    /// Its exit code, when it has ended; none if a signal ended it.
    fn code(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("it can be asked") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(mut command: Command) -> Running {
    Running(command.spawn().expect("it can be started"))
}

fn lines(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("there is an output");
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line is whole"
    );
    let line = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    text.lines().map(line).collect()
}

fn ids(lines: &[Value]) -> Vec<String> {
    let id = |line: &Value| {
        line["custom_id"]
            .as_str()
            .expect("it has a name")
            .to_owned()
    };
    lines.iter().map(id).collect()
}

fn prompt(entry: &Entry) -> &str {
    entry.body["messages"][0]["content"]
        .as_str()
        .expect("a prompt")
}

/// What the mock takes for another service than the numbers, so that it can be answered in another way.
const SPECIAL: &str = "sentiment: good";

/// A mock that plays this script for what is [`SPECIAL`].
fn special(script: Script) -> Mock {
    let mock = mock(0);
    mock.set(|settings| settings.service_script = [(Service::Sentiment, script)].into());
    mock
}

fn mock(latency: u64) -> Mock {
    let mock = Mock::builder()
        .latency(Duration::from_millis(latency))
        .start();
    mock.expect("a free port on 127.0.0.1")
}

// Killed, and gone on with.

#[test]
fn killed_at_30_moments_it_loses_doubles_and_repeats_nothing() {
    for path in PROGRAMS {
        let folder = Folder::new("kill");
        // Nothing is answered but what passes the gate, or a slow machine would be done before it
        // was killed 30 times.
        let mock = Mock::builder().gate("kill").start();
        let mock = mock.expect("a free port on 127.0.0.1");
        let gate = mock.gate("kill");
        let (input, output) = (folder.input(0..500), folder.file("output.jsonl"));
        let arguments = [
            "--input", &input, "--output", &output, "--resume", "--rpm", "1000000",
        ];
        // At random moments, but the same ones each time.
        let (mut chance, mut kept) = (7_u64, Vec::new());
        for round in 0..30 {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let more = 1 + (chance >> 33) % 25;
            let answered = |log: &[Entry]| log.iter().filter(|it| it.is_finished()).count() as u64;
            let before = answered(&mock.log());
            let mut running = start(live(path, &mock, &arguments));
            gate.release(more as usize);
            let enough = |log: &[Entry]| answered(log) >= before + more;
            mock.wait_for(PATIENCE, enough)
                .unwrap_or_else(|why| panic!("round {round}: {why}"));
            // SIGKILL, while it reads and writes the last of them.
            running.0.kill().expect("it can be killed");
            let ended = running.0.wait().expect("it ends");
            assert_eq!(ended.code(), None, "round {round}: it was not done");
            // The server has to notice that those at the gate are gone, or they would take the turns of
            // the next ones.
            mock.wait_for(PATIENCE, |log| log.iter().all(Entry::is_finished))
                .unwrap_or_else(|why| panic!("round {round}: {why}"));
            let written = fs::read_to_string(&output).unwrap_or_default();
            let whole = written
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            kept.push((ids(&whole.collect::<Vec<_>>()), mock.log().len()));
        }
        gate.open();
        let (ended, error) = run(live(path, &mock, &arguments));
        assert!(ended.status.success(), "{error}");

        let lines = lines(&output);
        let done: BTreeSet<_> = ids(&lines).into_iter().collect();
        assert_eq!((lines.len(), done.len()), (500, 500));
        assert!(lines.iter().all(|line| line["error"].is_null()));
        let log = mock.log();
        for (ids, since) in kept {
            assert!(ids.iter().all(|id| done.contains(id)), "something was lost");
            let again: BTreeSet<_> = log[since..].iter().map(prompt).collect();
            for id in ids {
                let number = id.trim_start_matches("item-");
                assert!(
                    !again.contains(&*format!("number {number}")),
                    "{id} was sent again"
                );
            }
        }
    }
}

#[test]
fn an_answer_is_in_the_file_as_soon_as_it_is_there() {
    for path in PROGRAMS {
        // The first of ten is never answered, and nobody has asked for any order.
        let (folder, mock) = (Folder::new("at-once"), special(Script::NeverAnswers));
        let numbers = (1..10).map(|n| format!("number {n}"));
        let input = folder.prompts([SPECIAL.to_owned()].into_iter().chain(numbers));
        let output = folder.file("output.jsonl");
        let files = ["--input", &input, "--output", &output];
        let mut running = start(live(path, &mock, &files));
        let written = || fs::read_to_string(&output).unwrap_or_default();
        let begun = Instant::now();
        while written().lines().count() < 9 {
            assert!(begun.elapsed() < PATIENCE / 2, "it is kept back");
            thread::sleep(Duration::from_millis(1));
        }
        mock.wait_for(PATIENCE, |log| log.len() == 10)
            .expect("the first one arrives as well");
        running.0.kill().expect("it can be killed");
        running.0.wait().expect("it ends");
        assert_eq!(lines(&output).len(), 9);
    }
}

#[test]
fn an_output_that_was_cut_is_completed_with_what_is_missing() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("cut"), mock(0));
        let (input, output) = (folder.input(0..5), folder.file("output.jsonl"));
        let flags = [
            "--input",
            &input,
            "--output",
            &output,
            "--ordered",
            "--resume",
        ];
        let (ended, error) = run(live(path, &mock, &flags));
        assert!(ended.status.success(), "{error}");
        let whole = fs::read(&output).expect("there is an output");
        let ends: Vec<_> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
        let [.., third, fourth, last] = ends[..] else {
            panic!("it has five lines")
        };
        for (cut, missing) in [
            (last + 1, 0),
            // Only the line's end is missing, and then its last brace.
            (last, 0),
            (last - 1, 1),
            (fourth + 2, 1),
            (fourth + 1, 1),
            (fourth, 1),
            (fourth.midpoint(third), 2),
            (third - 1, 3),
        ] {
            fs::write(&output, &whole[..cut]).expect("it can be written");
            mock.clear_log();
            let (ended, error) = run(live(path, &mock, &flags));
            assert!(ended.status.success(), "cut at {cut}: {error}");
            let all: Vec<_> = (0..5).map(|n| format!("item-{n}")).collect();
            assert_eq!(ids(&lines(&output)), all, "cut at {cut}");
            assert_eq!(mock.log().len(), missing, "cut at {cut}");
        }
    }
}

// Ctrl-C.

#[test]
#[cfg(unix)]
fn what_an_ordered_run_has_left_out_comes_last_and_it_says_so() {
    for path in PROGRAMS {
        // The one in the middle fails, and is tried again and again.
        let (folder, mock) = (Folder::new("gap"), special(Script::Empty500));
        let input = folder.prompts(["number 0", SPECIAL, "number 2"].map(str::to_owned));
        let output = folder.file("output.jsonl");
        let files = ["--input", &input, "--output", &output];
        let flags = [&files[..], &["--ordered", "--max-attempts", "20"]].concat();
        let mut running = start(live(path, &mock, &flags));
        let others = |log: &[Entry]| log.iter().filter(|it| it.status == Some(200)).count() == 2;
        mock.wait_for(PATIENCE, others).expect("two are answered");
        running.signal("-INT");
        let code = running.code();
        let mut error = String::new();
        let mut pipe = running.0.stderr.take().expect("it is piped");
        pipe.read_to_string(&mut error).expect("it is UTF-8");
        assert_eq!(code, Some(130), "{error}");
        let how = "the same command with --resume (the lines that are missing will come last)\n";
        assert!(error.contains(how), "{error}");
        assert_eq!(ids(&lines(&output)), ["item-0", "item-2"]);

        mock.set(|settings| settings.service_script.clear());
        let (ended, error) = run(live(path, &mock, &[&flags[..], &["--resume"]].concat()));
        assert!(ended.status.success(), "{error}");
        assert_eq!(ids(&lines(&output)), ["item-0", "item-2", "item-1"]);
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_finishes_what_is_under_way_and_says_how_to_go_on() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("ctrl-c"), mock(300));
        let (input, output) = (folder.input(0..20), folder.file("output.jsonl"));
        let files = ["--input", &input, "--output", &output];
        let command = live(path, &mock, &[&files[..], &["--rpm", "4"]].concat());
        let mut running = start(command);
        // Four are under way, and for all others the minute is used up.
        mock.wait_for(PATIENCE, |log| log.len() == 4)
            .expect("four arrive");
        running.signal("-INT");
        let code = running.code();
        let mut error = String::new();
        let mut pipe = running.0.stderr.take().expect("it is piped");
        pipe.read_to_string(&mut error).expect("it is UTF-8");
        assert_eq!(code, Some(130), "{error}");
        assert!(
            error.contains("stopped, 4 of 20 done; to go on: the same command with --resume\n"),
            "{error}"
        );
        assert_eq!(lines(&output).len(), 4);

        let (ended, error) = run(live(path, &mock, &[&files[..], &["--resume"]].concat()));
        assert!(ended.status.success(), "{error}");
        assert!(error.contains("16/16 succeeded, 4 done before"), "{error}");
        assert_eq!(
            ids(&lines(&output))
                .into_iter()
                .collect::<BTreeSet<_>>()
                .len(),
            20
        );
        assert_eq!(mock.log().len(), 20);
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_it_also_while_it_waits_for_a_line_and_a_second_one_at_once() {
    for path in PROGRAMS {
        let mock = mock(0);
        let mut command = live(path, &mock, &["--input", "-"]);
        command.stdin(Stdio::piped());
        let mut running = start(command);
        let mut input = running.0.stdin.take().expect("it is piped");
        input.write_all(b"{\"prompt\": \"a\"}\n").expect("it reads");
        mock.wait_for(PATIENCE, |log| log.iter().any(Entry::is_finished))
            .expect("a line is asked for");
        running.signal("-INT");
        assert_eq!(running.code(), Some(130));
        drop(input);

        mock.set(|settings| settings.script = Script::NeverAnswers);
        mock.clear_log();
        let folder = Folder::new("twice");
        let mut running = start(live(path, &mock, &["--input", &folder.input(0..1)]));
        let mut error = BufReader::new(running.0.stderr.take().expect("it is piped"));
        mock.wait_for(PATIENCE, |log| log.len() == 1)
            .expect("its one line is asked for");
        running.signal("-INT");
        let mut line = String::new();
        while !line.contains("Ctrl-C again ends at once") {
            line.clear();
            assert_ne!(
                error.read_line(&mut line).expect("it is UTF-8"),
                0,
                "it says so"
            );
        }
        running.signal("-INT");
        assert_eq!(running.code(), Some(130));
    }
}

#[test]
#[cfg(unix)]
fn a_second_ctrl_c_ends_it_also_while_nobody_reads_its_output() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("paused"), mock(0));
        // Each answer is larger than a pipe, so the first one fills it for good.
        mock.set(|settings| settings.answer_tokens = Some(50_000));
        let arguments = ["--input", &folder.input(0..20), "--max-tokens", "50000"];
        let mut running = start(live(path, &mock, &arguments));
        let mut output = running.0.stdout.take().expect("it is piped");
        output.read_exact(&mut [0]).expect("it begins to write");
        let mut error = BufReader::new(running.0.stderr.take().expect("it is piped"));
        running.signal("-INT");
        let mut line = String::new();
        while !line.contains("Ctrl-C again ends at once") {
            line.clear();
            assert_ne!(
                error.read_line(&mut line).expect("it is UTF-8"),
                0,
                "it says so"
            );
        }
        running.signal("-INT");
        assert_eq!(running.code(), Some(130));
    }
}

#[test]
fn a_reader_that_pauses_holds_up_no_call() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("held-up"), mock(0));
        // Each answer is larger than a pipe, so the first one fills it for good.
        mock.set(|settings| settings.answer_tokens = Some(20_000));
        let limits = ["--concurrency", "1", "--max-tokens", "20000"];
        let input = ["--input", &folder.input(0..20)];
        let running = start(live(path, &mock, &[&input[..], &limits].concat()));
        // Ten jobs are looked after at one time, and one that waits to be written is one of them.
        let all = |log: &[Entry]| log.iter().filter(|it| it.is_finished()).count() >= 10;
        mock.wait_for(PATIENCE, all).expect("the others go on");
        drop(running);
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_that_also_ends_the_reader_loses_no_answer() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("tee"), mock(0));
        // As above: the first answer fills the pipe, and nine others wait to be written.
        mock.set(|settings| settings.answer_tokens = Some(20_000));
        let limits = ["--concurrency", "1", "--max-tokens", "20000"];
        let input = ["--input", &folder.input(0..20)];
        let mut running = start(live(path, &mock, &[&input[..], &limits].concat()));
        let all = |log: &[Entry]| log.iter().filter(|it| it.is_finished()).count() >= 10;
        mock.wait_for(PATIENCE, all).expect("ten are answered");
        let mut error = BufReader::new(running.0.stderr.take().expect("it is piped"));
        running.signal("-INT");
        let mut line = String::new();
        while !line.contains("Ctrl-C again ends at once") {
            line.clear();
            assert_ne!(
                error.read_line(&mut line).expect("it is UTF-8"),
                0,
                "it says so"
            );
        }
        // In `| tee answers.jsonl` tee hears Ctrl-C, too.
        drop(running.0.stdout.take());
        let mut rest = String::new();
        error.read_to_string(&mut rest).expect("it is UTF-8");
        let told = rest
            .lines()
            .filter(|line| line.starts_with("{\"custom_id\""));
        assert_eq!((running.code(), told.count()), (Some(130), 10));
    }
}

// The hostile server.

#[test]
fn the_lesson_succeeds_against_a_hostile_server_in_both_versions_alike() {
    let mut seen = Vec::new();
    for path in PROGRAMS {
        let folder = Folder::new("hostile");
        let (output, cache) = (
            folder.file("output.jsonl"),
            format!("disk:{}", folder.file("cache.redb")),
        );
        let common = ["--window", "300ms", "--cache", &cache, "--output"];
        let (ended, error) = run(program(path, &[&common[..], &[&output]].concat()));
        assert!(ended.status.success(), "{error}");
        assert!(error.contains("200/200 succeeded\n"), "{error}");
        let records = lines(&output);
        let attempts = |line: &Value| line["attempts"].as_u64().expect("a number");
        let calls: u64 = records.iter().map(attempts).sum();
        assert!(
            error.contains(&format!("\n{calls} calls, ")),
            "{calls}: {error}"
        );
        assert!(calls > 220, "15 % of them fail");

        // The same again has nothing to do.
        let (ended, error) = run(program(
            path,
            &[&common[..], &[&output, "--resume"]].concat(),
        ));
        assert!(ended.status.success(), "{error}");
        assert!(
            error.contains("nothing to do, 200 done before\n0 calls, "),
            "{error}"
        );
        assert_eq!(lines(&output).len(), 200);

        // And what was answered once is not asked again for another output.
        let fresh = folder.file("fresh.jsonl");
        let (ended, error) = run(program(path, &[&common[..], &[&fresh]].concat()));
        assert!(ended.status.success(), "{error}");
        assert!(error.contains("200/200 succeeded\n0 calls, "), "{error}");
        assert!(error.contains("cache: 200 calls saved, "), "{error}");
        let key = |line: &Value| line["custom_id"].to_string();
        let answers = |lines: &[Value]| -> BTreeMap<_, _> {
            lines
                .iter()
                .map(|line| (key(line), line["response"].clone()))
                .collect()
        };
        let fresh = lines(&fresh);
        assert_eq!(answers(&records), answers(&fresh));
        assert!(
            fresh
                .iter()
                .all(|line| line["cached"] == true && line["attempts"] == 0)
        );

        let by_item: BTreeMap<_, _> = records
            .iter()
            .map(|line| (key(line), attempts(line)))
            .collect();
        seen.push(by_item);
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn what_a_hostile_run_tells_is_in_the_servers_log_and_nothing_is_asked_again() {
    for path in PROGRAMS {
        // The minute of a live server takes one. So it has room for what is needed, as far as each
        // attempt is counted.
        let quota = Quota {
            requests: Some(300),
            ..Quota::default()
        };
        let mock = demo::hostile(Mock::builder().quota(quota), 0.0025).start();
        let mock = mock.expect("a free port on 127.0.0.1");
        let folder = Folder::new("books");
        let (input, output) = (folder.input(0..200), folder.file("output.jsonl"));
        let cache = format!("disk:{}", folder.file("cache.redb"));
        // Which attempts fail is another draw each time, so there are enough of them.
        let flags = ["--rpm", "300", "--max-attempts", "9", "--concurrency", "50"];
        let files = ["--input", &input, "--cache", &cache, "--output"];
        let flags = [&flags[..], &files[..]].concat();
        let (ended, error) = run(live(path, &mock, &[&flags[..], &[&output]].concat()));
        assert!(ended.status.success(), "{error}");

        let log = mock.log();
        let count = |status| log.iter().filter(|entry| entry.status == status).count();
        assert_eq!((count(Some(200)), count(Some(429))), (200, 0), "{error}");
        let attempts = |line: &Value| line["attempts"].as_u64().expect("a number");
        let told: u64 = lines(&output).iter().map(attempts).sum();
        assert_eq!(told, log.len() as u64);
        let answered = || log.iter().filter(|entry| entry.status == Some(200));
        let input: u32 = answered().map(|entry| entry.prompt_tokens).sum();
        let answer: u32 = answered().map(|entry| entry.tokens_sent).sum();
        for says in [
            "200/200 succeeded\n".to_owned(),
            format!(
                "\n{} calls, {input} tokens in and {answer} out, $",
                log.len()
            ),
            // Those that broke off.
            format!(" and what {} call", count(None)),
        ] {
            assert!(error.contains(&says), "{says}: {error}");
        }

        // The same again, and for another output.
        let fresh = folder.file("fresh.jsonl");
        for (output, more, says) in [
            (
                &output,
                &["--resume"][..],
                "nothing to do, 200 done before\n0 calls, ",
            ),
            (&fresh, &[], "200/200 succeeded\n0 calls, "),
        ] {
            let flags = [&flags[..], &[output], more].concat();
            let (ended, error) = run(live(path, &mock, &flags));
            assert!(ended.status.success() && error.contains(says), "{error}");
            assert_eq!(lines(output).len(), 200);
            assert_eq!(mock.log().len(), log.len(), "nothing was asked");
        }
    }
}

#[test]
fn a_cache_tells_offline_servers_apart_by_their_seed() {
    for path in PROGRAMS {
        let folder = Folder::new("seeds");
        let (input, cache) = (folder.input(0..1), folder.file("cache.redb"));
        let cache = format!("disk:{cache}");
        for (seed, cached) in [("1", false), ("2", false), ("1", true)] {
            let arguments = ["--input", &input, "--cache", &cache, "--seed", seed];
            let (ended, error) = run(program(path, &arguments));
            let line = String::from_utf8_lossy(&ended.stdout);
            let expected = format!("\"cached\":{cached}");
            assert!(line.contains(&expected), "{seed}: {line} {error}");
        }
    }
}

// Lines.

#[test]
fn bad_lines_are_told_by_number_and_the_rest_goes_on() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("bad"), mock(0));
        let input = folder.file("input.jsonl");
        let good = r#"{"custom_id": "a", "prompt": "x"}"#;
        let whole = r#"{"custom_id": "b", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "y"}], "top_p": 0.5}}"#;
        let text = [good, "no", "", good, whole]
            .map(|line| line.to_owned() + "\n")
            .concat();
        fs::write(&input, [text.as_bytes(), b"\xFF\n"].concat()).expect("it can be written");
        let (ended, error) = run(live(path, &mock, &["--input", &input, "--ordered"]));
        assert_eq!(ended.status.code(), Some(1));
        for line in [
            "line 2: no JSON: ",
            "line 4: custom_id \"a\" was there before\n",
            "line 6: not UTF-8 from byte 0 on",
            "2/2 succeeded, 3 bad lines\n",
        ] {
            assert!(error.contains(line), "{line}: {error}");
        }
        let written: Vec<Value> = String::from_utf8_lossy(&ended.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).expect("it is JSON"))
            .collect();
        assert_eq!(ids(&written), ["a", "b"]);
        assert_eq!(written[1]["model"], "gpt-4o");
        // Both are under way at one time, so either may arrive first.
        let log = mock.log();
        let whole = log.iter().find(|entry| prompt(entry) == "y");
        assert_eq!(whole.expect("it was sent").body["top_p"], 0.5);
    }
}

#[test]
#[cfg(unix)]
fn an_input_that_breaks_off_is_a_failure() {
    for path in PROGRAMS {
        // A folder can be opened, and not read.
        let folder = Folder::new("broken");
        let input = folder.0.to_str().expect("the name is UTF-8");
        let (ended, error) = run(program(path, &["--input", input]));
        assert_eq!(ended.status.code(), Some(1));
        assert!(
            error.contains("error: the input broke off: Is a directory"),
            "{error}"
        );
    }
}

#[test]
fn what_failed_is_written_and_tried_again_only_if_asked() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("failed"), mock(0));
        let (input, output) = (folder.input(0..3), folder.file("output.jsonl"));
        let files = [
            "--input",
            &input,
            "--output",
            &output,
            "--max-attempts",
            "1",
        ];
        mock.set(|settings| settings.failure_rate = vec![(1.0, Failure::Status(500))]);
        let (ended, error) = run(live(path, &mock, &files));
        assert_eq!(ended.status.code(), Some(1));
        assert!(
            error.contains("0/3 succeeded, 3 failed\n3 calls, "),
            "{error}"
        );
        for line in lines(&output) {
            assert_eq!(line["error"]["kind"], "status");
            assert_eq!(
                (&line["error"]["status"], &line["error"]["retryable"]),
                (&500.into(), &true.into())
            );
            assert!(
                line["response"].is_null()
                    && line["usage"].is_null()
                    && line["cost_nano_usd"].is_null()
            );
        }

        mock.set(|settings| settings.failure_rate = Vec::new());
        let (ended, error) = run(live(path, &mock, &[&files[..], &["--resume"]].concat()));
        assert!(
            ended.status.success() && error.contains("nothing to do, 3 done before"),
            "{error}"
        );
        let failed = "3 of its lines failed, and stay so; --retry-failed asks them again";
        assert!(error.contains(failed), "{error}");
        let again = [&files[..], &["--resume", "--retry-failed"]].concat();
        let (ended, error) = run(live(path, &mock, &again));
        assert!(
            ended.status.success() && error.contains("3/3 succeeded"),
            "{error}"
        );
        let lines = lines(&output);
        assert!(lines.len() == 3 && lines.iter().all(|line| line["error"].is_null()));
    }
}

#[test]
#[cfg(unix)]
fn a_line_is_written_with_one_call() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("one-call"), mock(0));
        // What is written here with one call is received as one.
        let (output, theirs) = UnixDatagram::pair().expect("a pair can be made");
        output
            .set_read_timeout(Some(PATIENCE))
            .expect("it can be limited");
        let mut command = live(path, &mock, &["--input", &folder.input(0..9)]);
        command.stdout(Stdio::from(OwnedFd::from(theirs)));
        let mut running = start(command);
        for _ in 0..9 {
            let mut line = vec![0; 1 << 16];
            let length = output.recv(&mut line).expect("a line comes");
            assert!(line[..length].ends_with(b"}\n"));
            let line: Value = serde_json::from_slice(&line[..length]).expect("it is JSON");
            assert!(line["error"].is_null());
        }
        assert_eq!(running.code(), Some(0));
    }
}

#[test]
fn names_may_have_any_letters() {
    for path in PROGRAMS {
        let folder = Folder::new("names");
        let input = folder.file("input.jsonl");
        let names = ["\u{e9}\u{4e00}", "a\nb", " ", "\"quoted\""];
        let line = |name| serde_json::json!({"custom_id": name, "prompt": name}).to_string() + "\n";
        fs::write(&input, names.map(line).concat()).expect("it can be written");
        let output = folder.file("output.jsonl");
        let files = ["--input", &input, "--output", &output];
        let arguments = [
            &files[..],
            &["--ordered", "--resume", "--max-attempts", "9"],
        ]
        .concat();
        for summary in ["4/4 succeeded", "nothing to do, 4 done before"] {
            let (ended, error) = run(program(path, &arguments));
            assert!(ended.status.success() && error.contains(summary), "{error}");
            assert_eq!(ids(&lines(&output)), names);
        }
    }
}

#[test]
fn a_wrong_key_or_an_empty_account_ends_it_and_leaves_all_to_do() {
    let troubles: [(fn(&mut Settings), _); 2] = [
        (
            |settings| settings.api_key = Some("sk-right".into()),
            "error: the server refused: Incorrect API key provided.",
        ),
        (
            |settings| settings.script = Script::QuotaExhausted,
            "error: the account's quota is used up: You exceeded your current quota",
        ),
    ];
    for (path, (trouble, says)) in PROGRAMS
        .iter()
        .flat_map(|path| troubles.map(|it| (path, it)))
    {
        let (folder, mock) = (Folder::new("hopeless"), mock(0));
        mock.set(trouble);
        let (input, output) = (folder.input(0..1000), folder.file("output.jsonl"));
        let files = ["--input", &input, "--output", &output, "--rpm", "100000"];
        let (ended, error) = run(live(path, &mock, &files));
        assert_eq!(ended.status.code(), Some(1), "{error}");
        assert!(
            error.contains(says) && error.contains("so for all lines"),
            "{error}"
        );
        assert!(lines(&output).is_empty());
        // Ten are under way at one time; before the first one is handed in, a few may follow.
        assert!(mock.log().len() < 100, "{} were tried", mock.log().len());
    }
}

/// Flags; how the server is; how many calls it holds back until all of them are there; how often the
/// program is run; and what is to be seen then: whether of the log, the most calls at one time and the
/// lines of the output this is so.
type Flag = (
    &'static str,
    fn(&mut Settings),
    usize,
    usize,
    fn(&[Entry], u64, &[Value]) -> bool,
);

fn all(lines: &[Value], field: &str, value: impl Into<Value>) -> bool {
    let value = value.into();
    lines.iter().all(|line| line.pointer(field) == Some(&value))
}

fn asked(log: &[Entry], field: &str, value: impl Into<Value>) -> usize {
    let value = value.into();
    log.iter().filter(|it| it.body[field] == value).count()
}

const FLAGS: [Flag; 9] = [
    (
        "--tpm 100",
        |_| {},
        0,
        1,
        |log, _, lines| log.is_empty() && all(lines, "/error/kind", "too_large_for_the_limit"),
    ),
    (
        "--concurrency 2",
        |settings| settings.latency = Duration::from_millis(50).into(),
        0,
        1,
        |log, most, _| log.len() == 4 && most <= 2,
    ),
    (
        "--max-attempts 2",
        |settings| settings.failure_rate = vec![(1.0, Failure::Status(500))],
        0,
        1,
        |log, _, lines| log.len() == 2 * 4 && all(lines, "/error/status", 500),
    ),
    (
        "--max-attempts 1 --fallback-model other",
        |settings| settings.failure_rate = vec![(1.0, Failure::Status(500))],
        0,
        1,
        |log, _, lines| {
            let models = ["gpt-4o-mini", "other"].map(|model| asked(log, "model", model));
            models == [4, 4] && all(lines, "/model", "other")
        },
    ),
    (
        "--deadline 100ms",
        |settings| settings.script = Script::NeverAnswers,
        0,
        1,
        |_, _, lines| all(lines, "/error/kind", "deadline"),
    ),
    (
        "--hedge 50ms",
        |settings| settings.gate = Some("all".into()),
        2 * 4,
        1,
        |log, _, lines| log.len() == 2 * 4 && all(lines, "/attempts", 2),
    ),
    (
        "--model m",
        |_| {},
        0,
        1,
        |log, _, _| asked(log, "model", "m") == 4,
    ),
    (
        "--max-tokens 5",
        |_| {},
        0,
        1,
        |log, _, _| asked(log, "max_tokens", 5) == 4,
    ),
    // Without it, the second run would find all of them.
    (
        "--ttl 1ms --cache disk:CACHE",
        |_| {},
        0,
        2,
        |log, _, lines| log.len() == 2 * 4 && all(lines, "/cached", false),
    ),
];

#[test]
fn each_flag_does_what_it_says_and_the_server_hears_nothing_of_our_mock() {
    for (path, (flags, server, held, runs, seen)) in
        PROGRAMS.iter().flat_map(|path| FLAGS.map(|it| (path, it)))
    {
        let (folder, mock) = (Folder::new("flags"), mock(0));
        mock.set(server);
        let (input, cache) = (folder.input(0..4), folder.file("cache.redb"));
        let flags = flags.replace("CACHE", &cache);
        let arguments: Vec<_> = flags.split(' ').chain(["--input", &input]).collect();
        let mut output = String::new();
        for _ in 0..runs {
            let mut running = start(live(path, &mock, &arguments));
            mock.wait_for(PATIENCE, |log| log.len() >= held)
                .unwrap_or_else(|why| panic!("{path} {flags}: {why}"));
            mock.gate("all").open();
            let mut pipe = running.0.stdout.take().expect("it is piped");
            pipe.read_to_string(&mut output).expect("it is UTF-8");
            running.code();
        }
        let lines: Vec<Value> = output
            .lines()
            .map(|line| serde_json::from_str(line).expect("it is JSON"))
            .collect();
        let (log, most) = (mock.log(), mock.stats().peak_in_flight);
        assert_eq!(lines.len(), 4 * runs, "{path} {flags}");
        assert!(
            seen(&log, most, &lines),
            "{path} {flags}: {most} {lines:?} {log:?}"
        );
        let mut headers = log.iter().flat_map(|entry| entry.headers.keys());
        assert!(!headers.any(|name| name.contains("mock")), "{path} {flags}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn at_a_terminal_a_bar_shows_how_fast_it_goes_and_when_it_ends() {
    // That of util-linux, which makes a terminal. Not every system has it.
    if Command::new("script").arg("--version").output().is_err() {
        return;
    }
    for path in PROGRAMS {
        let folder = Folder::new("terminal");
        let output = folder.file("output.jsonl");
        let line = format!("'{path}' --window 300ms --output '{output}'");
        let mut command = program("script", &["-qec", &line, "/dev/null"]);
        // Held open: at its end the terminal would tell the program that nobody will ever type.
        command.stdin(Stdio::piped()).env("TERM", "xterm");
        let mut running = start(command);
        let mut pipe = running.0.stdout.take().expect("it is piped");
        let mut shown = String::new();
        pipe.read_to_string(&mut shown).expect("it is UTF-8");
        assert_eq!(running.code(), Some(0), "{shown}");
        for part in ["/200  ", "/s  ETA ", "200/200 succeeded"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert_eq!(lines(&output).len(), 200);
    }
}

#[test]
fn ordered_answers_are_in_the_order_of_the_input() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("ordered"), mock(0));
        let latency = "1ms..40ms".parse().expect("a latency");
        mock.set(|settings| settings.latency = latency);
        let (input, output) = (folder.input(0..100), folder.file("output.jsonl"));
        let arguments = [
            "--input",
            &input,
            "--output",
            &output,
            "--ordered",
            "--rpm",
            "100000",
        ];
        let (ended, error) = run(live(path, &mock, &arguments));
        assert!(ended.status.success(), "{error}");
        let expected: Vec<_> = (0..100).map(|n| format!("item-{n}")).collect();
        assert_eq!(ids(&lines(&output)), expected);
        let arrivals: Vec<_> = mock.log().iter().map(|entry| entry.last_byte).collect();
        assert!(!arrivals.is_sorted(), "the answers came in another order");
    }
}

// Outputs that end early.

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("head"), mock(5));
        let input = folder.input(0..500);
        let mut running = start(live(path, &mock, &["--input", &input, "--rpm", "100000"]));
        let mut line = String::new();
        let mut pipe = BufReader::new(running.0.stdout.take().expect("it is piped"));
        pipe.read_line(&mut line).expect("it is UTF-8");
        assert!(line.starts_with("{\"custom_id\":\"item-"));
        drop(pipe);
        let code = running.code();
        let mut error = String::new();
        let mut pipe = running.0.stderr.take().expect("it is piped");
        pipe.read_to_string(&mut error).expect("it is UTF-8");
        assert_eq!((code, error.lines().count()), (Some(0), 1), "{error}");
        assert!(mock.log().len() < 500);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_in_the_middle_of_a_line_leaves_whole_lines() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("half"), mock(0));
        let (input, output) = (folder.input(0..100), folder.file("output.jsonl"));
        let files = ["--input", &input, "--output", &output, "--rpm", "100000"];
        // No file may be longer than 20 blocks, which is some lines and a half.
        let limited = "trap '' XFSZ; ulimit -f 20; exec \"$0\" \"$@\"";
        let shell = [&["-c", limited, path][..], &files].concat();
        let (ended, error) = run(live("sh", &mock, &shell));
        assert_eq!(ended.status.code(), Some(1));
        assert!(error.contains(": File too large"), "{error}");
        let kept = lines(&output);
        let told = error
            .lines()
            .filter(|line| line.starts_with("{\"custom_id\""));
        let answered = mock.log().len();
        assert!(!kept.is_empty() && answered < 100);
        assert_eq!(kept.len() + told.count(), answered, "{error}");

        let (ended, error) = run(live(path, &mock, &[&files[..], &["--resume"]].concat()));
        assert!(ended.status.success(), "{error}");
        let done: BTreeSet<_> = ids(&lines(&output)).into_iter().collect();
        assert_eq!((lines(&output).len(), done.len()), (100, 100));
    }
}

#[test]
#[cfg(unix)]
fn a_named_pipe_whose_reader_is_gone_ends_it_too() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("fifo"), mock(1));
        let (input, output) = (folder.input(0..500), folder.file("fifo"));
        let made = Command::new("mkfifo").arg(&output).status();
        assert!(made.expect("there is mkfifo").success());
        let arguments = ["--input", &input, "--output", &output, "--rpm", "100000"];
        let mut running = start(live(path, &mock, &arguments));
        // This waits for the program, and the program for this.
        let mut pipe = BufReader::new(fs::File::open(&output).expect("it is written"));
        let mut line = String::new();
        pipe.read_line(&mut line).expect("it is UTF-8");
        assert!(line.starts_with("{\"custom_id\":\"item-"));
        drop(pipe);
        assert_eq!(running.code(), Some(0));
        assert!(mock.log().len() < 500);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_a_clear_error_and_nothing_that_was_paid_for_is_lost() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("full"), mock(5));
        let arguments = [
            "--input",
            &folder.input(0..200),
            "--output",
            "/dev/full",
            "--rpm",
            "100000",
        ];
        let (ended, error) = run(live(path, &mock, &arguments));
        assert_eq!(ended.status.code(), Some(1));
        assert!(
            error.contains("error: cannot write to /dev/full: No space left on device"),
            "{error}"
        );
        let told: BTreeSet<_> = error
            .lines()
            .filter(|line| line.starts_with("{\"custom_id\""))
            .collect();
        let answered = mock
            .log()
            .iter()
            .filter(|entry| entry.status == Some(200))
            .count();
        assert_eq!(told.len(), answered, "{error}");
        assert!((1..200).contains(&answered), "it stops soon: {answered}");
    }
}

// Called in a wrong way.

#[test]
fn mistakes_in_the_call_end_with_2_and_no_call_is_made() {
    let folder = Folder::new("usage");
    let full = folder.file("full.jsonl");
    fs::write(
        &full,
        "{\"custom_id\":\"a\",\"response\":{},\"error\":null}\n",
    )
    .expect("it can be written");
    let diary = folder.file("diary");
    fs::write(&diary, "my diary").expect("it can be written");
    for path in PROGRAMS {
        for (arguments, says) in [
            (&["--resume"][..], "--resume needs an --output file"),
            (&["--output", &full], "is not empty: add --resume"),
            (
                &["--output", &diary, "--resume"],
                "is something else (line 1 is no line",
            ),
            (&["--retry-failed"], "--resume"),
            (&["--rpm", "0"], "--rpm"),
            (&["--concurrency", "0"], "--concurrency"),
            (&["--cache", "floppy"], "no place for a cache"),
            (&["--deadline", "0s"], "longer than 0"),
            (&["--window", "1s", "--live"], "--live"),
            (&["--frobnicate"], "--frobnicate"),
        ] {
            let (ended, error) = run(program(path, arguments));
            assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {error}");
            assert!(error.contains(says), "{arguments:?}: {error}");
            assert!(ended.stdout.is_empty());
        }
        let mock = mock(0);
        let mut command = live(path, &mock, &[]);
        command.env_remove("OPENAI_API_KEY");
        let (ended, error) = run(command);
        assert_eq!(ended.status.code(), Some(2), "{error}");
        // The lesson's own lines are never sent to a service that bills them.
        let (ended, error) = run(live(path, &mock, &[]));
        assert_eq!(ended.status.code(), Some(2), "{error}");
        assert!(
            error.contains("nothing to ask: name a file with --input"),
            "{error}"
        );
        assert!(mock.log().is_empty());

        let missing = folder.file("missing");
        let (ended, error) = run(program(path, &["--input", &missing]));
        assert_eq!(ended.status.code(), Some(1));
        assert!(
            error.starts_with("error: cannot read ") && error.lines().count() == 1,
            "{error}"
        );
    }
    assert_eq!(fs::read_to_string(&diary).expect("it is there"), "my diary");
}

#[test]
fn who_cannot_begin_finds_the_output_as_it_was() {
    let folder = Folder::new("untouched");
    let (input, output, new) = (
        folder.input(0..1),
        folder.file("output"),
        folder.file("new"),
    );
    let failed = "{\"custom_id\":\"a\",\"response\":null,\"error\":{\"kind\":\"status\"}}\n";
    // One that is to be tried again, and half a line.
    let before = failed.to_owned() + "{\"custom_id\":\"b";
    fs::write(&output, &before).expect("it can be written");
    let missing = folder.file("missing");
    for path in PROGRAMS {
        let mock = mock(0);
        for (input, key, code) in [
            (Some(&input), false, 2),
            (Some(&missing), true, 1),
            (None, true, 2),
        ] {
            for output in [&output, &new] {
                let flags = ["--output", output, "--resume", "--retry-failed"];
                let mut command = live(path, &mock, &flags);
                if let Some(input) = input {
                    command.args(["--input", input]);
                }
                if !key {
                    command.env_remove("OPENAI_API_KEY");
                }
                let (ended, error) = run(command);
                assert_eq!(ended.status.code(), Some(code), "{error}");
            }
            assert_eq!(fs::read_to_string(&output).expect("it is there"), before);
            assert!(!fs::exists(&new).expect("it can be asked"));
        }
    }
}

#[test]
fn any_concurrency_can_be_asked_for() {
    // In the other version each job takes a thread, and these many take a while.
    let [_, path] = PROGRAMS;
    let mock = mock(0);
    let most = usize::MAX.to_string();
    // Without --input it is what is piped in.
    let mut command = live(path, &mock, &["--concurrency", &most]);
    command.stdin(Stdio::piped());
    let mut running = start(command);
    let mut input = running.0.stdin.take().expect("it is piped");
    input.write_all(b"{\"prompt\": \"a\"}\n").expect("it reads");
    drop(input);
    assert_eq!(running.code(), Some(0));
    assert_eq!(mock.log().len(), 1);
}

#[test]
fn an_output_has_one_writer_at_a_time() {
    for path in PROGRAMS {
        let (folder, mock) = (Folder::new("two"), mock(0));
        let (input, output) = (folder.input(0..9), folder.file("output.jsonl"));
        let files = ["--input", &input, "--output", &output, "--resume", "--rpm"];
        let running = start(live(path, &mock, &[&files[..], &["3"]].concat()));
        // The minute is used up, and the program waits.
        mock.wait_for(PATIENCE, |log| log.len() == 3)
            .expect("three arrive");
        let again = [&files[..], &["60", "--retry-failed"]].concat();
        let (ended, error) = run(live(path, &mock, &again));
        assert_eq!(ended.status.code(), Some(1), "{error}");
        assert!(error.contains("is being written by another run"), "{error}");
        assert_eq!(mock.log().len(), 3);
        // Killed, it locks no longer.
        drop(running);
        let (ended, error) = run(live(path, &mock, &again));
        assert!(ended.status.success(), "{error}");
        assert_eq!(lines(&output).len(), 9);
    }
}
