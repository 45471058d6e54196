//! The programs as people run them: in processes of their own, from a shell, in a pipe, at a
//! terminal, and with `--live` against a server that is not ours.
//!
//! That server is wiremock: a mistake that our mock and our clients share would show here.

use std::io::{BufRead, BufReader, ErrorKind, pipe};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use snapbox::assert_data_eq;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// The programs of the patterns, and what one run with one prompt does.
#[derive(Debug, Clone, Copy)]
struct Program {
    name: &'static str,
    /// The requests it sends: whole answers, streams, vectors.
    chats: usize,
    streams: usize,
    embeddings: usize,
    /// What it shows of the server's answers: the result, then the report.
    prints: &'static str,
    reports: &'static str,
    /// The lines of report before the error when its calls fail: for good, and for what may pass.
    fails: (usize, usize),
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "single-request-sync",
        ..SINGLE_REQUEST
    },
    Program {
        name: "single-request-async",
        ..SINGLE_REQUEST
    },
    Program {
        name: "concurrent-requests-sync",
        ..CONCURRENT_REQUESTS
    },
    Program {
        name: "concurrent-requests-async",
        chats: 4,
        prints: "\
Processed 1 prompts in [..]s, in turn
Processed 1 prompts in [..]s, at once
Processed 1 prompts in [..]s, as they come
Processed 1 prompts in [..]s, unbounded
1. positive
",
        ..CONCURRENT_REQUESTS
    },
    Program {
        name: "rate-limited-batch-sync",
        ..RATE_LIMITED_BATCH
    },
    Program {
        name: "rate-limited-batch-async",
        ..RATE_LIMITED_BATCH
    },
    Program {
        name: "streaming-sync",
        ..STREAMING
    },
    Program {
        name: "streaming-async",
        ..STREAMING
    },
    Program {
        name: "multi-service-sync",
        ..MULTI_SERVICE
    },
    Program {
        name: "multi-service-async",
        ..MULTI_SERVICE
    },
    Program {
        name: "caching-sync",
        ..CACHING
    },
    Program {
        name: "caching-async",
        ..CACHING
    },
    Program {
        name: "retry-sync",
        ..RETRY
    },
    Program {
        name: "retry-async",
        ..RETRY
    },
];

const SINGLE_REQUEST: Program = Program {
    name: "single-request",
    chats: 1,
    streams: 0,
    embeddings: 0,
    prints: "positive\n",
    reports: "complete · some-model · 3 + 1 tokens · cost unknown · [..]s\n",
    fails: (0, 0),
};

const CONCURRENT_REQUESTS: Program = Program {
    name: "concurrent-requests",
    chats: 3,
    streams: 0,
    embeddings: 0,
    prints: "\
Processed 1 prompts in [..]s, in turn
Processed 1 prompts in [..]s, at once
Processed 1 prompts in [..]s, as they come
1. positive
",
    reports: "",
    fails: (0, 0),
};

const RATE_LIMITED_BATCH: Program = Program {
    name: "rate-limited-batch",
    chats: 1,
    streams: 0,
    embeddings: 0,
    prints: "Processed 1/1 prompts successfully\n",
    reports: "longest wait for a turn [..]s, longest call [..]s\n",
    // The same line: a batch is reported on however it went.
    fails: (1, 1),
};

const STREAMING: Program = Program {
    name: "streaming",
    chats: 0,
    streams: 1,
    embeddings: 0,
    prints: "positive\n",
    reports: "first token after [..], 2 tokens, [..] · 3 + 2 [..] · complete\n",
    fails: (0, 0),
};

const MULTI_SERVICE: Program = Program {
    name: "multi-service",
    // In turn, and at once.
    chats: 2 * 3,
    streams: 0,
    embeddings: 2,
    prints: "\
Sentiment: positive
Summary: positive
Entities: positive
",
    reports: "\
in turn: [..]s
at once: [..]s
embedding: ok, 2 numbers
sentiment: ok
summary: ok
entities: ok
",
    // Each branch says how it ended.
    fails: (6, 6),
};

const CACHING: Program = Program {
    name: "caching",
    // It asks twice, and the second time is answered from the cache.
    chats: 1,
    streams: 0,
    embeddings: 0,
    prints: "\
Result 1 - Cached: false
Result 2 - Cached: true
saved: 1 call, 4 tokens, [..]
",
    reports: "cache: memory\n",
    fails: (1, 1),
};

