//! An event that can't be read is skipped, and the answer is shorter by a word that nobody misses. It
//! is the guide's `except JSONDecodeError: continue`. Report it, with its place.

use serde_json::Value;

use crate::Both;

// ANCHOR: wrong
/// Text is lost, and the caller gets `Ok`.
pub fn wrong(events: &[&str]) -> Result<String, String> {
    let mut answer = String::new();
    for event in events {
        let Ok(chunk) = serde_json::from_str::<Value>(event) else {
            continue;
        };
        answer.push_str(text(&chunk));
    }
    Ok(answer)
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The caller hears of it, and of which event it was.
pub fn right(events: &[&str]) -> Result<String, String> {
    let mut answer = String::new();
    for (number, event) in (1..).zip(events) {
        let chunk: Value = serde_json::from_str(event)
            .map_err(|error| format!("event {number}, {event:?}: {error}"))?;
        answer.push_str(text(&chunk));
    }
    Ok(answer)
}
// ANCHOR_END: right

fn text(chunk: &Value) -> &str {
    chunk["text"].as_str().unwrap_or_default()
}

pub(crate) fn both() -> Both {
    let events = [
        r#"{"text": "It is"}"#,
        r#"{"text": " not"#,
        r#"{"text": " safe."}"#,
    ];
    let tell = |answer: &Result<String, String>| match answer {
        Ok(text) => format!("the answer is {text:?}"),
        Err(error) => format!("an error: {error}"),
    };
    Both::of(wrong(&events), right(&events), Result::is_err, tell)
}
