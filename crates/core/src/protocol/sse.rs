//! Server-sent events, from bytes, however they were cut.
//!
//! This is the whole grammar of the WHATWG HTML standard, section 9.2.6 "Interpreting an event
//! stream": LF, CRLF and CR line ends, one byte order mark at the very start, comments, several
//! `data` lines, `event`, `id` (without NUL) and `retry` (digits only), bytes that are no UTF-8
//! replaced by U+FFFD, and no event at the end of the input without its blank line.

use std::borrow::Cow;
use std::time::Duration;

use super::error::Error;

/// One event. It borrows from the decoder or from the input, so most events cost no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The event's name; `message` where the server gave none.
    pub name: Cow<'a, str>,
    /// Its data lines, joined by LF.
    pub data: Cow<'a, str>,
    /// The last id the server sent, in this event or an earlier one; empty at first.
    pub id: &'a str,
}

/// Turns pieces of a body into events: bytes in, events out, no IO.
///
/// Each byte is looked at once and copied at most twice, wherever the network cut the body. (A
/// decoder that searches its whole buffer again for each piece takes quadratic time on one long
/// event, such as a base64 image.) An event that came in one piece is not copied at all.
///
/// ```
/// use ai_core::protocol::sse::SseDecoder;
///
/// let mut decoder = SseDecoder::new(1 << 20);
/// let mut seen = Vec::new();
/// for mut piece in [&b"data: Hel"[..], b"lo\n", b"\ndata: you\n\n"] {
///     while let Some(event) = decoder.next(&mut piece)? {
///         seen.push(event.data.into_owned());
///     }
/// }
/// assert_eq!(seen, ["Hello", "you"]);
/// # Ok::<(), ai_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SseDecoder {
    /// The beginning of a line whose end has not arrived yet.
    line: Vec<u8>,
    /// The data lines of the event so far, joined, from [`data_start`](Self::data_start) on.
    data: Vec<u8>,
    /// What is before it is the name of the field: see [`take_kept_line`](Self::take_kept_line).
    data_start: usize,
    /// Whether there was any: an empty `data:` line makes an event with empty data, no data line
    /// makes no event.
    has_data: bool,
    name: Vec<u8>,
    id: String,
    retry: Option<Duration>,
    /// The last line ended in CR, so an LF that comes next belongs to it.
    after_cr: bool,
    at_start: bool,
    /// Data and name belong to an event that was handed out, and are stale.
    dispatched: bool,
    /// How long name, id and data are together. Lines change it, and most pieces end none.
    settled: usize,
    limit: usize,
    scanned: u64,
}

/// For so few bytes a loop is done before memchr has begun.
const FEW: usize = 16;

impl SseDecoder {
    /// A decoder that holds at most `limit` bytes: name, id and data of one event together, and the
    /// line that is being read.
    pub fn new(limit: usize) -> SseDecoder {
        SseDecoder {
            line: Vec::new(),
            data: Vec::new(),
            data_start: 0,
            has_data: false,
            name: Vec::new(),
            id: String::new(),
            retry: None,
            after_cr: false,
            at_start: true,
            dispatched: false,
            settled: 0,
            limit,
            scanned: 0,
        }
    }

