//! What goes over the wire, to the byte, against a server that is not ours.

use std::collections::HashMap;

use ai_core::{CallOptions, ChatRequest, EmbeddingRequest, Error, Tool};
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::twins::{Call, KEY, Twin, Twins, runtime};

const CHAT: &str = r#"{"id":"c","model":"m","choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
const EMBEDDING: &str = r#"{"model":"m","data":[{"index":0,"embedding":[1.0]}]}"#;

/// Gives each kind of request its answer, and forgets the requests so far.
async fn set_up(server: &MockServer) {
    server.reset().await;
    let answer = |request: &Request| {
        let (body, kind) = if request.url.path().ends_with("/embeddings") {
            (EMBEDDING, "application/json")
        } else if String::from_utf8_lossy(&request.body).contains(r#""stream":true"#) {
            (STREAM, "text/event-stream; charset=utf-8")
        } else {
            (CHAT, "application/json")
        };
        ResponseTemplate::new(200).set_body_raw(body, kind)
    };
    Mock::given(any()).respond_with(answer).mount(server).await;
}

/// Name and value of each header, sorted by name.
fn headers(request: &Request) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| value.to_str().expect("it is text").to_owned();
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    headers.sort();
    headers
}

struct Case {
    name: &'static str,
    base: &'static str,
    options: CallOptions,
    call: Call,
    path: &'static str,
    /// Besides those of every request.
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    outcome: &'static [&'static str],
}

fn cases() -> Vec<Case> {
    let answer: &[&str] = &[r#"answer "Hi" stop"#, "usage unknown"];
    let events: &[&str] = &[r#"text "Hi""#, "end stop"];
    let vector: &[&str] = &["vector 1 Some(1.0)"];
    let plain = || Case {
        name: "a chat",
        base: "/v1",
        options: CallOptions::new(),
        call: Call::Chat(ChatRequest::new("m", "Say \"hi\"\n")),
        path: "/v1/chat/completions",
        headers: &[],
        body: r#"{"model":"m","messages":[{"role":"user","content":"Say \"hi\"\n"}]}"#,
        outcome: answer,
    };
    let every_field = ChatRequest {
        n: Some(2),
        stop: vec!["END".into()],
        tools: vec![Tool::function("f", "d", json!({"type": "object"}))],
        response_format: Some(json!({"type": "json_object"})),
        extra: json!({"seed": 7}).as_object().expect("it is one").clone(),
        ..ChatRequest::new("m", "p")
            .system("s")
            .temperature(0.7)
            .max_tokens(5)
    };
    vec![
        plain(),
        Case {
            name: "a chat with every field",
            call: Call::Chat(every_field.clone()),
            body: r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"p"}],"temperature":0.7,"n":2,"max_tokens":5,"stop":["END"],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],"response_format":{"type":"json_object"},"seed":7}"#,
            ..plain()
        },
        Case {
            name: "a chat with further headers and an idempotency key",
            options: CallOptions::new()
                .header("X-Title", "lesson")
                .idempotency_key("k-1"),
            headers: &[("idempotency-key", "k-1"), ("x-title", "lesson")],
            ..plain()
        },
        Case {
            name: "of two headers with one name the later counts",
            options: CallOptions::new()
                .header("x-title", "a")
                .header("X-Title", "b"),
            headers: &[("x-title", "b")],
            ..plain()
        },
        Case {
            name: "a base URL with a slash at its end",
            base: "/v1/",
            ..plain()
        },
        Case {
            name: "a base URL with several",
            base: "/v1//",
            ..plain()
        },
        Case {
            name: "a base URL without a path",
            base: "",
            path: "/chat/completions",
            ..plain()
        },
        Case {
            name: "a base URL with a long path",
            base: "/openai/deployments/a%20b",
            path: "/openai/deployments/a%20b/chat/completions",
            ..plain()
        },
        Case {
            name: "a stream",
            call: Call::Stream(ChatRequest::new("m", "p")),
            body: r#"{"model":"m","messages":[{"role":"user","content":"p"}],"stream":true,"stream_options":{"include_usage":true}}"#,
            outcome: events,
            ..plain()
        },
        Case {
            name: "a stream with other options, and unknown fields",
            call: Call::Stream(ChatRequest {
                stream_options: Some(ai_core::protocol::chat::StreamOptions {
                    include_usage: false,
                }),
                n: Some(1),
                ..every_field
            }),
            body: r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"p"}],"temperature":0.7,"n":1,"max_tokens":5,"stop":["END"],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],"response_format":{"type":"json_object"},"seed":7,"stream":true,"stream_options":{"include_usage":false}}"#,
            outcome: events,
            ..plain()
        },
        Case {
            name: "an embedding",
            call: Call::Embed(EmbeddingRequest::new("m", ["a"])),
            path: "/v1/embeddings",
            body: r#"{"model":"m","input":["a"]}"#,
            outcome: vector,
            ..plain()
        },
        Case {
            name: "an embedding with dimensions",
            call: Call::Embed(EmbeddingRequest {
                dimensions: Some(1),
                encoding_format: Some("float".into()),
                ..EmbeddingRequest::new("m", ["a"])
            }),
            path: "/v1/embeddings",
            body: r#"{"model":"m","input":["a"],"dimensions":1,"encoding_format":"float"}"#,
            outcome: vector,
            ..plain()
        },
    ]
}

