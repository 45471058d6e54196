//! What is kept of an answer, as bytes: pure.
//!
//! One line says what it is, and its checksum: `ai_cache/1 chat 1f0e5c2a9b8d7743`. Behind it stands
//! what the server sent, byte by byte: a later version finds every field in it, also those this one
//! does not know yet.

use ai_core::{ChatResponse, Event, FinishReason, Usage};
use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::trouble::Trouble;

/// The body of a plain answer.
pub(crate) fn of_chat(body: &Bytes) -> Bytes {
    write("chat", body)
}

pub(crate) fn chat(bytes: &Bytes) -> Result<(ChatResponse, Bytes), Trouble> {
    let body = read("chat", bytes)?;
    match ChatResponse::decode(200, &HeaderMap::new(), &body) {
        Ok(answer) => Ok((answer, body)),
        Err(_) => Err(garbage("chat")),
    }
}

/// The events of a stream, in JSON. `None` where there is one that can't be written.
pub(crate) fn of_events(events: &[Event]) -> Option<Bytes> {
    let kept: Vec<_> = events.iter().map(Kept::of).collect::<Option<_>>()?;
    Some(write("stream", &serde_json::to_vec(&kept).ok()?))
}

pub(crate) fn events(bytes: &Bytes) -> Result<Vec<Event>, Trouble> {
    let kept: Vec<Kept> =
        serde_json::from_slice(&read("stream", bytes)?).map_err(|_| garbage("stream"))?;
    Ok(kept.into_iter().map(Kept::event).collect())
}

/// The numbers of a vector, in four bytes each, least significant first.
pub(crate) fn of_vector(vector: &[f32]) -> Bytes {
    let bytes: Vec<u8> = vector.iter().flat_map(|n| n.to_le_bytes()).collect();
    write("vector", &bytes)
}

pub(crate) fn vector(bytes: &Bytes) -> Result<Vec<f32>, Trouble> {
    let body = read("vector", bytes)?;
    let (numbers, rest) = body.as_chunks::<4>();
    match rest {
        [] => Ok(numbers.iter().map(|n| f32::from_le_bytes(*n)).collect()),
        _ => Err(garbage("vector")),
    }
}

fn write(kind: &str, body: &[u8]) -> Bytes {
    let mut bytes = header(kind, body).into_bytes();
    bytes.extend_from_slice(body);
    bytes.into()
}

fn read(kind: &'static str, bytes: &Bytes) -> Result<Bytes, Trouble> {
    let line_end = bytes.iter().position(|byte| *byte == b'\n');
    let start = line_end.ok_or_else(|| garbage(kind))? + 1;
    let (head, body) = (&bytes[..start], bytes.slice(start..));
    match head == header(kind, &body).as_bytes() {
        true => Ok(body),
        false => Err(garbage(kind)),
    }
}

/// The checksum is the beginning of the SHA-256. Without one, a byte that a disk has changed is an
/// answer that somebody believes.
fn header(kind: &str, body: &[u8]) -> String {
    let sum = Sha256::digest(body);
    let sum = u64::from_be_bytes(*sum.first_chunk().expect("it has 32 bytes"));
    format!("ai_cache/1 {kind} {sum:016x}\n")
}

fn garbage(kind: &str) -> Trouble {
    Trouble::Garbage(format!("something that is no {kind} entry of this version"))
}

/// An [`Event`], as it is written down. Refusals and calls are not: such a stream is not kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    Text(String),
    Usage(Usage),
    End(FinishReason),
}

impl Kept {
    fn of(event: &Event) -> Option<Kept> {
        match event.clone() {
            Event::Text(text) => Some(Kept::Text(text)),
            Event::Usage(usage) => Some(Kept::Usage(usage)),
            Event::End(reason) => Some(Kept::End(reason)),
            _ => None,
        }
    }

    fn event(self) -> Event {
        match self {
            Kept::Text(text) => Event::Text(text),
            Kept::Usage(usage) => Event::Usage(usage),
            Kept::End(reason) => Event::End(reason),
        }
    }
}
