//! An answer is more than `choices[0].message.content`, which is null where the model asks for a call,
//! and half a sentence where it was cut. The guide reads nothing else. Look why the model stopped.

use ai_core::{ChatResponse, Error, FinishPolicy};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::Both;

// ANCHOR: wrong
/// The text, if there is one, and `""` if not.
pub fn wrong(body: &str) -> Result<String, Error> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let text = body["choices"][0]["message"]["content"].as_str();
    Ok(text.unwrap_or_default().to_owned())
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The text of an answer that is finished. Anything else is an error that says what it is.
pub fn right(body: &str) -> Result<String, Error> {
    let answer = ChatResponse::decode(200, &HeaderMap::new(), body.as_bytes())?;
    answer.into_finished_text(FinishPolicy::Required)
}
// ANCHOR_END: right

const BODY: &str = r#"{"model": "gpt-4o-mini", "choices": [{
    "message": {"role": "assistant", "content": null, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    ]},
    "finish_reason": "tool_calls"
}]}"#;

pub(crate) fn both() -> Both {
    let tell = |answer: &Result<String, Error>| match answer {
        Ok(text) => format!("the answer is {text:?}"),
        Err(error) => format!("an error: {error}"),
    };
    Both::of(wrong(BODY), right(BODY), Result::is_err, tell)
}
