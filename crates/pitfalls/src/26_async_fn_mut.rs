//! A retry helper that takes `AsyncFnMut` can be awaited, but not spawned when the closure borrows.
//! Who writes the helper never notices; its users do. Take `FnMut() -> F`, where `F` is a future.
//!
//! What is wrong here does not compile, so both halves are files, and the compiler says how it likes
//! them.

use std::env;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use crate::Both;

/// Whether the compiler takes it.
pub fn wrong() -> io::Result<bool> {
    compiles(include_str!("26_async_fn_mut/wrong.rs"))
}

/// Whether the compiler takes it.
pub fn right() -> io::Result<bool> {
    compiles(include_str!("26_async_fn_mut/right.rs"))
}

fn compiles(source: &str) -> io::Result<bool> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args([
        "--edition=2024",
        "--crate-type=lib",
        "--emit=metadata=-",
        "-",
    ]);
    rustc
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut compiler = rustc.spawn()?;
    // Dropped at the end of the statement, which tells the compiler that this is all.
    compiler
        .stdin
        .take()
        .map(|mut input| input.write_all(source.as_bytes()))
        .transpose()?;
    Ok(compiler.wait()?.success())
}

pub(crate) fn both() -> Both {
    let tell = |compiles: &io::Result<bool>| match compiles {
        Ok(true) => "the task compiles".to_owned(),
        Ok(false) => "the task does not compile".to_owned(),
        Err(error) => format!("rustc can't be run: {error}"),
    };
    Both::of(
        wrong(),
        right(),
        |compiles| matches!(compiles, Ok(true)),
        tell,
    )
}
