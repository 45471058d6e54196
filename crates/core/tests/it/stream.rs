//! Streamed answers: recorded ones as files, oddities of tool calls, and the end of each, which can
//! never be mistaken for another.

use std::time::Duration;

use ai_core::protocol::stream::{StreamDecoder, ToolCallDelta};
use ai_core::{Error, Event, FinishPolicy, FinishReason, Phase, ToolCall, Transcript, Usage};
use proptest::prelude::*;
use serde_json::json;

pub(crate) type Item = Result<Event, Error>;

const LIMIT: usize = 1 << 20;

/// All items of a body that ends in good order, cut like this.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, policy: FinishPolicy) -> Vec<Item> {
    let mut decoder = StreamDecoder::new(LIMIT, policy);
    let mut items = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        items.extend(std::iter::from_fn(|| decoder.next()));
    }
    decoder.end_of_body();
    items.extend(std::iter::from_fn(|| decoder.next()));
    assert!(decoder.is_done());
    items
}

/// The items of these chunks, each in an event of its own, then `[DONE]`.
fn decode_chunks(chunks: &[serde_json::Value]) -> Vec<Item> {
    let mut body: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    body.push_str("data: [DONE]\n\n");
    decode([body.as_bytes()], FinishPolicy::Required)
}

/// A short line an item, for tables.
pub(crate) fn show(item: &Item) -> String {
    match item {
        Ok(Event::Text(text)) => format!("text {text:?}"),
        Ok(Event::Refusal(text)) => format!("refusal {text:?}"),
        Ok(Event::ToolCall(ToolCallDelta {
            index,
            id,
            name,
            arguments,
        })) => {
            let id = id.as_deref().unwrap_or("-");
            let name = name.as_deref().unwrap_or("-");
            format!("call {index} {id} {name} {arguments}")
        }
        Ok(Event::Usage(usage)) => {
            let Usage {
                input_tokens,
                output_tokens,
                cached_input_tokens,
                reasoning_tokens,
            } = usage;
            format!("usage {input_tokens}/{cached_input_tokens} {output_tokens}/{reasoning_tokens}")
        }
        Ok(Event::End(reason)) => format!("end {reason}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("error {}: {error}", error.kind()),
    }
}

fn show_all(items: &[Item]) -> Vec<String> {
    items.iter().map(show).collect()
}

struct Recorded {
    file: &'static str,
    policy: FinishPolicy,
    items: &'static [&'static str],
}

