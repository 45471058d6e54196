//! An empty answer that counts as "not cached" is paid for each time. A check for truth instead of
//! presence has it: the guide's `if cached`, and `is_empty()`. "Nothing stored" is a `None`.

use std::collections::HashMap;

use crate::Both;

type Cache = HashMap<String, String>;

// ANCHOR: wrong
/// Takes "nothing was said" for "nothing is known".
pub fn wrong(cache: &Cache, prompt: &str) -> Option<String> {
    let cached = cache.get(prompt).cloned().unwrap_or_default();
    if cached.is_empty() {
        None
    } else {
        Some(cached)
    }
}
// ANCHOR_END: wrong

// ANCHOR: right
/// An entry is an entry.
pub fn right(cache: &Cache, prompt: &str) -> Option<String> {
    cache.get(prompt).cloned()
}
// ANCHOR_END: right

/// How often of five times the model is asked. It has found nothing to complain about.
fn calls(lookup: fn(&Cache, &str) -> Option<String>) -> usize {
    let (mut cache, mut calls) = (Cache::new(), 0);
    for _ in 0..5 {
        let prompt = "List the errors in this text";
        if lookup(&cache, prompt).is_none() {
            calls += 1;
            cache.insert(prompt.to_owned(), String::new());
        }
    }
    calls
}

pub(crate) fn both() -> Both {
    let tell =
        |calls: &usize| format!("5 ask for what has an empty answer, calls paid for: {calls}");
    Both::of(calls(wrong), calls(right), |calls| *calls == 1, tell)
}
