//! What the events of a stream add up to: pure, and shared by both versions.

use std::fmt;
use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use ai_core::{Error, Event, FinishReason, Transcript, Usage};
use serde::{Serialize, Serializer};

use crate::pace::Pace;

/// A story as far as it was told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Story {
    /// All text that arrived, however it ended: it was read, and it was paid for.
    pub text: String,
    /// How it came to its end.
    pub ending: Ending,
    /// The tokens used; `None` where the server does not tell, and in a stream that was cut.
    pub usage: Option<Usage>,
    /// When the tokens arrived.
    #[serde(flatten)]
    pub pace: Pace,
}

/// How a stream came to its end. Only `Complete(FinishReason::Stop)` is plain success.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The model has stopped, for this reason, and the server has said so.
    Complete(FinishReason),
    /// The model will not answer, for this reason.
    Refused(String),
    /// The bytes ended in good order, but before the model had finished.
    Truncated,
    /// The connection broke.
    Interrupted(#[serde(serialize_with = "as_text")] Error),
    /// Nothing more came for as long as a silence may last.
    Silent(#[serde(serialize_with = "as_text")] Error),
    /// The server reported a failure in the middle of its answer.
    ServerError(#[serde(serialize_with = "as_text")] Error),
    /// Anything else: the time was up, or what came makes no sense.
    Broken(#[serde(serialize_with = "as_text")] Error),
    /// The reader has had enough.
    Stopped,
    /// The text can't be shown any more: its reader has gone, or the disk is full.
    Unheard(#[serde(serialize_with = "as_text")] io::ErrorKind),
}

impl Ending {
    /// What the last item of a stream means, after all that was told before it.
    fn of(last: Result<FinishReason, Error>, told: &Transcript) -> Ending {
        match last {
            // A refusal says "stop" like any other answer: its words tell.
            Ok(_) if !told.refusal.is_empty() => Ending::Refused(told.refusal.clone()),
            // Some servers say "stop", or nothing, when they mean "call this": the calls count.
            Ok(FinishReason::Stop | FinishReason::Unstated)
                if !told.tool_calls().is_ok_and(|calls| calls.is_empty()) =>
            {
                Ending::Complete(FinishReason::ToolCalls)
            }
            Ok(reason) => Ending::Complete(reason),
            Err(Error::Truncated) => Ending::Truncated,
            Err(error @ Error::Interrupted { .. }) => Ending::Interrupted(error),
            Err(error @ Error::Silent { .. }) => Ending::Silent(error),
            Err(error @ Error::Server(_)) => Ending::ServerError(error),
            Err(error) => Ending::Broken(error),
        }
    }

    /// Success, or what stands in its way.
    ///
    /// # Errors
    /// An [`io::Error`] where the reader ended it: of the kind that stopped the writing, or
    /// `Interrupted` for [`Stopped`](Ending::Stopped). A sentence where the answer is not whole.
    pub fn success(&self) -> Result<(), Box<dyn std::error::Error>> {
        match self {
            // `Unstated` only comes up where the caller's `FinishPolicy` takes it for an end.
            Ending::Complete(FinishReason::Stop | FinishReason::Unstated) => Ok(()),
            Ending::Stopped => Err(io::Error::from(io::ErrorKind::Interrupted).into()),
            Ending::Unheard(kind) => Err(io::Error::from(*kind).into()),
            other => Err(format!("the story is not whole: {other}").into()),
        }
    }
}

/// Takes a story down while it is told: the drivers read, show and look at the clock, this decides.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    told: Transcript,
    arrivals: Vec<Duration>,
}

impl Recorder {
    /// Takes the next item, which arrived at `now`, counted from the call. Answers what there is to
    /// show, often nothing, or how the stream ended.
    ///
    /// An error before anything was told ends in that error: there is no story to keep, and where
    /// [`Error::is_retryable`] says so the call may be repeated. After the first token it may not,
    /// or the reader would be told everything twice, and pay for it twice.
    pub fn take(
        &mut self,
        item: Result<Event, Error>,
        now: Duration,
    ) -> ControlFlow<Result<Ending, Error>, String> {
        let event = match item {
            Ok(event) => event,
            Err(error) if self.told == Transcript::default() => return Break(Err(error)),
            Err(error) => return Break(Ok(Ending::of(Err(error), &self.told))),
        };
        self.told.push(&event);
        match event {
            Event::Text(text) => {
                self.arrivals.push(now);
                Continue(text)
            }
            Event::End(reason) => Break(Ok(Ending::of(Ok(reason), &self.told))),
            // Usage, refusals and calls are taken down; only the text is shown as it comes.
            _ => Continue(String::new()),
        }
    }

    /// The story, now that it has ended.
    pub fn finish(self, ending: Ending) -> Story {
        Story {
            text: self.told.text,
            ending,
            usage: self.told.usage,
            pace: Pace::of(&self.arrivals),
        }
    }
}

impl Story {
    /// One line about the story, for people.
    pub fn summary(&self) -> String {
        // What the server does not tell is called unknown. A 0 would be added up by somebody.
        let usage = match self.usage {
            Some(usage) => format!(
                "{} + {} tokens billed",
                usage.input_tokens, usage.output_tokens
            ),
            None => "billing unknown".to_owned(),
        };
        format!("{} · {usage} · {}", self.pace, self.ending)
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Complete(FinishReason::Stop) => f.write_str("complete"),
            Ending::Complete(FinishReason::Length) => f.write_str("cut at the token limit"),
            Ending::Complete(FinishReason::ContentFilter) => f.write_str("cut by a content filter"),
            Ending::Complete(FinishReason::ToolCalls) => f.write_str("it wants tools called"),
            Ending::Complete(reason) => write!(f, "ended ({reason})"),
            Ending::Refused(reason) => write!(f, "refused: {reason}"),
            Ending::Truncated => Error::Truncated.fmt(f),
            Ending::Interrupted(error)
            | Ending::Silent(error)
            | Ending::ServerError(error)
            | Ending::Broken(error) => error.fmt(f),
            Ending::Stopped => f.write_str("stopped by its reader"),
            Ending::Unheard(kind) => write!(f, "cannot be shown: {kind}"),
        }
    }
}

fn as_text<S: Serializer>(text: &impl fmt::Display, output: S) -> Result<S::Ok, S::Error> {
    output.collect_str(text)
}