const RETRY: Program = Program {
    name: "retry",
    chats: 1,
    streams: 0,
    embeddings: 0,
    prints: "Success!\npositive\n",
    reports: "",
    // A line an attempt: what cannot work is not tried again.
    fails: (1, 5),
};

const KEY: &str = "sk-test-4f1c9b7e2d";

// Live: a server that is not ours.

#[test]
fn live_runs_ask_the_server_they_are_given_with_the_key_they_are_given() {
    let server = Server::start(openai);
    for &program in PROGRAMS {
        let ran = run(&mut ask(program, &server.url()));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_data_eq!(&ran.stdout, program.prints);
        let server_line = "server: [..], model some-model (live: it may be billed)\n";
        assert_data_eq!(&ran.stderr, format!("{server_line}{}", program.reports));

        let requests = server.take_requests();
        for request in &requests {
            let headers = &request.headers;
            assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
            // They are for our mock. A stranger's server may refuse what it does not know.
            assert!(!headers.keys().any(|name| name.as_str().contains("mock")));
            let text = String::from_utf8_lossy(&request.body);
            assert!(text.contains("What is Rust?"), "{program:?}: {text}");
        }
        let count = |kind| {
            requests
                .iter()
                .filter(|seen| Asked::by(seen) == kind)
                .count()
        };
        assert_eq!(
            (
                count(Asked::Chat),
                count(Asked::Stream),
                count(Asked::Embedding)
            ),
            (program.chats, program.streams, program.embeddings),
            "{program:?}"
        );
    }
}

