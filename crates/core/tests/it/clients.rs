//! The clients around the protocol: secrets, threads and tasks, proxies, cancellation, connections,
//! and settings that can't work.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_core::protocol::error::KEPT_TEXT;
use ai_core::{
    AsyncClient, CallOptions, ChatRequest, Config, DEFAULT_BASE_URL, DEFAULT_MODEL, Error, Event,
    FinishReason, SyncClient,
};
use ai_mock::{Entry, Mock, Script};
use futures::StreamExt;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::filter::LevelFilter;
use wiremock::matchers::any;
use wiremock::{MockServer, Request, ResponseTemplate};

use crate::twins::{self, Call, KEY, Twin, Twins, runtime};

/// Longer than any test waits; a test that comes near it fails.
const LONG: Duration = Duration::from_secs(30);

fn request() -> ChatRequest {
    ChatRequest::new("gpt-4o-mini", "Say hi")
}

/// Runs the test that calls this once more, in a process of its own with this environment, and
/// answers whether this is that process.
fn in_own_process(test: &str, environment: &[(&str, &str)]) -> bool {
    const MARK: &str = "AI_CORE_TEST_IN_OWN_PROCESS";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"));
    child.args([test, "--exact", "--nocapture"]).env(MARK, "1");
    for proxy in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ] {
        child.env_remove(proxy);
    }
    let output = child
        .envs(environment.iter().copied())
        .output()
        .expect("it can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{complained}"
    );
    false
}

// --- The key ---

/// Collects what is logged.
#[derive(Debug, Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .expect("no writer panics")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Answers in the way that the path names, and quotes the key in all that it says.
fn echo(request: &Request) -> ResponseTemplate {
    let bearer = request.headers["authorization"]
        .to_str()
        .expect("it is text")
        .to_owned();
    let key = bearer.trim_start_matches("Bearer ").to_owned();
    let error = json!({"error": {"message": format!("Incorrect API key: {key}."), "code": key, "type": key, "param": key}});
    let plain =
        |status, body: String| ResponseTemplate::new(status).set_body_raw(body, "application/json");
    let stream = |data: String| {
        ResponseTemplate::new(200).set_body_raw(format!("data: {data}\n\n"), "text/event-stream")
    };
    let way = request.url.path_segments().and_then(|mut path| path.next());
    let answer = match way.expect("a path has a beginning") {
        "status" => plain(401, error.to_string()),
        "rate-limited" => plain(429, error.to_string()),
        "text" => plain(500, format!("you sent {bearer}")),
        "text-cut-in-the-key" => plain(
            500,
            format!("{}{key}", "x".repeat(KEPT_TEXT - key.len() / 2)),
        ),
        "server" => plain(200, error.to_string()),
        "malformed" => plain(200, format!("you sent {bearer}")),
        "malformed-cut-in-the-key" => plain(
            200,
            format!("{}{key}", "x".repeat(KEPT_TEXT - key.len() / 2)),
        ),
        "malformed-field" => plain(200, json!({"choices": key, "data": key}).to_string()),
        "encoding" => plain(200, error.to_string()).insert_header("content-encoding", &*key),
        "stream-error" => stream(error.to_string()),
        "stream-malformed" => stream(format!("{{\"choices\": {key}")),
        other => panic!("{other} is no way to answer"),
    };
    answer
        .insert_header("x-echo", &*bearer)
        .insert_header("x-request-id", &*key)
}

const WAYS: &[&str] = &[
    "status",
    "rate-limited",
    "text",
    "text-cut-in-the-key",
    "server",
    "malformed",
    "malformed-cut-in-the-key",
    "malformed-field",
    "encoding",
    "stream-error",
    "stream-malformed",
];

