//! What each wire script puts on the wire.

use std::io::Read as _;

use ai_mock::{Mock, Script, Service};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::{Call, End, Reply, call, chat, contains, content, prompt, streamed};

fn plain(script: &str) -> Reply {
    let mock = Mock::start().unwrap();
    chat(
        &mock,
        &[("x-mock-script", script)],
        &prompt("Explain tides"),
    )
}

fn stream(script: &str) -> Reply {
    let mock = Mock::start().unwrap();
    chat(
        &mock,
        &[("x-mock-script", script)],
        &streamed("Explain tides"),
    )
}

/// The answer of a healthy stream, to compare with.
fn healthy() -> String {
    stream("normal").streamed_text()
}

fn objects(reply: &Reply) -> Vec<Value> {
    reply
        .events()
        .iter()
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

#[test]
fn every_script_works_for_plain_stream_and_embeddings_without_hurting_the_mock() {
    let mock = Mock::start().unwrap();
    // These end only when the client leaves, which `leaving` tests.
    let silent = [Script::NeverAnswers, Script::Stall, Script::HoldAfterDone];
    for script in Script::ALL.iter().filter(|script| !silent.contains(script)) {
        let headers = [("x-mock-script", script.name())];
        let bodies = [
            ("/v1/chat/completions", prompt("Hi")),
            ("/v1/chat/completions", streamed("Hi")),
            ("/v1/embeddings", json!({"model": "m", "input": "Hi"})),
        ];
        for (path, body) in bodies {
            let reply = Call::post(mock.addr(), path, &headers, &body).finish();
            let broken = [
                Script::ResetBeforeHeaders,
                Script::ResetAfterHeaders,
                Script::ResetMidChunk,
                Script::CutBody,
                Script::Cut429,
            ];
            let torn = broken.contains(script) && !(path == "/v1/embeddings" && reply.whole);
            assert_eq!(reply.whole, !torn, "{script} {path}");
        }
    }
    assert_eq!(chat(&mock, &[], &prompt("Hi")).status(), 200);
    assert!(
        mock.log()
            .iter()
            .all(|entry| entry.is_finished() && entry.left_at_token.is_none())
    );
    assert_eq!(mock.stats().in_flight, 0);
}

#[test]
fn statuses_come_with_the_bodies_that_servers_send() {
    for (script, status, sign) in [
        ("unauthorized", 401, "invalid_api_key"),
        ("unprocessable", 422, "\"error\":{"),
        ("detail", 422, "\"detail\":[{"),
        ("detail-text", 400, "\"detail\":\""),
        ("html-502", 502, "<h1>502 Bad Gateway</h1>"),
        ("html-429", 429, "<html>"),
        ("numeric-code", 429, "\"code\":429"),
        ("quota-exhausted", 429, "insufficient_quota"),
        ("error-in-200", 200, "\"error\":{"),
        ("error-text-plain", 200, "\"error\":{"),
        ("cut-429", 429, "\"error\":{"),
        ("not-json", 200, "<html>"),
        ("empty-500", 500, ""),
    ] {
        for reply in [plain(script), stream(script)] {
            assert_eq!(reply.status(), status, "{script}");
            assert!(reply.text().contains(sign), "{script}: {}", reply.text());
            assert_eq!(reply.body.is_empty(), script == "empty-500");
            let kind = match script {
                "error-text-plain" => "text/plain; charset=utf-8",
                _ if sign.contains("<h") => "text/html; charset=utf-8",
                _ => "application/json",
            };
            assert_eq!(reply.header("content-type"), Some(kind), "{script}");
            let asks = matches!(script, "html-429" | "cut-429").then_some("1");
            assert_eq!(reply.header("retry-after"), asks, "{script}");
            assert_eq!(reply.whole, script != "cut-429", "{script}");
            assert_eq!(reply.end, End::Closed, "{script}");
        }
    }
}

#[test]
fn framings_of_event_streams_carry_the_same_answer() {
    let healthy = healthy();
    let decoded = |script: &str, tidy: fn(String) -> String| {
        let mut reply = stream(script);
        reply.body = tidy(reply.text()).into_bytes();
        assert_eq!(
            reply.events().last().map(|data| data.trim()),
            Some("[DONE]"),
            "{script}"
        );
        assert_eq!(reply.streamed_text(), healthy, "{script}");
    };
    decoded("normal", |text| text);
    decoded("no-space", |text| {
        assert!(text.starts_with("data:{"));
        text.replace("data:", "data: ")
    });
    decoded("bom", |text| {
        text.strip_prefix('\u{feff}').unwrap().to_owned()
    });
    decoded("retry-only", |text| {
        text.strip_prefix("retry: 3000\n\n").unwrap().to_owned()
    });
    decoded("comments", |text| {
        assert!(text.starts_with(": ping\n\ndata: "));
        text.replace(": ping\n\n", "")
    });
    decoded("empty-data", |text| {
        assert!(text.starts_with("data:\n\ndata: {"));
        text.replace("data:\n\n", "")
    });
    decoded("crlf", |text| {
        assert!(text.ends_with("data: [DONE]\r\n\r\n"));
        text.replace("\r\n", "\n")
    });
    decoded("cr", |text| {
        assert!(text.ends_with("data: [DONE]\r\r") && !text.contains('\n'));
        text.replace('\r', "\n")
    });
    decoded("multi-data", |text| {
        assert!(text.contains(",\ndata: \"object\""));
        text.replace(",\ndata: ", ",")
    });
    decoded("event-ids", |text| {
        assert!(text.starts_with("id: 0\nevent: message\ndata: "));
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("id: ") && !line.starts_with("event: "));
        lines.flat_map(|line| [line, "\n"]).collect()
    });
    decoded("no-final-newline", |text| {
        assert!(text.ends_with("\n\ndata: [DONE]\n"));
        text
    });
}

