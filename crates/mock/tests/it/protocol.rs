//! What a healthy server promises: answers, usage, refusals, limits.

use std::time::{Duration, SystemTime};

use ai_mock::{Entry, Failure, Latency, Mock, Quota, Service};
use serde_json::{Value, json};

use crate::support::{Call, PATIENCE, call, chat, content, prompt, streamed};

#[test]
fn plain_stream_usage_and_log_agree() {
    let mock = Mock::start().unwrap();

    let plain = chat(&mock, &[], &prompt("Explain tides"));
    let stream = chat(&mock, &[], &streamed("Explain tides"));

    assert_eq!(content(&plain), stream.streamed_text());
    let events = stream.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let usage: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"], plain.json()["usage"]);
    let first: Value = serde_json::from_str(&events[0]).unwrap();
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(first["object"], "chat.completion.chunk");
    assert!(
        first.as_object().unwrap().contains_key("usage"),
        "with include_usage every chunk has a null usage"
    );
    for entry in mock.log() {
        assert_eq!(
            json!(entry.tokens_sent),
            usage["usage"]["completion_tokens"]
        );
        assert_eq!(json!(entry.prompt_tokens), usage["usage"]["prompt_tokens"]);
        assert_eq!((entry.status, entry.left_at_token), (Some(200), None));
        assert!(entry.is_finished());
    }
}

#[test]
fn usage_is_streamed_only_when_asked_for() {
    let mock = Mock::start().unwrap();
    let mut body = prompt("Explain tides");
    body["stream"] = json!(true);
    assert!(!chat(&mock, &[], &body).text().contains("usage"));
}

#[test]
fn the_same_seed_gives_the_same_answers_in_every_room() {
    let [one, two, other] = [7, 7, 8].map(|seed| Mock::builder().seed(seed).start().unwrap());
    let ask = |mock: &Mock, text: &str| content(&chat(mock, &[], &prompt(text)));
    // Other requests before it, as in a room where everybody types at another pace.
    ask(&two, "What is AI?");
    let texts = [
        "Explain rainbows",
        "Write a short story about a robot",
        "How do magnets work?",
    ];
    let answers = |mock: &Mock| texts.map(|text| ask(mock, text));
    assert_eq!(answers(&one), answers(&two));
    assert_ne!(answers(&one), answers(&other));
    assert!(answers(&one)[0].to_lowercase().contains("rainbows"));
}

#[test]
fn choices_limits_and_stop_strings_are_kept() {
    let mock = Mock::start().unwrap();
    let with = |fields: Value| {
        let mut body = prompt("Explain tides");
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        chat(&mock, &[], &body).json()
    };
    let whole = with(json!({}));
    let text = whole["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");

    let many = with(json!({"n": 3}));
    assert_eq!(many["choices"].as_array().unwrap().len(), 3);
    assert_eq!(many["choices"][0]["message"]["content"], text);

    for field in ["max_tokens", "max_completion_tokens"] {
        let cut = with(json!({ field: 5 }));
        assert_eq!(cut["choices"][0]["finish_reason"], "length");
        assert_eq!(cut["usage"]["completion_tokens"], 5);
        assert!(text.starts_with(cut["choices"][0]["message"]["content"].as_str().unwrap()));
    }
    let stop = with(json!({"stop": ["zzz", "."]}));
    assert_eq!(
        stop["choices"][0]["message"]["content"],
        text.split('.').next().unwrap()
    );
    assert_eq!(stop["choices"][0]["finish_reason"], "stop");

    let exact = chat(&mock, &[("x-mock-tokens", "40")], &prompt("Explain tides")).json();
    assert_eq!(exact["usage"]["completion_tokens"], 40);
    assert_eq!(exact["choices"][0]["finish_reason"], "stop");
}

