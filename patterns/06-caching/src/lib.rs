//! Pattern 6: ask once, and answer from a cache.
//!
//! A cache for AI answers is wrong in ways that show late. A key that leaves out a field gives people
//! answers to other questions. An answer that was cut is kept for an hour. A hundred callers that ask
//! at once all find nothing, and all pay. A cache that is down takes the service with it. Here
//! [`chat_key`] takes everything, [`may_keep`] takes whole answers only, one caller asks while the
//! others wait, and a store in trouble is a miss.
//!
//! Read `key.rs` (what an answer is found by, whether it is kept: pure), `flight.rs` (one asks, the
//! others wait), then `sync.rs`, then `async.rs` beside it. Beside them stand the stores, and
//! streams and vectors.

mod answer;
mod r#async;
mod canonical;
mod entry;
mod flight;
mod key;
mod open;
mod recording;
mod shared;
mod stores;
mod stream_async;
mod stream_sync;
mod sync;
mod trouble;
mod vectors;

pub use answer::{Answer, Cached, Report, Source};
pub use r#async::{Cache as AsyncCache, generate_text as generate_text_async};
pub use key::{Key, Scope, TTL, chat_key, lifetime, may_keep, may_keep_stream, stream_key};
pub use stores::{AsyncStore, Place, Store};
pub use stream_async::{CachedStream as AsyncCachedStream, stream as stream_async};
pub use stream_sync::{CachedStream, stream};
pub use sync::{Cache, generate_text};
pub use trouble::Trouble;
pub use vectors::{Embedded, embed, embed_async, embedding_keys};