#[test]
fn the_key_is_in_no_debug_display_or_trace() {
    // The blocking client does its work on a thread of its own, which only a subscriber of the
    // whole process hears.
    if !in_own_process("clients::the_key_is_in_no_debug_display_or_trace", &[]) {
        return;
    }
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let mut shown = String::new();
    let mut show = |value: &dyn Debug| shown += &format!("{value:?}\n{value:#?}\n");

    let mock = twins::mock();
    let twins = Twins::of(&mock.base_url());
    // A key that is given as a header is as secret.
    let options = CallOptions::new().header("api-key", KEY);
    show(&(&twins, twins.sync.config(), &options));
    show(&(
        twins.sync.with(options.clone()).unwrap(),
        twins.asynchronous.with(options).unwrap(),
    ));
    show(&CallOptions::new().header("bad name", KEY));
    for twin in Twin::BOTH {
        show(&twins.error(
            twin,
            &CallOptions::new().header("bad name", KEY),
            &Call::chat("x"),
        ));
        show(&twins.error(
            twin,
            &CallOptions::new().header("x-bad", format!("{KEY}\n")),
            &Call::chat("x"),
        ));
        for script in [
            "normal",
            "unauthorized",
            "malformed",
            "reset-mid-chunk",
            "error-mid-stream",
        ] {
            let options = CallOptions::new().header("x-mock-script", script);
            for call in [
                Call::chat("Say hi"),
                Call::stream("Say hi"),
                Call::embed("hi"),
            ] {
                show(&twins.call(twin, &options, &call));
            }
        }
    }
    show(&twins.sync.chat(&request()).unwrap());
    let mut stream = twins.sync.chat_stream(&request()).unwrap();
    show(&stream.next());
    show(&stream);

    let runtime = runtime();
    let server = runtime.block_on(MockServer::start());
    runtime.block_on(
        wiremock::Mock::given(any())
            .respond_with(echo)
            .mount(&server),
    );
    let mut kinds = BTreeSet::new();
    for way in WAYS {
        let twins = Twins::of(&format!("{}/{way}", server.uri()));
        for twin in Twin::BOTH {
            for call in [Call::chat("p"), Call::stream("p"), Call::embed("p")] {
                let error = twins.error(twin, &CallOptions::new(), &call);
                kinds.insert(error.kind());
                show(&(
                    &error,
                    error.to_string(),
                    error.refusal().map(ToString::to_string),
                ));
            }
        }
    }
    let kinds: Vec<_> = kinds.into_iter().collect();
    let expected = [
        "malformed",
        "rate_limited",
        "server",
        "status",
        "unsupported_encoding",
    ];
    assert_eq!(kinds, expected);

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    for sign_of_life in ["gen_ai", "answered", "failed", "rate_limited"] {
        assert!(
            log.contains(sign_of_life),
            "{sign_of_life} is not in the log"
        );
    }
    // Half of the key would be too much as well.
    for part in [&KEY[..KEY.len() / 2], &KEY[KEY.len() / 2..]] {
        for (what, text) in [("a value", &shown), ("the log", &log)] {
            let line = text.lines().find(|line| line.contains(part));
            assert_eq!(line, None, "{what} shows {part}");
        }
    }
}

#[test]
fn a_word_that_is_no_secret_stays_in_the_servers_messages() {
    let runtime = runtime();
    let server = runtime.block_on(MockServer::start());
    let answer = ResponseTemplate::new(404).set_body_string("ollama has no such model");
    runtime.block_on(
        wiremock::Mock::given(any())
            .respond_with(answer)
            .mount(&server),
    );
    let twins = Twins::new(Config::new(&server.uri(), "ollama").unwrap());
    for twin in Twin::BOTH {
        let error = twins.error(twin, &CallOptions::new(), &Call::chat("p"));
        assert_eq!(error.refusal().unwrap().message, "ollama has no such model");
    }
}

