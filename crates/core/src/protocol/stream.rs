//! A streamed answer: bytes in, text, tool calls, usage and one typed end out.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::chat::{self, Content, FinishReason, ToolCall};
use super::error::{Error, KEPT_TEXT, Refusal};
use super::sse::SseDecoder;
use super::usage::{self, Usage};

/// One thing a stream has to tell.
///
/// The last item of every stream is either `Ok(Event::End(..))` or an `Err`; after it comes
/// nothing. So a stream that was cut can't be taken for a whole one: it never says `End`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A piece of the answer, never empty.
    Text(String),
    /// A piece of the model's reason for not answering.
    Refusal(String),
    /// A piece of a call the model asks for.
    ToolCall(ToolCallDelta),
    /// The tokens used, where the server tells.
    Usage(Usage),
    /// The model has stopped, for this reason, and the server has said so.
    End(FinishReason),
}

/// A piece of a tool call. The pieces with one index make up one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCallDelta {
    /// Which call of this answer, from 0.
    pub index: usize,
    /// The call's id, in its first piece.
    pub id: Option<String>,
    /// The function's name, in its first piece.
    pub name: Option<String>,
    /// The next piece of its arguments, which are JSON only once the call is whole.
    pub arguments: String,
}

/// What it means when a stream says `[DONE]` without ever having given a finish reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinishPolicy {
    /// The answer is [truncated](Error::Truncated). OpenAI always gives a reason, so one that is
    /// missing means that something was lost.
    #[default]
    Required,
    /// The answer is whole, and ended [for a reason unstated](FinishReason::Unstated). For servers
    /// that are known to leave it out (pydantic-ai#6610 reports Ollama).
    DoneSuffices,
}

/// Turns the bytes of one streamed answer into [`Event`]s, with no IO.
///
/// The drivers call [`push`](Self::push) with what they read until [`next`](Self::next) has
/// something to hand out, and tell it how the body came to its end.
///
/// ```
/// use ai_core::protocol::stream::{Event, FinishPolicy, StreamDecoder};
/// use ai_core::FinishReason;
///
/// let mut decoder = StreamDecoder::new(1 << 20, FinishPolicy::Required);
/// decoder.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n");
/// decoder.push(b"data: [DONE]\n\n");
/// assert_eq!(decoder.next(), Some(Ok(Event::Text("Hi".into()))));
/// assert_eq!(decoder.next(), Some(Ok(Event::End(FinishReason::Stop))));
/// assert_eq!(decoder.next(), None);
/// assert!(decoder.is_done());
/// ```
#[derive(Debug)]
pub struct StreamDecoder {
    sse: SseDecoder,
    state: State,
    /// The beginning of the body, until the first event: a body without any is no stream, and what
    /// it is instead should be told.
    opening: Vec<u8>,
}

/// What the events so far add up to. It stands apart from the bytes so that an event, which borrows
/// from the SSE decoder, can be worked into it.
#[derive(Debug)]
struct State {
    ready: VecDeque<Result<Event, Error>>,
    policy: FinishPolicy,
    model: Option<String>,
    finish: Option<FinishReason>,
    calls: Vec<SeenCall>,
    /// An event has come, so this is a stream.
    began: bool,
    /// The end is decided.
    done: bool,
}

#[derive(Debug)]
struct SeenCall {
    wire_index: Option<usize>,
    id: Option<String>,
    name: String,
}

impl StreamDecoder {
    /// A decoder that holds at most `limit` bytes of one event.
    pub fn new(limit: usize, policy: FinishPolicy) -> StreamDecoder {
        StreamDecoder {
            sse: SseDecoder::new(limit),
            state: State {
                ready: VecDeque::new(),
                policy,
                model: None,
                finish: None,
                calls: Vec::new(),
                began: false,
                done: false,
            },
            opening: Vec::new(),
        }
    }

    /// Takes the next piece of the body, cut wherever the network cut it.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if !self.state.began {
            let room = KEPT_TEXT - self.opening.len();
            self.opening.extend(bytes.iter().take(room));
        }
        while !self.state.done {
            match self.sse.next(&mut bytes) {
                Ok(Some(event)) => self.state.take(&event.name, &event.data),
                Ok(None) => break,
                Err(error) => self.state.end(Err(error)),
            }
        }
        if self.state.began {
            // A thousand streams at once need not keep it a thousand times.
            self.opening = Vec::new();
        }
    }

    /// Tells that the body has ended in good order. Some servers close without `[DONE]`.
    pub fn end_of_body(&mut self) {
        if self.state.began || self.opening.is_empty() {
            self.fail(Error::Truncated);
        } else {
            self.fail(not_a_stream(200, &HeaderMap::new(), &self.opening));
        }
    }

    /// Tells that the body will not go on, because of `error`. If the model has stopped already, what
    /// it said counts: its text is whole, and only its usage may be lost.
    pub fn fail(&mut self, error: Error) {
        let last = match self.state.finish.take() {
            Some(reason) => Ok(Event::End(reason)),
            None => Err(error),
        };
        self.state.end(last);
    }

    /// The next thing to hand out; `None` when more bytes are needed, or when all is told.
    // Not an Iterator: its None is not the end, which would surprise whoever collects it.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Result<Event, Error>> {
        self.state.ready.pop_front()
    }

    /// Whether the end is decided: no more bytes are needed, even if the socket stays open.
    pub fn is_done(&self) -> bool {
        self.state.done
    }

    /// The model that answers, once the first chunk has told.
    pub fn model(&self) -> Option<&str> {
        self.state.model.as_deref()
    }
}

