//! Reading on after `[DONE]` waits for a server that keeps the connection open. Whoever reads a stream
//! to the end of the body has it, and the guide. The answer is over when the stream says so.

use std::time::Duration;

use ai_core::{AsyncClient, ChatRequest, install_tls_provider};
use ai_mock::{Mock, Script};
use futures::stream::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use crate::Both;
use crate::support::{LONG, block_on, config, ms, start};

// ANCHOR: wrong
/// All there is, up to the end of the body.
pub async fn wrong(base_url: String) -> Result<bool, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let request = client
        .post(format!("{base_url}/chat/completions"))
        .bearer_auth("sk-test");
    let text = request.json(&body).send().await?.text().await?;
    Ok(text.contains("[DONE]"))
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The stream ends with its `End`, and the connection is closed.
pub async fn right(client: AsyncClient) -> Result<bool, ai_core::Error> {
    let mut stream = client.chat_stream(&ChatRequest::new("m", "Hi")).await?;
    while let Some(event) = stream.next().await {
        event?;
    }
    Ok(true)
}
// ANCHOR_END: right

fn done<E>(half: impl Future<Output = Result<bool, E>>, limit: Duration) -> bool {
    let ended = block_on(async { timeout(limit, half).await });
    matches!(ended, Ok(Ok(true)))
}

pub(crate) fn both() -> Both {
    install_tls_provider();
    let mock = start(Mock::builder().script(Script::HoldAfterDone));
    let wrong = done(wrong(mock.base_url()), ms(500));
    let client = AsyncClient::new(config(&mock)).expect("a client can be built");
    let right = done(right(client), LONG);
    let tell = |done: &bool| match done {
        true => "done when the answer is".to_owned(),
        false => "the answer is whole, and its reader still waits".to_owned(),
    };
    Both::of(wrong, right, |done| *done, tell)
}