#[test]
fn each_call_is_told_in_the_words_of_opentelemetry_and_alike_by_both() {
    // Whether a log line is wanted is remembered for the process, so other tests would disturb it.
    if !in_own_process(
        "clients::each_call_is_told_in_the_words_of_opentelemetry_and_alike_by_both",
        &[],
    ) {
        return;
    }
    let mock = twins::mock();
    let twins = Twins::of(&mock.base_url());
    let limited = CallOptions::new().header("x-mock-script", "numeric-code");
    let told = |twin, options: &CallOptions, call: &Call| {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || twins.outcome(twin, options, call));
        let log = captured.0.lock().unwrap().clone();
        // Times differ from call to call, and request ids.
        let words = String::from_utf8(log).unwrap();
        let steady = words
            .split_whitespace()
            .map(|word| match word.split_once('=') {
                Some((name @ ("gen_ai.response.time_to_first_chunk" | "elapsed"), _)) => name,
                _ if word.starts_with("req_") => "REQUEST",
                _ => word,
            });
        steady.collect::<Vec<_>>().join(" ")
    };
    let none = CallOptions::new();
    let cases = [
        (
            &none,
            Call::chat("Say hi"),
            &[
                "INFO",
                "gen_ai.operation.name=\"chat\"",
                "gen_ai.request.model=\"gpt-4o-mini\"",
                "gen_ai.response.model=",
                "gen_ai.usage.input_tokens=8",
                "gen_ai.usage.output_tokens=4",
                "answered",
                "elapsed",
            ][..],
        ),
        (
            &none,
            Call::stream("Say hi"),
            &[
                "gen_ai.operation.name=\"chat\"",
                "gen_ai.response.time_to_first_chunk",
                "gen_ai.response.model=",
                "gen_ai.usage.output_tokens=4",
                "answered",
            ][..],
        ),
        (
            &none,
            Call::embed("hi"),
            &[
                "gen_ai.operation.name=\"embeddings\"",
                "gen_ai.usage.input_tokens=",
                "answered",
            ][..],
        ),
        (
            &limited,
            Call::chat("Say hi"),
            &[
                "WARN",
                "error.type=\"rate_limited\"",
                "failed",
                "Rate limit exceeded.",
            ][..],
        ),
        (
            &limited,
            Call::stream("Say hi"),
            &["WARN", "error.type=\"rate_limited\"", "failed"][..],
        ),
    ];
    for (options, call, words) in cases {
        let [by_sync, by_async] = Twin::BOTH.map(|twin| told(twin, options, &call));
        assert_eq!(by_sync, by_async, "{call:?}");
        for word in words {
            assert!(by_sync.contains(word), "{word} is not in {by_sync}");
        }
    }
}

