//! A task that reads a stream for somebody who has left reads it to the end, and that is paid for. Who
//! puts a channel between the two has it: a send that fails is easily ignored. Hand the stream itself
//! out, or end the task when a send fails.

use ai_core::{AsyncClient, ChatRequest, Error};
use ai_mock::{Entry, Mock};
use futures::stream::StreamExt;
use tokio::sync::mpsc;

use crate::Both;
use crate::support::{LONG, block_on, client, secs, start};

// ANCHOR: wrong
/// The task outlives its reader.
pub async fn wrong(client: &AsyncClient, request: &ChatRequest) -> Result<(), Error> {
    let mut stream = client.chat_stream(request).await?;
    let (sender, mut events) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(event) = stream.next().await {
            let _ = sender.send(event);
        }
    });
    events.recv().await; // One token is enough: the user has closed the page.
    Ok(())
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The stream is dropped here, which closes the connection, and the server stops.
pub async fn right(client: &AsyncClient, request: &ChatRequest) -> Result<(), Error> {
    let mut stream = client.chat_stream(request).await?;
    stream.next().await; // One token is enough: the user has closed the page.
    Ok(())
}
// ANCHOR_END: right

/// How many of 30 tokens the server has written.
fn written(half: impl AsyncFn(&AsyncClient, &ChatRequest) -> Result<(), Error>) -> u32 {
    let mock = start(Mock::builder().answer_tokens(30).gate("tokens"));
    let (client, tokens) = (client(&mock), mock.gate("tokens"));
    let ended = |log: &[Entry]| log.iter().all(Entry::is_finished);
    block_on(async {
        tokens.release(1);
        half(&client, &ChatRequest::new("m", "Hi"))
            .await
            .expect("a token comes");
        // The server sees that its client has left. If it has not, it goes on.
        if mock.wait_for_async(secs(1), ended).await.is_err() {
            tokens.open();
        }
        let log = mock
            .wait_for_async(LONG, ended)
            .await
            .expect("it comes to an end");
        log[0].tokens_sent
    })
}

pub(crate) fn both() -> Both {
    let tell = |written: &u32| format!("the user reads 1 token of 30, the server writes {written}");
    Both::of(
        written(wrong),
        written(right),
        |written| *written == 1,
        tell,
    )
}
