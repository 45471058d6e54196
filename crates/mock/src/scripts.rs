//! Wire scripts: each way a server has been seen to answer, as a plan of bytes and pauses.
//!
//! Planning is pure: a script and an answer give steps; [`server`](crate::server) carries them out. The plans of
//! streams are iterators, so that ten thousand long streams need no more memory than their texts.

use std::fmt;
use std::io::Write as _;
use std::iter;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::chat::{Chunk, Kind};
use crate::http::Head;

/// One list gives the enum, the names and the sentences; written three times they would drift apart.
macro_rules! scripts {
    ($(#[doc = $about:literal] $script:ident = $name:literal,)+) => {
        /// How a reply looks on the wire; its name goes into `--script` and the header `x-mock-script`.
        ///
        /// Scripts that speak of tokens or events change streams only; the others also change plain replies.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Script {
            #[default]
            $(#[doc = $about] $script,)+
        }

        impl Script {
            /// All scripts, in the order of `ai-mock --scripts`.
            pub const ALL: &'static [Self] = &[$(Self::$script),+];

            /// The name, like `reset-mid-chunk`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$script => $name,)+ }
            }

            /// What the script does, in one sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$script => $about.trim_ascii(),)+ }
            }
        }
    };
}

scripts! {
    /// A healthy reply.
    Normal = "normal",
    /// Status 401 with a JSON body, whatever the key.
    Unauthorized = "unauthorized",
    /// `content` is null in the first delta and again after two tokens; in a plain reply it is null.
    NullContent = "null-content",
    /// The usage comes in a closing chunk with `choices: []`, even if it was not asked for.
    UsageNoChoices = "usage-no-choices",
    /// The usage comes in the chunk that carries the finish reason, with its choices.
    UsageWithChoices = "usage-with-choices",
    /// After two tokens an event `{"error": {...}}`, then the end.
    ErrorMidStream = "error-mid-stream",
    /// After two tokens an event named `error` whose data is the error itself, not nested, then the end.
    ErrorEvent = "error-event",
    /// After two tokens an event `{"object": "error", ...}` with no other sign of an error, then `[DONE]`, as vLLM does.
    ErrorUnlabelled = "error-unlabelled",
    /// A clean end of the body after two tokens: no finish reason, no `[DONE]`.
    Truncated = "truncated",
    /// A TCP reset within a chunk after two tokens, or in the middle of a plain body.
    ResetMidChunk = "reset-mid-chunk",
    /// `data:` without the space after it.
    NoSpace = "no-space",
    /// A UTF-8 byte order mark before the first event.
    Bom = "bom",
    /// A block with only `retry: 3000` before the first event.
    RetryOnly = "retry-only",
    /// A keep-alive comment `: ping` before each event.
    Comments = "comments",
    /// A keep-alive event of only an empty `data:` before each event.
    EmptyData = "empty-data",
    /// After two tokens one event whose data is broken JSON; the stream goes on.
    Malformed = "malformed",
    /// Lines that end with CR LF.
    Crlf = "crlf",
    /// Lines that end with CR alone.
    Cr = "cr",
    /// Each event's JSON over two data lines.
    MultiData = "multi-data",
    /// No length and no chunks: the body ends with the connection.
    CloseDelimited = "close-delimited",
    /// The connection stays open and silent after `[DONE]`, until the client leaves or a minute has passed.
    HoldAfterDone = "hold-after-done",
    /// One token, or half of a plain body, then silence until the client leaves or a minute has passed.
    Stall = "stall",
    /// No chunk has a role.
    NoRole = "no-role",
    /// The finish reason is null to the end, `[DONE]` comes.
    NoFinish = "no-finish",
    /// The finish reason comes, then a clean end without `[DONE]`.
    NoDone = "no-done",
    /// No usage, though it was asked for.
    NoUsage = "no-usage",
    /// The content type is text/plain.
    TextPlain = "text-plain",
    /// Two tool calls whose argument pieces take turns, told apart by index.
    ToolCalls = "tool-calls",
    /// Two tool calls without any index: each piece repeats the id of its call.
    ToolCallsOdd = "tool-calls-odd",
    /// A refusal instead of content.
    Refusal = "refusal",
    /// Half an answer, cut by the content filter.
    ContentFilter = "content-filter",
    /// Half an answer, cut by its length.
    Length = "length",
    /// Status 422 with an error in OpenAI's shape.
    Unprocessable = "unprocessable",
    /// Status 422 with a list in `detail`, as FastAPI servers send it.
    Detail = "detail",
    /// Status 400 with a text in `detail`.
    DetailText = "detail-text",
    /// Status 502 with a proxy's HTML page.
    Html502 = "html-502",
    /// Status 429 with an HTML page and Retry-After: 1.
    Html429 = "html-429",
    /// Status 429 with Retry-After: 1 in a whole head; its body is cut like that of `cut-body`.
    Cut429 = "cut-429",
    /// Status 500 with no body at all.
    Empty500 = "empty-500",
    /// Status 429 with an error whose code is a number.
    NumericCode = "numeric-code",
    /// Status 429 that waiting won't cure: insufficient_quota.
    QuotaExhausted = "quota-exhausted",
    /// Status 200 with an error object as the body.
    ErrorIn200 = "error-in-200",
    /// Status 200 with an error object as the body, which is said to be text/plain.
    ErrorTextPlain = "error-text-plain",
    /// A TCP reset instead of a response.
    ResetBeforeHeaders = "reset-before-headers",
    /// A TCP reset after the response head.
    ResetAfterHeaders = "reset-after-headers",
    /// The head comes byte by byte, with 20 ms after each line.
    SlowHeaders = "slow-headers",
    /// No response, until the client leaves or a minute has passed.
    NeverAnswers = "never-answers",
    /// Each byte of the body in a chunk and a write of its own.
    SplitBytes = "split-bytes",
    /// One event, or plain content, of 4 MiB.
    HugeLine = "huge-line",
    /// The body is gzipped though nobody asked for it.
    Gzip = "gzip",
    /// Status 200 with an HTML page.
    NotJson = "not-json",
    /// A chunk with `choices: []` before the first token; in a plain reply there are no choices.
    EmptyChoices = "empty-choices",
    /// A byte that is not UTF-8 within the first token's text, or the plain content.
    InvalidUtf8 = "invalid-utf8",
    /// The connection is closed, not reset, before the promised end of the body.
    CutBody = "cut-body",
    /// Events have `id` and `event` fields.
    EventIds = "event-ids",
    /// The body ends right after the line of `[DONE]`, without the empty line.
    NoFinalNewline = "no-final-newline",
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|script| script.name() == text)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|script| script.name()).collect();
                format!("{text:?} is no script; known are {}", names.join(", "))
            })
    }
}