#[test]
fn a_call_whose_caller_leaves_is_told_as_cancelled() {
    let test = "clients::a_call_whose_caller_leaves_is_told_as_cancelled";
    if !in_own_process(test, &[]) {
        return;
    }
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let mock = Mock::builder().answer_tokens(10_000).start().unwrap();
    let twins = Twins::of(&mock.base_url());

    drop(twins.sync.chat_stream(&request()).unwrap());
    twins.runtime.block_on(async {
        drop(twins.asynchronous.chat_stream(&request()).await.unwrap());
        let silent = CallOptions::new().header("x-mock-script", "never-answers");
        let client = twins.asynchronous.with(silent).unwrap();
        let request = request();
        let call = client.chat(&request);
        let limit = Duration::from_millis(100);
        tokio::time::timeout(limit, call).await.unwrap_err();
    });

    let log = captured.0.lock().expect("no writer panics");
    let log = String::from_utf8_lossy(&log).into_owned();
    let told = log
        .lines()
        .filter(|line| line.contains(r#"error.type="cancelled""#));
    assert_eq!(told.count(), 3, "{log}");
}

#[test]
fn a_secret_that_is_no_ascii_is_hidden_too() {
    let runtime = runtime();
    let server = runtime.block_on(MockServer::start());
    let answer = ResponseTemplate::new(400).set_body_string("schlüssel-1234 is no good");
    let answer = wiremock::Mock::given(any()).respond_with(answer);
    runtime.block_on(answer.mount(&server));
    let twins = Twins::of(&server.uri());
    let options = CallOptions::new().header("api-key", "schlüssel-1234");
    for twin in Twin::BOTH {
        let error = twins.error(twin, &options, &Call::chat("Say hi"));
        assert!(error.to_string().contains("*** is no good"), "{error}");
    }
}

// --- Threads and tasks ---

/// Uses a blocking client in every way there is; all of it must do the same.
fn use_sync_client(mock: &Mock, client: &SyncClient) -> Result<(), Error> {
    let results = [
        client.chat(&request()).map(drop),
        client.generate_text("Say hi").map(drop),
        client.chat_stream(&request()).map(drop),
        client
            .embed(&ai_core::EmbeddingRequest::new("m", ["x"]))
            .map(drop),
        SyncClient::new(client.config().clone()).map(drop),
        client.with(CallOptions::new().silence(LONG * 2)).map(drop),
    ];
    let failed = results.iter().filter(|result| result.is_err()).count();
    assert!(failed == 0 || failed == results.len(), "{results:?}");
    assert!(mock.stats().in_flight < 10);
    results.into_iter().collect()
}

fn assert_refused(result: &Result<(), Error>, place: &str) {
    let Err(Error::Config(message)) = result else {
        panic!("{place}: {result:?}")
    };
    assert!(
        message.contains("AsyncClient") && message.contains("spawn_blocking"),
        "{message}"
    );
}

#[test]
fn the_blocking_client_refuses_to_work_in_an_async_task() {
    let mock = twins::mock();
    let client = Twins::of(&mock.base_url()).sync;
    let current = Builder::new_current_thread().enable_all().build().unwrap();
    let multi = Runtime::new().unwrap();

    #[tokio::main]
    async fn tokio_main(mock: &Mock, client: &SyncClient) -> Result<(), Error> {
        use_sync_client(mock, client)
    }

    let mock = Arc::new(mock);
    let task = || {
        let (mock, client) = (mock.clone(), client.clone());
        async move { use_sync_client(&mock, &client) }
    };
    assert_refused(
        &current.block_on(task()),
        "block_on of a current-thread runtime",
    );
    assert_refused(
        &multi.block_on(task()),
        "block_on of a multi-thread runtime",
    );
    assert_refused(&tokio_main(&mock, &client), "tokio::main");
    for runtime in [&current, &multi] {
        let spawned = runtime.block_on(async { tokio::spawn(task()).await.unwrap() });
        assert_refused(&spawned, "a spawned task");
        let local = tokio::task::LocalSet::new();
        let spawned = local.block_on(runtime, async {
            tokio::task::spawn_local(task()).await.unwrap()
        });
        assert_refused(&spawned, "a task of a LocalSet");
        let joined = runtime.block_on(async { futures::join!(task(), task()) });
        assert_refused(&joined.0, "the first of two futures in one task");
        assert_refused(&joined.1, "the second of two futures in one task");
    }
    assert_eq!(mock.stats().requests, 0, "nothing was sent");

    // What was refused did no harm: the task goes on, and the client works elsewhere.
    multi.block_on(async {
        assert_refused(&task().await, "a task");
        let asynchronous = AsyncClient::new(client.config().clone()).unwrap();
        asynchronous.chat(&request()).await.unwrap();
    });
    client.chat(&request()).unwrap();
    // A client may be dropped anywhere.
    multi.block_on(async move { drop(client) });
}

#[test]
fn the_blocking_client_works_wherever_blocking_is_right() {
    let mock = Arc::new(twins::mock());
    let client = Twins::of(&mock.base_url()).sync;
    let current = Builder::new_current_thread().enable_all().build().unwrap();
    let multi = Runtime::new().unwrap();
    let work = || {
        let (mock, client) = (mock.clone(), client.clone());
        move || use_sync_client(&mock, &client)
    };

    assert_eq!(work()(), Ok(()), "outside of any runtime");
    for runtime in [&current, &multi] {
        let blocking =
            runtime.block_on(async { tokio::task::spawn_blocking(work()).await.unwrap() });
        assert_eq!(blocking, Ok(()), "spawn_blocking");
        let entered = runtime.enter();
        assert_eq!(work()(), Ok(()), "a thread that has entered a runtime");
        drop(entered);
        let (handle, work) = (runtime.handle().clone(), work());
        let thread = runtime.block_on(async {
            std::thread::spawn(move || {
                let _entered = handle.enter();
                work()
            })
            .join()
            .unwrap()
        });
        assert_eq!(thread, Ok(()), "a thread started in a task");
    }
    let in_place = multi.block_on(async { tokio::task::block_in_place(work()) });
    assert_eq!(in_place, Ok(()), "block_in_place under block_on");
    let in_place = multi.block_on(async {
        let work = work();
        tokio::spawn(async { tokio::task::block_in_place(work) })
            .await
            .unwrap()
    });
    assert_eq!(in_place, Ok(()), "block_in_place in a worker");
}

#[test]
fn a_blocking_stream_that_is_read_in_an_async_task_fails_and_does_not_panic() {
    let mock = twins::mock();
    let client = Twins::of(&mock.base_url()).sync;
    for runtime in [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Runtime::new().unwrap(),
    ] {
        mock.clear_log();
        let gated = client
            .with(CallOptions::new().header("x-mock-gate", "read-in-task"))
            .unwrap();
        let mut stream = gated.chat_stream(&request()).unwrap();
        let items: Vec<_> = runtime.block_on(async move { stream.by_ref().collect() });
        let [Err(Error::Config(message))] = &items[..] else {
            panic!("{items:?}")
        };
        assert!(message.contains("AsyncClient"), "{message}");
        // It gave up, so the server is free to do so, too.
        mock.wait_for(LONG, |log| log[0].left_at_token == Some(0))
            .unwrap();
    }
}

// --- Proxies and names ---

#[test]
fn a_server_on_this_machine_is_reached_without_the_proxy() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = &*format!("http://{free}");
    let environment = [
        ("HTTP_PROXY", proxy),
        ("http_proxy", proxy),
        ("HTTPS_PROXY", proxy),
        ("ALL_PROXY", proxy),
    ];
    if !in_own_process(
        "clients::a_server_on_this_machine_is_reached_without_the_proxy",
        &environment,
    ) {
        return;
    }
    let mock = twins::mock();
    let port = mock.addr().port();
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let twins = Twins::of(&format!("http://{host}:{port}/v1"));
        for twin in Twin::BOTH {
            let outcome = twins.outcome(twin, &CallOptions::new(), &Call::chat("Say hi"));
            assert!(
                outcome[0].starts_with("answer"),
                "{host} {twin:?}: {outcome:?}"
            );
        }
    }
    // All others are still asked for at the proxy, which nobody serves.
    let twins = Twins::of("http://no-such-host.invalid/v1");
    for twin in Twin::BOTH {
        let error = twins.error(twin, &CallOptions::new(), &Call::chat("Say hi"));
        assert!(
            error.to_string().to_lowercase().contains("refused"),
            "{twin:?}: {error}"
        );
    }
}

