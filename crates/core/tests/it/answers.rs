//! Whole answers and refusals as every kind of server writes them; waits, tokens, money; and what
//! our requests look like.

use std::time::Duration;

use ai_core::protocol::chat::{Content, StreamOptions, json_object, json_schema};
use ai_core::protocol::error::{KEPT_TEXT, retry_after};
use ai_core::protocol::usage::{PRICES, price};
use ai_core::{
    ChatRequest, ChatResponse, Cost, EmbeddingRequest, EmbeddingResponse, Error, FinishPolicy,
    FinishReason, Message, Phase, Refusal, Tool, ToolCall, Usage,
};
use base64::Engine;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let header = |&(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a header's name");
        (
            name,
            HeaderValue::from_str(value).expect("a header's value"),
        )
    };
    pairs.iter().map(header).collect()
}

fn chat(status: u16, body: &str) -> Result<ChatResponse, Error> {
    ChatResponse::decode(status, &HeaderMap::new(), body.as_bytes())
}

fn chat_error(status: u16, body: &str) -> Error {
    chat(status, body).expect_err("this is no answer")
}

// --- Chat answers ---

#[test]
fn a_whole_answer_is_read() {
    let body = json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1741570283,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "refusal": null, "annotations": []},
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        "service_tier": "default",
    });
    let answer = chat(200, &body.to_string()).unwrap();
    assert_eq!(
        (&*answer.id, &*answer.model, &*answer.text()),
        ("chatcmpl-1", "gpt-4o-mini-2024-07-18", "Hi")
    );
    assert_eq!(answer.first().finish_reason, Some(FinishReason::Stop));
    let usage = Usage {
        input_tokens: 19,
        output_tokens: 10,
        cached_input_tokens: 4,
        reasoning_tokens: 3,
    };
    assert_eq!(answer.usage, Some(usage));
    assert_eq!(
        answer.into_finished_text(FinishPolicy::Required),
        Ok("Hi".into())
    );
}

