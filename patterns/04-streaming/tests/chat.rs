//! The relay of the chat page, as the page sees it: what it gets, when, and what the model's server
//! has in its log. `page.rs` does the same in a browser.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ai_core::protocol::sse::SseDecoder;
use ai_core::{AsyncClient, CallOptions, Config};
use ai_mock::{Gate, Mock, Script};
use serde_json::{Value, json};
use tokio::time::timeout;

#[path = "../examples/chat.rs"]
#[allow(dead_code)]
mod chat;

const PROMPT: &str = "Write a short story";

/// For what is sure to happen. Only a failing test waits as long as this.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn tokens_reach_the_page_one_by_one() {
    let relay = Relay::start(Script::Normal).await;
    let mut answer = relay.ask(PROMPT).await;

    let mut text = String::new();
    for _ in 0..5 {
        // The next one is not sent before this one is here.
        relay.gate.release(1);
        text += &answer.piece().await;
    }
    relay.gate.open();
    let (rest, end) = answer.rest().await;

    assert_eq!(text + &rest, relay.whole(PROMPT).await);
    assert_eq!(end["whole"], true);
    let words = end["words"].as_str().expect("it has words");
    assert!(
        words.starts_with("first token after ") && words.ends_with(" · complete"),
        "{words}"
    );
}

