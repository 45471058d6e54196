//! The chores of this repository, one module a command: `cargo xtask test`, `ci`, `tidy`, `sdk`,
//! `speedups`, `book`, `exercises`, `page`, `doctor`, `build-budget`.
//!
//! They are a program and not scripts, so that they run the same on a laptop and in CI, and are
//! tested like everything else here. Below the commands stand what they share: [`workspace`] (what
//! cargo knows), [`redis`] (a server for the tests), [`code`] (Rust text) and [`table`].

// They panic when whoever reads has gone, as `head` does; `say` and `warn` do not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod test;

pub mod ci;

pub mod tidy;

pub mod sdk;

pub mod speedups;

pub mod book;

pub mod exercises;

pub mod page;

pub mod doctor;

pub mod build_budget;

pub mod code;
pub mod packages;
pub mod redis;
pub mod table;
pub mod workspace;

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::process::Command;
use std::time::Duration;

/// A chore either passes or says in one sentence what is wrong.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Prints a line. Nobody may be reading any more, and then there is nobody to tell.
pub fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// Prints a line on stderr, likewise.
pub fn warn(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// The cargo that runs us, so that `cargo +nightly xtask test` tests with nightly.
///
/// It is not told what cargo has told us of xtask. Build scripts look at some of it (ring's does), and
/// would run again, with all that needs them, when somebody calls cargo by itself.
pub fn cargo() -> Command {
    let mut command =
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end and makes a failure of it an error that names the command.
///
/// # Errors
/// When it can't be started, or ends with another code than 0.
pub fn run(command: &mut Command) -> Result {
    let shown = shown(command);
    warn(format_args!("$ {shown}"));
    let status = command
        .status()
        .map_err(|error| format!("`{shown}` could not be started: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{shown}` failed ({status})").into())
}

/// What a program says on stdout, if it is there and succeeds; `None` as well when that is nothing.
pub fn said(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Whether a program is there and starts.
pub fn is_installed(program: &str) -> bool {
    said(program, &["--version"]).is_some()
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    // Of a program's path only its name: the rest differs from machine to machine.
    let name = program.rsplit(['/', '\\']).next().unwrap_or(&program);
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy());
    std::iter::once(name.into())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A duration as people say it: `0.4 s`, `2 min 03 s`.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_told_nothing_of_xtask() {
        // The tests are started by cargo as well.
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        let command = cargo();
        let removed = |name: &str| command.get_envs().any(|it| it == (name.as_ref(), None));
        assert!(removed("CARGO_PKG_NAME") && removed("CARGO_MANIFEST_DIR"));
    }

    #[test]
    fn a_command_is_named_without_its_path() {
        let mut command = Command::new("/usr/local/bin/cargo");
        assert_eq!(shown(command.arg("test")), "cargo test");
    }

    #[test]
    fn durations_are_spoken_in_seconds_then_in_minutes() {
        assert_eq!(spoken(Duration::from_millis(420)), "0.4 s");
        assert_eq!(spoken(Duration::from_secs(123)), "2 min 03 s");
    }
}
