//! What the services are asked: pure, and shared by both versions.
//!
//! Three of the four are a chat model with instructions, so any server will do. What their answers
//! mean is read in `answers.rs`.

use ai_core::ChatRequest;
use serde::Serialize;

pub(crate) const SENTIMENT: &str = "What is the sentiment of the user's text? \
    Answer with one word: positive, negative or neutral.";
pub(crate) const SUMMARY: &str = "Summarize the user's text in one sentence. \
    Answer with that sentence alone.";
pub(crate) const ENTITIES: &str = "Which named entities (people, places, organisations, products) \
    are in the user's text? Answer with their names alone, separated by commas, or with: none";

/// Asks a chat model to follow `instructions` on `text`.
pub(crate) fn request(model: &str, instructions: &str, text: &str) -> ChatRequest {
    // Not one message with both: a text that says "ignore the above" would then speak with our voice.
    ChatRequest::new(model, text).system(instructions)
}

/// The mood of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sentiment {
    /// It praises.
    Positive,
    /// It complains.
    Negative,
    /// It does neither.
    Neutral,
}
