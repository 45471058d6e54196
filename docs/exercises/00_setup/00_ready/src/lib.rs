//! Setup: is this laptop ready?
//!
//! `cargo test -p ex_00_00` fails until the TODO below is done.

use ai_core::{Error, SyncClient};

/// What everybody in the room asks.
pub const PROMPT: &str = "Explain quantum computing in simple terms";

/// Asks the default model one thing, and returns its text.
///
/// # Errors
/// Those of the call.
pub fn ask(client: &SyncClient, prompt: &str) -> Result<String, Error> {
    // TODO: one line. The client has a method that takes a prompt and returns the text.
    todo!("ask {} {prompt:?}", client.config().base_url())
}