#[test]
fn a_name_that_does_not_exist_is_an_error_of_the_connection() {
    if !in_own_process(
        "clients::a_name_that_does_not_exist_is_an_error_of_the_connection",
        &[],
    ) {
        return;
    }
    let twins = Twins::of("http://no-such-host.invalid/v1");
    for twin in Twin::BOTH {
        let error = twins.error(twin, &CallOptions::new(), &Call::chat("x"));
        assert!(matches!(error, Error::Connect(_)), "{twin:?} {error:?}");
        assert!(
            error.to_string().contains("no-such-host.invalid"),
            "{error}"
        );
        assert!(error.is_retryable() && !error.maybe_billed());
    }
}

// --- Cancellation ---

#[test]
fn a_dropped_call_stops_at_the_server_in_every_phase() {
    let mock = twins::mock();
    let twins = Twins::of(&mock.base_url());
    let request = request();
    let arrived = |log: &[Entry]| log.len() == 1;
    let head_sent = |log: &[Entry]| log.len() == 1 && log[0].status.is_some();
    let with = |name: &str, value: &str| {
        twins
            .asynchronous
            .with(CallOptions::new().header(name, value))
            .unwrap()
    };
    twins.runtime.block_on(async {
        // Before the head, of a plain answer and of a stream.
        let client = with("x-mock-script", Script::NeverAnswers.name());
        leave(&mock, client.chat(&request), arrived).await;
        leave(&mock, client.chat_stream(&request), arrived).await;
        // In the middle of a plain body.
        let client = with("x-mock-script", Script::Stall.name());
        leave(&mock, client.chat(&request), head_sent).await;
    });
    // In the middle of a stream, after each number of tokens.
    for tokens in 0..4_u32 {
        for twin in Twin::BOTH {
            mock.clear_log();
            let name = format!("cancelled-{tokens}-{twin:?}");
            let gate = mock.gate(&name);
            gate.release(tokens as usize);
            let options = CallOptions::new().header("x-mock-gate", &*name);
            let count = tokens as usize;
            match twin {
                Twin::Sync => {
                    let client = twins.sync.with(options).unwrap();
                    let read = client.chat_stream(&request).unwrap().take(count).count();
                    assert_eq!(read, count);
                }
                Twin::Async => twins.runtime.block_on(async {
                    let client = twins.asynchronous.with(options).unwrap();
                    let stream = client.chat_stream(&request).await.unwrap();
                    assert_eq!(stream.take(count).count().await, count);
                }),
            }
            mock.wait_for(LONG, |log| log[0].left_at_token == Some(tokens))
                .unwrap();
        }
    }
    // The connection of a cancelled call is not used again.
    mock.clear_log();
    twins.sync.chat(&request).unwrap();
    twins
        .runtime
        .block_on(twins.asynchronous.chat(&request))
        .unwrap();
    assert_eq!(mock.stats().in_flight, 0);
}

