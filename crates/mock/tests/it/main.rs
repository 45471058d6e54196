//! The mock from outside: raw sockets where bytes matter, reqwest where a real client does.

// clippy.toml allows unwrap in tests, which it does not take the helpers of tests to be.
#![allow(clippy::unwrap_used)]

mod control;
mod leaving;
mod program;
mod protocol;
mod scripts;
mod support;
