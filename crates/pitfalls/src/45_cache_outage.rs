//! A cache that is down takes the service with it, though the service could do without. A `?` behind the
//! lookup has it, and the guide. A lookup that fails is a miss, and a warning.

use std::io;

use crate::Both;

/// How the store answers a lookup.
type Lookup = fn(&str) -> io::Result<Option<String>>;

// ANCHOR: wrong
/// No cache, no answer.
pub fn wrong(lookup: Lookup, prompt: &str) -> io::Result<String> {
    match lookup(prompt)? {
        Some(cached) => Ok(cached),
        None => ask(prompt),
    }
}
// ANCHOR_END: wrong

// ANCHOR: right
/// No cache, no discount.
pub fn right(lookup: Lookup, prompt: &str) -> io::Result<String> {
    // Log the error here: an outage that nobody hears of costs money.
    match lookup(prompt).unwrap_or_default() {
        Some(cached) => Ok(cached),
        None => ask(prompt),
    }
}
// ANCHOR_END: right

/// In place of a call. The model is up.
fn ask(prompt: &str) -> io::Result<String> {
    Ok(format!("About {prompt}"))
}

fn answers(half: fn(Lookup, &str) -> io::Result<String>) -> usize {
    let down: Lookup = |_| Err(io::ErrorKind::ConnectionRefused.into());
    let prompts = ["AI", "machine learning", "neural networks"];
    prompts
        .iter()
        .filter(|prompt| half(down, prompt).is_ok())
        .count()
}

pub(crate) fn both() -> Both {
    let tell = |answers: &usize| format!("the cache is down, {answers} of 3 are answered");
    Both::of(
        answers(wrong),
        answers(right),
        |answers| *answers == 3,
        tell,
    )
}