#[test]
fn an_answer_can_be_read_from_any_deserializer() {
    // A cache may hold it as a value, a file gives it as a reader.
    let body = json!({
        "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    });
    let from_value: ChatResponse = serde_json::from_value(body.clone()).unwrap();
    let from_reader: ChatResponse = serde_json::from_reader(body.to_string().as_bytes()).unwrap();
    assert_eq!(from_value, chat(200, &body.to_string()).unwrap());
    assert_eq!(from_reader, from_value);
    assert!(from_value.usage.is_some());
}

#[test]
fn what_a_finished_text_is() {
    use FinishPolicy::{DoneSuffices, Required};
    let text = json!({"content": "Hi"});
    let call = json!({"id": "A", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    // The message, the finish reason, the policy; then the text, or the reason and the text kept.
    let cases = [
        (text.clone(), json!("stop"), Required, Ok("Hi")),
        (
            text.clone(),
            json!("length"),
            Required,
            Err(("length", "Hi")),
        ),
        (
            text.clone(),
            json!("length"),
            DoneSuffices,
            Err(("length", "Hi")),
        ),
        (
            text.clone(),
            json!("content_filter"),
            Required,
            Err(("content_filter", "Hi")),
        ),
        (
            text.clone(),
            json!("tool_calls"),
            Required,
            Err(("tool_calls", "Hi")),
        ),
        (
            text.clone(),
            json!("something"),
            DoneSuffices,
            Err(("something", "Hi")),
        ),
        (text.clone(), json!(null), Required, Err(("unstated", "Hi"))),
        (text.clone(), json!(null), DoneSuffices, Ok("Hi")),
        (text.clone(), json!(""), Required, Err(("unstated", "Hi"))),
        (text.clone(), json!(""), DoneSuffices, Ok("Hi")),
        (json!({"content": ""}), json!("stop"), Required, Ok("")),
        (
            json!({"content": null, "refusal": "No."}),
            json!("stop"),
            Required,
            Err(("refusal", "No.")),
        ),
        (
            json!({"content": "Hi", "refusal": null}),
            json!("stop"),
            Required,
            Ok("Hi"),
        ),
        (
            json!({"content": "", "refusal": ""}),
            json!("stop"),
            Required,
            Ok(""),
        ),
        (
            json!({"content": null, "tool_calls": [call]}),
            json!("tool_calls"),
            Required,
            Err(("tool_calls", "")),
        ),
        (
            json!({"content": null, "tool_calls": [call]}),
            json!(null),
            DoneSuffices,
            Err(("tool_calls", "")),
        ),
        // Some servers say "stop" although they wait for the results of calls.
        (
            json!({"content": null, "tool_calls": [call]}),
            json!("stop"),
            Required,
            Err(("tool_calls", "")),
        ),
        (
            json!({"content": "Hi", "tool_calls": []}),
            json!("stop"),
            Required,
            Ok("Hi"),
        ),
    ];
    for (message, finish_reason, policy, expected) in cases {
        let body =
            json!({"choices": [{"message": message, "finish_reason": finish_reason}]}).to_string();
        let text = chat(200, &body).unwrap().into_finished_text(policy);
        let text = match &text {
            Ok(text) => Ok(&**text),
            Err(Error::Unfinished { reason, text }) => Err((reason.as_str(), &**text)),
            Err(other) => panic!("{body}: {other}"),
        };
        assert_eq!(text, expected, "{body} {policy:?}");
    }
}

#[test]
fn answers_of_other_servers_are_read_too() {
    let choice =
        json!({"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"});
    let with = |name: &str, value: Value| {
        let mut body = json!({"choices": [choice]});
        body[name] = value;
        body
    };
    // The body, its text, whether its usage is known.
    let cases = [
        (
            "nothing but choices",
            json!({"choices": [choice]}),
            "Hi",
            false,
        ),
        (
            "no role",
            json!({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}),
            "Hi",
            false,
        ),
        (
            "no finish reason",
            json!({"choices": [{"message": {"content": "Hi"}}]}),
            "Hi",
            false,
        ),
        (
            "content null",
            json!({"choices": [{"message": {"role": "assistant", "content": null}}]}),
            "",
            false,
        ),
        (
            "no content",
            json!({"choices": [{"message": {"role": "assistant"}}]}),
            "",
            false,
        ),
        (
            "content in parts",
            json!({"choices": [{"message": {"content": [{"type": "text", "text": "H"}, {"type": "image"}, {"type": "text", "text": "i"}]}}]}),
            "Hi",
            false,
        ),
        (
            "role null",
            json!({"choices": [{"message": {"role": null, "content": "Hi"}}]}),
            "Hi",
            false,
        ),
        (
            "a tool call without id",
            json!({"choices": [{"message": {"content": "Hi", "tool_calls": [{"function": {"name": "f", "arguments": ""}}]}}]}),
            "Hi",
            false,
        ),
        (
            "the second choice first",
            json!({"choices": [{"index": 1, "message": {"content": "Ho"}}, {"index": 0, "message": {"content": "Hi"}}]}),
            "Hi",
            false,
        ),
        (
            "usage that does not tell what was written",
            with("usage", json!({"prompt_tokens": 1})),
            "Hi",
            false,
        ),
        (
            "usage that tells it by the total",
            with("usage", json!({"prompt_tokens": 1, "total_tokens": 3})),
            "Hi",
            true,
        ),
        (
            "tool_calls null",
            json!({"choices": [{"message": {"content": "Hi", "tool_calls": null}}]}),
            "Hi",
            false,
        ),
        ("usage null", with("usage", json!(null)), "Hi", false),
        (
            "usage whole",
            with("usage", json!({"prompt_tokens": 1, "completion_tokens": 2})),
            "Hi",
            true,
        ),
        (
            "usage with null details",
            with(
                "usage",
                json!({"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": null, "completion_tokens_details": {"reasoning_tokens": null}}),
            ),
            "Hi",
            true,
        ),
        ("usage empty", with("usage", json!({})), "Hi", false),
        (
            "usage negative",
            with(
                "usage",
                json!({"prompt_tokens": -1, "completion_tokens": 2}),
            ),
            "Hi",
            false,
        ),
        (
            "usage in fractions",
            with(
                "usage",
                json!({"prompt_tokens": 1.5, "completion_tokens": 2}),
            ),
            "Hi",
            false,
        ),
        (
            "usage as text",
            with("usage", json!({"prompt_tokens": "1"})),
            "Hi",
            false,
        ),
        (
            "usage no object",
            with("usage", json!([1, "two", null])),
            "Hi",
            false,
        ),
        ("error null", with("error", json!(null)), "Hi", false),
        (
            "unknown fields",
            with("x", json!({"y": [1, {}]})),
            "Hi",
            false,
        ),
    ];
    for (case, body, text, usage_known) in cases {
        let answer = chat(200, &body.to_string()).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(answer.text(), text, "{case}");
        assert_eq!(answer.usage.is_some(), usage_known, "{case}");
        assert_eq!(answer.first().message.role, "assistant", "{case}");
    }
}

#[test]
fn an_answer_with_tool_calls_can_be_sent_back_as_it_came() {
    let message = json!({
        "role": "assistant",
        "content": null,
        "reasoning_content": "Hmm.",
        "tool_calls": [{
            "id": "A",
            "type": "function",
            "function": {"name": "f", "arguments": "{\"x\": 1}"},
            // Gemini refuses the next request if this does not come back.
            "extra_content": {"google": {"thought_signature": "c2ln"}},
        }],
    });
    let body = json!({"choices": [{"message": message, "finish_reason": "tool_calls"}]});
    let answer = chat(200, &body.to_string()).unwrap();
    assert_eq!(answer.text(), "");
    assert_eq!(answer.first().message.tool_calls[0].function.name, "f");
    assert_eq!(
        serde_json::to_value(&answer.first().message).unwrap(),
        message
    );
}

#[test]
fn the_reason_of_a_malformed_answer_is_short_even_if_the_answer_is_not() {
    let body = json!({"choices": "x".repeat(1 << 20)}).to_string();
    let Error::Malformed { reason, .. } = chat_error(200, &body) else {
        panic!("not malformed")
    };
    assert!(
        reason.starts_with("invalid type: string") && reason.len() <= 300,
        "{} bytes",
        reason.len()
    );
}

#[test]
fn what_is_no_answer_is_malformed_and_kept() {
    let cases = [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "text",
        r#"{"choices": []}"#,
        r#"{"choices": null}"#,
        r#"{"choices": [{}]}"#,
        r#"{"choices": [{"message": {"content": 1}}]}"#,
        "<html>\n</html>",
    ];
    for body in cases {
        for status in [200, 201, 204] {
            let error = chat_error(status, body);
            assert!(
                matches!(&error, Error::Malformed { text, .. } if text == body),
                "{body:?}: {error:?}"
            );
            assert!(!error.is_retryable() && error.maybe_billed(), "{body:?}");
        }
    }
    let long = "ü".repeat(KEPT_TEXT);
    let Error::Malformed { text, .. } = chat_error(200, &long) else {
        panic!("not malformed")
    };
    assert!(
        text.len() <= KEPT_TEXT && text.len() > KEPT_TEXT - 4,
        "{}",
        text.len()
    );
}

#[test]
fn an_error_object_in_a_200_is_the_servers_error() {
    for body in [
        r#"{"error": {"message": "m", "code": "c"}}"#,
        r#"{"error": {"message": "m", "code": "c"}, "choices": []}"#,
        r#"{"error": {"message": "m", "code": "c"}, "choices": null}"#,
    ] {
        let error = chat_error(200, body);
        let Error::Server(refusal) = &error else {
            panic!("{body}: {error:?}")
        };
        assert_eq!(
            (refusal.status, &*refusal.message, refusal.code.as_deref()),
            (Some(200), "m", Some("c")),
            "{body}"
        );
        assert!(!error.is_retryable() && error.maybe_billed(), "{body}");
    }
}

// --- Refusals ---

#[test]
fn refusals_are_understood_in_every_shape() {
    struct Said(
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
    );
    // Status, body, then kind of error and message, code, type, param.
    let cases = [
        (
            401,
            r#"{"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}}"#,
            "status",
            Said(
                "Incorrect API key provided.",
                Some("invalid_api_key"),
                Some("invalid_request_error"),
                None,
            ),
        ),
        (
            400,
            r#"{"error": {"message": "m", "type": "t", "param": "messages", "code": null}}"#,
            "status",
            Said("m", None, Some("t"), Some("messages")),
        ),
        (
            429,
            r#"{"error": {"message": "m", "code": "rate_limit_exceeded", "type": "tokens"}}"#,
            "rate_limited",
            Said("m", Some("rate_limit_exceeded"), Some("tokens"), None),
        ),
        (
            429,
            r#"{"error": {"message": "m", "code": "insufficient_quota", "type": "insufficient_quota"}}"#,
            "quota_exhausted",
            Said(
                "m",
                Some("insufficient_quota"),
                Some("insufficient_quota"),
                None,
            ),
        ),
        (
            429,
            r#"{"error": {"message": "m", "type": "insufficient_quota"}}"#,
            "quota_exhausted",
            Said("m", None, Some("insufficient_quota"), None),
        ),
        (
            429,
            r#"{"error": {"message": "m", "code": "insufficient_quota"}}"#,
            "quota_exhausted",
            Said("m", Some("insufficient_quota"), None, None),
        ),
        (
            403,
            r#"{"error": {"message": "m", "code": "insufficient_quota"}}"#,
            "status",
            Said("m", Some("insufficient_quota"), None, None),
        ),
        (
            429,
            "",
            "rate_limited",
            Said("the server gave no reason", None, None, None),
        ),
        (
            400,
            r#"{"error": {"message": "m", "code": 400, "type": 7}}"#,
            "status",
            Said("m", Some("400"), Some("7"), None),
        ),
        (
            500,
            r#"{"error": "out of memory"}"#,
            "status",
            Said("out of memory", None, None, None),
        ),
        (
            400,
            r#"{"object": "error", "message": "m", "type": "BadRequestError", "param": null, "code": 400}"#,
            "status",
            Said("m", Some("400"), Some("BadRequestError"), None),
        ),
        (
            404,
            r#"{"message": "no such route"}"#,
            "status",
            Said("no such route", None, None, None),
        ),
        (
            422,
            r#"{"detail": "Not Found"}"#,
            "status",
            Said("Not Found", None, None, None),
        ),
        (
            422,
            r#"{"detail": [{"loc": ["body", "model"], "msg": "Field required", "type": "missing"}, {"msg": "Too long"}]}"#,
            "status",
            Said("Field required; Too long", None, None, None),
        ),
        (
            422,
            r#"{"detail": []}"#,
            "status",
            Said(r#"{"detail":[]}"#, None, None, None),
        ),
        (
            400,
            r#"{"unheard": "of"}"#,
            "status",
            Said(r#"{"unheard":"of"}"#, None, None, None),
        ),
        (
            400,
            r#"[{"error": {"message": "m"}}]"#,
            "status",
            Said(r#"[{"error":{"message":"m"}}]"#, None, None, None),
        ),
        (
            400,
            r#"{"error": {"code": 5}}"#,
            "status",
            Said(r#"{"error":{"code":5}}"#, Some("5"), None, None),
        ),
        (
            502,
            "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>",
            "status",
            Said(
                "an HTML page where JSON was due; is a proxy or gateway in between?",
                None,
                None,
                None,
            ),
        ),
        (
            502,
            "  <!DOCTYPE html><p>",
            "status",
            Said(
                "an HTML page where JSON was due; is a proxy or gateway in between?",
                None,
                None,
                None,
            ),
        ),
        (
            503,
            "upstream connect error\n",
            "status",
            Said("upstream connect error", None, None, None),
        ),
        (
            500,
            "",
            "status",
            Said("the server gave no reason", None, None, None),
        ),
        (
            500,
            " \n",
            "status",
            Said("the server gave no reason", None, None, None),
        ),
        (
            302,
            "",
            "status",
            Said("the server gave no reason", None, None, None),
        ),
        (
            500,
            r#"{"error": {"#,
            "status",
            Said(r#"{"error": {"#, None, None, None),
        ),
    ];
    for (status, body, kind, Said(message, code, class, param)) in cases {
        let error = chat_error(status, body);
        assert_eq!(error.kind(), kind, "{status} {body}");
        let refusal = error.refusal().expect("it is a refusal");
        assert_eq!(refusal.message, message, "{status} {body}");
        let said = (
            refusal.code.as_deref(),
            refusal.kind.as_deref(),
            refusal.param.as_deref(),
        );
        assert_eq!(said, (code, class, param), "{status} {body}");
        assert_eq!(refusal.status, Some(status), "{body}");

        let embedding = EmbeddingResponse::decode(status, &HeaderMap::new(), body.as_bytes(), 1);
        assert_eq!(embedding, Err(error), "embeddings are refused alike");
    }
}

#[test]
fn a_refusal_keeps_the_useful_headers() {
    let headers = headers(&[
        ("x-request-id", "req_1"),
        ("retry-after", "2"),
        ("x-should-retry", "false"),
        ("x-ratelimit-remaining-requests", "0"),
    ]);
    let error = ChatResponse::decode(429, &headers, b"{}").unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.request_id.as_deref(), Some("req_1"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
    assert_eq!(refusal.should_retry, Some(false));
    assert_eq!(refusal.headers, headers);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_body_at_all_makes_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), status in 100..1000_u16) {
        let chat = ChatResponse::decode(status, &HeaderMap::new(), &bytes);
        prop_assert!(chat.is_err());
        prop_assert!(EmbeddingResponse::decode(status, &HeaderMap::new(), &bytes, 1).is_err());
        prop_assert!(!Refusal::decode(Some(status), &HeaderMap::new(), &bytes).message.is_empty());
    }
}

#[test]
fn waits_are_read_in_every_form() {
    const DATE: &str = "Wed, 21 Oct 2026 07:28:00 GMT";
    const LONGEST: Option<u128> = Some(Duration::MAX.as_millis());
    // Headers, milliseconds.
    type Headers = &'static [(&'static str, &'static str)];
    let cases: &[(Headers, Option<u128>)] = &[
        (&[], None),
        (&[("retry-after", "2")], Some(2_000)),
        (&[("retry-after", " 2 ")], Some(2_000)),
        (&[("retry-after", "0")], Some(0)),
        (&[("retry-after", "0.25")], Some(250)),
        (&[("retry-after-ms", "1500")], Some(1_500)),
        (&[("retry-after-ms", "0.5"), ("retry-after", "9")], Some(0)),
        (&[("retry-after", "9"), ("retry-after-ms", "20")], Some(20)),
        (
            &[("retry-after", "9"), ("retry-after-ms", "soon")],
            Some(9_000),
        ),
        (
            &[("retry-after", "9"), ("retry-after-ms", "-1")],
            Some(9_000),
        ),
        (
            &[
                ("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"),
                ("date", DATE),
            ],
            Some(30_000),
        ),
        (
            &[
                ("retry-after", "Wednesday, 21-Oct-26 07:28:30 GMT"),
                ("date", DATE),
            ],
            Some(30_000),
        ),
        (
            &[("retry-after", "Wed Oct 21 07:28:30 2026"), ("date", DATE)],
            Some(30_000),
        ),
        (&[("retry-after", DATE), ("date", DATE)], Some(0)),
        (
            &[
                ("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT"),
                ("date", DATE),
            ],
            Some(0),
        ),
        (&[("retry-after", DATE)], None),
        (&[("retry-after", DATE), ("date", "yesterday")], None),
        (&[("retry-after", "-1")], None),
        (&[("retry-after", "soon")], None),
        (&[("retry-after", "")], None),
        (&[("retry-after", "NaN")], None),
        (&[("retry-after", "-inf")], None),
        (&[("retry-after", "-99999999999999999999999")], None),
        (&[("retry-after", "86400")], Some(86_400_000)),
        // Longer than any duration is long, and not nothing.
        (&[("retry-after", "inf")], LONGEST),
        (&[("retry-after", "1e30")], LONGEST),
        (&[("retry-after", "99999999999999999999999")], LONGEST),
        (&[("retry-after-ms", "1e30"), ("retry-after", "9")], LONGEST),
    ];
    for (pairs, expected) in cases {
        let wait = retry_after(&headers(pairs)).map(|wait| wait.as_millis());
        assert_eq!(wait, *expected, "{pairs:?}");
    }
    let no_text = HeaderValue::from_bytes(b"\xFF").unwrap();
    assert_eq!(
        retry_after(&[(http::header::RETRY_AFTER, no_text)].into_iter().collect()),
        None
    );
}

// --- Errors ---

fn refused(status: u16, pairs: &[(&str, &str)]) -> Error {
    Error::from_response(status, &headers(pairs), br#"{"error": {"message": "m"}}"#)
}

#[test]
fn only_what_may_pass_is_worth_another_try() {
    for status in 400..=599 {
        let retryable = matches!(status, 408 | 409 | 429 | 500..=599);
        assert_eq!(refused(status, &[]).is_retryable(), retryable, "{status}");
        // The server knows better, but what is wrong in itself stays wrong.
        assert_eq!(
            refused(status, &[("x-should-retry", "true")]).is_retryable(),
            retryable,
            "{status}"
        );
        assert!(
            !refused(status, &[("x-should-retry", "false")]).is_retryable(),
            "{status}"
        );
        let odd = refused(status, &[("x-should-retry", "perhaps")]);
        assert_eq!(odd.is_retryable(), retryable, "{status}");
        let gave_up = matches!(status, 408 | 502 | 504 | 520 | 524);
        assert_eq!(odd.maybe_billed(), gave_up, "{status}");
    }
    for (status, body) in [
        (429, r#"{"error": {"code": "insufficient_quota"}}"#),
        (429, r#"{"error": {"type": "insufficient_quota"}}"#),
        (429, r#"{"error": {"code": "billing_not_active"}}"#),
        (402, r#"{"error": {"message": "Insufficient Balance"}}"#),
        (402, "no JSON"),
    ] {
        let quota =
            Error::from_response(status, &headers(&[("retry-after", "1")]), body.as_bytes());
        assert_eq!(quota.kind(), "quota_exhausted", "{status} {body}");
        assert!(
            !quota.is_retryable() && !quota.maybe_billed(),
            "{status} {body}"
        );
    }
}

/// One error of each kind, whether it is worth another try, and whether it may have been billed.
fn every_kind() -> Vec<(Error, bool, bool)> {
    let limit = Duration::from_secs(30);
    let silent = |phase| Error::Silent { phase, limit };
    let interrupted = |phase| Error::Interrupted {
        phase,
        message: "Connection reset by peer".into(),
    };
    let server = Error::Server(std::sync::Arc::new(Refusal::decode(
        None,
        &HeaderMap::new(),
        b"{\"error\": \"m\"}",
    )));
    let quota = br#"{"error": {"message": "m", "code": "insufficient_quota"}}"#;
    vec![
        (
            Error::Config("OPENAI_API_KEY is not set".into()),
            false,
            false,
        ),
        (
            Error::Connect("127.0.0.1:1: Connection refused".into()),
            true,
            false,
        ),
        (silent(Phase::Head), true, true),
        (silent(Phase::Body), false, true),
        (Error::Deadline { limit }, false, true),
        (refused(429, &[("retry-after", "2")]), true, false),
        (
            Error::from_response(429, &HeaderMap::new(), quota),
            false,
            false,
        ),
        (refused(401, &[("x-request-id", "req_1")]), false, false),
        (refused(503, &[]), true, false),
        (server, false, true),
        (
            Error::Malformed {
                reason: "EOF".into(),
                text: "{\n}".into(),
            },
            false,
            true,
        ),
        (Error::Truncated, false, true),
        (interrupted(Phase::Head), true, true),
        (interrupted(Phase::Body), false, true),
        (Error::TooLarge { limit: 64 }, false, true),
        (Error::UnsupportedEncoding("gzip".into()), false, true),
        (
            Error::Unfinished {
                reason: FinishReason::Length,
                text: "Once".into(),
            },
            false,
            true,
        ),
    ]
}

#[test]
fn each_kind_of_error_says_what_it_allows() {
    for (error, retryable, maybe_billed) in every_kind() {
        assert_eq!(error.is_retryable(), retryable, "{error:?}");
        assert_eq!(error.maybe_billed(), maybe_billed, "{error:?}");
        assert!(
            error
                .kind()
                .bytes()
                .all(|b| b == b'_' || b.is_ascii_lowercase()),
            "{error:?}"
        );
    }
}

#[test]
fn an_error_reads_well_in_one_line() {
    let lines: Vec<_> = every_kind()
        .iter()
        .map(|(error, ..)| error.to_string())
        .collect();
    assert_eq!(
        lines,
        [
            "OPENAI_API_KEY is not set",
            "cannot connect: 127.0.0.1:1: Connection refused",
            "the server did not begin to answer within 30s",
            "the server fell silent in mid-answer for 30s",
            "the call took longer than its limit of 30s",
            "rate limited: m (status 429); the server asks to wait 2s",
            "the account's quota is used up: m (status 429, code insufficient_quota)",
            "the server refused: m (status 401, request req_1)",
            "the server refused: m (status 503)",
            "the server failed: m",
            "the server's answer makes no sense (EOF): {",
            "the stream ended before the model had finished",
            "the connection broke before the answer began: Connection reset by peer",
            "the connection broke in mid-answer: Connection reset by peer",
            "the server sent more than the limit of 64 bytes in one piece",
            "the answer is encoded as \"gzip\", which was not asked for",
            "the model stopped early (length) after 4 characters",
        ]
    );
}

#[test]
fn no_servers_words_break_the_line_or_fill_the_screen() {
    let long = "x".repeat(10_000);
    let cases = [
        json!({"error": {"message": "first\nsecond\r\nthird"}}),
        json!({"error": {"message": "\n\n  first\nsecond"}}),
        json!({"error": {"message": "first\rsecond"}}),
        json!({"error": {"message": "first", "code": "a\nb"}}),
        json!({"error": {"message": format!("first {long}"), "code": long}}),
        json!({"error": {"message": "first \u{1b}[2J\u{7}"}}),
    ];
    for body in cases {
        let line = chat_error(400, &body.to_string()).to_string();
        assert!(line.starts_with("the server refused: first"), "{line:?}");
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(line.len() < 1_000, "{} bytes", line.len());
    }
}

// --- Tokens and money ---

#[test]
fn cost_is_counted_in_whole_billionths() {
    let usage = |input_tokens, cached_input_tokens, output_tokens| Usage {
        input_tokens,
        cached_input_tokens,
        output_tokens,
        reasoning_tokens: 0,
    };
    let cases = [
        ("nothing", usage(0, 0, 0), "gpt-4o-mini", Some(0)),
        ("a token in", usage(1, 0, 0), "gpt-4o-mini", Some(150)),
        ("a token out", usage(0, 0, 1), "gpt-4o-mini", Some(600)),
        (
            "cached ones cost less",
            usage(10, 4, 1),
            "gpt-4o-mini",
            Some(6 * 150 + 4 * 75 + 600),
        ),
        (
            "more cached than sent can't be",
            usage(4, 10, 0),
            "gpt-4o-mini",
            Some(4 * 75),
        ),
        (
            "a dated release",
            usage(1, 0, 1),
            "gpt-4o-mini-2024-07-18",
            Some(750),
        ),
        (
            "a dated release with a price of its own",
            usage(1, 0, 1),
            "gpt-4o-2024-05-13",
            Some(20_000),
        ),
        (
            "not the longer name's beginning",
            usage(1, 0, 0),
            "gpt-4o",
            Some(2_500),
        ),
        (
            "an embedding",
            usage(1_000, 0, 0),
            "text-embedding-3-small",
            Some(20_000),
        ),
        ("an unknown model", usage(1, 0, 1), "llama3.2", None),
        (
            "an unknown sibling",
            usage(1, 0, 1),
            "gpt-4o-mini-audio-preview",
            None,
        ),
        (
            "a name that only begins alike",
            usage(1, 0, 1),
            "gpt-4o-miniature",
            None,
        ),
        ("no name", usage(1, 0, 1), "", None),
        (
            "more than can be counted",
            usage(u64::MAX, 0, u64::MAX),
            "gpt-4o-mini",
            None,
        ),
    ];
    for (case, usage, model, expected) in cases {
        assert_eq!(usage.cost(model), expected.map(Cost), "{case}");
    }
}

#[test]
fn money_is_shown_in_dollars_rounded_to_the_nearest_millionth() {
    let cases = [
        (0, "$0.000000"),
        (499, "$0.000000"),
        (500, "$0.000001"),
        (1_499, "$0.000001"),
        (450_000, "$0.000450"),
        (999_999_499, "$0.999999"),
        (999_999_500, "$1.000000"),
        (12_345_678_900, "$12.345679"),
        (u64::MAX, "$18446744073.709552"),
    ];
    for (billionths, expected) in cases {
        assert_eq!(Cost(billionths).to_string(), expected);
    }
}

#[test]
fn sums_have_no_rounding_and_no_overflow() {
    let ones: Cost = (0..1_000).map(|_| Cost(1)).sum();
    assert_eq!(ones, Cost(1_000));
    assert_eq!(Cost(u64::MAX) + Cost(1), Cost(u64::MAX));
    let a = Usage {
        input_tokens: 1,
        output_tokens: 2,
        cached_input_tokens: 3,
        reasoning_tokens: 4,
    };
    let b = Usage {
        input_tokens: 10,
        output_tokens: 20,
        cached_input_tokens: 30,
        reasoning_tokens: 40,
    };
    assert_eq!(
        a + b,
        Usage {
            input_tokens: 11,
            output_tokens: 22,
            cached_input_tokens: 33,
            reasoning_tokens: 44
        }
    );
    let most = Usage {
        input_tokens: u64::MAX,
        ..a
    };
    assert_eq!((most + b).input_tokens, u64::MAX);
}

#[test]
fn each_price_is_found_by_its_own_name() {
    for (name, listed) in PRICES {
        assert_eq!(price(name), Some(*listed), "{name}");
        assert_eq!(
            price(&format!("{name}-2026-01-31")),
            Some(*listed),
            "{name}"
        );
        assert!(listed.cached_input <= listed.input, "{name}");
    }
    assert!(
        price(ai_core::DEFAULT_MODEL).is_some()
            && price(ai_core::DEFAULT_EMBEDDING_MODEL).is_some()
    );
}

// --- Embeddings ---

#[test]
fn vectors_come_in_the_order_of_the_texts_or_not_at_all() {
    let item = |index: Value, number: f32| json!({"object": "embedding", "index": index, "embedding": [number, 0.5]});
    // How many texts were asked for, the items, the first number of each vector.
    let cases = [
        (
            "in order",
            2,
            json!([item(json!(0), 1.0), item(json!(1), 2.0)]),
            Some(vec![1.0, 2.0]),
        ),
        (
            "in another order",
            3,
            json!([
                item(json!(2), 3.0),
                item(json!(0), 1.0),
                item(json!(1), 2.0)
            ]),
            Some(vec![1.0, 2.0, 3.0]),
        ),
        (
            "without indexes",
            2,
            json!([{"embedding": [1.0]}, {"embedding": [2.0]}]),
            Some(vec![1.0, 2.0]),
        ),
        (
            "with null indexes",
            2,
            json!([item(json!(null), 1.0), item(json!(null), 2.0)]),
            Some(vec![1.0, 2.0]),
        ),
        (
            "whole numbers",
            1,
            json!([{"index": 0, "embedding": [1, 2]}]),
            Some(vec![1.0]),
        ),
        ("one too few", 2, json!([item(json!(0), 1.0)]), None),
        (
            "one too many",
            1,
            json!([item(json!(0), 1.0), item(json!(1), 2.0)]),
            None,
        ),
        (
            "an index twice, besides all others",
            2,
            json!([
                item(json!(0), 1.0),
                item(json!(1), 2.0),
                item(json!(1), 3.0)
            ]),
            None,
        ),
        (
            "an index twice",
            2,
            json!([item(json!(0), 1.0), item(json!(0), 2.0)]),
            None,
        ),
        ("an index too large", 1, json!([item(json!(1), 1.0)]), None),
        ("a negative index", 1, json!([item(json!(-1), 1.0)]), None),
        ("none at all", 1, json!([]), None),
        ("not a list", 1, json!({}), None),
        (
            "null in a vector",
            1,
            json!([{"index": 0, "embedding": [null]}]),
            None,
        ),
        ("no vector", 1, json!([{"index": 0}]), None),
    ];
    for (case, texts, data, expected) in cases {
        let body = json!({"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 5, "total_tokens": 5}});
        let answer =
            EmbeddingResponse::decode(200, &HeaderMap::new(), body.to_string().as_bytes(), texts);
        match expected {
            Some(numbers) => {
                let answer = answer.unwrap_or_else(|error| panic!("{case}: {error}"));
                let firsts: Vec<_> = answer.embeddings.iter().map(|vector| vector[0]).collect();
                assert_eq!(firsts, numbers, "{case}");
                assert_eq!(
                    answer.usage,
                    Some(Usage {
                        input_tokens: 5,
                        ..Usage::default()
                    }),
                    "{case}"
                );
            }
            None => assert!(
                matches!(answer, Err(Error::Malformed { .. })),
                "{case}: {answer:?}"
            ),
        }
    }
}

#[test]
fn base64_and_numbers_give_equal_vectors() {
    let vector = [0.1_f32, -2.5, 0.0, f32::MIN_POSITIVE, 1e-10, 123_456.79];
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
    for embedding in [json!(vector), json!(base64)] {
        let body = json!({"data": [{"index": 0, "embedding": embedding}]}).to_string();
        let answer = EmbeddingResponse::decode(200, &HeaderMap::new(), body.as_bytes(), 1).unwrap();
        assert_eq!(answer.embeddings, [vector], "{body}");
    }
    for broken in ["AAA=", "not base64!", "AAAA"] {
        let body = json!({"data": [{"index": 0, "embedding": broken}]}).to_string();
        let answer = EmbeddingResponse::decode(200, &HeaderMap::new(), body.as_bytes(), 1);
        assert!(
            matches!(answer, Err(Error::Malformed { .. })),
            "{broken}: {answer:?}"
        );
    }
}

// --- Requests ---

#[test]
fn a_request_is_written_with_what_was_set_and_nothing_else() {
    let new = || ChatRequest::new("m", "p");
    let with = |name: &str, value: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "p"}]});
        body[name] = value;
        body
    };
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function = json!({"name": "f", "description": "d", "parameters": schema});
    let cases = [
        (
            new(),
            json!({"model": "m", "messages": [{"role": "user", "content": "p"}]}),
        ),
        (new().temperature(0.7), with("temperature", json!(0.7))),
        (new().max_tokens(5), with("max_tokens", json!(5))),
        (
            ChatRequest {
                n: Some(2),
                ..new()
            },
            with("n", json!(2)),
        ),
        (
            ChatRequest {
                stop: vec!["\n".into()],
                ..new()
            },
            with("stop", json!(["\n"])),
        ),
        (
            ChatRequest {
                response_format: Some(json_object()),
                ..new()
            },
            with("response_format", json!({"type": "json_object"})),
        ),
        (
            ChatRequest {
                response_format: Some(json_schema("s", schema.clone())),
                ..new()
            },
            with(
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "s", "strict": true, "schema": schema}}),
            ),
        ),
        (
            ChatRequest {
                tools: vec![Tool::function("f", "d", schema.clone())],
                ..new()
            },
            with("tools", json!([{"type": "function", "function": function}])),
        ),
        (
            ChatRequest {
                extra: json!({"seed": 7}).as_object().unwrap().clone(),
                ..new()
            },
            with("seed", json!(7)),
        ),
        // The options of a stream are sent with a stream only.
        (
            ChatRequest {
                stream_options: Some(StreamOptions {
                    include_usage: true,
                }),
                ..new()
            },
            with("model", json!("m")),
        ),
        (
            new().system("s"),
            with(
                "messages",
                json!([{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]),
            ),
        ),
        (
            ChatRequest {
                messages: vec![
                    Message::assistant("a"),
                    Message {
                        content: None,
                        tool_calls: vec![ToolCall::new("A", "f", "{}")],
                        ..Message::assistant("")
                    },
                    Message::tool("A", "r"),
                    Message {
                        content: Some(Content::Parts(vec![json!({"type": "text", "text": "x"})])),
                        ..Message::user("")
                    },
                ],
                ..new()
            },
            with(
                "messages",
                json!([
                    {"role": "assistant", "content": "a"},
                    {"role": "assistant", "content": null, "tool_calls": [{"id": "A", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                    {"role": "tool", "content": "r", "tool_call_id": "A"},
                    {"role": "user", "content": [{"type": "text", "text": "x"}]},
                ]),
            ),
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(serde_json::to_value(&request).unwrap(), expected);
    }
}

#[test]
fn an_embedding_request_is_written_with_what_was_set_and_nothing_else() {
    let request = EmbeddingRequest::new("m", ["a", "b"]);
    assert_eq!(
        serde_json::to_value(&request).unwrap(),
        json!({"model": "m", "input": ["a", "b"]})
    );
    let request = EmbeddingRequest {
        dimensions: Some(256),
        encoding_format: Some("base64".into()),
        extra: json!({"user": "u"}).as_object().unwrap().clone(),
        ..request
    };
    let body = json!({"model": "m", "input": ["a", "b"], "dimensions": 256, "encoding_format": "base64", "user": "u"});
    assert_eq!(serde_json::to_value(&request).unwrap(), body);
}

#[test]
fn a_request_in_json_is_read_and_written_without_loss() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": "p", "name": "Ann"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "A", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"x": 1}},
            ]},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": true}},
            {"type": "function", "function": {"name": "bare"}},
        ],
        "tool_choice": "auto",
        "seed": 18446744073709551615_u64,
        "metadata": {"a": [null, -1, 1.5e300]},
    });
    let request: ChatRequest = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(serde_json::to_value(&request).unwrap(), body);
}

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Fractions that are exact in binary: serde_json reads others to the last bit but one.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn unknown_fields_of_a_request_are_kept(
        extra in prop::collection::hash_map("x_[a-z]{1,6}", any_json(), 0..5),
        prompt in any::<String>(),
        temperature in prop::option::of((0..=8_u8).prop_map(|n| f64::from(n) / 4.0)),
    ) {
        let mut request = ChatRequest { extra: extra.into_iter().collect(), ..ChatRequest::new("m", prompt) };
        request.temperature = temperature;
        let text = serde_json::to_string(&request).unwrap();
        prop_assert_eq!(text.contains("temperature"), temperature.is_some() || text.contains("\\\"temperature"));
        let read: ChatRequest = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read, request);
    }
}

#[test]
fn a_usage_that_was_written_can_be_read_back() {
    let usage = Usage {
        input_tokens: 4,
        output_tokens: 3,
        cached_input_tokens: 2,
        reasoning_tokens: 1,
    };
    let text = serde_json::to_string(&usage).expect("it is JSON");
    assert_eq!(serde_json::from_str::<Usage>(&text).ok(), Some(usage));
}

#[test]
fn a_field_that_has_a_place_of_its_own_is_refused_in_extra() {
    let client = ai_core::SyncClient::new(
        ai_core::Config::new("http://127.0.0.1:9/v1", "key").expect("a good URL"),
    )
    .expect("a client can be built");
    for name in ["model", "n", "stream", "stream_options", "max_tokens"] {
        let mut request = ChatRequest::new("m", "p");
        request.extra.insert(name.to_owned(), json!(1));
        let error = client.chat(&request).expect_err("it can't be sent");
        assert_eq!(error.kind(), "config", "{name}: {error}");
    }
}
