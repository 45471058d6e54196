//! The solution of 04.01. `crates/core/src/protocol/sse.rs` is the whole grammar, and faster.

/// Turns pieces of a body into events: bytes in, the events' data out, no IO.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a line whose end has not arrived yet.
    line: Vec<u8>,
    /// The last byte was a CR, so an LF that comes next belongs to it.
    after_cr: bool,
    /// The data lines of the event so far.
    data: Vec<String>,
}

impl Decoder {
    /// Takes the next piece, cut wherever the network cut it, and returns the events that it completes.
    pub fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for byte in piece {
            match byte {
                // The second half of a line end, of which the first may have been in the last piece.
                b'\n' if self.after_cr => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.take_line(&line));
                }
                // Bytes and not text: a piece may end in the middle of a character.
                byte => self.line.push(*byte),
            }
            self.after_cr = *byte == b'\r';
        }
        events
    }

    /// Takes a whole line. An empty one ends the event: if there was data, this is it.
    pub fn take_line(&mut self, line: &[u8]) -> Option<String> {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then(|| data.join("\n"));
        }
        // Comments, which begin with a colon, and other fields are not for us.
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            self.data.push(String::from_utf8_lossy(value).into_owned());
        }
        None
    }
}
