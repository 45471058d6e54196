//! The end of the body is not the end of the answer: a proxy that restarts ends it as well. Whoever
//! loops "until there is no more" takes half an answer for a whole one. Wait for the finish reason.

use ai_core::protocol::stream::StreamDecoder;
use ai_core::{Error, Event, FinishPolicy};
use serde_json::Value;

use crate::Both;

// ANCHOR: wrong
/// No more lines, no more answer.
pub fn wrong(body: &str) -> Result<String, Error> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let text = |chunk: Value| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned());
    Ok(chunks.filter_map(text).collect())
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The decoder says `End` when the model has said why it stopped, and an error if it never does.
pub fn right(body: &str) -> Result<String, Error> {
    let mut decoder = StreamDecoder::new(1 << 20, FinishPolicy::Required);
    decoder.push(body.as_bytes());
    decoder.end_of_body();
    let mut answer = String::new();
    while let Some(event) = decoder.next() {
        if let Event::Text(text) = event? {
            answer.push_str(&text);
        }
    }
    Ok(answer)
}
// ANCHOR_END: right

/// The server was restarted after two tokens.
const BODY: &str = r#"data: {"choices":[{"delta":{"content":"It is"}}]}

data: {"choices":[{"delta":{"content":" safe"}}]}

"#;

pub(crate) fn both() -> Both {
    let tell = |answer: &Result<String, Error>| match answer {
        Ok(text) => format!("the answer is {text:?}"),
        Err(error) => format!("an error: {error}"),
    };
    Both::of(wrong(BODY), right(BODY), Result::is_err, tell)
}
