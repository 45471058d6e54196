//! Pattern 2: several requests, in turn and at once.
//!
//! Who asks three questions one after another waits three times. Asked at once, they take as long
//! as the slowest. That is *concurrency*, and threads give it as well as async does, so there are
//! four corners here: blocking or awaiting, in turn or at once.
//!
//! Whichever it is, the contract is the same: one [`Item`] a prompt, in the order of the prompts,
//! and no answer is lost because its neighbour failed. And there is a limit on how many are under
//! way, for without one a list of 5,000 prompts is 5,000 connections.
//!
//! Read `outcome.rs` (what becomes of a prompt: pure), then `sync.rs`, then `async.rs` beside it.

mod r#async;
mod outcome;
mod sync;

use std::num::NonZeroUsize;

pub use r#async::as_they_come as as_they_come_async;
pub use r#async::at_once as at_once_async;
pub use r#async::in_turn as in_turn_async;
pub use r#async::timed as timed_async;
pub use r#async::unbounded as unbounded_async;
pub use outcome::{Failure, Item, Run, Runs};
pub use sync::{as_they_come, at_once, in_turn, timed};

/// How many requests the programs of this lesson have under way at most.
///
/// A limit is not 0, and its type says so: `buffered(0)` of the futures crate waits for ever.
pub const LIMIT: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// The guide's prompts, asked when no others are given.
pub const PROMPTS: [&str; 3] = [
    "Explain AI in one sentence",
    "What is machine learning?",
    "Define neural networks",
];
