//! Pattern 7: try again, but only what may work, as late as it must and as often as it may.
//!
//! Everybody's first retry loop tries everything again: a wrong key, an empty account, a text the
//! server has just refused. It does so before the server wants it, and three such loops on top of
//! each other make 27 calls of one. [`Attempts::after`] decides from the error, the time and a
//! random number whether there is another attempt; the drivers only wait.
//!
//! Read `backoff.rs` (whether and when: pure), then `sync.rs`, then `async.rs` beside it, and
//! `budget.rs` for what all callers may spend together.

mod r#async;
mod backoff;
mod budget;
mod report;
mod schedule;
mod sync;

pub use r#async::{
    generate_text as generate_text_async, retry as retry_async, retry_with as retry_with_async,
};
pub use backoff::{Attempts, Jitter, Next, Policy, Reason, Retryable};
pub use budget::Budget;
pub use report::{Answer, Failed};
pub use schedule::{schedule, schedule_table};
pub use sync::{generate_text, retry, retry_with};