#[test]
fn several_choices_take_turns_in_a_stream() {
    let mock = Mock::start().unwrap();
    let mut body = streamed("Explain tides");
    body["n"] = json!(2);
    let reply = chat(&mock, &[("x-mock-tokens", "3")], &body);
    let events = reply
        .events()
        .into_iter()
        .filter_map(|data| serde_json::from_str::<Value>(&data).ok());
    let tokens = events.filter(|chunk| {
        chunk["choices"][0]["delta"]["content"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    });
    let order: Vec<u64> = tokens
        .filter_map(|chunk| chunk["choices"][0]["index"].as_u64())
        .collect();
    assert_eq!(order, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn an_agent_calls_a_tool_and_then_comes_to_its_end() {
    let mock = Mock::start().unwrap();
    let tool = |name: &str, field: &str| {
        json!({"type": "function", "function": {"name": name, "parameters": {
            "type": "object", "required": [field], "properties": {field: {"type": "string"}}}}})
    };
    let mut body = prompt("What is the weather in Paris?");
    body["tools"] = json!([tool("get_time", "zone"), tool("get_weather", "city")]);

    let reply = chat(&mock, &[], &body).json();
    let choice = &reply["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "get_weather");
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"city": "Paris"}));

    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(choice["message"].clone());
    messages.push(
        json!({"role": "tool", "tool_call_id": call["id"], "content": "18 degrees and sunny"}),
    );
    let answer = chat(&mock, &[], &body);
    assert!(content(&answer).contains("18 degrees and sunny"));

    body["messages"] = prompt("Hello")["messages"].clone();
    body["tool_choice"] = json!({"type": "function", "function": {"name": "get_time"}});
    assert_eq!(
        chat(&mock, &[], &body).json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
        "get_time"
    );
    body["tool_choice"] = json!("none");
    content(&chat(&mock, &[], &body));
}

#[test]
fn structured_answers_fit_their_schema() {
    let mock = Mock::start().unwrap();
    let mut body =
        prompt("Summarize as json:\nAda Lovelace wrote the first program. It was never run.");
    body["response_format"] = json!({"type": "json_object"});
    let object: Value = serde_json::from_str(&content(&chat(&mock, &[], &body))).unwrap();
    assert_eq!(
        object,
        json!({"summary": "Ada Lovelace wrote the first program."})
    );

    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "facts", "strict": true, "schema": {
        "type": "object", "required": ["entities", "count"], "additionalProperties": false, "properties": {
            "entities": {"type": "array", "items": {"type": "string"}},
            "count": {"type": "integer", "minimum": 1, "maximum": 1}}}}});
    let object: Value = serde_json::from_str(&content(&chat(&mock, &[], &body))).unwrap();
    assert_eq!(object, json!({"entities": ["Ada Lovelace"], "count": 1}));
}

#[test]
fn the_four_services_work_on_any_text_and_have_their_own_latency() {
    let ms = Duration::from_millis;
    let mock = Mock::builder()
        .service_latency(Service::Embedding, ms(8))
        .service_latency(Service::Sentiment, ms(6))
        .service_latency(Service::Summary, ms(4))
        .service_latency(Service::Entities, ms(2))
        .start()
        .unwrap();
    let text = "Grace Hopper loved elegant machines. She worked in Arlington.";
    let ask = |instruction: &str| {
        let body = json!({"model": "m", "messages": [
            {"role": "system", "content": instruction}, {"role": "user", "content": text}]});
        content(&chat(&mock, &[], &body))
    };
    assert_eq!(
        ask("Classify the sentiment as positive, negative or neutral."),
        "positive"
    );
    assert_eq!(
        ask("Summarize the text."),
        "Grace Hopper loved elegant machines."
    );
    assert_eq!(
        ask("Extract all named entities, separated by commas."),
        "Grace Hopper, Arlington"
    );
    let body = json!({"model": "text-embedding-3-small", "input": text});
    assert_eq!(
        call(&mock, "POST", "/v1/embeddings", &body.to_string()).status(),
        200
    );

    // Only lower bounds: a busy machine may always take longer.
    let least = [6, 4, 2, 8].map(ms);
    for (entry, least) in mock.log().iter().zip(least) {
        assert!(
            entry.first_byte.unwrap() - entry.arrived >= least,
            "{entry:?}"
        );
    }
}

