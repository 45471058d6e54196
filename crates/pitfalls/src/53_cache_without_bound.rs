//! A time to live ends entries one by one and bounds nothing: a busy hour's answers are all there together.
//! A map has not even that end, and the guide has no bound either. Limit the bytes of all entries.

use caching::TTL;
use moka::sync::Cache;

use crate::Both;

/// Answers by their questions.
type Answers = Cache<String, String>;

// ANCHOR: wrong
/// An hour for each entry, however many there are.
pub fn wrong() -> Answers {
    Cache::builder().time_to_live(TTL).build()
}
// ANCHOR_END: wrong

// ANCHOR: right
/// An hour for each entry, and a megabyte for all: where there is no room, what is used least goes.
pub fn right() -> Answers {
    let builder = Cache::builder().time_to_live(TTL);
    let bytes = |question: &String, answer: &String| size(question, answer);
    builder.max_capacity(1_000_000).weigher(bytes).build()
}
// ANCHOR_END: right

fn size(question: &str, answer: &str) -> u32 {
    u32::try_from(question.len() + answer.len()).unwrap_or(u32::MAX)
}

/// How many kilobytes are held after 10,000 different questions. Question and answer have 1,000 bytes.
fn kilobytes(cache: Answers) -> u32 {
    for number in 0..10_000 {
        let question = format!("What is topic {number:04}?");
        let answer = "a".repeat(1000 - question.len());
        cache.insert(question, answer);
    }
    // Moka makes room a little later, or when it is told to.
    cache.run_pending_tasks();
    let held = cache
        .iter()
        .map(|(question, answer)| size(&question, &answer));
    held.sum::<u32>() / 1000
}

pub(crate) fn both() -> Both {
    let tell = |held: &u32| format!("10000 questions of 1 kB each, held: {held} kB");
    Both::of(
        kilobytes(wrong()),
        kilobytes(right()),
        |held| *held <= 1000,
        tell,
    )
}
