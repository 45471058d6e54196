//! Pattern 1: one request, and everything its answer tells.
//!
//! An answer is more than its text. Why did the model stop? What did it cost? Which request do I
//! name to the provider's support? [`Answer`] keeps all of that, and [`Ending`] makes the caller
//! look at the first question: a text that was cut at the token limit is not a finished text.
//!
//! Read `answer.rs` (what an answer means: pure), then `sync.rs`, then `async.rs` beside it.

mod answer;
mod r#async;
mod sync;

pub use answer::{Answer, Ending};
pub use r#async::ask as ask_async;
pub use sync::ask;
