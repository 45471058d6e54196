//! The protocol as pure code: bytes in, values out.
//!
//! Nothing here opens a socket, reads a clock, sleeps or throws dice, so every rule can be tested
//! in microseconds and both clients obey the same ones. In reading order:

pub mod chat;
pub mod embedding;
pub mod error;
pub mod sse;
pub mod stream;
pub mod usage;
