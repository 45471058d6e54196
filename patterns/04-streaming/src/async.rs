//! A stream, followed by a task that awaits. Diff this file with `sync.rs`: only the waiting
//! differs, and what it takes to be stopped while one waits.

use std::io::{self, Write};
use std::ops::ControlFlow::{Break, Continue};
use std::pin::pin;

use ai_core::{AsyncChatStream, AsyncClient, ChatRequest, Error, Event};
use futures::{Stream, StreamExt, TryFutureExt};
use tokio::time::Instant;

use crate::story::{Ending, Recorder, Story};

/// Asks for an answer that arrives while it is written: a stream of its events.
///
/// # Errors
/// Those up to the head of the answer. Later ones are items of the stream.
pub async fn generate_stream(client: &AsyncClient, prompt: &str) -> Result<AsyncChatStream, Error> {
    let request = ChatRequest::new(&client.config().model, prompt);
    client.chat_stream(&request).await
}

/// Opens a stream and shows its text as it comes, to its end or until `stop`.
///
/// `stop` is any future; `std::future::pending()` is for callers that always read to the end.
///
/// A stop, like dropping the future of this call, closes the connection at once.
///
/// `out` blocks the task's thread while it writes, as `println!` does. That is right for a terminal
/// or a file. For a slow socket hand on the items of [`generate_stream`] instead, as web frameworks
/// do with a `Stream`.
///
/// # Errors
/// When there is no answer at all. One that was cut short is an answer: see [`Story::ending`].
pub async fn follow<S: Stream<Item = Result<Event, Error>>>(
    open: impl Future<Output = Result<S, Error>>,
    out: &mut impl Write,
    stop: impl Future<Output = ()>,
) -> Result<Story, Error> {
    // Before the stream is opened: the wait for its head is part of that for the first token.
    let started = Instant::now();
    let mut recorder = Recorder::default();
    let mut items = pin!(open.try_flatten_stream());
    let mut stop = pin!(stop);
    let ending = loop {
        // The future of `next` may be dropped: what was read so far stays in the stream.
        let item = tokio::select! {
            biased;
            () = &mut stop => break Ending::Stopped,
            // A stream tells its end: one that is just over was cut.
            item = items.next() => item.unwrap_or(Err(Error::Truncated)),
        };
        match recorder.take(item, started.elapsed()) {
            Continue(text) => {
                if let Err(error) = show(&text, out) {
                    break Ending::Unheard(error.kind());
                }
            }
            Break(ending) => break ending?,
        }
    };
    Ok(recorder.finish(ending))
}

/// Shows a piece of text now: it may be half a line, which a buffer would hold back.
fn show(text: &str, out: &mut impl Write) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}
