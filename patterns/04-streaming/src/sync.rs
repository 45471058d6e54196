//! A stream, followed by a thread that blocks. Diff this file with `async.rs`: only the waiting
//! differs, and what it takes to be stopped while one waits.

use std::io::{self, Write};
use std::ops::ControlFlow::{Break, Continue};
use std::time::Instant;

use ai_core::{ChatRequest, Error, Event, SyncChatStream, SyncClient};
use crossbeam_channel::{Receiver, select_biased};

use crate::reader::Reader;
use crate::story::{Ending, Recorder, Story};

/// Asks for an answer that arrives while it is written: an iterator over its events.
///
/// # Errors
/// Those up to the head of the answer. Later ones are items of the stream.
pub fn generate_stream(client: &SyncClient, prompt: &str) -> Result<SyncChatStream, Error> {
    let request = ChatRequest::new(&client.config().model, prompt);
    client.chat_stream(&request)
}

/// Opens a stream and shows its text as it comes, to its end or until `stop`.
///
/// `stop` is a channel that gets a message, or loses its sender; `crossbeam_channel::never()` is
/// for callers that always read to the end.
///
/// A thread that waits for the network can't be stopped. So a stop ends the story at once, but the
/// connection only with the next token, the limit on silence, or the program.
///
/// # Errors
/// When there is no answer at all. One that was cut short is an answer: see [`Story::ending`].
/// [`Error::Config`] where the system refuses the thread that is to read; nothing was sent then.
pub fn follow<S: Iterator<Item = Result<Event, Error>>>(
    open: impl FnOnce() -> Result<S, Error> + Send + 'static,
    out: &mut impl Write,
    stop: &Receiver<()>,
) -> Result<Story, Error> {
    // Before the stream is opened: the wait for its head is part of that for the first token.
    let started = Instant::now();
    let mut recorder = Recorder::default();
    // Another thread reads, so that this one can wait for `stop` as well.
    let mut reader = Reader::start(open)?;
    let ending = loop {
        let item = select_biased! {
            recv(stop) -> _ => break Ending::Stopped,
            recv(reader.items) -> item => item.unwrap_or_else(|_| reader.last()),
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