const fn recorded(file: &'static str, items: &'static [&'static str]) -> Recorded {
    Recorded {
        file,
        policy: FinishPolicy::Required,
        items,
    }
}

const TRUNCATED: &str = "error truncated: the stream ended before the model had finished";

const RECORDED: &[Recorded] = &[
    recorded(
        "openai",
        &[
            r#"text "Grüße""#,
            r#"text ", 世""#,
            r#"text "界""#,
            r#"text " 🦀\n""#,
            "end stop",
        ],
    ),
    recorded(
        "openai-usage",
        &[
            r#"text "Yes""#,
            r#"text ".""#,
            "usage 2006/1920 300/64",
            "end length",
        ],
    ),
    recorded(
        "openai-tool-calls",
        &[
            "call 0 call_DdmO9pD3xa9XTPNJ32zg2hcA get_weather ",
            r#"call 0 - - {"ci"#,
            "call 1 call_1ZUCTfyeDnpqiZbIwpF6fLGt get_time ",
            r#"call 0 - - ty": "Paris""#,
            r#"call 1 - - {"zone""#,
            "call 0 - - }",
            r#"call 1 - - : "CET"}"#,
            "end tool_calls",
        ],
    ),
    recorded(
        "openai-refusal",
        &[
            r#"refusal "I'm sorry, ""#,
            r#"refusal "I can't help with that.""#,
            "end stop",
        ],
    ),
    recorded(
        "ollama",
        &[
            r#"text "One""#,
            r#"text " two""#,
            "usage 26/0 3/0",
            "end stop",
        ],
    ),
    recorded(
        "ollama-no-finish",
        &[r#"text "One""#, r#"text " two""#, TRUNCATED],
    ),
    Recorded {
        policy: FinishPolicy::DoneSuffices,
        ..recorded(
            "ollama-no-finish",
            &[r#"text "One""#, r#"text " two""#, "end unstated"],
        )
    },
    recorded(
        "vllm",
        &[
            "usage 32/0 0/0",
            r#"text "A""#,
            "usage 32/0 1/0",
            r#"text "B""#,
            "usage 32/0 2/0",
            "usage 32/0 3/0",
            "usage 32/0 3/0",
            "end stop",
        ],
    ),
    recorded(
        "azure",
        &[r#"text "Some""#, r#"text " text""#, "end content_filter"],
    ),
    recorded(
        "deepseek",
        &[
            r#"text "Four""#,
            r#"text ".""#,
            "usage 8/0 21/18",
            "end stop",
        ],
    ),
    recorded("llama-cpp", &[r#"text "Ok""#, "usage 10/0 1/0", "end stop"]),
    recorded(
        "openrouter-error",
        &[
            r#"text "Part""#,
            "error server: the server failed: Provider returned error (code 502)",
        ],
    ),
    recorded(
        "error-nested",
        &[
            r#"text "Part""#,
            "error server: the server failed: The server had an error while processing your request. Sorry about that!",
        ],
    ),
    recorded(
        "error-event",
        &[
            r#"text "Part""#,
            "error server: the server failed: the model ran out of memory (code oom)",
        ],
    ),
    recorded(
        "error-event-text",
        &[
            r#"text "Part""#,
            "error server: the server failed: upstream timed out",
        ],
    ),
    recorded(
        "error-after-finish",
        &[
            r#"text "Part""#,
            "error server: the server failed: late (code late)",
        ],
    ),
    recorded(
        "truncated",
        &[r#"text "Once upon""#, r#"text " a time""#, TRUNCATED],
    ),
    // Even a server that leaves out the reason says [DONE].
    Recorded {
        policy: FinishPolicy::DoneSuffices,
        ..recorded(
            "truncated",
            &[r#"text "Once upon""#, r#"text " a time""#, TRUNCATED],
        )
    },
    recorded("truncated-in-mid-line", &[r#"text "Once upon""#, TRUNCATED]),
    recorded("no-done", &[r#"text "All""#, "end stop"]),
    recorded("no-final-blank-line", &[r#"text "All""#, "end stop"]),
    recorded(
        "malformed",
        &[
            r#"text "Part""#,
            "error malformed: the server's answer makes no sense (EOF while parsing a string at line 1 column 83): \
             {\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"choices\":[{\"delta\":{\"content\":\"lost",
        ],
    ),
    recorded("done-alone", &[TRUNCATED]),
    recorded("after-done", &[r#"text "All""#, "end stop"]),
    recorded("empty", &[TRUNCATED]),
];

impl Recorded {
    fn bytes(&self) -> Vec<u8> {
        let path = format!(
            "{}/tests/it/streams/{}.sse",
            env!("CARGO_MANIFEST_DIR"),
            self.file
        );
        std::fs::read(&path).expect("the recorded stream is there")
    }
}

#[test]
fn recorded_streams_give_their_items() {
    for recorded in RECORDED {
        let items = decode([&recorded.bytes()[..]], recorded.policy);
        assert_eq!(show_all(&items), recorded.items, "{}", recorded.file);
    }
}

#[test]
fn every_recorded_stream_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/streams");
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let name = entry
            .expect("it can be listed")
            .file_name()
            .into_string()
            .expect("it is UTF-8");
        assert!(
            RECORDED.iter().any(|r| format!("{}.sse", r.file) == name),
            "{name} is not tested"
        );
    }
}

#[test]
fn every_single_cut_of_every_recorded_stream_gives_the_same_items() {
    for recorded in RECORDED {
        let bytes = recorded.bytes();
        let whole = decode([&bytes[..]], recorded.policy);
        for place in 0..=bytes.len() {
            let (a, b) = bytes.split_at(place);
            assert_eq!(
                decode([a, b], recorded.policy),
                whole,
                "{} cut at {place}",
                recorded.file
            );
        }
        assert_eq!(
            decode(bytes.chunks(1), recorded.policy),
            whole,
            "{} byte by byte",
            recorded.file
        );
    }
}

#[test]
fn the_kind_of_line_end_makes_no_difference_to_any_recorded_stream() {
    for recorded in RECORDED {
        let text = String::from_utf8(recorded.bytes()).expect("it is UTF-8");
        for end in ["\n", "\r\n", "\r"] {
            let bytes = text.replace('\n', end).into_bytes();
            for size in [1, 3, usize::MAX] {
                let items = decode(bytes.chunks(size), recorded.policy);
                assert_eq!(
                    show_all(&items),
                    recorded.items,
                    "{} with {end:?}",
                    recorded.file
                );
            }
        }
    }
}

#[test]
fn no_beginning_of_a_recorded_stream_passes_for_a_whole_one() {
    for recorded in RECORDED {
        let bytes = recorded.bytes();
        let told = |text: &[u8]| String::from_utf8_lossy(text).contains(r#""finish_reason":""#);
        for end in 0..bytes.len() {
            let items = decode([&bytes[..end]], FinishPolicy::Required);
            let last = items.last().expect("each stream has an end");
            assert!(
                last.is_err() || told(&bytes[..end]),
                "{} until {end}: {last:?}",
                recorded.file
            );
        }
    }
}

#[test]
fn a_transcript_adds_up_a_recorded_stream() {
    let transcript = |file: &'static str| {
        let mut transcript = Transcript::default();
        let bytes = recorded(file, &[]).bytes();
        for event in decode([&bytes[..]], FinishPolicy::Required)
            .iter()
            .flatten()
        {
            transcript.push(event);
        }
        transcript
    };

    let whole = transcript("openai");
    assert_eq!(whole.text, "Grüße, 世界 🦀\n");
    assert_eq!(whole.finish_reason, Some(FinishReason::Stop));
    assert_eq!(whole.usage, None);
    assert_eq!(whole.tool_calls(), Ok(&[][..]));

    let refused = transcript("openai-refusal");
    assert_eq!(
        (&*refused.text, &*refused.refusal),
        ("", "I'm sorry, I can't help with that.")
    );

    // Usage that is told again and again is the state so far, not a further amount.
    let counted = transcript("vllm").usage;
    assert_eq!(
        counted,
        Some(Usage {
            input_tokens: 32,
            output_tokens: 3,
            ..Usage::default()
        })
    );

    let calls = transcript("openai-tool-calls");
    let expected = [
        ToolCall::new(
            "call_DdmO9pD3xa9XTPNJ32zg2hcA",
            "get_weather",
            r#"{"city": "Paris"}"#,
        ),
        ToolCall::new(
            "call_1ZUCTfyeDnpqiZbIwpF6fLGt",
            "get_time",
            r#"{"zone": "CET"}"#,
        ),
    ];
    assert_eq!(calls.tool_calls(), Ok(&expected[..]));

    let cut = transcript("truncated");
    assert_eq!((&*cut.text, cut.finish_reason), ("Once upon a time", None));
}

/// One chunk with one piece of a tool call.
fn piece(call: serde_json::Value) -> serde_json::Value {
    json!({"choices": [{"delta": {"tool_calls": [call]}}]})
}

#[test]
fn tool_calls_are_put_together_however_a_server_numbers_them() {
    let finish = json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]});
    let f = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
    let more = |arguments: &str| json!({"arguments": arguments});
    let both = [
        ToolCall::new("A", "f", r#"{"x":1}"#),
        ToolCall::new("B", "g", "{}"),
    ];
    let cases = [
        (
            "as OpenAI does",
            vec![
                json!({"index": 0, "id": "A", "type": "function", "function": f("f", "")}),
                json!({"index": 0, "function": more(r#"{"x""#)}),
                json!({"index": 1, "id": "B", "type": "function", "function": f("g", "")}),
                json!({"index": 1, "function": more("{}")}),
                json!({"index": 0, "function": more(":1}")}),
            ],
        ),
        (
            "whole calls at once",
            vec![
                json!({"index": 0, "id": "A", "function": f("f", r#"{"x":1}"#)}),
                json!({"index": 1, "id": "B", "function": f("g", "{}")}),
            ],
        ),
        (
            "all numbered 0, told apart by id",
            vec![
                json!({"index": 0, "id": "A", "function": f("f", r#"{"x""#)}),
                json!({"index": 0, "function": more(":1}")}),
                json!({"index": 0, "id": "B", "function": f("g", "{")}),
                json!({"index": 0, "function": more("}")}),
            ],
        ),
        (
            "without a number, told apart by id",
            vec![
                json!({"id": "A", "function": f("f", r#"{"x""#)}),
                json!({"function": more(":1}")}),
                json!({"id": "B", "function": f("g", "{")}),
                json!({"function": more("}")}),
            ],
        ),
        (
            "without a number, id in each piece, interleaved",
            vec![
                json!({"id": "A", "function": f("f", r#"{"x""#)}),
                json!({"id": "B", "function": f("g", "{")}),
                json!({"id": "A", "function": more(":1}")}),
                json!({"id": "B", "function": more("}")}),
            ],
        ),
        (
            "id and name repeated in each piece",
            vec![
                json!({"index": 0, "id": "A", "function": f("f", r#"{"x""#)}),
                json!({"index": 0, "id": "A", "function": f("f", ":1}")}),
                json!({"index": 1, "id": "B", "function": f("g", "{")}),
                json!({"index": 1, "id": "B", "function": f("g", "}")}),
            ],
        ),
        (
            "later pieces with an empty id and name",
            vec![
                json!({"index": 0, "id": "A", "function": f("f", r#"{"x""#)}),
                json!({"index": 0, "id": "", "function": f("", ":1}")}),
                json!({"index": 1, "id": "B", "function": f("g", "{}")}),
            ],
        ),
        (
            "id and name late",
            vec![
                json!({"index": 0, "function": more(r#"{"x""#)}),
                json!({"index": 0, "id": "A"}),
                json!({"index": 0, "function": f("f", ":1}")}),
                json!({"index": 1, "function": f("g", "{}")}),
                json!({"index": 1, "id": "B"}),
            ],
        ),
        (
            "numbered from 1",
            vec![
                json!({"index": 1, "id": "A", "function": f("f", r#"{"x":1}"#)}),
                json!({"index": 2, "id": "B", "function": f("g", "{}")}),
            ],
        ),
        (
            "numbered absurdly",
            vec![
                json!({"index": u64::MAX, "id": "A", "function": f("f", r#"{"x":1}"#)}),
                json!({"index": 7, "id": "B", "function": f("g", "{}")}),
            ],
        ),
        (
            "nulls wherever they may stand",
            vec![
                json!({"index": null, "id": "A", "type": null, "function": f("f", r#"{"x":1}"#)}),
                json!({"index": null, "id": null, "function": null}),
                json!({"index": null, "id": null, "function": {"name": null, "arguments": null}}),
                json!({"index": null, "id": "B", "function": f("g", "{}")}),
            ],
        ),
    ];
    for (case, pieces) in cases {
        let mut chunks: Vec<_> = pieces.into_iter().map(piece).collect();
        chunks.push(finish.clone());
        let items = decode_chunks(&chunks);
        let mut transcript = Transcript::default();
        items
            .iter()
            .flatten()
            .for_each(|event| transcript.push(event));
        assert_eq!(
            transcript.tool_calls(),
            Ok(&both[..]),
            "{case}: {:#?}",
            show_all(&items)
        );
        let ids = items.iter().flatten().filter_map(|event| match event {
            Event::ToolCall(delta) => delta.id.as_deref(),
            _ => None,
        });
        assert_eq!(
            ids.collect::<Vec<_>>(),
            ["A", "B"],
            "{case}: an id is told once"
        );
    }
}

#[test]
fn half_a_tool_call_is_never_handed_out_to_be_made() {
    let delta = |name: Option<&str>, arguments: &str| {
        Event::ToolCall(ToolCallDelta {
            index: 0,
            id: Some("A".into()),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        })
    };
    let end = || Event::End(FinishReason::ToolCalls);
    let cases = [
        ("no end", vec![delta(Some("f"), "{}")], Err("truncated")),
        ("no name", vec![delta(None, "{}"), end()], Err("malformed")),
        (
            "half the arguments",
            vec![delta(Some("f"), r#"{"path": "/tm"#), end()],
            Err("malformed"),
        ),
        (
            "two texts in one",
            vec![delta(Some("f"), "{}{}"), end()],
            Err("malformed"),
        ),
        (
            "cut at the limit of tokens",
            vec![
                delta(Some("f"), r#"{"x":"#),
                Event::End(FinishReason::Length),
            ],
            Err("malformed"),
        ),
        (
            "no arguments at all",
            vec![delta(Some("f"), ""), end()],
            Ok(1),
        ),
        (
            "whole",
            vec![delta(Some("f"), r#"{"x": [1, {"y": null}]}"#), end()],
            Ok(1),
        ),
        ("none asked for", vec![end()], Ok(0)),
    ];
    for (case, events, expected) in cases {
        let mut transcript = Transcript::default();
        events.iter().for_each(|event| transcript.push(event));
        let calls = transcript
            .tool_calls()
            .map(<[_]>::len)
            .map_err(|error| error.kind());
        assert_eq!(calls, expected, "{case}");
    }
}

#[test]
fn done_counts_with_any_space_around_it_and_only_alone() {
    let finished = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let cases = [
        ("data: [DONE]", "end stop"),
        ("data:[DONE]", "end stop"),
        ("data:  [DONE] \t", "end stop"),
        ("event: done\ndata: [DONE]", "end stop"),
        ("data: \"[DONE]\"", "error malformed"),
        ("data: [done]", "error malformed"),
        ("data: [DONE] {}", "error malformed"),
    ];
    for (done, expected) in cases {
        let body = format!("{finished}\n\n{done}\n\n");
        let last = show(
            decode([body.as_bytes()], FinishPolicy::Required)
                .last()
                .unwrap(),
        );
        assert!(last.starts_with(expected), "{done:?}: {last}");
    }
}

#[test]
fn each_finish_reason_is_kept_and_none_is_invented() {
    let end = |reason: serde_json::Value, policy| {
        let body = format!(
            "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
            json!({"choices": [{"delta": {"content": "x"}, "finish_reason": reason}]}),
            // Whatever comes later without a reason takes none away.
            json!({"choices": [{"delta": {}, "finish_reason": null}]}),
        );
        show(decode([body.as_bytes()], policy).last().unwrap())
    };
    let cases = [
        (json!("stop"), "end stop", "end stop"),
        (json!("length"), "end length", "end length"),
        (
            json!("content_filter"),
            "end content_filter",
            "end content_filter",
        ),
        (json!("tool_calls"), "end tool_calls", "end tool_calls"),
        (json!("function_call"), "end tool_calls", "end tool_calls"),
        (json!("eos"), "end eos", "end eos"),
        (json!(null), TRUNCATED, "end unstated"),
        // Some gateways write "" until the reason is known.
        (json!(""), TRUNCATED, "end unstated"),
    ];
    for (reason, required, done_suffices) in cases {
        assert_eq!(
            end(reason.clone(), FinishPolicy::Required),
            required,
            "{reason}"
        );
        assert_eq!(
            end(reason.clone(), FinishPolicy::DoneSuffices),
            done_suffices,
            "{reason}"
        );
    }
}

#[test]
fn a_stream_that_stops_after_an_empty_finish_reason_is_truncated() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"\"}]}\n\n";
    for policy in [FinishPolicy::Required, FinishPolicy::DoneSuffices] {
        assert_eq!(
            decode([body.as_bytes()], policy).last(),
            Some(&Err(Error::Truncated))
        );
    }
}

#[test]
fn oddities_of_chunks_are_lived_with() {
    let cases = [
        ("no delta", json!({"choices": [{"finish_reason": "stop"}]})),
        (
            "delta null",
            json!({"choices": [{"delta": null, "finish_reason": "stop"}]}),
        ),
        ("no choices", json!({"object": "ping"})),
        (
            "choices null",
            json!({"choices": null, "usage": null, "error": null}),
        ),
        (
            "tool_calls null",
            json!({"choices": [{"delta": {"tool_calls": null}}]}),
        ),
        (
            "numbers of any kind",
            json!({"created": 1.5e300, "choices": [{"index": -1, "delta": {}}]}),
        ),
        (
            "usage without sense",
            json!({"choices": [], "usage": {"prompt_tokens": -1}}),
        ),
        ("usage as text", json!({"choices": [], "usage": "none"})),
        ("model null", json!({"choices": [], "model": null})),
        (
            "deep extra fields",
            json!({"choices": [], "x": [[[[{"y": {}}]]]]}),
        ),
        (
            "another choice, which nobody asked for",
            json!({"choices": [{"index": 1, "delta": {"content": "z"}, "finish_reason": "length"}]}),
        ),
        (
            "text in parts",
            json!({"choices": [{"delta": {"content": []}}]}),
        ),
        (
            "words beside choices",
            json!({"choices": [], "message": "queued", "detail": "position 3"}),
        ),
    ];
    for (case, odd) in cases {
        let items = decode_chunks(&[
            json!({"choices": [{"delta": {"content": "a"}}]}),
            odd,
            json!({"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]}),
        ]);
        assert_eq!(
            show_all(&items),
            [r#"text "a""#, r#"text "b""#, "end stop"],
            "{case}"
        );
    }
}

#[test]
fn what_is_no_chunk_ends_the_stream_and_is_kept() {
    for text in [
        "no JSON",
        "null",
        "\"text\"",
        "[]",
        "1",
        "{",
        "{}x",
        r#"{"choices": 1}"#,
        r#"{"choices": [{"delta": {"content": 1}}]}"#,
    ] {
        let body = format!("data: {text}\n\ndata: [DONE]\n\n");
        let items = decode([body.as_bytes()], FinishPolicy::DoneSuffices);
        assert!(
            matches!(&items[..], [Err(Error::Malformed { text: kept, .. })] if kept == text),
            "{text:?}: {items:?}"
        );
    }
}

#[test]
fn an_error_in_any_shape_ends_the_stream_with_what_it_says() {
    // The event, then message, code and type.
    let cases = [
        (
            r#"data: {"error": {"message": "m", "code": "c", "type": "t"}}"#,
            ("m", Some("c"), Some("t")),
        ),
        (
            r#"data: {"error": {"message": "m", "code": 429, "type": null}}"#,
            ("m", Some("429"), None),
        ),
        (r#"data: {"error": "m"}"#, ("m", None, None)),
        (
            r#"data: {"error": {"message": "m"}, "choices": [{"delta": {"content": "x"}}]}"#,
            ("m", None, None),
        ),
        (
            "event: error\ndata: {\"error\": {\"message\": \"m\", \"type\": \"overloaded_error\"}}",
            ("m", None, Some("overloaded_error")),
        ),
        (
            "event: error\ndata: {\"message\": \"m\", \"code\": 500}",
            ("m", Some("500"), None),
        ),
        ("event: error\ndata: m", ("m", None, None)),
        (
            r#"data: {"object": "error", "message": "m", "type": "t", "code": 500}"#,
            ("m", Some("500"), Some("t")),
        ),
        (r#"data: {"detail": "m"}"#, ("m", None, None)),
        (
            "event: error\ndata:",
            ("the server gave no reason", None, None),
        ),
    ];
    for (event, expected) in cases {
        let body = format!("{event}\n\ndata: [DONE]\n\n");
        let items = decode([body.as_bytes()], FinishPolicy::DoneSuffices);
        let [Err(error @ Error::Server(refusal))] = &items[..] else {
            panic!("{event}: {items:?}")
        };
        let said = (
            &*refusal.message,
            refusal.code.as_deref(),
            refusal.kind.as_deref(),
        );
        assert_eq!(said, expected, "{event}");
        assert_eq!(
            (refusal.status, error.is_retryable(), error.maybe_billed()),
            (None, false, true),
            "{event}"
        );
    }
}

#[test]
fn empty_events_keep_the_connection_alive_and_say_nothing() {
    let chunk = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let body = format!("data:\n\ndata: {chunk}\n\ndata: \n\ndata: [DONE]\n\n");
    let items = decode([body.as_bytes()], FinishPolicy::Required);
    assert_eq!(show_all(&items), [r#"text "a""#, "end stop"]);
}

#[test]
fn events_with_a_name_that_nobody_knows_are_passed_over() {
    let chunk = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let body = format!("event: ping\ndata: alive\n\ndata: {chunk}\n\ndata: [DONE]\n\n");
    let items = decode([body.as_bytes()], FinishPolicy::Required);
    assert_eq!(show_all(&items), [r#"text "a""#, "end stop"]);
}

#[test]
fn a_body_without_any_event_tells_what_it_is_instead() {
    let error = r#"{"error": {"message": "m", "code": "c"}}"#;
    for (head, tail) in [("", error), error.split_at(7)] {
        let items = decode([head.as_bytes(), tail.as_bytes()], FinishPolicy::Required);
        assert!(
            matches!(&items[..], [Err(Error::Server(refusal))] if refusal.message == "m"),
            "{items:?}"
        );
    }
    let items = decode([&b"<html>busy</html>"[..]], FinishPolicy::Required);
    assert!(
        matches!(&items[..], [Err(Error::Malformed { text, .. })] if text == "<html>busy</html>"),
        "{items:?}"
    );
    assert_eq!(
        decode([&b""[..]], FinishPolicy::Required),
        [Err(Error::Truncated)]
    );
}

#[test]
fn nothing_follows_the_end() {
    type End = fn(&mut StreamDecoder);
    let ends: [(&str, End); 5] = [
        ("[DONE]", |decoder| decoder.push(b"data: [DONE]\n\n")),
        ("an error object", |decoder| {
            decoder.push(b"data: {\"error\": \"x\"}\n\n")
        }),
        ("a malformed event", |decoder| decoder.push(b"data: x\n\n")),
        ("the end of the body", StreamDecoder::end_of_body),
        ("a failure", |decoder| decoder.fail(Error::Truncated)),
    ];
    let text =
        b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n";
    for (case, end) in ends {
        let mut decoder = StreamDecoder::new(LIMIT, FinishPolicy::Required);
        decoder.push(text);
        assert!(!decoder.is_done(), "{case}");
        end(&mut decoder);
        assert!(decoder.is_done(), "{case}");
        for (_, once_more) in ends {
            decoder.push(text);
            once_more(&mut decoder);
        }
        let items: Vec<_> = std::iter::from_fn(|| decoder.next()).collect();
        assert_eq!(items.len(), 2, "{case}: {:?}", show_all(&items));
        assert_eq!(show(&items[0]), r#"text "x""#, "{case}");
        assert_eq!(decoder.next(), None, "{case}");
    }
}

#[test]
fn a_failure_is_handed_out_as_it_is_after_the_text_so_far() {
    let errors = [
        Error::Silent {
            phase: Phase::Body,
            limit: Duration::from_secs(30),
        },
        Error::Interrupted {
            phase: Phase::Body,
            message: "connection reset".into(),
        },
    ];
    for error in errors {
        // A reason that has been given says that the text is whole, whatever comes after it.
        for (reason, last) in [
            ("null", Err(error.clone())),
            ("\"stop\"", Ok(Event::End(FinishReason::Stop))),
        ] {
            let chunk = format!(
                r#"{{"choices":[{{"delta":{{"content":"x"}},"finish_reason":{reason}}}]}}"#
            );
            let mut decoder = StreamDecoder::new(LIMIT, FinishPolicy::Required);
            decoder.push(format!("data: {chunk}\n\n").as_bytes());
            decoder.fail(error.clone());
            let items: Vec<_> = std::iter::from_fn(|| decoder.next()).collect();
            assert_eq!(items, [Ok(Event::Text("x".into())), last]);
        }
    }
}

#[test]
fn an_event_above_the_limit_ends_the_stream() {
    let limit = 1_000;
    let body = format!(
        "data: {}\n\ndata: {}\n\n",
        json!({"choices": [{"delta": {"content": "x"}}]}),
        json!({"choices": [{"delta": {"content": "y".repeat(limit)}}]}),
    );
    for size in [1, 100, usize::MAX] {
        let mut decoder = StreamDecoder::new(limit, FinishPolicy::Required);
        body.as_bytes()
            .chunks(size)
            .for_each(|piece| decoder.push(piece));
        let items: Vec<_> = std::iter::from_fn(|| decoder.next()).collect();
        assert_eq!(
            items,
            [Ok(Event::Text("x".into())), Err(Error::TooLarge { limit })]
        );
        assert!(decoder.is_done());
    }
}

#[test]
fn the_model_is_told_as_soon_as_a_chunk_names_it() {
    let mut decoder = StreamDecoder::new(LIMIT, FinishPolicy::Required);
    assert_eq!(decoder.model(), None);
    decoder.push(b"data: {\"choices\":[]}\n\n");
    assert_eq!(decoder.model(), None);
    // Azure's first chunk has it empty.
    decoder.push(b"data: {\"choices\":[],\"model\":\"\"}\n\n");
    decoder.push(b"data: {\"choices\":[],\"model\":\"gpt-4o-mini-2024-07-18\"}\n\n");
    decoder.push(b"data: {\"choices\":[],\"model\":\"another\"}\n\n");
    assert_eq!(decoder.model(), Some("gpt-4o-mini-2024-07-18"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_arrives_as_it_was_sent_in_any_pieces(
        texts in prop::collection::vec(any::<String>(), 0..8),
        size in 1..200_usize,
    ) {
        let mut body: String = texts
            .iter()
            .map(|text| format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]})))
            .collect();
        body.push_str("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
        let items = decode(body.as_bytes().chunks(size), FinishPolicy::Required);
        let mut transcript = Transcript::default();
        items.iter().flatten().for_each(|event| transcript.push(event));
        prop_assert_eq!(transcript.text, texts.concat());
        prop_assert_eq!(transcript.finish_reason, Some(FinishReason::Stop));
    }

    #[test]
    fn no_bytes_at_all_make_the_decoder_panic_or_forget_the_end(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        policy in prop::sample::select(vec![FinishPolicy::Required, FinishPolicy::DoneSuffices]),
    ) {
        let items = decode([&bytes[..]], policy);
        let ends = items.iter().filter(|item| matches!(item, Err(_) | Ok(Event::End(_)))).count();
        prop_assert_eq!(ends, 1);
    }
}
