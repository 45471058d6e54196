//! `cargo xtask test`: the README's test command.

use std::time::Instant;

use crate::workspace::Workspace;
use crate::{Result, cargo, run as run_command, spoken};

/// Runs every test of the workspace's default members, doc tests included.
///
/// The benches are no default member: who tests should not have to build criterion.
///
/// # Errors
/// When a test fails or something does not build.
pub fn run(workspace: &Workspace) -> Result {
    let start = Instant::now();
    run_command(
        cargo()
            .args(["test", "--locked"])
            .current_dir(&workspace.root),
    )?;
    println!("All tests passed in {}.", spoken(start.elapsed()));
    Ok(())
}