/// Drops a call once the server has come so far, and waits until the server has noticed.
async fn leave<T: Debug>(
    mock: &Mock,
    call: impl Future<Output = T>,
    so_far: impl Fn(&[Entry]) -> bool,
) {
    mock.clear_log();
    tokio::select! {
        answer = call => panic!("there is an answer: {answer:?}"),
        reached = mock.wait_for_async(LONG, so_far) => drop(reached.expect("it comes so far")),
    }
    let left = mock.wait_for_async(LONG, |log| log[0].left_at_token == Some(0));
    left.await.expect("the server notices");
}

// --- Connections ---

/// How many connections a mock was called on.
fn connections(mock: &Mock) -> usize {
    mock.log()
        .iter()
        .map(|entry| entry.connection)
        .collect::<BTreeSet<_>>()
        .len()
}

#[test]
fn calls_in_turn_share_one_connection_with_all_clones() {
    let mock = twins::mock();
    let twins = Twins::of(&mock.base_url());
    let options = |n: u32| CallOptions::new().header("x-n", n.to_string());
    for twin in Twin::BOTH {
        mock.clear_log();
        for n in 0..20 {
            // Each call goes through a clone that has options of its own.
            let call = if n % 2 == 0 {
                Call::chat("Say hi")
            } else {
                Call::embed("hi")
            };
            twins.call(twin, &options(n), &call).unwrap();
        }
        assert_eq!((mock.log().len(), connections(&mock)), (20, 1), "{twin:?}");
    }
}

#[test]
fn a_stream_that_is_over_may_hand_its_connection_on() {
    let mock = twins::mock();
    let twins = Twins::of(&mock.base_url());
    for twin in Twin::BOTH {
        mock.clear_log();
        for _ in 0..20 {
            twins
                .call(twin, &CallOptions::new(), &Call::stream("Say hi"))
                .unwrap();
        }
        // Not one for all: we leave at [DONE], and if the end of the body is not there yet, the
        // connection is closed rather than waited for.
        let connections = connections(&mock);
        assert!(
            connections < 20,
            "{twin:?} opened {connections} connections for 20 streams"
        );
    }
}

