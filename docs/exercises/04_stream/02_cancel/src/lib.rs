//! Reading a stream that may be stopped at any time: `select!` drops the futures that have lost.

use tokio::sync::mpsc::Receiver;

/// Reads lines from pieces of bytes, as they come from a connection.
#[derive(Debug)]
pub struct Reader {
    pieces: Receiver<Vec<u8>>,
    /// What has arrived and was not handed out yet.
    kept: Vec<u8>,
}

impl Reader {
    /// Reads from this connection.
    pub fn new(pieces: Receiver<Vec<u8>>) -> Reader {
        Reader {
            pieces,
            kept: Vec::new(),
        }
    }

    /// The next line; `None` when the connection has ended. Half a line at the end is none.
    ///
    /// Dropping the future loses nothing: the next call goes on where this one was.
    pub async fn next(&mut self) -> Option<String> {
        // TODO: hand out a line if one has arrived, else wait for the next piece. And again.
        todo!(
            "{} bytes are kept, {} pieces wait",
            self.kept.len(),
            self.pieces.len()
        )
    }
}
