//! A line of the output: pure, and shared by both versions.

use std::borrow::Cow;
use std::time::Duration;

use ai_core::{ChatResponse, Cost, Usage};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::failure::Failure;

/// What became of a job, as a line of the output says it.
#[derive(Debug, Serialize)]
pub struct Record {
    /// The name of the job. It stands first, by which `--resume` knows its own lines.
    pub custom_id: String,
    /// The server's answer, as it came.
    pub response: Option<Box<RawValue>>,
    /// Why there is none.
    pub error: Option<Reason>,
    /// The model that answered, or else the last one asked.
    pub model: String,
    /// Whether this job made no call for its answer: it was stored, or another job got it.
    pub cached: bool,
    /// The tokens of the answer; none where the server does not tell.
    pub usage: Option<Usage>,
    /// What the answer has cost now, in billionths of a dollar: 0 if it was cached, none if the
    /// price is not known.
    #[serde(rename = "cost_nano_usd")]
    pub cost: Option<Cost>,
    /// How many calls the job has made, of all models, hedges included.
    pub attempts: u32,
    /// How long it has waited for its turn, between attempts and for others, in milliseconds.
    pub wait_ms: u64,
    /// How long its calls took together, in milliseconds.
    pub call_ms: u64,
}

/// Why a job has no answer.
#[derive(Debug, Serialize)]
pub struct Reason {
    /// A short, stable name.
    pub kind: &'static str,
    /// The whole story, for people.
    pub message: String,
    /// Whether the same line may be answered another time. `--retry-failed` does not look at it: it asks
    /// every line again that failed.
    pub retryable: bool,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The server's own name for it.
    pub code: Option<String>,
    /// The server's name for the request.
    pub request_id: Option<String>,
}

impl Reason {
    /// The reason for a failure.
    pub fn of(failure: &Failure) -> Reason {
        let refusal = match failure {
            Failure::Call(error) => error.refusal(),
            _ => None,
        };
        Reason {
            kind: failure.kind(),
            message: failure.to_string(),
            retryable: failure.may_pass(),
            status: refusal.and_then(|it| it.status),
            code: refusal.and_then(|it| it.code.clone()),
            request_id: refusal.and_then(|it| it.request_id.clone()),
        }
    }
}

/// A body as a part of a line: a server may print its JSON on many.
pub fn on_one_line(body: &[u8]) -> Box<RawValue> {
    // Within a text of JSON a line end is always escaped, so these can only stand between its parts.
    let text = String::from_utf8_lossy(body).replace(['\n', '\r'], " ");
    let json = RawValue::from_string(text.trim().to_owned());
    // It was decoded before, so it is JSON; and were it not, it was paid for all the same.
    json.unwrap_or_else(|_| to_raw_value(&text).expect("a text is always JSON"))
}

/// What an answer that was called for has cost.
pub(crate) fn cost(response: &ChatResponse, usage: Option<Usage>, asked: &str) -> Option<Cost> {
    let model = model(response, asked);
    usage.and_then(|usage| usage.cost(model))
}

/// The model that answered, by the server's words if it has some.
pub(crate) fn model<'a>(response: &'a ChatResponse, asked: &'a str) -> &'a str {
    match response.model.as_str() {
        "" => asked,
        model => model,
    }
}

/// Whole milliseconds.
pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Record {
    /// The line, its end included.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("texts and numbers are always JSON");
        line.push(b'\n');
        line
    }
}

/// What a line that was written before tells.
#[derive(Debug, PartialEq, Eq)]
pub struct Written<'a> {
    /// The name of the job.
    pub custom_id: Cow<'a, str>,
    /// It has no answer.
    pub failed: bool,
}

impl Written<'_> {
    /// Reads a line; none if it is not whole, or not one of ours.
    pub fn read(line: &[u8]) -> Option<Written<'_>> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            custom_id: Cow<'a, str>,
            response: Option<IgnoredAny>,
            error: Option<IgnoredAny>,
        }
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let failed = line.error.is_some();
        // One of the two it is.
        (line.response.is_some() != failed).then_some(Written {
            custom_id: line.custom_id,
            failed,
        })
    }
}
