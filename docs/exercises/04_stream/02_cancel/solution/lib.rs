//! The solution of 04.02.

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
        loop {
            if let Some(end) = self.kept.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.kept.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            // Here the future may be dropped, and all variables of this function with it. So there
            // are none: what has arrived is in the reader, which lives on.
            let piece = self.pieces.recv().await?;
            self.kept.extend(piece);
        }
    }
}
