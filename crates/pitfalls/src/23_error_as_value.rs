//! An error stands where a value is looked for, and is shown as one. It is the guide's
//! `return_exceptions=True`, and whoever turns errors to text early. Keep a `Result` for each field.

use std::collections::BTreeMap;

use ai_core::Error;

use crate::Both;

type Answers = Vec<(&'static str, Result<String, Error>)>;

// ANCHOR: wrong
/// Text, whatever it is.
pub fn wrong(answers: Answers) -> BTreeMap<&'static str, String> {
    let text = |answer: Result<String, Error>| answer.unwrap_or_else(|error| error.to_string());
    answers
        .into_iter()
        .map(|(field, answer)| (field, text(answer)))
        .collect()
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Who wants the text must look whether there is one.
pub fn right(answers: Answers) -> BTreeMap<&'static str, Result<String, Error>> {
    answers.into_iter().collect()
}
// ANCHOR_END: right

/// The service that summarizes is cut off.
fn answers() -> Answers {
    vec![
        ("sentiment", Ok("positive".into())),
        ("summary", Err(Error::Truncated)),
    ]
}

pub(crate) fn both() -> Both {
    let wrong = Some(wrong(answers())["summary"].clone());
    let right = right(answers())["summary"].clone().ok();
    let tell = |summary: &Option<String>| match summary {
        Some(text) => format!("the report says: Summary: {text}"),
        None => "the report says that there is no summary".to_owned(),
    };
    Both::of(wrong, right, Option::is_none, tell)
}