#[test]
fn transfers_carry_the_same_answer() {
    let healthy = healthy();
    let closed = stream("close-delimited");
    assert_eq!(
        (
            closed.header("transfer-encoding"),
            closed.header("content-length")
        ),
        (None, None)
    );
    assert_eq!(closed.header("connection"), Some("close"));
    assert_eq!(closed.streamed_text(), healthy);

    let split = stream("split-bytes");
    assert!(split.chunks.iter().all(|size| *size == 1));
    assert_eq!(split.streamed_text(), healthy);
    assert!(plain("split-bytes").chunks.iter().all(|size| *size == 1));
    assert_eq!(content(&plain("split-bytes")), healthy);

    for reply in [
        plain("slow-headers"),
        plain("close-delimited"),
        plain("text-plain"),
    ] {
        assert_eq!(content(&reply), healthy);
    }
    assert!(
        stream("text-plain")
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );

    for reply in [plain("gzip"), stream("gzip")] {
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        let mut text = String::new();
        GzDecoder::new(&reply.body[..])
            .read_to_string(&mut text)
            .unwrap();
        assert!(text.contains("Tides") || text.contains(" tides"), "{text}");
    }
    let huge = stream("huge-line");
    assert_eq!(huge.streamed_text().len(), 4 << 20);
    assert_eq!(
        huge.events()
            .iter()
            .filter(|data| data.len() > 4 << 20)
            .count(),
        1
    );
}