/// One chunk, as far as we read it. Text arrives in owned strings since that is what we hand out;
/// all the rest is skipped by serde without an allocation.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<FirstChoice>,
    #[serde(default, deserialize_with = "usage::lenient")]
    usage: Option<Usage>,
    error: Option<IgnoredAny>,
    message: Option<IgnoredAny>,
    detail: Option<IgnoredAny>,
}

impl Chunk {
    /// OpenAI puts an error into `error`. Others send their error object bare, and it is only told
    /// by what it lacks.
    fn is_error(&self) -> bool {
        let words = self.message.is_some() || self.detail.is_some();
        self.error.is_some() || (self.choices.is_none() && words)
    }
}

/// What a chunk has of the first answer, which is the one that was asked for. Those of a server that
/// sends more must not be mixed into one.
struct FirstChoice(Option<ChunkChoice>);

/// By hand, since a `Vec` of the choices would be the second allocation a token, of two.
impl<'de> Deserialize<'de> for FirstChoice {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<FirstChoice, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = FirstChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FirstChoice, A::Error> {
                let mut first = None;
                while let Some(choice) = list.next_element::<ChunkChoice>()? {
                    if first.is_none() && choice.index.unwrap_or(0) == 0 {
                        first = Some(choice);
                    }
                }
                Ok(FirstChoice(first))
            }
        }
        input.deserialize_seq(List)
    }
}

#[derive(Deserialize)]
struct ChunkChoice {
    index: Option<i64>,
    #[serde(default, deserialize_with = "null_is_default")]
    delta: Delta,
    finish_reason: Option<FinishReason>,
}

#[derive(Deserialize, Default)]
struct Delta {
    content: Option<Content>,
    refusal: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    tool_calls: Vec<WireToolCall>,
}

#[derive(Deserialize)]
struct WireToolCall {
    index: Option<usize>,
    id: Option<String>,
    function: Option<WireFunction>,
}

#[derive(Deserialize, Default)]
struct WireFunction {
    name: Option<String>,
    arguments: Option<String>,
}

fn null_is_default<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

impl State {
    fn end(&mut self, last: Result<Event, Error>) {
        if !self.done {
            self.done = true;
            self.ready.push_back(last);
        }
    }

    fn take(&mut self, name: &str, data: &str) {
        self.began = true;
        let data = data.trim_ascii();
        if data.is_empty() && name != "error" {
            // Some servers keep the connection alive with empty events.
            return;
        }
        if data == "[DONE]" {
            let last = match (self.finish.take(), self.policy) {
                (Some(reason), _) => Ok(Event::End(reason)),
                (None, FinishPolicy::DoneSuffices) => Ok(Event::End(FinishReason::Unstated)),
                (None, FinishPolicy::Required) => Err(Error::Truncated),
            };
            return self.end(last);
        }
        let server_error = || {
            let refusal = Refusal::decode(None, &HeaderMap::new(), data.as_bytes());
            Err(Error::Server(Arc::new(refusal)))
        };
        if name == "error" {
            return self.end(server_error());
        }
        let chunk: Chunk = match serde_json::from_str(data) {
            Ok(chunk) => chunk,
            // Events with a name are for those who know them, such as `ping`.
            Err(_) if name != "message" => return,
            Err(reason) => return self.end(Err(Error::malformed(reason, data.as_bytes()))),
        };
        if chunk.is_error() {
            return self.end(server_error());
        }
        if self.model.is_none() {
            self.model = model_of(data);
        }
        if let Some(choice) = chunk.choices.and_then(|choices| choices.0) {
            self.take_choice(choice);
        }
        self.ready
            .extend(chunk.usage.map(|usage| Ok(Event::Usage(usage))));
    }

    fn take_choice(&mut self, choice: ChunkChoice) {
        // Servers send empty strings and nulls to open and close an answer; they are no text.
        let worth = |text: &String| !text.is_empty();
        let ready = &mut self.ready;
        ready.extend(
            choice
                .delta
                .content
                .map(Content::into_text)
                .filter(worth)
                .map(|text| Ok(Event::Text(text))),
        );
        ready.extend(
            choice
                .delta
                .refusal
                .filter(worth)
                .map(|text| Ok(Event::Refusal(text))),
        );
        for call in choice.delta.tool_calls {
            let delta = self.take_call(call);
            self.ready.push_back(Ok(Event::ToolCall(delta)));
        }
        // Some gateways write "" as long as there is no reason.
        let reason = choice.finish_reason;
        if let Some(reason) = reason.filter(|reason| *reason != FinishReason::Unstated) {
            self.finish = Some(reason);
        }
    }

