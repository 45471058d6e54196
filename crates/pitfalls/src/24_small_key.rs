//! A cache key of prompt and model gives the answer to one question to whoever asks another: a lower
//! temperature, other instructions, a longer answer. It is the guide's. Put everything into the key.

use std::collections::BTreeSet;

use ai_core::ChatRequest;
use caching::{Scope, chat_key};

use crate::Both;

// ANCHOR: wrong
/// Prompt and model. (A hash of them changes nothing about that.)
pub fn wrong(request: &ChatRequest) -> String {
    let prompt = request.messages.last().map(|message| message.text());
    format!("ai_cache:{}:{}", request.model, prompt.unwrap_or_default())
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Every field of the request, and whose answers they are.
pub fn right(request: &ChatRequest) -> String {
    let scope = Scope::new("https://api.openai.com/v1");
    chat_key(request, &scope).to_string()
}
// ANCHOR_END: right

fn keys(half: fn(&ChatRequest) -> String) -> usize {
    let ask = || ChatRequest::new("gpt-4o-mini", "What is AI?");
    let questions = [
        ask(),
        ask().temperature(0.0),
        ask().max_tokens(3),
        ask().system("Answer in French."),
    ];
    questions.iter().map(half).collect::<BTreeSet<_>>().len()
}

pub(crate) fn both() -> Both {
    let tell = |keys: &usize| format!("4 different questions, different keys: {keys}");
    Both::of(keys(wrong), keys(right), |keys| *keys == 4, tell)
}
