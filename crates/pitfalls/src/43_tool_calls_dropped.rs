//! A stream of which only the text is kept loses the calls that the model asks for: an empty answer, and
//! no error. The guide's generator has it. Match on every kind of event.

use ai_core::{ChatRequest, Error, Event, Transcript};
use ai_mock::{Mock, Script};
use futures::stream::TryStreamExt;

use crate::Both;
use crate::support::{block_on, client, start};

// ANCHOR: wrong
/// Text, and how many calls it tells of.
pub fn wrong(events: &[Event]) -> Result<(String, usize), Error> {
    let mut text = String::new();
    for event in events {
        if let Event::Text(piece) = event {
            text.push_str(piece);
        }
    }
    Ok((text, 0))
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The transcript puts text and calls together, and gives no call that is not whole.
pub fn right(events: &[Event]) -> Result<(String, usize), Error> {
    let mut seen = Transcript::default();
    for event in events {
        seen.push(event);
    }
    let calls = seen.tool_calls()?.len();
    Ok((seen.text, calls))
}
// ANCHOR_END: right

/// An answer that asks for two calls.
fn events() -> Result<Vec<Event>, Error> {
    let mock = start(Mock::builder().script(Script::ToolCalls));
    let request = ChatRequest::new("gpt-4o-mini", "How is the weather?");
    block_on(async {
        client(&mock)
            .chat_stream(&request)
            .await?
            .try_collect()
            .await
    })
}

pub(crate) fn both() -> Both {
    let events = events().expect("the mock answers");
    let wrong = wrong(&events).expect("text is text");
    let right = right(&events).expect("the calls are whole");
    let tell = |(text, calls): &(String, usize)| format!("text: {text:?}, calls to make: {calls}");
    Both::of(wrong, right, |(_, calls)| *calls == 2, tell)
}