    /// Decides which call a piece belongs to. OpenAI numbers them; other servers number all of them
    /// 0, or none, and tell them apart by a new id only, or repeat the id in each piece.
    fn take_call(&mut self, wire: WireToolCall) -> ToolCallDelta {
        let id = wire.id.filter(|id| !id.is_empty());
        let same_index = |call: &SeenCall| wire.index.is_none() || call.wire_index == wire.index;
        let known = match &id {
            Some(id) => self
                .calls
                .iter()
                .rposition(|call| call.id.as_ref() == Some(id))
                .or_else(|| {
                    self.calls
                        .iter()
                        .rposition(|c| same_index(c) && c.id.is_none())
                }),
            None => self.calls.iter().rposition(same_index),
        };
        let index = known.unwrap_or_else(|| {
            self.calls.push(SeenCall {
                wire_index: wire.index,
                id: None,
                name: String::new(),
            });
            self.calls.len() - 1
        });
        let call = &mut self.calls[index];
        // The id is told once, however often the server repeats it.
        let id = if call.id.is_none() { id } else { None };
        if id.is_some() {
            call.id.clone_from(&id);
        }
        let function = wire.function.unwrap_or_default();
        // So is the name. A different one is its next piece, for a server that cuts names, too.
        let name = function
            .name
            .filter(|name| !name.is_empty() && *name != call.name);
        call.name.push_str(name.as_deref().unwrap_or_default());
        ToolCallDelta {
            index,
            id,
            name,
            arguments: function.arguments.unwrap_or_default(),
        }
    }
}

/// Reads a chunk a second time for its model. That is done for the first one only, and spares all
/// the others a string.
fn model_of(data: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        model: String,
    }
    serde_json::from_str::<Named>(data)
        .ok()
        .map(|named| named.model)
        // Azure's first chunk, which tells of its filters, has an empty one.
        .filter(|model| !model.is_empty())
}

/// Whether a 2xx head is followed by a stream; if not, the body has to be read to tell what it is.
///
/// Only what is surely something else is turned away: servers in the wild label their streams
/// `text/plain`, or not at all.
pub(crate) fn is_stream(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_ascii_lowercase);
    !content_type.is_some_and(|t| t.starts_with("application/json") || t.starts_with("text/html"))
}

/// The error of an answer whose body is not a stream.
pub(crate) fn not_a_stream(status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
    if !(200..300).contains(&status) {
        return Error::from_response(status, headers, body);
    }
    chat::in_place_of_an_answer("a stream was asked for, and this is none", headers, body)
}

/// Adds up the events of one stream: what has arrived so far is always there to be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The text so far.
    pub text: String,
    /// The reason for not answering so far.
    pub refusal: String,
    /// The tokens used, once told.
    pub usage: Option<Usage>,
    /// Why the model stopped; `None` as long as it has not, and for ever if the stream broke.
    pub finish_reason: Option<FinishReason>,
    calls: Vec<ToolCall>,
}

impl Transcript {
    /// Adds one event.
    pub fn push(&mut self, event: &Event) {
        match event {
            Event::Text(text) => self.text.push_str(text),
            Event::Refusal(text) => self.refusal.push_str(text),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End(reason) => self.finish_reason = Some(reason.clone()),
            Event::ToolCall(delta) => {
                // Indices count up by one; a gap in them is no reason to make room for it.
                let index = delta.index.min(self.calls.len());
                if index == self.calls.len() {
                    self.calls.push(ToolCall::new("", "", ""));
                }
                let call = &mut self.calls[index];
                call.id.push_str(delta.id.as_deref().unwrap_or_default());
                call.function
                    .name
                    .push_str(delta.name.as_deref().unwrap_or_default());
                call.function.arguments.push_str(&delta.arguments);
            }
        }
    }

    /// The calls the model asks for, fit to be made.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the stream did not come to its end, and [`Error::Malformed`] for a
    /// call without a name or whose arguments are no JSON: half a call must not be made.
    pub fn tool_calls(&self) -> Result<&[ToolCall], Error> {
        if self.finish_reason.is_none() {
            return Err(Error::Truncated);
        }
        for ToolCall { function, .. } in &self.calls {
            let arguments = function.arguments.as_bytes();
            if function.name.is_empty() {
                return Err(Error::malformed("a tool call has no name", arguments));
            }
            // A function without parameters is often called with nothing at all.
            if !arguments.is_empty() {
                serde_json::from_slice::<IgnoredAny>(arguments).map_err(|_| {
                    Error::malformed("a tool call's arguments are no JSON", arguments)
                })?;
            }
        }
        Ok(&self.calls)
    }
}
