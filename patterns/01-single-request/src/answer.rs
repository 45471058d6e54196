//! What a reply means: pure, and shared by both versions.

use std::fmt;
use std::time::Duration;

use ai_core::{ChatResponse, Cost, FinishPolicy, FinishReason, Reply, ToolCall, Usage};
use serde::{Serialize, Serializer};

/// The guide's setting. Newer models refuse it, so it is a lesson's choice and not the client's.
pub(crate) const TEMPERATURE: f64 = 0.7;

/// All that one answer tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// What the model wrote.
    pub text: String,
    /// How it came to its end.
    pub ending: Ending,
    /// The model that really answered.
    pub model: String,
    /// The tokens used; `None` where the server does not tell.
    pub usage: Option<Usage>,
    /// What they cost; `None` where the price is unknown.
    #[serde(rename = "cost_nano_usd")]
    pub cost: Option<Cost>,
    /// What to name to the provider's support.
    pub request_id: Option<String>,
    /// From the call to the last byte.
    #[serde(rename = "elapsed_ms", serialize_with = "as_milliseconds")]
    pub elapsed: Duration,
}

fn as_milliseconds<S: Serializer>(time: &Duration, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_f64(time.as_secs_f64() * 1000.0)
}

/// How an answer came to its end. Only the first is plain success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The model was done.
    Complete,
    /// The token limit cut the text off.
    CutShort,
    /// A content filter took text away.
    Filtered,
    /// The model will not answer, for this reason.
    Refused(String),
    /// The model waits for the results of these calls.
    WantsTools(Vec<ToolCall>),
    /// The server gave another reason, or none.
    Unclear(Option<String>),
}

impl Answer {
    /// Sorts out a reply. `policy` says what it means if this server gives no reason for its end.
    pub fn from_reply(reply: Reply<ChatResponse>, policy: FinishPolicy) -> Answer {
        let choice = reply.first();
        let refusal = choice.message.refusal.as_ref();
        let refusal = refusal.filter(|reason| !reason.is_empty());
        let ending = match (refusal, &choice.finish_reason) {
            (Some(reason), _) => Ending::Refused(reason.clone()),
            // Some servers say "stop" when they mean "call this": the calls count.
            _ if !choice.message.tool_calls.is_empty() => {
                Ending::WantsTools(choice.message.tool_calls.clone())
            }
            (_, Some(FinishReason::Stop)) => Ending::Complete,
            (_, Some(FinishReason::Length)) => Ending::CutShort,
            (_, Some(FinishReason::ContentFilter)) => Ending::Filtered,
            (_, Some(FinishReason::Other(reason))) => Ending::Unclear(Some(reason.clone())),
            _ if policy == FinishPolicy::DoneSuffices => Ending::Complete,
            _ => Ending::Unclear(None),
        };
        Answer {
            text: choice.message.text().into_owned(),
            ending,
            model: reply.model.clone(),
            usage: reply.usage,
            cost: reply.usage.and_then(|usage| usage.cost(&reply.model)),
            request_id: reply.request_id().map(str::to_owned),
            elapsed: reply.elapsed,
        }
    }
}

impl Answer {
    /// One line about the answer, for people.
    pub fn summary(&self) -> String {
        let mut facts = vec![self.ending.to_string(), self.model.clone()];
        // What the server does not tell is called unknown. A 0 would be added up by somebody.
        facts.push(match self.usage {
            Some(usage) => format!("{} + {} tokens", usage.input_tokens, usage.output_tokens),
            None => "tokens unknown".to_owned(),
        });
        facts.push(match self.cost {
            Some(cost) => cost.to_string(),
            None => "cost unknown".to_owned(),
        });
        facts.extend(self.request_id.clone());
        facts.push(format!("{:.2?}", self.elapsed));
        facts.join(" · ")
    }
}

impl Ending {
    /// Success, or what stands in its way.
    ///
    /// # Errors
    /// Every ending but [`Complete`](Ending::Complete).
    pub fn success(&self) -> Result<(), String> {
        match self {
            Ending::Complete => Ok(()),
            other => Err(format!("the answer is not whole: {other}")),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Complete => f.write_str("complete"),
            Ending::CutShort => f.write_str("cut at the token limit"),
            Ending::Filtered => f.write_str("cut by a content filter"),
            Ending::Refused(reason) => write!(f, "refused: {reason}"),
            Ending::WantsTools(calls) => {
                let names: Vec<_> = calls
                    .iter()
                    .map(|call| call.function.name.as_str())
                    .collect();
                write!(f, "wants {} called", names.join(" and "))
            }
            Ending::Unclear(Some(reason)) => write!(f, "stopped for {reason:?}"),
            Ending::Unclear(None) => f.write_str("stopped, the server does not say why"),
        }
    }
}