    /// The next event of `input`, whose used bytes are cut off its front; `None` when all are used.
    ///
    /// Call it until it answers `None`, then again with the next piece. At the end of the body
    /// there is nothing to call: an event without its blank line does not count.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when one event outgrows the limit. The decoder is of no use after that.
    #[inline]
    pub fn next<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
    ) -> Result<Option<SseEvent<'a>>, Error> {
        if self.keeps_few(input) {
            *input = &[];
            return Ok(None);
        }
        self.next_event(input)
    }

    /// Whether these are a few bytes from the middle of a line, and are kept. In pieces of one byte
    /// that is nearly all there is to do, and inlined it takes half the time of a call.
    #[inline]
    fn keeps_few(&mut self, input: &[u8]) -> bool {
        let ends_line = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let keeps = input.len() < FEW
            && !self.dispatched
            && !self.after_cr
            && self.held() + input.len() <= self.limit
            && !input.iter().any(ends_line);
        if keeps {
            self.scanned += input.len() as u64;
            // Not `extend`, which calls memcpy for one byte, too.
            input.iter().for_each(|byte| self.line.push(*byte));
        }
        keeps
    }

    fn next_event<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
    ) -> Result<Option<SseEvent<'a>>, Error> {
        if self.dispatched {
            self.dispatched = false;
            self.name.clear();
            self.data.clear();
            self.data_start = 0;
            self.has_data = false;
            self.settled = self.id.len();
        }
        while !input.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                if input[0] == b'\n' {
                    *input = &input[1..];
                    continue;
                }
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', input) else {
                self.scanned += input.len() as u64;
                self.check_size(input.len())?;
                self.line.extend_from_slice(input);
                *input = &[];
                break;
            };
            self.scanned += end as u64 + 1;
            self.check_size(end)?;
            let (rest_of_line, line_end) = input.split_at(end);
            if let Some((data, rest)) = self.whole_event(rest_of_line, line_end) {
                self.scanned += (line_end.len() - rest.len() - 1) as u64;
                *input = rest;
                self.dispatched = true;
                return Ok(Some(self.event(data)));
            }
            self.after_cr = line_end[0] == b'\r';
            *input = &line_end[1..];

            if self.line.is_empty() {
                self.take_line(rest_of_line);
            } else {
                self.line.extend_from_slice(rest_of_line);
                self.take_kept_line();
            }
            self.settled = self.name.len() + self.id.len() + self.data().len();
            if self.dispatched {
                return Ok(Some(self.event(self.data())));
            }
        }
        Ok(None)
    }

    /// How long a browser should wait before it connects again, if the server has said so. A chat
    /// stream can't be taken up again, so our clients have no use for it.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// How many bytes the search for line ends has looked at. Tests hold it to the input's length.
    pub fn scanned(&self) -> u64 {
        self.scanned
    }

    /// The data of an event that is all there, one `data` line and a blank one, and what comes after
    /// it: nearly every event of a model's stream. It is lent from the input, which takes a third of
    /// the time of copying it, by `benches/peers`' `decoder`.
    fn whole_event<'i>(&self, line: &'i [u8], line_end: &'i [u8]) -> Option<(&'i [u8], &'i [u8])> {
        // The first line may begin with a byte order mark.
        if self.at_start || self.has_data || !self.line.is_empty() {
            return None;
        }
        let rest = line_end
            .strip_prefix(b"\n\n")
            .or_else(|| line_end.strip_prefix(b"\r\n\r\n"))?;
        Some((data_value(line)?, rest))
    }

    fn event<'a>(&'a self, data: &'a [u8]) -> SseEvent<'a> {
        let name = if self.name.is_empty() {
            b"message"
        } else {
            &self.name[..]
        };
        SseEvent {
            name: text(name),
            data: text(data),
            id: &self.id,
        }
    }

    fn held(&self) -> usize {
        self.settled + self.line.len()
    }

    fn check_size(&self, more: usize) -> Result<(), Error> {
        if self.held() + more > self.limit {
            Err(Error::TooLarge { limit: self.limit })
        } else {
            Ok(())
        }
    }

    fn data(&self) -> &[u8] {
        &self.data[self.data_start..]
    }

    /// Takes the line that came in several pieces.
    fn take_kept_line(&mut self) {
        // It is lent out and handed back, to keep its allocation.
        let mut line = std::mem::take(&mut self.line);
        match data_value(&line) {
            // Its buffer becomes that of the data, and is not copied: a picture has a thousand pieces.
            Some(value) if !self.has_data => {
                self.data_start = line.len() - value.len();
                (self.has_data, self.at_start) = (true, false);
                std::mem::swap(&mut self.data, &mut line);
            }
            _ => self.take_line(&line),
        }
        line.clear();
        self.line = line;
    }

    fn take_line(&mut self, mut line: &[u8]) {
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatched = self.has_data;
            if !self.dispatched {
                self.name.clear();
            }
            return;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], without_space(&line[colon + 1..])),
            None => (line, &line[line.len()..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            b"id" if !value.contains(&0) => self.id = String::from_utf8_lossy(value).into_owned(),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(value).expect("ASCII digits are UTF-8");
                self.retry = digits
                    .parse()
                    .ok()
                    .map(Duration::from_millis)
                    .or(self.retry);
            }
            // An empty field name is a comment; all others are for later versions of the standard.
            _ => {}
        }
    }
}

/// The value of a line that begins with `data:`.
fn data_value(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"data:").map(without_space)
}

/// What comes after a colon. Exactly one space belongs to the colon; a second one is the server's.
fn without_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// The bytes as text, with U+FFFD for what is none.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // std's replacing decoder goes byte by byte; its checking one reads plain ASCII 16 at a time.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
