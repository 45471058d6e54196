//! An error kept as text has to be guessed at: is it worth another try? `to_string()`, `anyhow` at a
//! boundary and the guide's `str(e)` have it. Keep the type, and ask it.

use ai_core::Error;
use reqwest::header::HeaderMap;

use crate::Both;

// ANCHOR: wrong
/// A number in a sentence may be anything.
pub fn wrong(error: &Error) -> bool {
    let text = error.to_string();
    ["429", "503", "timeout"]
        .iter()
        .any(|sign| text.contains(sign))
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The type knows the status, the code, and what the server says of it.
pub fn right(error: &Error) -> bool {
    error.is_retryable()
}
// ANCHOR_END: right

/// What servers answer, and whether the same call may succeed later.
const REFUSALS: [(u16, &str, bool); 6] = [
    (429, r#"{"error": {"message": "Rate limit reached"}}"#, true),
    (
        429,
        r#"{"error": {"message": "You ran out of credits", "code": "insufficient_quota"}}"#,
        false,
    ),
    (
        400,
        r#"{"error": {"message": "max_tokens is too large: 4290"}}"#,
        false,
    ),
    (401, r#"{"error": {"message": "Incorrect API key"}}"#, false),
    (500, "", true),
    (502, "<html>Bad Gateway</html>", true),
];

/// How many of them are judged as they should be.
fn right_of_six(half: fn(&Error) -> bool) -> usize {
    let judged = REFUSALS.iter().filter(|(status, body, expected)| {
        let error = Error::from_response(*status, &HeaderMap::new(), body.as_bytes());
        half(&error) == *expected
    });
    judged.count()
}

pub(crate) fn both() -> Both {
    let tell = |count: &usize| format!("whether to try again is right for {count} of 6 errors");
    Both::of(
        right_of_six(wrong),
        right_of_six(right),
        |count| *count == 6,
        tell,
    )
}
