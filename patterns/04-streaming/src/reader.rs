//! The thread that reads for `sync.rs`, so that the one that shows can wait for a stop as well.

use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use ai_core::{Error, Event};
use crossbeam_channel::{Receiver, bounded};

/// A thread that opens a stream and reads it.
pub(crate) struct Reader {
    /// The items of the stream, one by one. Over when the thread has ended: see [`last`](Self::last).
    pub(crate) items: Receiver<Result<Event, Error>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// # Errors
    /// [`Error::Config`] where the system refuses another thread. Nothing was opened then.
    pub(crate) fn start<S: Iterator<Item = Result<Event, Error>>>(
        open: impl FnOnce() -> Result<S, Error> + Send + 'static,
    ) -> Result<Reader, Error> {
        // The channel has no buffer: a slow reader slows the server, and fills no memory.
        let (sender, items) = bounded(0);
        // Not a scoped thread: its scope would wait for it after a stop, and so for the network.
        let thread = thread::Builder::new().spawn(move || {
            // Once nobody follows any more, sending fails, and the stream is dropped.
            let _ = match open() {
                Ok(mut stream) => stream.try_for_each(|item| sender.send(item)),
                Err(error) => sender.send(Err(error)),
            };
        });
        match thread {
            Ok(thread) => Ok(Reader {
                items,
                thread: Some(thread),
            }),
            Err(error) => Err(Error::Config(format!("no thread to read with: {error}"))),
        }
    }

    /// What stands for an item when there are no more. A stream tells its end: one that is just over
    /// was cut.
    ///
    /// # Panics
    /// If the thread did, which is a bug in the stream: as in async, where there is but one task.
    pub(crate) fn last(&mut self) -> Result<Event, Error> {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            resume_unwind(panic);
        }
        Err(Error::Truncated)
    }
}