#[test]
fn live_runs_print_one_json_object_where_it_is_asked_for() {
    let server = Server::start(openai);
    for &program in PROGRAMS {
        let ran = run(ask(program, &server.url()).arg("--json"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
        let object: Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
        assert!(object.is_object(), "{ran:?}");
    }
}

#[test]
fn the_model_is_that_of_the_argument_or_else_of_the_variable() {
    let server = Server::start(openai);
    let models = || {
        let requests = server.take_requests();
        let mut chats = requests
            .iter()
            .filter(|request| Asked::by(request) != Asked::Embedding);
        let model = |request: &Request| {
            let body: Value = serde_json::from_slice(&request.body).expect("it is JSON");
            body["model"].clone()
        };
        let first = model(chats.next().expect("something was asked"));
        assert!(chats.all(|request| model(request) == first));
        first
    };
    for &program in PROGRAMS {
        let mut command = ask(program, &server.url());
        run(command.env("OPENAI_MODEL", "from-the-variable"));
        assert_eq!(models(), "from-the-variable", "{program:?}");
        run(command.args(["--model", "from-the-argument"]));
        assert_eq!(models(), "from-the-argument", "{program:?}");
    }
}

#[test]
fn without_a_key_a_live_run_ends_before_any_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("it can be");
    let url = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
    for &program in PROGRAMS {
        // Set but empty is how shells and container files say "not set".
        for key in [None, Some(""), Some("  ")] {
            let mut command = live(program.name, &url);
            match key {
                Some(key) => command.env("OPENAI_API_KEY", key),
                None => command.env_remove("OPENAI_API_KEY"),
            };
            let ran = run(&mut command);
            assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{ran:?}");
            assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
            assert!(ran.stderr.starts_with("error: OPENAI_API_KEY is not set"));
        }
    }
    // Who had connected would be waiting here.
    let nobody = listener.accept().expect_err("nobody has connected");
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
}

#[test]
fn each_failure_is_one_clear_line() {
    let refusing = |status, body: &'static str, kind| {
        Server::start(move |_: &Request| ResponseTemplate::new(status).set_body_raw(body, kind))
    };
    let unauthorized = refusing(
        401,
        r#"{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        "application/json",
    );
    let no_model = refusing(
        404,
        r#"{"error":{"message":"The model `some-model` does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
        "application/json",
    );
    let no_page = refusing(404, r#"{"detail":"Not Found"}"#, "application/json");
    let gateway = refusing(
        502,
        "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n",
        "text/html",
    );
    let greeting = refusing(200, "<html>\nWelcome!\n</html>\n", "text/html");
    // A label of more than 63 characters is refused by the resolver itself, so no network is needed.
    let no_such_host = format!("http://{}.invalid/v1", "a".repeat(64));

    let troubles = [
        (
            "api.openai.com/v1".to_owned(),
            Fails::Unsent,
            "OPENAI_BASE_URL",
        ),
        ("http://".to_owned(), Fails::Unsent, "OPENAI_BASE_URL"),
        (
            "ftp://127.0.0.1/v1".to_owned(),
            Fails::Unsent,
            "OPENAI_BASE_URL",
        ),
        (nobody("/v1"), Fails::ForNow, "cannot connect: 127.0.0.1:"),
        (no_such_host, Fails::ForNow, "cannot connect: aaa"),
        (
            unauthorized.url(),
            Fails::ForGood,
            "Incorrect API key provided. (status 401, code invalid_api_key)",
        ),
        (
            no_model.url(),
            Fails::ForGood,
            "`some-model` does not exist (status 404, code model_not_found)",
        ),
        (no_page.url(), Fails::ForGood, "Not Found (status 404)"),
        (
            gateway.url(),
            Fails::ForNow,
            "is a proxy or gateway in between? (status 502)",
        ),
        (
            greeting.url(),
            Fails::ForGood,
            "the server's answer makes no sense",
        ),
    ];
    let check = |program: Program, (url, fails, reason): &(String, Fails, &str)| {
        let ran = run(&mut ask(program, url));
        assert_eq!(ran.code, Some(1), "{url}: {ran:?}");
        let lines: Vec<_> = ran.stderr.lines().collect();
        let errors = lines.iter().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{ran:?}");
        let last = lines.last().expect("there is one");
        assert!(
            last.starts_with("error: ") && last.contains(reason),
            "{reason}: {ran:?}"
        );
        // Whoever asks one thing gets one answer, behind the line about the server.
        let before = match fails {
            Fails::Unsent => 0,
            Fails::ForGood => 1 + program.fails.0,
            Fails::ForNow => 1 + program.fails.1,
        };
        assert_eq!(lines.len(), before + 1, "{ran:?}");
    };
    each(|program| {
        thread::scope(|scope| {
            for trouble in &troubles {
                scope.spawn(|| check(program, trouble));
            }
        });
    });
}

/// How a call fails.
enum Fails {
    /// Before anything was sent: it was called wrongly.
    Unsent,
    ForGood,
    /// It may work in a moment.
    ForNow,
}

#[test]
fn what_the_other_prompts_and_services_gave_is_shown_beside_a_failure() {
    // The second prompt, and the service for sentiment.
    let server = Server::start(|request: &Request| {
        let text = String::from_utf8_lossy(&request.body);
        if text.contains("bad prompt") || text.contains("What is the sentiment") {
            let body = r#"{"error":{"message":"It is overloaded","code":"overloaded"}}"#;
            ResponseTemplate::new(503).set_body_raw(body, "application/json")
        } else {
            openai(request)
        }
    });
    for &program in PROGRAMS {
        let mut command = live(program.name, &server.url());
        let (shown, error) = match program.name.rsplit_once('-').map(|(pattern, _)| pattern) {
            Some("concurrent-requests") => (
                "[..], in turn, 1 failed\n...\n1. positive\n2. failed: [..]overloaded)\n3. positive\n",
                "1 of 3 prompts failed in turn: ",
            ),
            Some("rate-limited-batch") => (
                "Processed 2/3 prompts successfully\n",
                "1 prompts failed, the first: ",
            ),
            Some("multi-service") => (
                "Sentiment: failed: [..]overloaded)\nSummary: positive\nEntities: positive\n",
                "1 of 4 services gave no answer: sentiment failed: ",
            ),
            _ => continue,
        };
        let prompts = match program.embeddings {
            0 => &["good", "bad prompt", "good"][..],
            // The one text of pattern 5.
            _ => &["Rust is fast"],
        };
        let ran = run(command.args(prompts));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_data_eq!(&ran.stdout, shown);
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("error: {error}")), "{ran:?}");
        assert!(last.contains("It is overloaded"), "{ran:?}");
    }
}

