//! What goes into a batch and what comes out: pure, and shared by both versions.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use ai_core::{ChatRequest, ChatResponse, Config, Error, Reply};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::feedback::Feedback;
use crate::limits::{Limits, NoSlot};

/// The guide's limit.
pub const REQUESTS_PER_MINUTE: u32 = 60;

/// The guide's `batch_size`: how many requests are under way at one time.
pub const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(10).expect("10 is not 0");

/// The most tokens an answer may have. Each request says so, or nobody could tell beforehand how
/// many it will cost.
pub const MAX_TOKENS: u32 = 512;

/// The guide's prompts, asked when no others are given.
pub fn topics() -> Vec<String> {
    (0..100).map(|i| format!("Summarize topic {i}")).collect()
}

impl Limits {
    /// So many requests in any window of this length, the guide's ten at a time, and no limit on
    /// tokens.
    pub fn new(requests: u32, length: Duration) -> Limits {
        Limits {
            requests,
            tokens: None,
            concurrency: BATCH_SIZE,
            length,
            margin: None,
            paced: false,
            trued_up: false,
        }
    }
}

/// What became of one prompt: the guide's dict, with typed errors, and with the two times apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What was asked.
    pub prompt: String,
    /// The answer, or why there is none.
    pub result: Result<String, Failure>,
    /// How long it waited for its turn. The limit's fault, not the server's.
    pub waited: Duration,
    /// How long the call took.
    pub called: Duration,
}

/// Why a prompt has no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// It was not sent.
    NoSlot(NoSlot),
    /// The call failed. It is not tried again: that is pattern 7's business, and each attempt must
    /// queue up again.
    Call(Error),
}

/// What became of all prompts, in their order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Batch {
    /// One a prompt.
    pub items: Vec<Item>,
}

/// What a call brings: the text, and what the limiter wants to know.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// What the limiter learns from it.
    pub feedback: Feedback,
}

impl Answer {
    /// Sorts out a reply.
    pub(crate) fn new(reply: Reply<ChatResponse>, config: &Config) -> Result<Answer, Error> {
        Ok(Answer {
            feedback: Feedback::of_reply(&reply.headers, reply.usage),
            text: reply.value.into_finished_text(config.finish_policy)?,
        })
    }
}

/// The request for a prompt.
pub(crate) fn request(config: &Config, prompt: &str) -> ChatRequest {
    ChatRequest::new(&config.model, prompt).max_tokens(MAX_TOKENS)
}

/// The most tokens that the request for this prompt should cost.
///
/// Four characters a token is OpenAI's rule of thumb for English. Other languages need more: if
/// tokens are your bottleneck, count with the model's own tokenizer.
pub(crate) fn most_tokens(prompt: &str) -> u64 {
    (prompt.chars().count() as u64).div_ceil(4) + u64::from(MAX_TOKENS)
}

/// What a call teaches the limiter, however it ended.
pub(crate) fn feedback(result: &Result<Answer, Error>) -> Feedback {
    match result {
        Ok(answer) => answer.feedback,
        Err(error) => Feedback::of_error(error),
    }
}

/// Puts what arrived in any order into the order of its numbers.
pub(crate) fn in_order<T>(mut arrivals: Vec<(usize, T)>) -> Vec<T> {
    arrivals.sort_unstable_by_key(|(index, _)| *index);
    arrivals.into_iter().map(|(_, item)| item).collect()
}

impl Batch {
    /// How many prompts have an answer.
    pub fn successful(&self) -> usize {
        self.items.iter().filter(|item| item.result.is_ok()).count()
    }

    /// One line about the times, for people.
    pub fn summary(&self) -> String {
        let longest = |time: fn(&Item) -> Duration| self.items.iter().map(time).max();
        let waited = longest(|item| item.waited)
            .unwrap_or_default()
            .as_secs_f64();
        let called = longest(|item| item.called)
            .unwrap_or_default()
            .as_secs_f64();
        format!("longest wait for a turn {waited:.2}s, longest call {called:.2}s")
    }

    /// Success, or why the first prompt without an answer has none.
    ///
    /// # Errors
    /// When a prompt failed.
    pub fn success(&self) -> Result<(), String> {
        let failed = self.items.len() - self.successful();
        match self
            .items
            .iter()
            .find_map(|item| item.result.as_ref().err())
        {
            Some(first) => Err(format!("{failed} prompts failed, the first: {first}")),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Batch {
    /// The guide's line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (successful, all) = (self.successful(), self.items.len());
        write!(f, "Processed {successful}/{all} prompts successfully")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoSlot(error) => error.fmt(f),
            Failure::Call(error) => error.fmt(f),
        }
    }
}

/// The guide's fields, and the times in milliseconds.
impl Serialize for Item {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut item = output.serialize_struct("Item", 5)?;
        item.serialize_field("prompt", &self.prompt)?;
        item.serialize_field("result", &self.result.as_ref().ok())?;
        item.serialize_field(
            "error",
            &self.result.as_ref().err().map(ToString::to_string),
        )?;
        item.serialize_field("waited_ms", &(self.waited.as_secs_f64() * 1000.0))?;
        item.serialize_field("called_ms", &(self.called.as_secs_f64() * 1000.0))?;
        item.end()
    }
}
