//! `cargo run --bin resilient-batch-async`: answers a file of requests, whatever happens meanwhile.

use std::process::ExitCode;

use resilient_batch::{Batch, run_async};

#[tokio::main]
async fn main() -> ExitCode {
    match Batch::open() {
        Ok(batch) => run_async(batch).await.unwrap_or_else(|code| code),
        Err(code) => code,
    }
}
