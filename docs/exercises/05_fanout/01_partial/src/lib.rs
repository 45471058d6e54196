//! Four services on one text at once: one may fail, and three answers are kept.

use ai_core::{AsyncClient, ChatRequest, EmbeddingRequest, Error};

/// What four services found out about one text. Each field says for itself why it is missing.
#[derive(Debug, PartialEq)]
pub struct Analysis {
    /// The text as a vector.
    pub embedding: Result<Vec<f32>, Error>,
    /// The mood of the text.
    pub sentiment: Result<String, Error>,
    /// The text in one sentence.
    pub summary: Result<String, Error>,
    /// The names in the text.
    pub entities: Result<String, Error>,
}

/// As many write it first: all at once, and one error for all.
///
/// # Errors
/// The first error of any of the four.
pub async fn as_written(
    client: &AsyncClient,
    text: &str,
) -> Result<(Vec<f32>, String, String, String), Error> {
    tokio::try_join!(
        get_embedding(client, text),
        ask(client, SENTIMENT, text),
        ask(client, SUMMARY, text),
        ask(client, ENTITIES, text),
    )
}

/// Asks all four services at once, and keeps what each of them said.
pub async fn analyze(client: &AsyncClient, text: &str) -> Analysis {
    // TODO: as above, but no service's error may cost another its answer.
    todo!(
        "ask {} four things about {text:?}",
        client.config().base_url()
    )
}

const SENTIMENT: &str = "What is the sentiment of the user's text? Answer with one word.";
const SUMMARY: &str = "Summarize the user's text in one sentence.";
const ENTITIES: &str = "Which named entities are in the user's text? Separate them by commas.";

async fn get_embedding(client: &AsyncClient, text: &str) -> Result<Vec<f32>, Error> {
    let request = EmbeddingRequest::new(&client.config().embedding_model, [text]);
    let mut reply = client.embed(&request).await?;
    // One text was sent, and the client has checked that one vector came back.
    Ok(reply.value.embeddings.swap_remove(0))
}

async fn ask(client: &AsyncClient, instructions: &str, text: &str) -> Result<String, Error> {
    let config = client.config();
    let request = ChatRequest::new(&config.model, text).system(instructions);
    let reply = client.chat(&request).await?;
    reply.value.into_finished_text(config.finish_policy)
}
