//! One request, awaited. Diff this file with `sync.rs`: only the waiting differs.

use ai_core::{AsyncClient, ChatRequest, Error, Message};

use crate::answer::{Answer, TEMPERATURE};

/// Asks one thing and awaits the whole answer.
///
/// # Errors
/// When there is no answer at all. One that was cut short is an answer: see [`Answer::ending`].
pub async fn ask(client: &AsyncClient, prompt: &str) -> Result<Answer, Error> {
    let request = ChatRequest {
        model: client.config().model.clone(),
        messages: vec![Message::user(prompt)],
        temperature: Some(TEMPERATURE),
        // Every other setting is left to the server.
        ..ChatRequest::default()
    };
    // The client is borrowed, not built here: it keeps its connections, and the next call will
    // find one open.
    let reply = client.chat(&request).await?;
    Ok(Answer::from_reply(reply, client.config().finish_policy))
}