#[tokio::test]
async fn a_page_that_stops_or_closes_ends_the_generation_in_mid_silence() {
    for tokens in [0, 1, 3] {
        let relay = Relay::start(Script::Normal).await;
        let mut answer = relay.ask(PROMPT).await;
        relay.gate.release(tokens);
        for _ in 0..tokens {
            answer.piece().await;
        }
        relay.arrived(1).await;

        // The gate is shut: no further token comes by which the relay could notice.
        drop(answer);

        assert_eq!(relay.left_at().await, tokens as u32);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_whole_says_why_in_its_last_event() {
    let cases = [
        // Before the first token: still an event, not a status.
        (Script::Unauthorized, 0, "the server refused: "),
        (Script::Html429, 0, "rate limited: "),
        (Script::QuotaExhausted, 0, "quota"),
        (
            Script::ResetBeforeHeaders,
            0,
            "the connection broke before the answer began",
        ),
        (Script::NeverAnswers, 0, "did not begin to answer"),
        (Script::Refusal, 0, "refused: "),
        // In the stream.
        (Script::ErrorMidStream, 2, "the server failed: "),
        (Script::Malformed, 2, "makes no sense"),
        (Script::Stall, 1, "fell silent"),
        // A cut is told as a cut.
        (
            Script::Truncated,
            2,
            "the stream ended before the model had finished",
        ),
        (
            Script::ResetMidChunk,
            2,
            "the connection broke in mid-answer",
        ),
    ];
    for (script, tokens, why) in cases {
        let relay = Relay::start(script).await;
        relay.gate.open();
        let (text, end) = relay.ask(PROMPT).await.rest().await;

        assert_eq!(end["whole"], false, "{script}");
        let words = end["words"].as_str().expect("it has words");
        assert!(words.contains(why), "{script}: {words}");
        assert!(!words.contains("sk-test"), "{script}: {words}");
        assert_eq!(text.is_empty(), tokens == 0, "{script}: {text}");
        assert!(
            relay.whole(PROMPT).await.starts_with(&text),
            "{script}: {text}"
        );
    }
}

#[tokio::test]
async fn two_tabs_at_once_do_not_mix_and_one_outlives_the_other() {
    let relay = Relay::start(Script::Normal).await;
    let prompts = [
        "Tell a story about a lighthouse",
        "Tell a story about a violin",
    ];
    let mut first = relay.ask(prompts[0]).await;
    relay.arrived(1).await;
    let mut second = relay.ask(prompts[1]).await;
    relay.arrived(2).await;

    let mut texts = [String::new(), String::new()];
    for _ in 0..4 {
        // The gate is fair: both have waited, so each gets one.
        relay.gate.release(2);
        texts[0] += &first.piece().await;
        texts[1] += &second.piece().await;
    }
    drop(first);
    assert_eq!(relay.left_at().await, 4);
    relay.gate.open();
    let (rest, end) = second.rest().await;

    let [stopped, whole] = texts;
    assert!(relay.whole(prompts[0]).await.starts_with(&stopped));
    assert_eq!(whole + &rest, relay.whole(prompts[1]).await);
    assert_eq!(end["whole"], true);
}

#[tokio::test]
async fn the_whole_conversation_goes_to_the_model_as_it_is() {
    let relay = Relay::start(Script::Normal).await;
    relay.gate.open();
    let messages = json!([
        {"role": "user", "content": "Say \"hello\"\nin <b>two</b> lines"},
        {"role": "assistant", "content": "Hel\r\nlo"},
        {"role": "user", "content": "Again"},
    ]);
    relay
        .post(&json!({"messages": messages}))
        .await
        .rest()
        .await;

    let body = &relay.mock.log()[0].body;
    assert_eq!(body["messages"], messages);
    assert_eq!(body["stream"], true);
    assert_eq!(body["model"], ai_core::DEFAULT_MODEL);
}

#[tokio::test]
async fn what_is_no_conversation_is_refused_and_never_reaches_the_model() {
    let relay = Relay::start(Script::Normal).await;
    // As the form of a foreign site could send it, without asking.
    let form = relay
        .http
        .post(&relay.url)
        .header("content-type", "text/plain");
    let form = form.body(json!({"messages": []}).to_string()).send().await;
    assert_eq!(form.expect("it answers").status(), 415);
    let other = relay
        .http
        .post(&relay.url)
        .json(&json!({"question": PROMPT}));
    let other = other.send().await.expect("it answers");
    assert_eq!(other.status(), 422);
    let words = other.text().await.expect("it has a body");
    assert!(words.contains("missing field `messages`"), "{words}");

    let (_, end) = relay.post(&json!({"messages": []})).await.rest().await;
    assert_eq!(end["words"], "the request has no messages");
    assert!(relay.mock.log().is_empty());
}

#[tokio::test]
async fn a_foreign_name_for_this_address_is_refused_and_never_reaches_the_model() {
    let relay = Relay::start(Script::Normal).await;
    relay.gate.open();
    let conversation = json!({"messages": [{"role": "user", "content": PROMPT}]});
    let address = relay.url.trim_start_matches("http://");
    let port = address.trim_end_matches("/chat").rsplit(':').next();
    let port = port.expect("it has one");
    let ask = async |host: String| {
        let request = relay.http.post(&relay.url).header("host", &host);
        let answer = request.json(&conversation).send().await;
        answer.expect("it answers")
    };
    // A site that makes its own name lead here (DNS rebinding) is of one origin with us for the
    // browser, which asks nobody. But it sends that name.
    for foreign in [
        format!("evil.test:{port}"),
        format!("127.0.0.1.evil.test:{port}"),
        format!("localhost.:{port}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        "localhost".to_owned(),
    ] {
        let answer = ask(foreign.clone()).await;
        assert_eq!(answer.status(), 403, "{foreign}");
        let page = relay.url.trim_end_matches("chat");
        let page = relay.http.get(page).header("host", &foreign).send().await;
        assert_eq!(page.expect("it answers").status(), 403, "{foreign}");
    }
    assert!(relay.mock.log().is_empty());
    for own in ["127.0.0.1", "localhost", "[::1]"] {
        let answer = Answer::of(ask(format!("{own}:{port}")).await);
        assert_eq!(answer.rest().await.1["whole"], true, "{own}");
    }
}

#[tokio::test]
async fn the_page_needs_nothing_but_itself() {
    let relay = Relay::start(Script::Normal).await;
    let page = relay
        .http
        .get(relay.url.trim_end_matches("chat"))
        .send()
        .await;
    let page = page
        .expect("it answers")
        .text()
        .await
        .expect("it has a body");
    assert!(page.contains("<title>Chat</title>"));
    for elsewhere in ["http:", "https:", "//cdn", "src=", "@import"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}

// The program.

#[tokio::test]
async fn the_program_prints_its_address_and_serves_there() {
    let mut child = Command::new(program())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    out.read_line(&mut line).expect("it prints a line");
    // Whoever has read that may go.
    drop(out);

    let url = line.trim_end();
    assert!(
        url.starts_with("http://127.0.0.1:") && url.ends_with('/'),
        "{url}"
    );
    let http = http();
    let page = http.get(url).send().await.expect("it serves");
    assert!(page.text().await.expect("it has a body").contains("Chat"));
    let answer = http.post(format!("{url}chat"));
    let answer = answer.json(&json!({"messages": [{"role": "user", "content": "Hi"}]}));
    let (text, end) = Answer::of(answer.send().await.expect("it answers"))
        .rest()
        .await;
    assert!(!text.is_empty());
    assert_eq!(end["whole"], true);

    child.kill().expect("it runs");
    let done = child.wait_with_output().expect("it ends");
    let report = String::from_utf8(done.stderr).expect("it writes UTF-8");
    assert!(
        report.starts_with("server: offline mock on 127.0.0.1:"),
        "{report}"
    );
    assert_eq!(report.lines().count(), 1, "{report}");
}

#[test]
fn a_mistake_in_calling_it_is_2_and_a_port_that_is_taken_1() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(program());
        command.args(arguments).env_remove("OPENAI_API_KEY");
        let done = command
            .stdin(Stdio::null())
            .output()
            .expect("it can be started");
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    for wrong in [
        &["--port", "65536"][..],
        &["--port", "x"],
        &["--colour"],
        &["--live", "--seed", "1"],
        &["Hi"],
    ] {
        let (code, report) = run(wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {report}");
        assert!(
            report.starts_with("error: ") && report.contains("--help"),
            "{report}"
        );
    }
    let (code, report) = run(&["--live"]);
    assert_eq!(code, Some(2), "{report}");
    assert!(
        report.starts_with("error: OPENAI_API_KEY is not set"),
        "{report}"
    );

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let (code, report) = run(&["--port", &port]);
    assert_eq!(code, Some(1), "{report}");
    let last = report.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(&format!("error: cannot listen on 127.0.0.1:{port}: ")),
        "{report}"
    );
}

/// The example. `cargo test` builds it, but with `--test` it builds the tests alone.
fn program() -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_streaming-async")).with_file_name("examples");
    let program = programs.join(format!("chat{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "first: cargo build -p streaming --example chat"
    );
    program
}

// What the tests share.

/// A relay in front of a mock whose tokens wait at a gate.
struct Relay {
    mock: Mock,
    gate: Gate,
    url: String,
    http: reqwest::Client,
}

impl Relay {
    async fn start(script: Script) -> Relay {
        let mock = Mock::builder().script(script).gate("tab").start();
        let mock = mock.expect("a free port");
        // Only those scripts wait for it that are silent.
        let silence = CallOptions::new().silence(match script {
            Script::Stall | Script::NeverAnswers => Duration::from_millis(300),
            _ => LONG,
        });
        let client = client(&mock).with(silence).expect("they can be sent");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(chat::serve(listener, client));
        Relay {
            gate: mock.gate("tab"),
            mock,
            url: format!("http://{address}/chat"),
            http: http(),
        }
    }

    async fn ask(&self, prompt: &str) -> Answer {
        let messages = json!([{"role": "user", "content": prompt}]);
        self.post(&json!({"messages": messages})).await
    }

    async fn post(&self, body: &Value) -> Answer {
        let response = self.http.post(&self.url).json(body).send().await;
        Answer::of(response.expect("it answers"))
    }

    /// What the model answers to this when nothing goes wrong.
    async fn whole(&self, prompt: &str) -> String {
        let mock = Mock::start().expect("a free port");
        client(&mock)
            .generate_text(prompt)
            .await
            .expect("it answers")
    }

    async fn arrived(&self, requests: usize) {
        let arrived = self.mock.wait_for_async(LONG, |log| log.len() == requests);
        arrived.await.expect("it asks the model");
    }

    /// Waits until the model's server has seen a client leave; after how many tokens that was.
    async fn left_at(&self) -> u32 {
        let left = |log: &[ai_mock::Entry]| log.iter().find_map(|entry| entry.left_at_token);
        let log = self
            .mock
            .wait_for_async(LONG, |log| left(log).is_some())
            .await;
        left(&log.expect("the relay leaves")).expect("it was just seen")
    }
}

/// An answer as the page reads it.
struct Answer {
    response: reqwest::Response,
    decoder: SseDecoder,
    unread: Vec<u8>,
}

impl Answer {
    fn of(response: reqwest::Response) -> Answer {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Answer {
            response,
            decoder: SseDecoder::new(1 << 20),
            unread: vec![],
        }
    }

    /// The next event, by name and data; none at the end of the body.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            let mut rest = &self.unread[..];
            let event = self
                .decoder
                .next(&mut rest)
                .expect("the relay sends events");
            let event = event.map(|event| (event.name.into_owned(), event.data.into_owned()));
            self.unread = rest.to_vec();
            if let Some((name, data)) = event {
                return Some((name, serde_json::from_str(&data).expect("the data is JSON")));
            }
            let piece = timeout(LONG, self.response.chunk()).await;
            self.unread = piece.expect("it comes").expect("the relay stays")?.to_vec();
        }
    }

    async fn piece(&mut self) -> String {
        match self.event().await {
            Some((name, Value::String(text))) if name == "text" => text,
            other => panic!("a piece of text was due: {other:?}"),
        }
    }

    /// All text that is still to come, and the end, after which nothing comes.
    async fn rest(mut self) -> (String, Value) {
        let mut text = String::new();
        loop {
            let (name, data) = self.event().await.expect("an end is told");
            match (name.as_str(), data) {
                ("text", Value::String(piece)) => text += &piece,
                ("end", end) => {
                    assert_eq!(self.event().await, None);
                    return (text, end);
                }
                other => panic!("no such event is known to the page: {other:?}"),
            }
        }
    }
}

fn client(mock: &Mock) -> AsyncClient {
    let config = Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid");
    AsyncClient::new(config).expect("a client can be built")
}

fn http() -> reqwest::Client {
    ai_core::install_tls_provider();
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("a client can be built")
}