#[test]
fn cut_streams_end_as_they_say() {
    let healthy = healthy();
    let mut two = healthy.split_inclusive(' ').take(2).collect::<String>();
    two.truncate(two.trim_end().len());
    for (script, end, whole) in [
        ("truncated", End::Closed, true),
        ("error-mid-stream", End::Closed, true),
        ("error-event", End::Closed, true),
        ("reset-mid-chunk", End::Reset, false),
        ("cut-body", End::Closed, false),
    ] {
        let reply = stream(script);
        assert_eq!((reply.end, reply.whole), (end, whole), "{script}");
        assert!(
            !contains(&reply.body, b"[DONE]") && !contains(&reply.body, b"\"stop\""),
            "{script}"
        );
        let text = reply.streamed_text();
        assert!(
            healthy.starts_with(&text) && text.len() >= two.len() / 2 && text.len() < healthy.len(),
            "{script}: {text}"
        );
    }
    let nested = objects(&stream("error-mid-stream"));
    assert_eq!(nested.last().unwrap()["error"]["type"], "server_error");
    let named = stream("error-event").text();
    let (_, event) = named.rsplit_once("event: error\ndata: ").unwrap();
    let error: Value = serde_json::from_str(event.trim_end()).unwrap();
    assert_eq!(error["type"], "server_error");
    let unlabelled = stream("error-unlabelled");
    let (error, done) = (
        objects(&unlabelled).pop().unwrap(),
        unlabelled.events().pop(),
    );
    assert_eq!(done.as_deref(), Some("[DONE]"));
    assert_eq!(
        (&error["object"], &error["code"]),
        (&json!("error"), &json!(500))
    );
    assert!(error["message"].is_string() && error.get("error").is_none());
    assert!(!unlabelled.text().contains("event:") && !unlabelled.text().contains("\"stop\""));
    assert_eq!(
        unlabelled.streamed_text(),
        stream("error-event").streamed_text()
    );

    assert_eq!(plain("cut-body").end, End::Closed);
    assert_eq!(plain("reset-mid-chunk").end, End::Reset);
    for reply in [
        plain("reset-before-headers"),
        stream("reset-before-headers"),
    ] {
        assert_eq!((reply.status(), reply.end), (0, End::Reset));
    }
    for reply in [plain("reset-after-headers"), stream("reset-after-headers")] {
        assert_eq!(
            (reply.status(), reply.end, reply.body.len()),
            (200, End::Reset, 0)
        );
    }
}

#[test]
fn deviations_of_compatible_servers() {
    let healthy = healthy();
    let no_role = stream("no-role");
    assert!(!no_role.text().contains("\"role\"") && no_role.streamed_text() == healthy);

    let no_finish = objects(&stream("no-finish"));
    assert!(
        no_finish
            .iter()
            .all(|chunk| chunk["choices"][0]["finish_reason"].is_null())
    );
    assert!(stream("no-finish").text().ends_with("[DONE]\n\n"));
    assert_eq!(
        plain("no-finish").json()["choices"][0]["finish_reason"],
        Value::Null
    );

    let no_done = stream("no-done");
    assert!(
        no_done.whole && no_done.text().contains("\"stop\"") && !no_done.text().contains("[DONE]")
    );

    assert!(!stream("no-usage").text().contains("usage"));
    assert!(plain("no-usage").json().get("usage").is_none());
    let mock = Mock::start().unwrap();
    let mut unasked = prompt("Explain tides");
    unasked["stream"] = json!(true);
    let usage = objects(&chat(
        &mock,
        &[("x-mock-script", "usage-no-choices")],
        &unasked,
    ));
    assert_eq!(usage.last().unwrap()["choices"], json!([]));
    assert!(usage.last().unwrap()["usage"]["total_tokens"].is_u64());
    let with = objects(&stream("usage-with-choices"));
    assert_eq!(with.last().unwrap()["choices"][0]["finish_reason"], "stop");
    assert!(with.last().unwrap()["usage"]["total_tokens"].is_u64());

    let null = objects(&stream("null-content"));
    let nulls = null.iter().filter(|chunk| {
        chunk
            .pointer("/choices/0/delta/content")
            .is_some_and(Value::is_null)
    });
    assert_eq!(nulls.count(), 2);
    assert_eq!(
        plain("null-content").json()["choices"][0]["message"]["content"],
        Value::Null
    );

    let malformed = stream("malformed");
    let broken = malformed
        .events()
        .iter()
        .filter(|data| serde_json::from_str::<Value>(data).is_err())
        .count();
    assert_eq!(
        (broken, malformed.streamed_text()),
        (2, healthy.clone()),
        "the broken one and [DONE]"
    );

    assert_eq!(objects(&stream("empty-choices"))[0]["choices"], json!([]));
    assert_eq!(stream("empty-choices").streamed_text(), healthy);
    assert_eq!(plain("empty-choices").json()["choices"], json!([]));

    for reply in [plain("invalid-utf8"), stream("invalid-utf8")] {
        assert_eq!(reply.body.iter().filter(|byte| **byte == 0xff).count(), 1);
    }
}

