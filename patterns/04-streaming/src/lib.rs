//! Pattern 4: an answer that is shown while it is written, and its typed end.
//!
//! A stream can end in more ways than a reply: the server falls silent, the connection breaks, the
//! bytes end too soon, the reader has had enough. In each of them some text has been read already,
//! so it is kept, and [`Ending`] says what it is worth. One that was cut can't pass for a whole one.
//!
//! Read `story.rs` (what the events add up to: pure), `pace.rs` (how fast they came), then
//! `sync.rs`, then `async.rs` beside it. `reader.rs` is the thread that reads for `sync.rs`.

mod r#async;
mod pace;
mod reader;
mod story;
mod sync;

pub use r#async::{follow as follow_async, generate_stream as generate_stream_async};
pub use pace::Pace;
pub use story::{Ending, Recorder, Story};
pub use sync::{follow, generate_stream};