#[test]
fn the_key_is_never_shown_not_even_when_the_server_echoes_it() {
    let refusal = format!(
        r#"{{"error":{{"message":"Incorrect API key provided: {KEY}","type":"{KEY}","code":"{KEY}","param":"{KEY}"}}}}"#
    );
    let unauthorized = Server::start(move |_: &Request| {
        ResponseTemplate::new(401)
            .insert_header("www-authenticate", format!("Bearer {KEY}"))
            .insert_header("x-request-id", KEY)
            .set_body_raw(refusal.clone(), "application/json")
    });
    let page = Server::start(|_: &Request| {
        let page = format!("Not authorized: {KEY}");
        ResponseTemplate::new(403).set_body_raw(page, "text/plain")
    });
    let moved = Server::start(|_: &Request| {
        let place = format!("https://127.0.0.1:9/login?key={KEY}");
        ResponseTemplate::new(307).insert_header("location", place)
    });
    let stream = Server::start(|_: &Request| {
        let event = format!("data: {{\"error\":{{\"message\":\"no credit for {KEY}\"}}}}\n\n");
        ResponseTemplate::new(200).set_body_raw(event, "text/event-stream")
    });
    for (server, why) in [
        (unauthorized, "Incorrect API key provided: ***"),
        (page, "Not authorized: ***"),
        (moved, "it has moved to https://127.0.0.1:9/login?key=***"),
        (stream, ""),
    ] {
        each(|program| {
            let mut command = ask(program, &server.url());
            let ran = run(command.env("RUST_LOG", "trace").arg("--json"));
            assert_eq!(ran.code, Some(1), "{ran:?}");
            // The log is there, and the reason, and so the key had its chance.
            assert!(ran.stderr.contains("TRACE") && ran.stderr.contains("gen_ai"));
            assert!(ran.stderr.contains(why), "{ran:?}");
            assert!(!ran.stdout.contains(KEY), "{}", ran.stdout);
            assert!(!ran.stderr.contains(KEY), "{}", ran.stderr);
        });
    }
}

// Offline: whatever the surroundings are.

#[test]
fn a_proxy_that_is_dead_is_no_matter_to_what_stays_on_this_machine() {
    let server = Server::start(openai);
    let with_dead_proxy = |command: &mut Command| {
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(name, nobody(""));
            command.env(name.to_lowercase(), nobody(""));
        }
        let ran = run(command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    each(|program| {
        with_dead_proxy(offline(program.name).args(["--latency", "1ms"]));
        with_dead_proxy(&mut ask(program, &server.url()));
    });
    with_dead_proxy(offline("tour").args(["--scale", "0.01"]));
}

#[test]
fn a_key_in_the_environment_is_not_used_without_live() {
    let server = Server::start(openai);
    each(|program| {
        let mut command = offline(program.name);
        command.args(["--latency", "1ms"]);
        command.env("OPENAI_BASE_URL", server.url());
        let ran = run(command.env("OPENAI_API_KEY", KEY));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            ran.stderr.starts_with("server: offline mock on 127.0.0.1:"),
            "{ran:?}"
        );
    });
    assert!(server.take_requests().is_empty());
}

#[test]
fn a_mistake_in_the_arguments_ends_with_2_and_says_what_is_right() {
    let tour = |arguments: &'static [&'static str], hint| ("tour", arguments, hint);
    let mut mistakes = vec![
        tour(&["--bogus"], "Usage: cargo tour"),
        tour(
            &["no-such-pattern"],
            "single-request, concurrent-requests, rate-limited-batch, streaming, multi-service",
        ),
        tour(&["--scale", "0"], "a number above 0 and up to 10"),
        tour(&["--scale", "x"], "a number above 0 and up to 10"),
        tour(&["--scale", "inf"], "a number above 0 and up to 10"),
        tour(&["--seed", "x"], "--seed"),
        ("retry-sync", &["--window", "1s"], "Usage: retry-sync"),
        ("retry-async", &["--ttl", "1s"], "Usage: retry-async"),
        (
            "retry-sync",
            &["--schedule", "--json"],
            "cannot be used with",
        ),
    ];
    for &program in PROGRAMS {
        let usage: &[&str] = &["--bogus"];
        mistakes.extend([
            (program.name, usage, program.name),
            (program.name, &["--latency", "soon"], "--latency"),
            (
                program.name,
                &["--live", "--latency", "1ms"],
                "cannot be used with",
            ),
            (
                program.name,
                &["--live", "--seed", "1"],
                "cannot be used with",
            ),
            // It would send the quota of a minute each 1.5 s to a service that bills it.
            (
                program.name,
                &["--live", "--window", "1.5s"],
                "cannot be used with",
            ),
        ]);
        if !program.name.starts_with("retry-") {
            mistakes.push((program.name, &["--schedule"], "for lessons with a schedule"));
        }
    }
    for (program, arguments, hint) in mistakes {
        let ran = run(offline(program).args(arguments));
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains(hint), "{arguments:?}: {ran:?}");
        let named = arguments
            .iter()
            .any(|argument| ran.stderr.contains(argument));
        assert!(named && ran.stderr.starts_with("error: "), "{ran:?}");
    }
}

