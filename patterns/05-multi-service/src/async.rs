//! Four services on one text, awaited. Here the difference to `sync.rs` is the lesson: no threads.

use ai_core::{AsyncClient, CallOptions, EmbeddingRequest, Error};
use tokio::time::Instant;

use crate::analysis::{Analysis, Branch, Limits};
use crate::answers;
use crate::services::{self, Sentiment};

/// Runs all four analyses at once, in the task that awaits this.
///
/// It comes back when the last has ended. Dropping the future before that closes all connections,
/// and no service goes on working for nobody.
// Not `try_join!`, which returns at the first error and so throws away what the others have found.
pub async fn comprehensive_analysis(client: &AsyncClient, text: &str, limits: Limits) -> Analysis {
    let run = Run::start(client, limits);
    let (embedding, sentiment, summary, entities) = tokio::join!(
        run.branch(async |client| get_embedding(&client, text).await),
        run.branch(async |client| analyze_sentiment(&client, text).await),
        run.branch(async |client| summarize(&client, text).await),
        run.branch(async |client| extract_entities(&client, text).await),
    );
    Analysis {
        embedding,
        sentiment,
        summary,
        entities,
        text: text.to_owned(),
    }
}

/// Runs one analysis after another: the times add up, and what the first ones take, the last ones
/// lack.
pub async fn comprehensive_analysis_in_turn(
    client: &AsyncClient,
    text: &str,
    limits: Limits,
) -> Analysis {
    let run = Run::start(client, limits);
    Analysis {
        embedding: run
            .branch(async |client| get_embedding(&client, text).await)
            .await,
        sentiment: run
            .branch(async |client| analyze_sentiment(&client, text).await)
            .await,
        summary: run
            .branch(async |client| summarize(&client, text).await)
            .await,
        entities: run
            .branch(async |client| extract_entities(&client, text).await)
            .await,
        text: text.to_owned(),
    }
}

/// One analysis that has begun.
struct Run<'a> {
    client: &'a AsyncClient,
    limits: Limits,
    started: Instant,
}

impl Run<'_> {
    fn start(client: &AsyncClient, limits: Limits) -> Run<'_> {
        Run {
            client,
            limits,
            started: Instant::now(),
        }
    }

    /// Makes one call, with as much time as the limits leave it now.
    ///
    /// The client keeps the limit, as in sync, and the connection is closed when it is reached.
    /// `tokio::time::timeout` would do as well, here. It is kept exactly, however long it is.
    async fn branch<T>(
        &self,
        call: impl AsyncFnOnce(AsyncClient) -> Result<T, Error>,
    ) -> Branch<T> {
        let allowance = self.limits.allow(self.started.elapsed());
        if allowance.time.is_zero() {
            return Branch::TimedOut(allowance.limit);
        }
        let bounded = self.client.with(CallOptions::new().total(allowance.time));
        let result = match bounded {
            Ok(client) => call(client).await,
            Err(error) => Err(error),
        };
        Branch::new(result, allowance.limit)
    }
}

/// Asks for the text as a vector.
///
/// # Errors
/// Those of the call.
pub async fn get_embedding(client: &AsyncClient, text: &str) -> Result<Vec<f32>, Error> {
    let request = EmbeddingRequest::new(&client.config().embedding_model, [text]);
    let mut reply = client.embed(&request).await?;
    // One text was sent, and the client has checked that one vector came back.
    Ok(reply.value.embeddings.swap_remove(0))
}

/// Asks whether the text praises or complains.
///
/// # Errors
/// Those of the call, and [`Error::Malformed`] for an answer that does not name one sentiment.
pub async fn analyze_sentiment(client: &AsyncClient, text: &str) -> Result<Sentiment, Error> {
    answers::read_sentiment(&ask(client, services::SENTIMENT, text).await?)
}

/// Asks for the text in one sentence.
///
/// # Errors
/// Those of the call, and [`Error::Malformed`] for an empty answer.
pub async fn summarize(client: &AsyncClient, text: &str) -> Result<String, Error> {
    answers::read_summary(&ask(client, services::SUMMARY, text).await?)
}

/// Asks for the names in the text.
///
/// # Errors
/// Those of the call, and [`Error::Malformed`] for an answer that is not a list of names.
pub async fn extract_entities(client: &AsyncClient, text: &str) -> Result<Vec<String>, Error> {
    answers::read_entities(&ask(client, services::ENTITIES, text).await?)
}

/// A whole answer: one that was cut at the token limit is an error, since half a list looks like one.
async fn ask(client: &AsyncClient, instructions: &str, text: &str) -> Result<String, Error> {
    let request = services::request(&client.config().model, instructions, text);
    let reply = client.chat(&request).await?;
    reply
        .value
        .into_finished_text(client.config().finish_policy)
}
