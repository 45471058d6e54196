//! One request, blocking. Diff this file with `async.rs`: only the waiting differs.

use ai_core::{ChatRequest, Error, Message, SyncClient};

use crate::answer::{Answer, TEMPERATURE};

/// Asks one thing and waits for the whole answer.
///
/// # Errors
/// When there is no answer at all. One that was cut short is an answer: see [`Answer::ending`].
pub fn ask(client: &SyncClient, prompt: &str) -> Result<Answer, Error> {
    let request = ChatRequest {
        model: client.config().model.clone(),
        messages: vec![Message::user(prompt)],
        temperature: Some(TEMPERATURE),
        // Every other setting is left to the server.
        ..ChatRequest::default()
    };
    // The client is borrowed, not built here: it keeps its connections, and the next call will
    // find one open.
    let reply = client.chat(&request)?;
    Ok(Answer::from_reply(reply, client.config().finish_policy))
}
