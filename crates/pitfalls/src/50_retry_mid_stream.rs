//! A stream that is begun again after its first token shows the beginning twice, and it is paid for
//! twice. Whoever puts a retry around the whole call has it. After the first token, report the error.

use ai_core::{AsyncClient, ChatRequest, Error, Event};
use ai_mock::{Mock, Script};
use futures::stream::StreamExt;

use crate::Both;
use crate::support::{block_on, client, start};

// ANCHOR: wrong
/// Two attempts, whatever was shown by then.
pub async fn wrong(client: &AsyncClient, screen: &mut String) -> Result<(), Error> {
    match tell(client, screen).await {
        Err(_) => tell(client, screen).await,
        told => told,
    }
}
// ANCHOR_END: wrong

// ANCHOR: right
/// Two attempts, but not once there is something on the screen.
pub async fn right(client: &AsyncClient, screen: &mut String) -> Result<(), Error> {
    match tell(client, screen).await {
        Err(_) if screen.is_empty() => tell(client, screen).await,
        told => told,
    }
}
// ANCHOR_END: right

/// Shows an answer while it comes.
async fn tell(client: &AsyncClient, screen: &mut String) -> Result<(), Error> {
    let request = ChatRequest::new("gpt-4o-mini", "Tell me a story");
    let mut stream = client.chat_stream(&request).await?;
    while let Some(event) = stream.next().await {
        if let Event::Text(text) = event? {
            screen.push_str(&text);
        }
    }
    Ok(())
}

/// What the screen shows, and the tokens paid for. The server fails after two of them.
fn shown(half: impl AsyncFn(&AsyncClient, &mut String) -> Result<(), Error>) -> (String, u64) {
    let mock = start(Mock::builder().script(Script::ErrorMidStream));
    let mut screen = String::new();
    let told = block_on(half(&client(&mock), &mut screen));
    told.expect_err("it fails in mid-stream");
    (screen, mock.stats().tokens_sent)
}

pub(crate) fn both() -> Both {
    let tell = |(screen, paid): &(String, u64)| {
        format!("the screen shows {screen:?}, tokens paid for: {paid}")
    };
    Both::of(shown(wrong), shown(right), |(_, paid)| *paid == 2, tell)
}
