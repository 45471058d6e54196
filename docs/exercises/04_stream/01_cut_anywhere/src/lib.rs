//! Server-sent events from bytes: the network cuts them anywhere.

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
        // TODO: give every whole line to `take_line`, without its end: LF, CR, or CR LF, which is one
        // end and not two. Keep what is no whole line.
        let Decoder { line, after_cr, .. } = self;
        todo!(
            "{line:?} and {after_cr} are known, {} bytes have come",
            piece.len()
        )
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
