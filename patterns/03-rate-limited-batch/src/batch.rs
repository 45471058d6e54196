//! What goes into a batch and what comes out: pure, and shared by both versions.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use ai_core::{ChatRequest, ChatResponse, Config, Error, FinishPolicy, Reply, panic_message};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::feedback::Feedback;
use crate::limits::AcquireError;

/// The guide's limit.
pub const REQUESTS_PER_MINUTE: u32 = 60;

/// The most tokens an answer may have. Each request says so, or the limiter could not tell
/// beforehand how many it will cost.
pub const MAX_TOKENS: u32 = 512;

/// The guide's prompts, asked when no others are given.
pub fn topics() -> Vec<String> {
    (0..100).map(|i| format!("Summarize topic {i}")).collect()
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
    /// There was no permit for it, and so it was not sent.
    Acquire(AcquireError),
    /// The call failed. It is not tried again: that is pattern 7's business, and each attempt must
    /// queue up again.
    Call(Error),
    /// The code that made the call panicked with this message. That is a bug in one call, and the
    /// answers to the other prompts have been paid for: they are kept.
    Panicked(String),
}

/// What became of all prompts, in their order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Batch {
    /// One a prompt.
    pub items: Vec<Item>,
}

/// How a call ended: its text or its error, and beside it what the limiter learns from either.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The text, or why there is none.
    pub result: Result<String, Error>,
    /// What the limiter learns.
    pub feedback: Feedback,
}

impl Ended {
    /// Sorts out what a client returned. `policy` decides what a missing finish reason means.
    pub fn new(result: Result<Reply<ChatResponse>, Error>, policy: FinishPolicy) -> Ended {
        match result {
            // The headers count for an answer that was cut as well, and its error has none.
            Ok(reply) => Ended {
                feedback: Feedback::of_reply(&reply.headers, reply.usage),
                result: reply.value.into_finished_text(policy),
            },
            Err(error) => Ended {
                feedback: Feedback::of_error(&error),
                result: Err(error),
            },
        }
    }
}

/// What a call means for its prompt and for the limiter, also if it panicked. (It comes from
/// `catch_unwind`, of a closure or of a future.)
pub(crate) fn sort_out(
    ended: Result<Ended, Box<dyn Any + Send>>,
) -> (Result<String, Failure>, Feedback) {
    match ended {
        Ok(ended) => (ended.result.map_err(Failure::Call), ended.feedback),
        Err(panic) => (
            Err(Failure::Panicked(panic_message(&*panic).to_owned())),
            Feedback::default(),
        ),
    }
}

/// The request for a prompt.
pub(crate) fn request(config: &Config, prompt: &str) -> ChatRequest {
    ChatRequest::new(&config.model, prompt).max_tokens(MAX_TOKENS)
}

/// The most tokens that the request for this prompt can cost.
///
/// Tokenizers join bytes, so no text has more tokens than bytes. OpenAI's rule of thumb, four
/// characters a token, is an average of English: short words, signs and Chinese break it, and then a
/// server whose limit is the same refuses. Beside the room for an answer the prompt is little. If it
/// is not with you, count with the model's own tokenizer.
pub(crate) fn most_tokens(prompt: &str) -> u64 {
    /// What the chat format adds: four tokens for a message and its role, three before the answer.
    const FRAME: u64 = 7;
    prompt.len() as u64 + FRAME + u64::from(MAX_TOKENS)
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
            Failure::Acquire(error) => error.fmt(f),
            Failure::Call(error) => error.fmt(f),
            Failure::Panicked(message) => {
                write!(f, "the code that made the call panicked: {message}")
            }
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
