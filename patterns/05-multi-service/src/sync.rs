//! Four services on one text, blocking. Here the difference to `async.rs` is the lesson: threads.

use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use ai_core::{CallOptions, EmbeddingRequest, Error, SyncClient};

use crate::analysis::{Analysis, Branch, Limits};
use crate::answers;
use crate::services::{self, Sentiment};

/// Runs all four analyses at once, each in a thread of its own.
///
/// It comes back when the last has ended. Nothing can call a thread off that waits for an answer,
/// so the limits are what keeps a service that never answers from holding the caller for ever.
pub fn comprehensive_analysis(client: &SyncClient, text: &str, limits: Limits) -> Analysis {
    let run = Run::start(client, limits);
    // The scope waits for its threads, and so they may borrow the client and the text.
    thread::scope(|scope| {
        let embedding = scope.spawn(|| run.branch(|client| get_embedding(&client, text)));
        let sentiment = scope.spawn(|| run.branch(|client| analyze_sentiment(&client, text)));
        let summary = scope.spawn(|| run.branch(|client| summarize(&client, text)));
        let entities = scope.spawn(|| run.branch(|client| extract_entities(&client, text)));
        Analysis {
            embedding: join(embedding),
            sentiment: join(sentiment),
            summary: join(summary),
            entities: join(entities),
            text: text.to_owned(),
        }
    })
}

/// Runs one analysis after another: the times add up, and what the first ones take, the last ones
/// lack.
pub fn comprehensive_analysis_in_turn(client: &SyncClient, text: &str, limits: Limits) -> Analysis {
    let run = Run::start(client, limits);
    Analysis {
        embedding: run.branch(|client| get_embedding(&client, text)),
        sentiment: run.branch(|client| analyze_sentiment(&client, text)),
        summary: run.branch(|client| summarize(&client, text)),
        entities: run.branch(|client| extract_entities(&client, text)),
        text: text.to_owned(),
    }
}

/// One analysis that has begun.
struct Run<'a> {
    client: &'a SyncClient,
    limits: Limits,
    started: Instant,
}

impl Run<'_> {
    fn start(client: &SyncClient, limits: Limits) -> Run<'_> {
        Run {
            client,
            limits,
            started: Instant::now(),
        }
    }

    /// Makes one call, with as much time as the limits leave it now.
    ///
    /// The client keeps the limit, so that the connection is closed when it is reached. A thread could
    /// not be stopped from outside. It is kept as exactly as in async if it is not longer than the
    /// client's limit on silence (30 s); a longer one can be overrun by up to that silence, see
    /// [`Timeouts::total`](ai_core::Timeouts::total).
    fn branch<T>(&self, call: impl FnOnce(SyncClient) -> Result<T, Error>) -> Branch<T> {
        let allowance = self.limits.allow(self.started.elapsed());
        if allowance.time.is_zero() {
            return Branch::TimedOut(allowance.limit);
        }
        let bounded = self.client.with(CallOptions::new().total(allowance.time));
        let result = match bounded {
            Ok(client) => call(client),
            Err(error) => Err(error),
        };
        Branch::new(result, allowance.limit)
    }
}

/// The value of a thread. If it panicked, which is a bug, so does the caller: as in async.
fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Asks for the text as a vector.
///
/// # Errors
/// Those of the call.
pub fn get_embedding(client: &SyncClient, text: &str) -> Result<Vec<f32>, Error> {
    let request = EmbeddingRequest::new(&client.config().embedding_model, [text]);
    let mut reply = client.embed(&request)?;
    // One text was sent, and the client has checked that one vector came back.
    Ok(reply.value.embeddings.swap_remove(0))
}

/// Asks whether the text praises or complains.
///
/// # Errors
/// Those of the call, and [`Error::Malformed`] for an answer that does not name one sentiment.
pub fn analyze_sentiment(client: &SyncClient, text: &str) -> Result<Sentiment, Error> {
    answers::read_sentiment(&ask(client, services::SENTIMENT, text)?)
}

/// Asks for the text in one sentence.
///
/// # Errors
/// Those of the call, and [`Error::Malformed`] for an empty answer.
pub fn summarize(client: &SyncClient, text: &str) -> Result<String, Error> {
    answers::read_summary(&ask(client, services::SUMMARY, text)?)
}

/// Asks for the names in the text.
///
/// # Errors
/// Those of the call, and [`Error::Malformed`] for an answer that is not a list of names.
pub fn extract_entities(client: &SyncClient, text: &str) -> Result<Vec<String>, Error> {
    answers::read_entities(&ask(client, services::ENTITIES, text)?)
}

/// A whole answer: one that was cut at the token limit is an error, since half a list looks like one.
fn ask(client: &SyncClient, instructions: &str, text: &str) -> Result<String, Error> {
    let request = services::request(&client.config().model, instructions, text);
    let reply = client.chat(&request)?;
    reply
        .value
        .into_finished_text(client.config().finish_policy)
}
