//! Pattern 3: a batch that stays below the rate limit.
//!
//! The limit is the server's, and the server counts by its own clock: at most N requests and T
//! tokens in any window. A client that counts what it *sends* breaks it, because a request reaches
//! the server some time later, and not always equally late. So here a request holds its slot while
//! it is under way, and for one window after the first sign that the server has counted it.
//!
//! Read `window.rs` (which request may go now: pure), then `sync.rs`, then `async.rs` beside it. Beside them
//! stand `limits.rs`, `feedback.rs` (what an ended call teaches) and `pace.rs` (evenly spaced instead
//! of in bursts), also pure, and the two limiters, which wait as the window says.

mod r#async;
mod batch;
mod feedback;
mod limiter_async;
mod limiter_sync;
mod limits;
mod pace;
mod sync;
mod window;

pub use r#async::{
    ask as ask_async, process_batch as process_batch_async, process_single as process_single_async,
};
pub use batch::{Batch, Ended, Failure, Item, MAX_TOKENS, REQUESTS_PER_MINUTE, topics};
pub use feedback::{Feedback, Left};
pub use limiter_async::{Limiter as AsyncLimiter, Permit as AsyncPermit};
pub use limiter_sync::{Limiter, Permit};
pub use limits::{AcquireError, BATCH_SIZE, Limits, TooLarge};
pub use pace::Pace;
pub use sync::{ask, process_batch, process_single};
pub use window::{Admission, Ticket, Window};
