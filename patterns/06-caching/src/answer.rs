//! What comes back: an answer, where it came from, and what that saved.

use std::fmt;

use ai_core::{ChatRequest, ChatResponse, Config, Cost, Error, Message, Reply, Usage};
use bytes::Bytes;
use serde::Serialize;

/// The guide's temperature. A cache answers the same for an hour all the same: it serves where one
/// good answer is as good as another.
const TEMPERATURE: f64 = 0.7;

/// The request for a prompt.
pub(crate) fn request(config: &Config, prompt: &str) -> ChatRequest {
    ChatRequest {
        model: config.model.clone(),
        messages: vec![Message::user(prompt)],
        temperature: Some(TEMPERATURE),
        ..ChatRequest::default()
    }
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This caller asked the service, and it is paid for.
    Called,
    /// Another caller was asking for it.
    Shared,
    /// The store had it.
    Stored,
}

/// An answer, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Cached<T> {
    /// The answer.
    pub value: T,
    /// The body as the server sent it, for the fields the answer type does not know.
    pub body: Bytes,
    /// Where it came from.
    pub source: Source,
    /// The tokens it cost the caller that asked the service; `None` where the server does not tell.
    pub usage: Option<Usage>,
}

impl<T> Cached<T> {
    /// Whether this caller has it for nothing.
    pub fn is_cached(&self) -> bool {
        self.source != Source::Called
    }

    /// The same, as a caller sees it that had the part of `source` in the flight: what the leader called
    /// for is shared with all others, and what it found in the store is stored for everybody.
    pub(crate) fn seen_from(mut self, source: Source) -> Cached<T> {
        if self.source == Source::Called {
            self.source = source;
        }
        // A call shows itself as a span of core's; what was no call should be seen as well.
        if self.is_cached() {
            tracing::info!(source = ?self.source, "answered from the cache");
        }
        self
    }
}

impl Cached<ChatResponse> {
    /// One that was just asked for.
    pub fn called(reply: Reply<ChatResponse>) -> Cached<ChatResponse> {
        Cached {
            usage: reply.value.usage,
            value: reply.value,
            body: reply.body,
            source: Source::Called,
        }
    }

    pub(crate) fn stored(value: ChatResponse, body: Bytes) -> Cached<ChatResponse> {
        Cached {
            usage: value.usage,
            value,
            body,
            source: Source::Stored,
        }
    }
}

/// The guide's dict, and what it was worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What the model wrote.
    pub result: String,
    /// Whether this caller has it for nothing.
    pub cached: bool,
    /// Where it came from.
    pub source: Source,
    /// The tokens it cost the caller that asked the service; `None` where that is unknown.
    pub usage: Option<Usage>,
    /// What that was in money; `None` where that is unknown.
    pub cost: Option<Cost>,
}

impl Answer {
    pub(crate) fn new(cached: Cached<ChatResponse>, config: &Config) -> Result<Answer, Error> {
        let usage = cached.usage;
        Ok(Answer {
            cached: cached.is_cached(),
            source: cached.source,
            usage,
            cost: usage.and_then(|usage| usage.cost(&cached.value.model)),
            result: cached.value.into_finished_text(config.finish_policy)?,
        })
    }
}

/// The answers of one run. `Display` gives the guide's lines, and what the cache saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order they were asked for.
    pub answers: Vec<Answer>,
}

impl Report {
    /// The tokens and the money that were not spent, or `None` if one of them is unknown.
    pub fn saved(&self) -> (u64, Option<u64>, Option<Cost>) {
        let hits = || self.answers.iter().filter(|answer| answer.cached);
        let usage = hits().try_fold(Usage::default(), |sum, answer| Some(sum + answer.usage?));
        let tokens = |usage: Usage| usage.input_tokens.saturating_add(usage.output_tokens);
        (
            hits().count() as u64,
            usage.map(tokens),
            hits().map(|answer| answer.cost).sum(),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, answer) in self.answers.iter().enumerate() {
            writeln!(f, "Result {} - Cached: {}", index + 1, answer.cached)?;
        }
        let (calls, tokens, cost) = self.saved();
        if calls == 0 {
            return f.write_str("saved: nothing");
        }
        let plural = if calls == 1 { "" } else { "s" };
        write!(f, "saved: {calls} call{plural}, ")?;
        match tokens {
            Some(tokens) => write!(f, "{tokens} tokens, ")?,
            None => f.write_str("tokens unknown, ")?,
        }
        match cost {
            Some(cost) => write!(f, "{cost}"),
            None => f.write_str("cost unknown"),
        }
    }
}