#[test]
fn ends_other_than_stop() {
    let finish = |reply: &Reply| {
        let objects = objects(reply);
        let mut reasons = objects
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str());
        reasons.next_back().map(str::to_owned).unwrap()
    };
    for (script, reason) in [
        ("length", "length"),
        ("content-filter", "content_filter"),
        ("tool-calls", "tool_calls"),
    ] {
        assert_eq!(finish(&stream(script)), reason);
        assert_eq!(plain(script).json()["choices"][0]["finish_reason"], reason);
    }
    let refusal = plain("refusal").json();
    assert_eq!(refusal["choices"][0]["message"]["content"], Value::Null);
    let pieces = objects(&stream("refusal"));
    let text: String = pieces
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["refusal"].as_str())
        .collect();
    assert_eq!(refusal["choices"][0]["message"]["refusal"], text);
}

#[test]
fn tool_calls_interleave_by_index_or_by_id() {
    let calls = plain("tool-calls").json()["choices"][0]["message"]["tool_calls"].clone();
    for (script, key) in [("tool-calls", "index"), ("tool-calls-odd", "id")] {
        let chunks = objects(&stream(script));
        let deltas: Vec<&Value> = chunks
            .iter()
            .flat_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array())
            .flatten()
            .collect();
        let names: Vec<&Value> = deltas.iter().map(|delta| &delta[key]).collect();
        assert_ne!(names[0], names[1], "{script}: the calls take turns");
        assert_eq!(names[0], names[2], "{script}: the calls take turns");
        for (nth, call) in calls.as_array().unwrap().iter().enumerate() {
            let own = deltas.iter().filter(|delta| &delta[key] == names[nth]);
            let arguments: String = own
                .filter_map(|delta| delta["function"]["arguments"].as_str())
                .collect();
            assert_eq!(call["function"]["arguments"], arguments, "{script}");
        }
        assert_eq!(
            deltas.iter().any(|delta| delta.get("index").is_none()),
            script == "tool-calls-odd"
        );
    }
}

#[test]
fn scripts_of_the_mock_hold_for_requests_that_name_none() {
    let mock = Mock::builder().script(Script::Detail).start().unwrap();
    assert_eq!(chat(&mock, &[], &prompt("Hi")).status(), 422);
    assert_eq!(
        chat(&mock, &[("x-mock-script", "normal")], &prompt("Hi")).status(),
        200
    );
    assert_eq!(call(&mock, "GET", "/v1/models", "").status(), 422);
    assert_eq!(mock.log()[0].script, "detail");
}

#[test]
fn a_script_of_one_service_stands_between_the_header_and_the_script_of_all() {
    let mock = Mock::builder()
        .script(Script::Detail)
        .service_script(Service::Summary, Script::Html502)
        .service_script(Service::Embedding, Script::Normal)
        .start()
        .unwrap();
    let summary = prompt("Summarize:\nIt rained.");
    assert_eq!(chat(&mock, &[], &summary).status(), 502);
    assert_eq!(
        chat(&mock, &[("x-mock-script", "normal")], &summary).status(),
        200
    );
    assert_eq!(chat(&mock, &[], &prompt("Hi")).status(), 422);
    let embedding = json!({"model": "m", "input": "Hi"}).to_string();
    assert_eq!(
        call(&mock, "POST", "/v1/embeddings", &embedding).status(),
        200
    );

    let change = json!({"service-script": {"embedding": "empty-500"}}).to_string();
    let shown = call(&mock, "PATCH", "/_mock/settings", &change).json();
    assert_eq!(shown["service-script"], json!({"embedding": "empty-500"}));
    assert_eq!(
        call(&mock, "POST", "/v1/embeddings", &embedding).status(),
        500
    );
    assert_eq!(chat(&mock, &[], &summary).status(), 422);
}
