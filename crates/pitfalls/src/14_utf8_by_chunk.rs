//! Each piece of a body decoded as UTF-8 by itself loses every letter that the network has cut in two.
//! Who tests in English never sees it. Collect bytes, and decode whole events.

use ai_core::Error;
use ai_core::protocol::sse::SseDecoder;

use crate::Both;

// ANCHOR: wrong
/// Half a letter is no text, and neither is the other half.
pub fn wrong(pieces: &[&[u8]]) -> Result<String, Error> {
    let text: String = pieces
        .iter()
        .map(|piece| String::from_utf8_lossy(piece))
        .collect();
    Ok(text.replace("data: ", "").replace("\n\n", ""))
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The decoder keeps bytes until an event is whole.
pub fn right(pieces: &[&[u8]]) -> Result<String, Error> {
    let (mut decoder, mut text) = (SseDecoder::new(1 << 20), String::new());
    for mut piece in pieces.iter().copied() {
        while let Some(event) = decoder.next(&mut piece)? {
            text.push_str(&event.data);
        }
    }
    Ok(text)
}
// ANCHOR_END: right

pub(crate) fn both() -> Both {
    let body = "data: café\n\n".as_bytes();
    let (one, two) = body.split_at(10);
    let read = |half: fn(&[&[u8]]) -> Result<String, Error>| half(&[one, two]);
    let text = |text: &Result<String, Error>| text.clone().expect("an event is small");
    let tell = |read: &Result<String, Error>| format!("{:?}", text(read));
    Both::of(read(wrong), read(right), |read| text(read) == "café", tell)
}