#[test]
fn each_request_is_pinned_and_both_clients_send_the_same() {
    let runtime = runtime();
    let server = runtime.block_on(MockServer::start());
    let host = server.address().to_string();
    let bearer = format!("Bearer {KEY}");
    let mut twins = HashMap::new();
    for case in cases() {
        let name = case.name;
        runtime.block_on(set_up(&server));
        let twins = twins
            .entry(case.base)
            .or_insert_with(|| Twins::of(&format!("{}{}", server.uri(), case.base)));
        for twin in Twin::BOTH {
            let outcome = twins.outcome(twin, &case.options, &case.call);
            assert_eq!(outcome, case.outcome, "{name}, {twin:?}");
        }
        let requests = runtime
            .block_on(server.received_requests())
            .expect("they are recorded");
        assert_eq!(requests.len(), 2, "{name}: one request each");
        for (request, twin) in requests.iter().zip(Twin::BOTH) {
            assert_eq!(request.method.as_str(), "POST", "{name}, {twin:?}");
            assert_eq!(request.url.path(), case.path, "{name}, {twin:?}");
            assert_eq!(request.url.query(), None, "{name}, {twin:?}");
            assert_eq!(
                String::from_utf8_lossy(&request.body),
                case.body,
                "{name}, {twin:?}"
            );
            let length = case.body.len().to_string();
            let agent = format!("ai-core/{}", env!("CARGO_PKG_VERSION"));
            let mut expected = vec![
                ("accept", "*/*"),
                ("authorization", &*bearer),
                ("content-length", &*length),
                ("content-type", "application/json"),
                ("host", &*host),
                ("user-agent", &*agent),
            ];
            expected.extend(case.headers);
            expected.sort_unstable();
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect();
            assert_eq!(headers(request), expected, "{name}, {twin:?}");
        }
    }
}

#[test]
fn a_redirect_is_an_error_that_names_it_and_is_not_followed() {
    let runtime = runtime();
    let server = runtime.block_on(MockServer::start());
    let twins = Twins::of(&server.uri());
    let elsewhere = runtime.block_on(MockServer::start());
    for status in [301, 302, 303, 307, 308] {
        let redirect = ResponseTemplate::new(status).insert_header("location", elsewhere.uri());
        runtime.block_on(server.reset());
        runtime.block_on(Mock::given(any()).respond_with(redirect).mount(&server));
        let calls = [Call::chat("p"), Call::stream("p"), Call::embed("p")];
        for (call, twin) in calls
            .iter()
            .flat_map(|call| Twin::BOTH.map(|twin| (call, twin)))
        {
            let outcome = twins.outcome(twin, &CallOptions::new(), call);
            assert_eq!(
                outcome,
                [format!(
                    "error status {status} -: it has moved to {}",
                    elsewhere.uri()
                )],
                "{call:?} {twin:?}"
            );
        }
        assert_eq!(
            runtime.block_on(server.received_requests()).unwrap().len(),
            6
        );
    }
    let strayed = runtime.block_on(elsewhere.received_requests()).unwrap();
    assert!(
        strayed.is_empty(),
        "the key went to another server: {strayed:?}"
    );
}

#[test]
fn what_cannot_be_sent_is_an_error_of_the_settings_and_nothing_is_sent() {
    let runtime = runtime();
    let server = runtime.block_on(MockServer::start());
    let twins = Twins::of(&server.uri());
    let chat = |request| Call::Chat(request);
    let cases = [
        (CallOptions::new(), chat(ChatRequest::new("", "p")), "model"),
        (CallOptions::new(), chat(ChatRequest::default()), "model"),
        (
            CallOptions::new(),
            chat(ChatRequest {
                messages: vec![],
                ..ChatRequest::new("m", "p")
            }),
            "messages",
        ),
        (
            CallOptions::new(),
            chat(ChatRequest {
                extra: json!({"stream": true}).as_object().unwrap().clone(),
                ..ChatRequest::new("m", "p")
            }),
            "chat_stream",
        ),
        (
            CallOptions::new(),
            Call::Stream(ChatRequest {
                n: Some(2),
                ..ChatRequest::new("m", "p")
            }),
            "`n`",
        ),
        (
            CallOptions::new(),
            Call::Embed(EmbeddingRequest::new("m", [""; 0])),
            "text",
        ),
        (
            CallOptions::new().header("two words", "x"),
            Call::chat("p"),
            "two words",
        ),
        (
            CallOptions::new().header("x-ok", "two\nlines"),
            Call::chat("p"),
            "x-ok",
        ),
    ];
    for (options, call, word) in cases {
        for twin in Twin::BOTH {
            let error = twins.error(twin, &options, &call);
            assert!(
                matches!(error, Error::Config(_)),
                "{call:?} {twin:?}: {error:?}"
            );
            assert!(
                error.to_string().contains(word),
                "{call:?} {twin:?}: {error}"
            );
        }
    }
    assert!(
        runtime
            .block_on(server.received_requests())
            .unwrap()
            .is_empty()
    );
}