#[test]
fn embeddings_are_unit_vectors_in_every_encoding() {
    let mock = Mock::start().unwrap();
    let embed = |fields: Value| {
        let mut body = json!({"model": "text-embedding-3-small", "input": "The tide is high"});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let reply = call(&mock, "POST", "/v1/embeddings", &body.to_string());
        (reply.status(), reply.json())
    };
    let floats = |value: &Value| -> Vec<f32> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap() as f32)
            .collect()
    };
    let (_, plain) = embed(json!({}));
    let vector = floats(&plain["data"][0]["embedding"]);
    assert_eq!(vector.len(), 1536);
    assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-3);
    assert_eq!(
        plain["usage"],
        json!({"prompt_tokens": 4, "total_tokens": 4})
    );

    let (_, encoded) = embed(json!({"encoding_format": "base64"}));
    let bytes = base64_decode(encoded["data"][0]["embedding"].as_str().unwrap());
    let decoded: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    assert_eq!(decoded, vector);

    let (_, list) = embed(json!({"input": ["a", "b"], "dimensions": 8}));
    assert_eq!(list["data"][1]["index"], 1);
    assert_eq!(floats(&list["data"][1]["embedding"]).len(), 8);
    assert_eq!(
        embed(json!({"input": [1, 2, 3]})).1["usage"]["prompt_tokens"],
        3
    );
    assert_eq!(
        embed(json!({"input": [[1], [2, 3]]})).1["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    for wrong in [
        json!({"input": ""}),
        json!({"input": []}),
        json!({"input": null}),
        json!({"input": ["a", 1]}),
        json!({"dimensions": 0}),
        json!({"dimensions": 4000}),
        json!({"encoding_format": "hex"}),
    ] {
        let (status, body) = embed(wrong.clone());
        assert_eq!(
            (status, &body["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{wrong}"
        );
    }
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

#[test]
fn wrong_requests_are_refused_in_openais_shape() {
    let mock = Mock::start().unwrap();
    let with = |fields: Value| {
        let mut body = prompt("Hello");
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        body.to_string()
    };
    let chat = "/v1/chat/completions";
    let cases = [
        ("POST", chat, "{".to_owned(), 400, Value::Null),
        ("POST", chat, "[]".to_owned(), 400, Value::Null),
        (
            "POST",
            chat,
            "{\"messages\": []}".to_owned(),
            400,
            Value::Null,
        ),
        ("POST", chat, with(json!({"model": 1})), 400, json!("model")),
        (
            "POST",
            chat,
            with(json!({"messages": null})),
            400,
            json!("messages"),
        ),
        (
            "POST",
            chat,
            with(json!({"messages": []})),
            400,
            json!("messages"),
        ),
        (
            "POST",
            chat,
            with(json!({"messages": ["hi"]})),
            400,
            json!("messages[0]"),
        ),
        (
            "POST",
            chat,
            with(json!({"messages": [{"role": "boss", "content": ""}]})),
            400,
            json!("messages[0].role"),
        ),
        (
            "POST",
            chat,
            with(json!({"messages": [{"role": "user"}]})),
            400,
            json!("messages[0].content"),
        ),
        (
            "POST",
            chat,
            with(json!({"temperature": 3})),
            400,
            json!("temperature"),
        ),
        ("POST", chat, with(json!({"n": 0})), 400, json!("n")),
        (
            "POST",
            chat,
            with(json!({"max_tokens": "many"})),
            400,
            json!("max_tokens"),
        ),
        (
            "POST",
            chat,
            with(json!({"stream": "yes"})),
            400,
            json!("stream"),
        ),
        (
            "POST",
            chat,
            with(json!({"stream_options": {"include_usage": true}})),
            400,
            json!("stream_options"),
        ),
        ("POST", chat, with(json!({"stop": 7})), 400, json!("stop")),
        (
            "POST",
            chat,
            with(json!({"tools": []})),
            400,
            json!("tools"),
        ),
        (
            "POST",
            chat,
            with(json!({"response_format": {"type": "yaml"}})),
            400,
            json!("response_format.type"),
        ),
        (
            "POST",
            chat,
            with(json!({"response_format": {"type": "json_object"}})),
            400,
            json!("messages"),
        ),
        (
            "POST",
            chat,
            with(json!({"model": "no-such-model"})),
            404,
            Value::Null,
        ),
        ("GET", chat, String::new(), 405, Value::Null),
        ("POST", "/v1/models", String::new(), 405, Value::Null),
        (
            "GET",
            "/v1/models/no-such-model",
            String::new(),
            404,
            Value::Null,
        ),
        ("POST", "/v1/chat", with(json!({})), 404, Value::Null),
        ("GET", "/", String::new(), 404, Value::Null),
    ];
    for (method, path, body, status, param) in cases {
        let reply = call(&mock, method, path, &body);
        assert_eq!(reply.status(), status, "{method} {path} {body}");
        let error = &reply.json()["error"];
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{error}"
        );
        assert_eq!(error["type"], "invalid_request_error", "{error}");
        assert_eq!(error["param"], param, "{error}");
        assert!(reply.header("x-request-id").unwrap().starts_with("req_"));
    }
    assert_eq!(
        call(&mock, "POST", chat, &with(json!({"model": "no-such-x"}))).json()["error"]["code"],
        "model_not_found"
    );
    assert_eq!(call(&mock, "GET", chat, "").header("allow"), Some("POST"));
    // Unknown fields are let pass: compatible servers have plenty.
    assert_eq!(
        call(
            &mock,
            "POST",
            "/chat/completions",
            &with(json!({"top_k": 5, "temperature": 0.7}))
        )
        .status(),
        200
    );
    let models = call(&mock, "GET", "/v1/models", "").json();
    assert!(
        models["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|model| model["id"] == "gpt-4o-mini")
    );
    assert_eq!(
        call(&mock, "GET", "/v1/models/gpt-4o-mini", "").json()["object"],
        "model"
    );
}

#[test]
fn a_key_is_needed_and_never_kept() {
    let mock = Mock::builder().api_key("sk-right").start().unwrap();
    let status = |authorization: &str| {
        chat(&mock, &[("authorization", authorization)], &prompt("Hi")).status()
    };
    assert_eq!(status("Bearer sk-right"), 200);
    for wrong in ["Bearer sk-wrong", "Bearer ", "Basic sk-right", ""] {
        assert_eq!(status(wrong), 401, "{wrong}");
    }
    let reply = chat(
        &mock,
        &[("authorization", "Bearer sk-wrong")],
        &prompt("Hi"),
    );
    assert_eq!(reply.json()["error"]["code"], "invalid_api_key");
    let log = format!("{:?}{:?}", mock.log(), mock.settings());
    assert!(
        !log.contains("sk-right") && !log.contains("sk-wrong"),
        "{log}"
    );
    assert_eq!(mock.log()[0].headers["authorization"], "Bearer ***");

    let any = Mock::start().unwrap();
    assert_eq!(
        chat(&any, &[("authorization", "Bearer whatever")], &prompt("Hi")).status(),
        200
    );
    assert_eq!(
        chat(&any, &[("authorization", "")], &prompt("Hi")).status(),
        401
    );
}

#[test]
fn the_quota_is_told_in_headers_and_kept() {
    let quota = Quota {
        requests: Some(2),
        tokens: Some(10_000),
        window: Duration::from_secs(3600),
    };
    let mock = Mock::builder().quota(quota).start().unwrap();

    let first = chat(&mock, &[], &prompt("Explain tides"));
    let second = chat(&mock, &[], &streamed("Explain tides"));
    let third = chat(&mock, &[], &prompt("Explain tides"));

    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert_eq!(second.header("x-ratelimit-remaining-requests"), Some("0"));
    assert!(
        second
            .header("x-ratelimit-reset-requests")
            .unwrap()
            .ends_with('s')
    );
    let used = first.json()["usage"]["total_tokens"].as_u64().unwrap();
    assert_eq!(
        first.header("x-ratelimit-remaining-tokens"),
        Some((10_000 - used).to_string().as_str())
    );
    assert_eq!(third.status(), 429);
    assert_eq!(third.json()["error"]["code"], "rate_limit_exceeded");
    let seconds: u64 = third.header("retry-after").unwrap().parse().unwrap();
    let ms: u64 = third.header("retry-after-ms").unwrap().parse().unwrap();
    assert_eq!(seconds, ms.div_ceil(1000));
    assert!((3500..=3600).contains(&seconds), "{seconds}");
    assert_eq!(mock.log()[2].fault.as_deref(), Some("rate_limit_exceeded"));

    let mut large = prompt("Explain tides");
    large["max_tokens"] = json!(20_000);
    mock.set(|settings| {
        settings.quota = Some(Quota {
            requests: None,
            ..quota
        })
    });
    let refused = chat(&mock, &[], &large);
    assert_eq!(
        (refused.status(), refused.header("retry-after")),
        (429, None)
    );
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("too large")
    );
}

#[test]
fn faults_follow_the_item_and_the_attempt() {
    let mock = Mock::builder().seed(3).start().unwrap();
    let body = prompt("Explain tides");
    let statuses = |headers: &[(&str, &str)], n: usize| -> Vec<u16> {
        (0..n)
            .map(|_| chat(&mock, headers, &body).status())
            .collect()
    };
    assert_eq!(
        statuses(&[("x-mock-fail", "2"), ("x-mock-item", "a")], 3),
        [503, 503, 200]
    );
    assert_eq!(
        statuses(&[("x-mock-fail", "1x429"), ("x-mock-item", "b")], 2),
        [429, 200]
    );
    assert_eq!(
        statuses(&[("x-mock-fail", "1xreset"), ("idempotency-key", "c")], 2),
        [0, 200]
    );
    assert_eq!(statuses(&[("x-mock-fail", "alwaysx500")], 3), [500; 3]);
    for (fail, seconds, ms) in [
        ("alwaysx429", Some("1"), Some("1000")),
        ("alwaysx503", None, None),
    ] {
        let reply = chat(&mock, &[("x-mock-fail", fail), ("x-mock-item", "d")], &body);
        assert_eq!(
            (reply.header("retry-after"), reply.header("retry-after-ms")),
            (seconds, ms)
        );
    }
    let log = mock.log();
    assert_eq!((log[2].item.as_str(), log[2].attempt), ("a", 3));
    assert_eq!(log[0].fault.as_deref(), Some("503"));
    assert_eq!(log[5].fault.as_deref(), Some("reset"));
    assert_eq!(log[6].item, "c");
    assert_eq!(
        (log[9].item.clone(), log[9].attempt),
        (log[7].item.clone(), 3),
        "equal bodies are one item"
    );

    mock.clear_log();
    mock.set(|settings| settings.failure_rate = vec![(0.5, Failure::Status(502))]);
    let fates = |items: &mut dyn Iterator<Item = u32>| -> Vec<(u32, u16)> {
        let mut fates: Vec<(u32, u16)> = items
            .map(|n| {
                (
                    n,
                    chat(&mock, &[("x-mock-item", &n.to_string())], &body).status(),
                )
            })
            .collect();
        fates.sort_unstable();
        fates
    };
    let forward = fates(&mut (0..20));
    mock.clear_log();
    assert_eq!(forward, fates(&mut (0..20).rev()));
    assert!(
        forward.iter().any(|(_, status)| *status == 502)
            && forward.iter().any(|(_, status)| *status == 200)
    );
}

#[test]
fn wrong_mock_headers_are_refused_by_name() {
    let mock = Mock::start().unwrap();
    for (name, value, allowed) in [
        ("x-mock-latency", "soon", "lognormal"),
        ("x-mock-script", "chaos", "reset-mid-chunk"),
        ("x-mock-fail", "2x200", "400 to 599"),
        ("x-mock-tokens", "0", "whole number"),
        ("x-mock-colour", "red", "x-mock-item"),
    ] {
        let reply = chat(&mock, &[(name, value)], &prompt("Hi"));
        assert_eq!(reply.status(), 400);
        let message = reply.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            message.contains(name) && message.contains(allowed),
            "{message}"
        );
    }
}

#[test]
fn latencies_and_pace_are_at_least_what_was_asked_for() {
    let ms = Duration::from_millis;
    let mock = Mock::builder()
        .latency(Latency::Fixed(ms(5)))
        .first_token(ms(10))
        .tokens_per_second(500.0)
        .start()
        .unwrap();
    chat(&mock, &[], &prompt("Hi"));
    chat(&mock, &[("x-mock-tokens", "11")], &streamed("Hi"));
    chat(&mock, &[("x-mock-latency", "20ms")], &streamed("Hi"));
    let log = mock.log();
    let to_head = |n: usize| log[n].first_byte.unwrap() - log[n].arrived;
    assert!(
        to_head(0) >= ms(5) && to_head(1) >= ms(10) && to_head(2) >= ms(20),
        "{log:?}"
    );
    // Ten gaps of two milliseconds.
    assert!(
        log[1].last_byte.unwrap() - log[1].first_byte.unwrap() >= ms(20),
        "{log:?}"
    );
}

#[test]
fn stamped_tokens_tell_when_each_was_written() {
    let mock = Mock::builder().stamp_tokens().start().unwrap();
    let headers = [("x-mock-gate", "door"), ("x-mock-tokens", "50")];
    let asked = now();
    let mut call = Call::post(
        mock.addr(),
        "/v1/chat/completions",
        &headers,
        &streamed("Hi"),
    );
    let gate = mock.gate("door");
    gate.release(1);
    call.until(r#"{"content":""#);
    let between = now();
    gate.open();
    let text = call.finish().streamed_text();
    let answered = now();
    let stamps = stamps(&text);
    assert!(stamps.is_sorted() && stamps.len() == 50, "{stamps:?}");
    let bounds = [asked, stamps[0], between, stamps[1], stamps[49], answered];
    assert!(bounds.is_sorted(), "{bounds:?}");
}

/// The time in the stamps' unit.
fn now() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

/// The stamps that make up a text.
fn stamps(text: &str) -> Vec<u128> {
    let stamps = text.as_bytes().chunks(19);
    stamps
        .map(|stamp| str::from_utf8(stamp).unwrap().parse().unwrap())
        .collect()
}

#[test]
fn tokens_of_one_write_leave_together_and_none_is_left_behind() {
    let mock = Mock::builder()
        .tokens_per_write(3)
        .stamp_tokens()
        .start()
        .unwrap();
    let headers = [("x-mock-gate", "steps"), ("x-mock-tokens", "7")];
    let call = Call::post(
        mock.addr(),
        "/v1/chat/completions",
        &headers,
        &streamed("Hi"),
    );
    let gate = mock.gate("steps");
    gate.release(5);
    let sent = |log: &[Entry]| log.iter().any(|entry| entry.tokens_sent > 0);
    let log = mock.wait_for(PATIENCE, sent).unwrap();
    let between = now();
    assert_eq!(log[0].tokens_sent, 3, "two wait for the sixth");
    gate.open();
    let text = call.finish().streamed_text();
    let stamps = stamps(&text);
    assert_eq!(mock.log()[0].tokens_sent, 7);
    assert!(stamps.is_sorted() && stamps.len() == 7, "{stamps:?}");
    // A token is stamped when it leaves, however long it was held.
    assert!(stamps[2] <= between && between <= stamps[3], "{stamps:?}");
}

#[test]
fn slots_serve_in_the_order_of_arrival() {
    let mock = Mock::builder().slots(1).start().unwrap();
    let gate = mock.gate("door");
    let headers = |item: &'static str| [("x-mock-gate", "door"), ("x-mock-item", item)];
    let start = |item| {
        Call::post(
            mock.addr(),
            "/v1/chat/completions",
            &headers(item),
            &prompt("Hi"),
        )
    };
    let first = start("first");
    mock.wait_for(PATIENCE, |log| log.len() == 1).unwrap();
    let second = start("second");
    mock.wait_for(PATIENCE, |log| log.len() == 2).unwrap();
    assert_eq!(mock.stats().in_flight, 2);

    gate.release(2);
    assert_eq!(
        (first.finish().status(), second.finish().status()),
        (200, 200)
    );
    let log = mock.log();
    assert!(log[0].first_byte < log[1].first_byte);
    assert_eq!(mock.stats().peak_in_flight, 2);
}

#[test]
fn requests_in_turn_are_never_in_flight_together() {
    let mock = Mock::start().unwrap();
    for _ in 0..50 {
        chat(&mock, &[], &prompt("Hi"));
        chat(&mock, &[], &streamed("Hi"));
    }
    assert_eq!(mock.stats().peak_in_flight, 1);
}

#[test]
fn http_is_read_in_all_its_forms() {
    let mock = Mock::start().unwrap();
    let body = prompt("Hi").to_string();
    let head = "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: m\r\nAuthorization: bearer k\r\n";

    let (left, right) = body.split_at(10);
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\nConnection: TE, Close\r\n\r\na\r\n{left}\r\n{:x};ext\r\n{right}\r\n0\r\nT: x\r\n\r\n",
        right.len()
    );
    assert_eq!(
        Call::raw(mock.addr(), chunked.as_bytes()).finish().status(),
        200
    );

    let expecting = format!(
        "{head}Expect: 100-continue\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut call = Call::raw(mock.addr(), expecting.as_bytes());
    call.until("HTTP/1.1 100 Continue\r\n\r\n")
        .until("HTTP/1.1 200 OK\r\n");

    // Two requests in one write: the second is kept while the first is answered.
    let once = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let last = once.replace("Host", "Connection: close\r\nHost");
    let both = Call::raw(mock.addr(), format!("{once}{last}").as_bytes()).finish();
    assert_eq!(
        String::from_utf8_lossy(&both.body)
            .matches("HTTP/1.1 200 OK")
            .count(),
        1,
        "one head, and one in the rest"
    );

    let old = once.replace("HTTP/1.1", "HTTP/1.0");
    let reply = Call::raw(mock.addr(), old.as_bytes()).finish();
    assert_eq!(
        (reply.status(), reply.header("connection")),
        (200, Some("close"))
    );

    for (bytes, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        (format!("{head}Content-Length: many\r\n\r\n"), 400),
        (format!("{head}Content-Length: 99999999999\r\n\r\n"), 413),
        (format!("{head}X: {}\r\n\r\n", "y".repeat(70_000)), 431),
    ] {
        assert_eq!(
            Call::raw(mock.addr(), bytes.as_bytes()).finish().status(),
            status
        );
    }
    let log = mock.log();
    let connections: Vec<u64> = log.iter().map(|entry| entry.connection).collect();
    assert_eq!(connections, [1, 2, 3, 3, 4]);
    assert_eq!(mock.stats().connections, 4);
}

#[test]
fn a_real_client_streams_and_keeps_its_connection() {
    // Without a provider reqwest can't even build a client for plain HTTP; a second install is refused, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mock = Mock::start().unwrap();
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .build()
        .unwrap();
    for _ in 0..3 {
        let url = format!("{}/chat/completions", mock.base_url());
        let reply = client
            .post(url)
            .bearer_auth("k")
            .json(&streamed("Hi"))
            .send()
            .unwrap();
        assert!(reply.text().unwrap().ends_with("data: [DONE]\n\n"));
    }
    assert_eq!(mock.stats().connections, 1);
}
