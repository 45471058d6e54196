//! The solution of 90.03: one layer tries again, and the others pass the error on.

use std::thread::sleep;
use std::time::Duration;

use ai_core::{Error, SyncClient};

/// How often a call is made at most.
pub const ATTEMPTS: u32 = 3;

/// A summary of each topic, or why there is none.
pub fn report(client: &SyncClient, topics: &[&str]) -> Vec<Result<String, Error>> {
    let topics = topics.iter();
    // It is `ask` that tries again: it knows what one call is. Whoever stands above it knows that all
    // attempts have failed when it hears of an error.
    let summaries = topics.map(|topic| summarize(client, topic));
    summaries.collect()
}

fn summarize(client: &SyncClient, topic: &str) -> Result<String, Error> {
    ask(client, &format!("Summarize: {topic}"))
}

fn ask(client: &SyncClient, prompt: &str) -> Result<String, Error> {
    patiently(|| client.generate_text(prompt))
}

/// Tries again what may pass, after a pause that doubles each time.
fn patiently<T>(mut call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    // Short, for the tests. A real one begins with a second, and has jitter: see pattern 7.
    let mut pause = Duration::from_millis(1);
    for _ in 1..ATTEMPTS {
        match call() {
            Err(error) if error.is_retryable() => sleep(pause),
            done => return done,
        }
        pause *= 2;
    }
    call()
}
