//! `cargo xtask test`: the README's test command.

use std::time::Instant;

use crate::redis::Redis;
use crate::workspace::Workspace;
use crate::{Result, cargo, run as run_command, say, spoken};

/// Runs every test of the workspace's default members, doc tests included, and those that need a
/// Redis server with one of ours.
///
/// The benches are no default member: who tests should not have to build criterion.
///
/// # Errors
/// When a test fails, something does not build, or there is no Redis server and no way to get one.
pub fn run(workspace: &Workspace) -> Result {
    let start = Instant::now();
    let redis = Redis::start(&workspace.target.join("redis"))?;
    run_command(
        cargo()
            .args(["test", "--locked", "--features", "caching/redis-tests"])
            .env("REDIS_URL", &redis.url)
            // Some tests stop a server in mid-run and start it again: they bring up one of their own.
            .env("REDIS_SERVER", &redis.program)
            .current_dir(&workspace.root),
    )?;
    say(format_args!(
        "All tests passed in {}.",
        spoken(start.elapsed())
    ));
    Ok(())
}
