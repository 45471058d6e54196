//! What a stream has told so far, for the store: pure, and shared by both versions.

use ai_core::{Event, Transcript};
use bytes::Bytes;

use crate::entry;
use crate::key::may_keep_stream;

/// The most bytes of one stream that are held for the store: as many as the client takes of a plain
/// answer, unless it is told otherwise. A stream itself has no such limit, and neither has a model
/// that repeats itself for ever.
const MOST: usize = 64 << 20;

/// The events of a stream, as long as they may still be kept.
#[derive(Default)]
pub(crate) struct Recording {
    events: Vec<Event>,
    bytes: usize,
}

impl Recording {
    pub(crate) fn push(&mut self, event: &Event) {
        let text = match event {
            Event::Text(text) => text.len(),
            Event::Usage(_) | Event::End(_) => 0,
            // A refusal or a call: such a stream is not kept, however short it is.
            _ => MOST,
        };
        self.bytes = self.bytes.saturating_add(text + size_of::<Event>());
        if self.bytes <= MOST {
            self.events.push(event.clone());
        } else {
            self.events = Vec::new();
        }
    }

    /// What the store is to keep; `None` if the stream is too long for that, or not whole.
    pub(crate) fn entry(&self) -> Option<Bytes> {
        let mut all = Transcript::default();
        self.events.iter().for_each(|event| all.push(event));
        // Without its events it has no end either, and so it is not whole.
        may_keep_stream(&all)
            .then(|| entry::of_events(&self.events))
            .flatten()
    }
}
