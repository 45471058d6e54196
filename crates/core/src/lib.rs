//! Calls AI services: the protocol as pure code, and two clients that differ only in how they wait.
//!
//! **Decide, then wait.** What bytes mean, what is an error and whether it is worth another try is
//! decided in [`protocol`], which knows no clock, no socket and no thread. Around it stand
//! [`SyncClient`], which blocks, and [`AsyncClient`], which awaits. Their files, `sync.rs` and
//! `async.rs`, are made to be read side by side.
//!
//! In reading order: [`Config`] (where, who, how long), [`ChatRequest`] and [`ChatResponse`] (what
//! is asked and answered), the clients, [`Event`] (an answer that streams), [`Error`].

pub mod protocol;

mod r#async;
mod call;
mod clock;
mod config;
mod panics;
mod sync;

pub use r#async::{AsyncClient, ChatStream as AsyncChatStream};
pub use call::{Reply, install_tls_provider};
pub use clock::{Clock, Part, Signal, SimulatedClock, SystemClock};
pub use config::{
    CallOptions, Config, DEFAULT_BASE_URL, DEFAULT_EMBEDDING_MODEL, DEFAULT_MODEL, Timeouts,
};
pub use panics::panic_message;
pub use protocol::chat::{ChatRequest, ChatResponse, FinishReason, Message, Tool, ToolCall};
pub use protocol::embedding::{EmbeddingRequest, EmbeddingResponse};
pub use protocol::error::{Error, Phase, Refusal};
pub use protocol::stream::{Event, FinishPolicy, Transcript};
pub use protocol::usage::{Cost, Usage};
pub use sync::{ChatStream as SyncChatStream, SyncClient};
