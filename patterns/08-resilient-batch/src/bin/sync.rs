//! `cargo run --bin resilient-batch-sync`: answers a file of requests, whatever happens meanwhile.

use std::process::ExitCode;

use resilient_batch::{Batch, run};

fn main() -> ExitCode {
    Batch::open().and_then(run).unwrap_or_else(|code| code)
}