/// One thing to do on the connection.
#[derive(Debug)]
pub(crate) enum Step {
    /// The head with this status follows.
    Status(u16),
    /// Write this.
    Send(Bytes),
    /// Write this at the pace of tokens, with a permit of the gate if there is one; it counts as one token.
    Token(Bytes),
    /// What follows carries this many tokens at once.
    Count(u32),
    /// Do nothing for a while.
    Pause(Duration),
    /// What is written next completes the answer, so that a client that leaves after it has lost nothing.
    Last,
    /// Stay silent until the client leaves, a minute at the most.
    Hold,
    /// Reset the connection.
    Reset,
    /// Close the connection.
    Close,
}

/// The reply of a script that doesn't care what was asked: the status and headers that are its own, and its body.
pub(crate) fn fixed_reply(script: Script) -> Option<(Head, Vec<u8>)> {
    let reply = |status, content_type: &str, body: String| {
        let headers = vec![("content-type", content_type.to_owned())];
        (Head { status, headers }, body.into_bytes())
    };
    let json = |status, body: Value| reply(status, "application/json", body.to_string());
    let error = |status, message: &str, kind: &str, code: Value| {
        json(
            status,
            json!({"error": {"message": message, "type": kind, "param": null, "code": code}}),
        )
    };
    let page = |status, title: &str| {
        let body = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"
        );
        reply(status, "text/html; charset=utf-8", body)
    };
    let (mut head, body) = match script {
        Script::Unauthorized => error(
            401,
            "Incorrect API key provided.",
            "invalid_request_error",
            json!("invalid_api_key"),
        ),
        Script::Unprocessable => error(
            422,
            "The request could not be processed.",
            "invalid_request_error",
            Value::Null,
        ),
        Script::Detail => json(
            422,
            json!({"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]}),
        ),
        Script::DetailText => json(400, json!({"detail": "This model can't be used for chat."})),
        Script::Html502 => page(502, "502 Bad Gateway"),
        Script::Html429 => page(429, "429 Too Many Requests"),
        Script::Cut429 => error(
            429,
            "Rate limit reached.",
            "requests",
            json!("rate_limit_exceeded"),
        ),
        Script::Empty500 => reply(500, "application/json", String::new()),
        Script::NumericCode => error(429, "Rate limit exceeded.", "rate_limit_error", json!(429)),
        Script::QuotaExhausted => {
            let why =
                "You exceeded your current quota, please check your plan and billing details.";
            error(429, why, "insufficient_quota", json!("insufficient_quota"))
        }
        Script::ErrorIn200 | Script::ErrorTextPlain => error(
            200,
            "The upstream model is not available.",
            "server_error",
            Value::Null,
        ),
        Script::NotJson => page(200, "Welcome to your network"),
        _ => return None,
    };
    if matches!(script, Script::Html429 | Script::Cut429) {
        head.set("retry-after", "1");
    }
    Some((head, body))
}

const TEXT_PLAIN: &str = "text/plain; charset=utf-8";

/// Time for the client to read what was sent: some systems drop unread bytes when a reset comes in behind them.
const BEFORE_RESET: Step = Step::Pause(Duration::from_millis(20));

/// The plan of a reply that is one body; it carries this many tokens.
pub(crate) fn plain(script: Script, mut head: Head, mut body: Vec<u8>, tokens: u32) -> Vec<Step> {
    match script {
        Script::NeverAnswers => return vec![Step::Hold, Step::Close],
        Script::ResetBeforeHeaders => return vec![Step::Reset],
        Script::TextPlain | Script::ErrorTextPlain => head.set("content-type", TEXT_PLAIN),
        Script::Gzip => {
            head.set("content-encoding", "gzip");
            body = gzip(&body);
        }
        Script::InvalidUtf8 => spoil_utf8(&mut body),
        _ => {}
    }
    match script {
        Script::CloseDelimited => head.set("connection", "close"),
        Script::SplitBytes => head.set("transfer-encoding", "chunked"),
        _ => head.set("content-length", body.len().to_string()),
    }
    let mut plan = vec![Step::Status(head.status)];
    let head = head.encode();
    let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
    match script {
        Script::ResetAfterHeaders => {
            plan.extend([Step::Send(head.into()), BEFORE_RESET, Step::Reset]);
        }
        Script::ResetMidChunk => plan.extend([
            Step::Send(head.into()),
            Step::Send(half),
            BEFORE_RESET,
            Step::Reset,
        ]),
        // Last, though half is missing: a client that leaves then has all that will ever come.
        Script::CutBody | Script::Cut429 => plan.extend([
            Step::Send(head.into()),
            Step::Last,
            Step::Send(half),
            Step::Close,
        ]),
        Script::Stall => plan.extend([
            Step::Send(head.into()),
            Step::Send(half),
            Step::Hold,
            Step::Close,
        ]),
        Script::SplitBytes => {
            plan.extend([Step::Send(head.into()), Step::Count(tokens)]);
            plan.extend(split(&body, Step::Send));
            plan.extend([Step::Last, Step::Send(Bytes::from_static(LAST_CHUNK))]);
        }
        Script::SlowHeaders => {
            plan.extend(dribble(&head));
            plan.extend([Step::Count(tokens), Step::Last, Step::Send(body.into())]);
        }
        // Head and body leave in one write, as they do from a server at rest.
        _ => plan.extend([
            Step::Count(tokens),
            Step::Last,
            Step::Send([head, body].concat().into()),
        ]),
    }
    if script == Script::CloseDelimited {
        plan.push(Step::Close);
    }
    plan
}

/// The plan of a reply that streams these chunks.
pub(crate) fn stream(
    script: Script,
    mut head: Head,
    chunks: impl Iterator<Item = Chunk> + Send + 'static,
) -> Box<dyn Iterator<Item = Step> + Send> {
    match script {
        Script::NeverAnswers => return Box::new([Step::Hold, Step::Close].into_iter()),
        Script::ResetBeforeHeaders => return Box::new(iter::once(Step::Reset)),
        _ => {}
    }
    let kind = if script == Script::TextPlain {
        TEXT_PLAIN
    } else {
        "text/event-stream; charset=utf-8"
    };
    head.set("content-type", kind);
    head.set("cache-control", "no-cache");
    let whole = script == Script::CloseDelimited;
    if whole {
        head.set("connection", "close");
    } else {
        head.set("transfer-encoding", "chunked");
    }
    if script == Script::Gzip {
        head.set("content-encoding", "gzip");
    }
    let mut opening = vec![Step::Status(head.status)];
    match script {
        Script::SlowHeaders => opening.extend(dribble(&head.encode())),
        _ => opening.push(Step::Send(head.encode().into())),
    }
    if script == Script::ResetAfterHeaders {
        opening.extend([BEFORE_RESET, Step::Reset]);
        return Box::new(opening.into_iter());
    }
    if script == Script::Gzip {
        opening.extend(gzipped(chunks));
        return Box::new(opening.into_iter());
    }

    let events = edited(script, chunks)
        .enumerate()
        .flat_map(move |(number, event)| {
            let bytes = framed(script, &event, number);
            let done = event.kind == Kind::Done;
            let ends_body = done && !whole && script != Script::HoldAfterDone;
            let step = if event.kind == Kind::Token {
                Step::Token
            } else {
                Step::Send
            };
            let mut steps: Vec<Step> = done.then_some(Step::Last).into_iter().collect();
            if script == Script::SplitBytes {
                steps.extend(split(&bytes, step));
                steps.extend(done.then_some(Step::Send(Bytes::from_static(LAST_CHUNK))));
            } else {
                let mut bytes = if whole { bytes } else { chunk(&bytes) };
                if ends_body {
                    // In one write with [DONE]: a client that leaves at [DONE] still takes both.
                    bytes.extend_from_slice(LAST_CHUNK);
                }
                steps.push(step(bytes.into()));
            }
            steps
        });
    // A chunk that promises 200 bytes and has hardly begun.
    let torn = || Step::Send(Bytes::from_static(b"c8\r\ndata: {\"id\":\"chatcmpl-"));
    let ending = match script {
        Script::ResetMidChunk => vec![torn(), BEFORE_RESET, Step::Reset],
        Script::CutBody => vec![Step::Last, torn(), Step::Close],
        Script::Stall | Script::HoldAfterDone => vec![Step::Hold, Step::Close],
        Script::CloseDelimited => vec![Step::Close],
        Script::Truncated | Script::NoDone | Script::ErrorMidStream | Script::ErrorEvent => {
            vec![Step::Last, Step::Send(Bytes::from_static(LAST_CHUNK))]
        }
        _ => vec![],
    };
    Box::new(opening.into_iter().chain(events).chain(ending))
}

/// The chunks as the script wants them: some left out, some put in.
fn edited(
    script: Script,
    chunks: impl Iterator<Item = Chunk> + Send + 'static,
) -> Box<dyn Iterator<Item = Chunk> + Send> {
    let odd = |data: String| Chunk {
        kind: Kind::Odd,
        data,
    };
    let error = json!({"message": "The server had an error while processing your request.", "type": "server_error",
        "param": null, "code": "internal_error"});
    match script {
        Script::NoRole => Box::new(chunks.filter(|chunk| chunk.kind != Kind::Role)),
        Script::NoDone => Box::new(chunks.filter(|chunk| chunk.kind != Kind::Done)),
        Script::Truncated | Script::ResetMidChunk | Script::CutBody => {
            Box::new(first_tokens(chunks, 2))
        }
        Script::Stall => Box::new(first_tokens(chunks, 1)),
        Script::ErrorMidStream => Box::new(
            first_tokens(chunks, 2).chain(iter::once(odd(json!({"error": error}).to_string()))),
        ),
        Script::ErrorEvent => {
            Box::new(first_tokens(chunks, 2).chain(iter::once(odd(error.to_string()))))
        }
        Script::ErrorUnlabelled => {
            let error =
                json!({"object": "error", "message": "The engine ran out of memory.", "code": 500});
            let done = Chunk {
                kind: Kind::Done,
                data: "[DONE]".to_owned(),
            };
            Box::new(first_tokens(chunks, 2).chain([odd(error.to_string()), done]))
        }
        Script::Malformed => Box::new(after_two_tokens(chunks, move |_| {
            odd(
                r#"{"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"content": oops"#
                    .to_owned(),
            )
        })),
        Script::NullContent => {
            let null_first = chunks.map(|mut chunk| {
                if chunk.kind == Kind::Role {
                    chunk.data = changed(&chunk.data, "/choices/0/delta/content", Value::Null);
                }
                chunk
            });
            Box::new(after_two_tokens(null_first, move |near| {
                odd(changed(
                    &near.data,
                    "/choices/0/delta",
                    json!({"content": null}),
                ))
            }))
        }
        Script::EmptyChoices => {
            let mut chunks = chunks.peekable();
            let empty = chunks
                .peek()
                .map(|first| odd(changed(&first.data, "/choices", json!([]))));
            Box::new(empty.into_iter().chain(chunks))
        }
        _ => Box::new(chunks),
    }
}

/// A JSON text with one place in it changed; unchanged if it has no such place.
fn changed(data: &str, pointer: &str, to: Value) -> String {
    let mut value: Value = serde_json::from_str(data).unwrap_or_default();
    if let Some(place) = value.pointer_mut(pointer) {
        *place = to;
    }
    value.to_string()
}

/// The chunks up to the nth token. A shorter answer ends before its finish reason, so that it never looks complete.
fn first_tokens(
    chunks: impl Iterator<Item = Chunk> + Send,
    n: usize,
) -> impl Iterator<Item = Chunk> + Send {
    let mut seen = 0;
    chunks.take_while(move |chunk| {
        let more = seen < n && matches!(chunk.kind, Kind::Role | Kind::Token);
        seen += usize::from(chunk.kind == Kind::Token);
        more
    })
}

/// The chunks with one more after the second token, or before the finish reason if that comes first.
fn after_two_tokens(
    chunks: impl Iterator<Item = Chunk> + Send,
    make: impl Fn(&Chunk) -> Chunk + Send,
) -> impl Iterator<Item = Chunk> + Send {
    let mut seen = 0;
    let mut made = false;
    chunks
        .flat_map(move |chunk| {
            seen += usize::from(chunk.kind == Kind::Token);
            let late = chunk.kind == Kind::Finish;
            if made || !(seen == 2 || late) {
                return [Some(chunk), None];
            }
            made = true;
            let extra = make(&chunk);
            if late {
                [Some(extra), Some(chunk)]
            } else {
                [Some(chunk), Some(extra)]
            }
        })
        .flatten()
}

/// An event as the bytes of an event stream.
fn framed(script: Script, event: &Chunk, number: usize) -> Vec<u8> {
    let eol = match script {
        Script::Crlf => "\r\n",
        Script::Cr => "\r",
        _ => "\n",
    };
    let mut text = String::with_capacity(event.data.len() + 16);
    match script {
        Script::Bom if number == 0 => text.push('\u{feff}'),
        Script::RetryOnly if number == 0 => text.push_str("retry: 3000\n\n"),
        Script::Comments => text.push_str(": ping\n\n"),
        Script::EmptyData => text.push_str("data:\n\n"),
        Script::EventIds => text.push_str(&format!("id: {number}\nevent: message\n")),
        Script::ErrorEvent if event.kind == Kind::Odd => text.push_str("event: error\n"),
        _ => {}
    }
    let field = if script == Script::NoSpace {
        "data:"
    } else {
        "data: "
    };
    match event.data.split_once(',') {
        // The line break falls between two members of the object, where JSON allows one.
        Some((first, second)) if script == Script::MultiData => {
            text.push_str(&format!("{field}{first},{eol}{field}{second}"));
        }
        _ => {
            text.push_str(field);
            text.push_str(&event.data);
        }
    }
    text.push_str(eol);
    if !(script == Script::NoFinalNewline && event.kind == Kind::Done) {
        text.push_str(eol);
    }
    let mut bytes = text.into_bytes();
    if script == Script::InvalidUtf8 && event.kind == Kind::Token && number == 1 {
        spoil_utf8(&mut bytes);
    }
    bytes
}

/// Puts a byte that can't be part of UTF-8 at the beginning of the content.
fn spoil_utf8(bytes: &mut Vec<u8>) {
    let field = br#""content":""#;
    if let Some(at) = bytes
        .windows(field.len())
        .position(|window| window == field)
    {
        bytes.insert(at + field.len(), 0xff);
    }
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Bytes as one chunk of a chunked body.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// Each byte as a chunk of its own; the last one completes the event.
fn split(bytes: &[u8], complete: fn(Bytes) -> Step) -> impl Iterator<Item = Step> {
    bytes.iter().enumerate().map(move |(at, byte)| {
        let step = if at + 1 == bytes.len() {
            complete
        } else {
            Step::Send
        };
        step(chunk(&[*byte]).into())
    })
}

fn dribble(head: &[u8]) -> impl Iterator<Item = Step> {
    head.iter().flat_map(|byte| {
        let pause = (*byte == b'\n').then_some(Step::Pause(Duration::from_millis(20)));
        iter::once(Step::Send(Bytes::copy_from_slice(&[*byte]))).chain(pause)
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(bytes)
        .expect("writing into memory does not fail");
    encoder.finish().expect("writing into memory does not fail")
}

fn gzipped(chunks: impl Iterator<Item = Chunk>) -> [Step; 3] {
    let mut tokens = 0;
    let mut bytes = Vec::new();
    for (number, event) in chunks.enumerate() {
        tokens += u32::from(event.kind == Kind::Token);
        bytes.extend(framed(Script::Normal, &event, number));
    }
    let body = [&chunk(&gzip(&bytes)), LAST_CHUNK].concat();
    [Step::Count(tokens), Step::Last, Step::Send(body.into())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(tokens: usize) -> impl Iterator<Item = Chunk> + Send + 'static {
        let of = |kind, data: &str| Chunk {
            kind,
            data: data.to_owned(),
        };
        iter::once(of(
            Kind::Role,
            r#"{"id":"x","choices":[{"delta":{"role":"assistant","content":""}}]}"#,
        ))
        .chain((0..tokens).map(move |_| {
            of(
                Kind::Token,
                r#"{"id":"x","choices":[{"delta":{"content":"a"}}]}"#,
            )
        }))
        .chain([
            of(Kind::Finish, r#"{"id":"x","choices":[{"delta":{}}]}"#),
            of(Kind::Done, "[DONE]"),
        ])
    }

    fn head() -> Head {
        Head {
            status: 200,
            headers: vec![],
        }
    }

    #[test]
    fn every_script_has_a_name_of_its_own_that_is_read_back() {
        for script in Script::ALL {
            assert_eq!(script.name().parse(), Ok(*script));
            assert!(script.about().ends_with('.'), "{script}");
        }
        assert!(
            "x".parse::<Script>()
                .unwrap_err()
                .contains("reset-mid-chunk")
        );
    }

    #[test]
    fn cut_streams_never_look_complete_however_short_the_answer() {
        for tokens in 0..4 {
            for script in [
                Script::Truncated,
                Script::ResetMidChunk,
                Script::Stall,
                Script::CutBody,
                Script::ErrorMidStream,
            ] {
                let kinds: Vec<Kind> = edited(script, chunks(tokens))
                    .map(|chunk| chunk.kind)
                    .collect();
                assert!(
                    !kinds.contains(&Kind::Finish) && !kinds.contains(&Kind::Done),
                    "{script} {tokens}"
                );
                assert!(kinds.iter().filter(|kind| **kind == Kind::Token).count() <= 2);
            }
        }
    }

    #[test]
    fn odd_events_come_once_even_in_the_shortest_stream() {
        for tokens in 0..4 {
            for script in [Script::Malformed, Script::NullContent, Script::EmptyChoices] {
                let odd = edited(script, chunks(tokens))
                    .filter(|chunk| chunk.kind == Kind::Odd)
                    .count();
                assert_eq!(odd, 1, "{script} {tokens}");
            }
        }
    }

    #[test]
    fn every_plan_marks_the_status_before_any_byte() {
        for script in Script::ALL {
            let plans: [Vec<Step>; 2] = [
                plain(*script, head(), b"{}".to_vec(), 1),
                stream(*script, head(), chunks(3)).collect(),
            ];
            for plan in plans {
                let silent = matches!(plan[0], Step::Reset | Step::Hold);
                assert!(silent || matches!(plan[0], Step::Status(200)), "{script}");
                let ends_badly = plan
                    .iter()
                    .any(|step| matches!(step, Step::Reset | Step::Hold));
                let last = plan
                    .iter()
                    .filter(|step| matches!(step, Step::Last))
                    .count();
                assert!(last == 1 || last == 0 && ends_badly, "{script}: {last}");
            }
        }
    }
}