// --- Settings ---

#[test]
fn settings_that_cannot_work_name_their_variable_before_any_io() {
    // Key, base URL, what the message names.
    let cases = [
        (None, None, "OPENAI_API_KEY is not set"),
        (Some(""), None, "OPENAI_API_KEY is not set"),
        (Some(" \n"), None, "OPENAI_API_KEY is not set"),
        (Some("sk-two\nlines"), None, "OPENAI_API_KEY"),
        (Some("sk-schlüssel"), None, "OPENAI_API_KEY"),
        (Some("sk-\0"), None, "OPENAI_API_KEY"),
        (Some("sk-two words"), None, "OPENAI_API_KEY"),
        (Some("“sk-quoted”"), None, "OPENAI_API_KEY"),
        (Some("k"), Some("api.openai.com/v1"), "OPENAI_BASE_URL"),
        (Some("k"), Some("localhost:11434/v1"), "OPENAI_BASE_URL"),
        // The two variables mixed up.
        (
            Some("https://api.openai.com/v1"),
            Some("sk-the-key"),
            "OPENAI_BASE_URL",
        ),
        (Some("k"), Some("ftp://example.com/v1"), "OPENAI_BASE_URL"),
        (Some("k"), Some("https://"), "OPENAI_BASE_URL"),
        (Some("k"), Some("http://:80/v1"), "OPENAI_BASE_URL"),
        (
            Some("k"),
            Some("http://127.0.0.1:99999/v1"),
            "OPENAI_BASE_URL",
        ),
        (Some("k"), Some("http://two words/v1"), "OPENAI_BASE_URL"),
        (
            Some("k"),
            Some("https://example.com/v1?key=x"),
            "OPENAI_BASE_URL",
        ),
        (
            Some("k"),
            Some("https://example.com/v1#x"),
            "OPENAI_BASE_URL",
        ),
        (
            Some("k"),
            Some("https://user:password-1@example.com/v1"),
            "OPENAI_BASE_URL",
        ),
        (
            Some("k"),
            Some("https://user:password-1@example.com/v1?x"),
            "OPENAI_BASE_URL",
        ),
        (
            Some("k"),
            Some("https://password-1@example.com/v1"),
            "OPENAI_BASE_URL",
        ),
    ];
    for (key, base_url, named) in cases {
        let lookup = |name: &str| match name {
            "OPENAI_API_KEY" => key.map(str::to_owned),
            "OPENAI_BASE_URL" => base_url.map(str::to_owned),
            _ => None,
        };
        let error = Config::from_lookup(lookup).expect_err("it can't work");
        assert!(
            matches!(error, Error::Config(_)),
            "{key:?} {base_url:?}: {error:?}"
        );
        let line = error.to_string();
        assert!(line.contains(named), "{key:?} {base_url:?}: {line}");
        assert!(
            !line.contains("password-1") && !line.contains("sk-"),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn settings_are_read_under_the_names_of_the_ecosystem() {
    let lookup = |pairs: &'static [(&str, &str)]| {
        Config::from_lookup(|name| {
            pairs
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
        .unwrap()
    };
    let least = lookup(&[("OPENAI_API_KEY", "k")]);
    assert_eq!(
        (least.base_url(), &*least.model),
        (DEFAULT_BASE_URL, DEFAULT_MODEL)
    );
    assert_eq!(least.timeouts.connect, Duration::from_secs(10));
    assert_eq!(least.timeouts.silence, Duration::from_secs(30));
    assert_eq!(least.timeouts.total, None);

    // Blank is how container files say "not set".
    let blank = lookup(&[
        ("OPENAI_API_KEY", "k"),
        ("OPENAI_BASE_URL", ""),
        ("OPENAI_MODEL", " "),
    ]);
    assert_eq!(
        (blank.base_url(), &*blank.model),
        (DEFAULT_BASE_URL, DEFAULT_MODEL)
    );

    let all = lookup(&[
        ("OPENAI_API_KEY", " k\n"),
        ("OPENAI_BASE_URL", " http://127.0.0.1:11434/v1/ "),
        ("OPENAI_MODEL", " llama3.2 "),
    ]);
    assert_eq!(
        (all.base_url(), &*all.model),
        ("http://127.0.0.1:11434/v1", "llama3.2")
    );
}

#[test]
fn the_settings_decide_the_model_and_what_a_missing_reason_means() {
    let mock = twins::mock();
    let mut config = Config::new(&mock.base_url(), KEY).unwrap();
    config.model = "gpt-4.1-nano".into();
    let strict = Twins::new(config.clone());
    config.finish_policy = ai_core::FinishPolicy::DoneSuffices;
    config.max_bytes = 1_000;
    let lenient = Twins::new(config);
    let with = |script: Script| CallOptions::new().header("x-mock-script", script.name());
    let text = |twins: &Twins, twin, script| match twin {
        Twin::Sync => twins
            .sync
            .with(with(script))
            .unwrap()
            .generate_text("Say hi"),
        Twin::Async => {
            let client = twins.asynchronous.with(with(script)).unwrap();
            twins.runtime.block_on(client.generate_text("Say hi"))
        }
    };
    for twin in Twin::BOTH {
        let whole = text(&strict, twin, Script::Normal).unwrap();
        assert_eq!(mock.log().last().unwrap().body["model"], "gpt-4.1-nano");
        let unfinished = |script| match text(&strict, twin, script) {
            Err(Error::Unfinished { reason, text }) if whole.starts_with(&*text) => reason,
            other => panic!("{script}: {other:?}"),
        };
        assert_eq!(unfinished(Script::NoFinish), FinishReason::Unstated);
        assert_eq!(unfinished(Script::Length), FinishReason::Length);
        assert_eq!(
            unfinished(Script::ContentFilter),
            FinishReason::ContentFilter
        );
        assert_eq!(unfinished(Script::ToolCalls), FinishReason::ToolCalls);
        assert_eq!(text(&lenient, twin, Script::NoFinish), Ok(whole));
        let stream = lenient
            .call(twin, &with(Script::NoFinish), &Call::stream("Say hi"))
            .unwrap();
        assert_eq!(stream.last().unwrap(), "end unstated");

        let too_large = Error::TooLarge { limit: 1_000 };
        assert_eq!(
            text(&lenient, twin, Script::HugeLine),
            Err(too_large.clone())
        );
        let stream = lenient
            .call(twin, &with(Script::HugeLine), &Call::stream("Say hi"))
            .unwrap();
        assert_eq!(stream, [crate::twins::facts(&too_large)]);
    }
}

#[test]
fn a_reply_brings_status_headers_body_and_time() {
    let mock = twins::mock();
    let twins = Twins::of(&mock.base_url());
    let replies = [
        twins.sync.chat(&request()).unwrap(),
        twins
            .runtime
            .block_on(twins.asynchronous.chat(&request()))
            .unwrap(),
    ];
    for reply in replies {
        assert_eq!(reply.status, 200);
        assert!(reply.request_id().unwrap().starts_with("req_"));
        assert_eq!(reply.headers["x-request-id"], reply.request_id().unwrap());
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body["object"], "chat.completion",
            "what the type doesn't know is in the body"
        );
        assert!(reply.elapsed > Duration::ZERO);
        assert_eq!(reply.text(), "The easiest way into");
    }
    let stream = twins.sync.chat_stream(&request()).unwrap();
    assert_eq!(stream.status, 200);
    assert!(stream.headers.contains_key("x-request-id"));
    assert!(matches!(
        stream.last(),
        Some(Ok(Event::End(FinishReason::Stop)))
    ));
    let stream = twins
        .runtime
        .block_on(twins.asynchronous.chat_stream(&request()))
        .unwrap();
    assert!(stream.status == 200 && stream.headers.contains_key("x-request-id"));
}