#[test]
fn the_guides_hundred_prompts_keep_the_limit_of_a_minute_as_long_as_told() {
    for name in ["rate-limited-batch-sync", "rate-limited-batch-async"] {
        let ran = run(offline(name).args(["--window", "1s", "--json"]));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains("60 requests in any 1 s,"), "{ran:?}");
        let object: Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
        let items = object["items"].as_array().expect("it has items");
        assert_eq!(items.len(), 100);
        for (number, item) in items.iter().enumerate() {
            assert_eq!(item["prompt"], format!("Summarize topic {number}"));
            assert!(item["result"].is_string(), "{item}");
        }
    }
}

#[test]
fn both_retries_print_the_true_schedule_and_nothing_else() {
    for program in ["retry-sync", "retry-async"] {
        let ran = run(offline(program).arg("--schedule"));
        assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{ran:?}");
        assert_eq!(ran.stdout, retry::schedule_table());
    }
}

#[test]
fn who_reads_no_further_ends_the_programs_quietly() {
    for lines in [0, 1] {
        quits_quietly(offline("retry-sync").arg("--schedule"), lines);
        each(|program| quits_quietly(offline(program.name).args(["--latency", "50ms"]), lines));
        quits_quietly(offline("tour").args(["--scale", "0.01"]), lines);
        quits_quietly(offline("tour").args(["--scale", "0.01", "--json"]), lines);
    }
}

/// What `program | head -n lines` does to the program.
fn quits_quietly(command: &mut Command, lines: usize) {
    let mut child = command.spawn().expect("it can be started");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    for _ in 0..lines {
        out.read_line(&mut String::new()).expect("it is text");
    }
    drop(out);
    let ran = Ran::from(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.code, Some(0), "{command:?}: {ran:?}");
    assert!(!ran.stderr.contains("error"), "{command:?}: {ran:?}");
}

#[test]
fn who_closes_standard_error_loses_nothing_of_the_result() {
    let closed = |command: &mut Command| {
        let (reader, writer) = pipe().expect("a pipe can be made");
        drop(reader);
        let ran = run(command.stderr(writer));
        // A panic would be 101, and nobody would see its message.
        assert_eq!(ran.code, Some(0), "{command:?}: {ran:?}");
        assert!(!ran.stdout.is_empty(), "{command:?}");
    };
    each(|program| {
        let mut command = offline(program.name);
        command.args(["--latency", "1ms"]);
        closed(command.env("RUST_LOG", "trace"));
    });
    closed(offline("tour").args(["--scale", "0.01", "retry"]));
    // What it can't be told on is no reason to hide that it failed.
    let mut wrong = live("single-request-sync", &nobody("/v1"));
    let (reader, writer) = pipe().expect("a pipe can be made");
    drop(reader);
    assert_eq!(run(wrong.stderr(writer)).code, Some(1));
}

#[test]
fn who_reads_one_line_of_both_outputs_ends_the_programs_quietly() {
    let head = |mut command: Command| {
        let (reader, writer) = pipe().expect("a pipe can be made");
        command.stdout(writer.try_clone().expect("it can be shared"));
        let mut child = command.stderr(writer).spawn().expect("it can be started");
        let mut line = String::new();
        BufReader::new(reader)
            .read_line(&mut line)
            .expect("it is text");
        assert!(line.starts_with("server: "), "{line}");
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{command:?}");
    };
    each(|program| {
        let mut command = offline(program.name);
        command.args(["--latency", "1ms"]);
        head(command);
    });
    let mut tour = offline("tour");
    tour.args(["--scale", "0.01"]);
    head(tour);
}

