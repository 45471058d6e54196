//! A cache outlives the program that fills it, and the next version of the program reads what the last
//! one has written, by its own rules. Whoever changes what an entry means has it; the guide's key has no
//! version. Put one into the key, and old entries are misses.

use std::collections::HashMap;

use crate::Both;

// ANCHOR: wrong
/// The same key before and after the change.
pub fn wrong(hash: &str) -> String {
    format!("ai_cache:{hash}")
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The number changes with the form of the entries.
pub fn right(hash: &str) -> String {
    format!("ai_cache:v2:{hash}")
}
// ANCHOR_END: right

/// What a call has cost, as the new program reads it: in millionths of a dollar. The old one has stored
/// 3, and meant cents.
fn cost(key: fn(&str) -> String) -> Option<u64> {
    let old_key = "ai_cache:5d41402a";
    let store = HashMap::from([(old_key.to_owned(), 3)]);
    store.get(&key("5d41402a")).copied()
}

pub(crate) fn both() -> Both {
    let tell = |cost: &Option<u64>| match cost {
        Some(cost) => format!("3 cents are read as {cost} millionths of a dollar"),
        None => "a miss: the answer is asked for again".to_owned(),
    };
    Both::of(cost(wrong), cost(right), Option::is_none, tell)
}