#[test]
fn the_tour_fits_a_terminal_of_80_columns() {
    // Not at another scale: there are fewer prompts then, and so shorter figures.
    let ran = run(&mut offline("tour"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // At each stop stands its scale, and at the end of the whole tour its time.
    let scales: Vec<_> = ran
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("  the guide's seconds times "))
        .collect();
    let expected = ["0.1", "0.1", "0.025", "0.1", "1", "0.1", "0.1", "0.025"];
    assert_eq!(scales, expected);
    let last = ran.stdout.lines().last().unwrap_or_default();
    assert_data_eq!(last, "The whole tour took [..] s.");
}

#[test]
fn the_tour_shows_of_each_pattern_what_it_teaches() {
    let ran = run(offline("tour").args(["--json", "--scale", "0.01"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let runs: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"))
        .collect();
    let text = |run: &Value, key: &str| run[key].as_str().expect("it is text").to_owned();
    let mut patterns: Vec<_> = runs.iter().map(|run| text(run, "pattern")).collect();
    patterns.dedup();
    assert_eq!(
        patterns,
        [
            "single-request",
            "concurrent-requests",
            "rate-limited-batch",
            "streaming",
            "multi-service",
            "caching",
            "retry",
            "resilient-batch"
        ]
    );
    let mut retries = Vec::new();
    for run in &runs {
        let number = |value: &Value| value.as_u64().expect("it is a number");
        let [requests, ok, failed, attempts] =
            ["requests", "ok", "failed", "attempts"].map(|key| number(&run[key]));
        assert_eq!(ok + failed, requests, "{run}");
        let guides = text(run, "strategy") == "as-written";
        assert!(guides || failed == 0, "{run}");
        if run["window"].is_object() {
            let [limit, fullest] = ["limit", "fullest"].map(|key| number(&run["window"][key]));
            // The guide's limiter breaks it, but on a machine that is busy not every time.
            assert!(guides || fullest <= limit, "{run}");
        }
        match (&*text(run, "pattern"), &*text(run, "strategy")) {
            ("caching", "cache") => assert_eq!((requests, attempts), (10, 1), "{run}"),
            ("retry", _) => retries.push((text(run, "version"), attempts)),
            _ => {}
        }
    }
    let [(sync, first), (awaited, second)] = &retries[..] else {
        panic!("{retries:?}");
    };
    assert_eq!((&**sync, &**awaited), ("sync", "async"));
    assert!(first == second && *first > 1, "{retries:?}");
}

// What a shell can do to them.

#[cfg(unix)]
#[test]
fn too_few_descriptors_are_named_and_cost_no_other_answer() {
    // Slow enough for the answers not to arrive while the connections are being opened.
    let slow = Duration::from_millis(40);
    let mock = ai_mock::Mock::builder().latency(slow).start();
    let mock = mock.expect("a free port");
    // As many as the async one opens without a limit are too many for the usual 40. The sync one
    // never has more than 8 threads, and each program needs about 9 descriptors for itself.
    for (program, prompts, descriptors) in [
        ("concurrent-requests-async", 45, 40),
        ("concurrent-requests-sync", 16, 12),
    ] {
        let limited = |arguments: &[&str]| {
            let direct = live(program, &mock.base_url());
            let mut command = quiet(Command::new("sh"), direct.get_envs());
            command.args([
                "-c",
                &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""),
            ]);
            command.arg(direct.get_program()).args(direct.get_args());
            command.args((0..prompts).map(|number| format!("prompt {number}")));
            run(command.args(arguments))
        };
        let ran = limited(&[]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let error = ran.stderr.lines().last().unwrap_or_default();
        assert!(error.starts_with("error: "), "{ran:?}");
        for words in [
            "prompts failed",
            "Too many open files",
            "limit on open files (ulimit -n)",
        ] {
            assert!(error.contains(words), "{error}");
        }
        // In turn one connection is enough, and so every prompt has been answered once.
        let answered = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
        assert_eq!(
            ran.stdout.lines().filter(answered).count(),
            prompts,
            "{ran:?}"
        );
        assert!(!ran.stdout.contains(". failed"), "{ran:?}");

        let ran = limited(&["--json"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let object: Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
        let runs = object["runs"].as_array().expect("it has runs");
        let mut both = 0;
        for run in runs {
            let items = run["items"].as_array().expect("it has items");
            assert_eq!(items.len(), prompts, "no item is lost");
            let texts = items.iter().filter(|item| item["text"].is_string()).count();
            let errors: Vec<_> = items
                .iter()
                .filter_map(|item| item["error"].as_str())
                .collect();
            assert_eq!(texts + errors.len(), prompts);
            assert!(
                errors.iter().all(|error| error.contains("ulimit -n")),
                "{errors:?}"
            );
            both += usize::from(texts > 0 && !errors.is_empty());
        }
        assert!(
            both > 0,
            "in some run some were answered and some were not: {object}"
        );
    }
}

/// Runs a program at a terminal at which nobody types. `None` where the system has no `script` of
/// util-linux, which makes terminals.
#[cfg(unix)]
fn at_a_terminal(command: &Command) -> Option<Ran> {
    let version = Command::new("script").arg("--version").output().ok()?;
    if !String::from_utf8_lossy(&version.stdout).contains("util-linux") {
        return None;
    }
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let words: Vec<_> = words
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    // The limit is for the case that it does wait for somebody to type.
    let line = format!("timeout --foreground 60 {}", words.join(" "));
    let mut script = quiet(Command::new("script"), command.get_envs());
    script.args(["-qec", &line, "/dev/null"]);
    // Where CI is named, colour is taken for welcome whatever the terminal can show.
    script.env_remove("CI");
    let mut child = script.stdin(Stdio::piped()).spawn().ok()?;
    // Held open: at its end the terminal would tell the program that nobody will ever type.
    let keyboard = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    drop(keyboard);
    Some(Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("it writes UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("it writes UTF-8"),
    })
}

#[cfg(unix)]
#[test]
fn at_a_terminal_nobody_is_waited_for() {
    each(|program| {
        let Some(ran) = at_a_terminal(offline(program.name).args(["--latency", "1ms"])) else {
            return;
        };
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.starts_with("server: offline mock"), "{ran:?}");
    });
}

#[cfg(unix)]
#[test]
fn the_tour_is_coloured_at_a_terminal_unless_somebody_does_not_want_it() {
    let tour = || {
        let mut command = offline("tour");
        command.args(["--scale", "0.01", "single-request"]);
        command.env("TERM", "xterm");
        command
    };
    // In a pipe there is no colour: `run` sees to that.
    let plain = run(&mut tour());
    assert_eq!(plain.code, Some(0), "{plain:?}");
    let Some(coloured) = at_a_terminal(&tour()) else {
        return;
    };
    assert_eq!(coloured.code, Some(0), "{coloured:?}");
    assert!(coloured.stdout.contains("\u{1b}["), "{coloured:?}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let unwanted = at_a_terminal(tour().env(name, value)).expect("as before");
        assert_eq!(unwanted.code, Some(0), "{unwanted:?}");
        assert!(!unwanted.stdout.contains('\u{1b}'), "{name}: {unwanted:?}");
    }
}

// The programs.

/// Checks all of them at once: they mostly wait.
fn each(check: impl Fn(Program) + Sync) {
    thread::scope(|scope| {
        for &program in PROGRAMS {
            let check = &check;
            scope.spawn(move || check(program));
        }
    });
}

/// Where they are: beside the test's own folder.
static PROGRAM_FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let tour = Path::new(env!("CARGO_BIN_EXE_tour"));
    let folder = tour.parent().expect("it is in a folder");
    let target = folder.parent().expect("which is one of the target folder");
    // Cargo has built `tour` for this test, but not the programs of other packages. It is asked
    // even where they are there: they may be old. Where nothing has changed this takes no time.
    // Not by `--package`, which would build their dependencies once more, with other features than
    // `cargo run --bin` does.
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--target-dir"]).arg(target);
    for &program in PROGRAMS {
        build.args(["--bin", program.name]);
    }
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status();
    assert!(status.expect("cargo can be started").success());
    folder.to_owned()
});

/// A place on a server that nobody runs: its port is bound, so that nobody else gets it meanwhile.
fn nobody(path: &str) -> String {
    static PORT: LazyLock<TcpSocket> = LazyLock::new(|| {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        let any_port = "127.0.0.1:0".parse().expect("it is an address");
        socket.bind(any_port).expect("a free port");
        socket
    });
    let address = PORT.local_addr().expect("it is bound");
    format!("http://{address}{path}")
}

/// A run with nothing in its environment but what is said here.
fn offline(program: &str) -> Command {
    quiet(Command::new(PROGRAM_FOLDER.join(program)), [])
}

/// A run against a server elsewhere, with one prompt.
fn ask(program: Program, base_url: &str) -> Command {
    let mut command = live(program.name, base_url);
    command.arg("What is Rust?");
    command
}

/// A run against a server elsewhere.
fn live(program: &str, base_url: &str) -> Command {
    let mut command = offline(program);
    command.arg("--live").env("OPENAI_BASE_URL", base_url);
    command
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_MODEL", "some-model");
    command
}

fn quiet<'a>(
    mut command: Command,
    environment: impl IntoIterator<Item = (&'a std::ffi::OsStr, Option<&'a std::ffi::OsStr>)>,
) -> Command {
    command.env_clear().env("CI", "true");
    for name in ["PATH", "SYSTEMROOT"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    let set = environment.into_iter();
    command.envs(set.filter_map(|(name, value)| Some((name, value?))));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// How a run ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    /// Checks what holds for every run of every program: what goes into a pipe is plain lines, and
    /// nothing looks as if the program had not known what happened to it.
    fn from(output: Output) -> Ran {
        let ran = Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("it writes UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("it writes UTF-8"),
        };
        for text in [&ran.stdout, &ran.stderr] {
            let moves = |letter: char| letter.is_control() && letter != '\n';
            assert!(
                !text.contains(moves),
                "colour or progress in a pipe: {ran:?}"
            );
            let dumps = [
                "panicked",
                "RUST_BACKTRACE",
                "Some(",
                "Err(",
                "Error {",
                "reqwest::",
            ];
            let log = text.contains("TRACE");
            let dumped = dumps.iter().any(|dump| text.contains(dump));
            assert!(log || !dumped, "a panic or a dump: {ran:?}");
        }
        ran
    }
}

fn run(command: &mut Command) -> Ran {
    Ran::from(command.output().expect("it can be started"))
}

// The server.

/// A server that is not ours.
struct Server {
    server: MockServer,
    runtime: Runtime,
}

impl Server {
    fn start(answer: impl Respond + 'static) -> Server {
        let runtime = Runtime::new().expect("a runtime can be built");
        let server = runtime.block_on(async {
            let server = MockServer::start().await;
            Mock::given(any()).respond_with(answer).mount(&server).await;
            server
        });
        Server { server, runtime }
    }

    fn url(&self) -> String {
        format!("{}/v1", self.server.uri())
    }

    /// The requests since this was asked last, to the last of them one of OpenAI's.
    fn take_requests(&self) -> Vec<Request> {
        self.runtime.block_on(async {
            let requests = self.server.received_requests().await;
            self.server.reset().await;
            Mock::given(any())
                .respond_with(openai)
                .mount(&self.server)
                .await;
            requests.expect("they are recorded")
        })
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Chat,
    Stream,
    Embedding,
}

impl Asked {
    fn by(request: &Request) -> Asked {
        assert_eq!(request.method.as_str(), "POST");
        let body: Value = serde_json::from_slice(&request.body).expect("it is JSON");
        match request.url.path() {
            "/v1/embeddings" => Asked::Embedding,
            "/v1/chat/completions" if body["stream"] == true => Asked::Stream,
            "/v1/chat/completions" => Asked::Chat,
            other => panic!("nobody serves {other}"),
        }
    }
}

/// What OpenAI's service would answer, if its model had but one thing to say.
fn openai(request: &Request) -> ResponseTemplate {
    let (body, kind) = match Asked::by(request) {
        Asked::Chat => (
            r#"{"id":"c","object":"chat.completion","created":1,"model":"some-model","choices":[{"index":0,"message":{"role":"assistant","content":"positive","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#,
            "application/json",
        ),
        Asked::Stream => (
            r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"some-model","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"some-model","choices":[{"index":0,"delta":{"content":"posi"},"finish_reason":null}],"usage":null}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"some-model","choices":[{"index":0,"delta":{"content":"tive"},"finish_reason":null}],"usage":null}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"some-model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"some-model","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}

data: [DONE]

"#,
            "text/event-stream; charset=utf-8",
        ),
        Asked::Embedding => (
            r#"{"object":"list","model":"some-embedding-model","data":[{"object":"embedding","index":0,"embedding":[0.6,0.8]}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#,
            "application/json",
        ),
    };
    ResponseTemplate::new(200).set_body_raw(body, kind)
}
