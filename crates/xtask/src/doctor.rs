//! `cargo xtask doctor`: whether this laptop is ready for the workshop. To be sent out the day before.
//!
//! Every check is made, also after one has failed: who has to mend something wants the whole list.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::exercises::Exercise;
use crate::tidy::Tree;
use crate::workspace::Workspace;
use crate::{Result, cargo, say, shown, warn};

/// The oldest Rust that builds this: `rust-version` of the workspace.
const OLDEST: (u32, u32) = (1, 89);

/// What both workspaces take when all is built, and room for the editor's own build beside it.
const ROOM: u64 = 8 << 30;

/// What the workshop runs in the root. Cargo chooses the features of a crate by all that a command
/// selects, so these four share most of a build and not all of it. Each is built here, and on the day
/// nobody watches cargo work.
const DAY: [&[&str]; 4] = [
    // All but xtask: Windows does not let a program be replaced while it runs.
    &["--bin", "*sync", "--bin", "pitfall"],
    &["--examples"],
    &["--package", "tour"],
    &["--package", "ai-mock"],
];

/// A check: what it is called, and what it found or what is to be done.
type Check = (&'static str, fn(&Workspace) -> Result<String>);

const CHECKS: [Check; 5] = [
    ("toolchain", toolchain),
    ("disk", disk),
    ("network of this machine", loopback),
    ("build without the internet", build),
    ("exercises without the internet", exercises),
];

/// Makes all checks and prints what each found.
///
/// # Errors
/// When one failed; what to do about it has been printed by then.
pub fn run(workspace: &Workspace) -> Result {
    let mut failed = 0;
    for (name, check) in CHECKS {
        match check(workspace) {
            Ok(found) => say(format_args!("ok       {name}: {found}")),
            Err(error) => {
                failed += 1;
                say(format_args!("problem  {name}: {error}"));
            }
        }
    }
    match failed {
        0 => {
            say("\nThis laptop is ready.");
            Ok(())
        }
        _ => Err(format!(
            "{failed} of {} checks found a problem, see above",
            CHECKS.len()
        )
        .into()),
    }
}

fn toolchain(_: &Workspace) -> Result<String> {
    let output = Command::new("rustc").arg("--version").output();
    let output =
        output.map_err(|error| format!("rustc does not start ({error}): https://rustup.rs"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match version(&said) {
        Some(found) if found >= OLDEST => Ok(said),
        _ => Err(format!(
            "it is `{said}`, and {}.{} or newer is needed: run `rustup update`",
            OLDEST.0, OLDEST.1
        )
        .into()),
    }
}

/// `rustc 1.95.0 (59807616e 2026-04-14)`
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said
        .split(' ')
        .nth(1)?
        .split('.')
        .map_while(|it| it.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

fn disk(workspace: &Workspace) -> Result<String> {
    let free = fs4::available_space(&workspace.root)?;
    let gib = free as f64 / f64::from(1 << 30);
    // What is built already needs no room any more.
    if free < ROOM && !workspace.target.join("debug").exists() {
        let needed = ROOM >> 30;
        return Err(
            format!("{gib:.1} GiB are free, and a build needs up to {needed}: make room").into(),
        );
    }
    Ok(format!("{gib:.1} GiB are free"))
}

/// Whether a server on this machine can be reached, as every lesson has one.
fn loopback(_: &Workspace) -> Result<String> {
    let ask = || -> std::io::Result<()> {
        let server = TcpListener::bind("127.0.0.1:0")?;
        let mut client = TcpStream::connect(server.local_addr()?)?;
        client.write_all(b"?")?;
        server.accept()?.0.read_exact(&mut [0])
    };
    match ask() {
        Ok(()) => Ok("a server on 127.0.0.1 can be reached".to_owned()),
        Err(error) => Err(format!("a server on 127.0.0.1 can't be reached ({error}): look for a firewall or a VPN that forbids it").into()),
    }
}

fn build(workspace: &Workspace) -> Result<String> {
    for selection in DAY {
        let arguments = [&["build", "--offline", "--locked"], selection].concat();
        offline(&workspace.root, &arguments, "cargo fetch --locked")?;
    }
    Ok("programs, examples, tour and mock are built".to_owned())
}

fn exercises(workspace: &Workspace) -> Result<String> {
    let exercises = Exercise::all(&Tree::read(workspace)?);
    let folder = workspace.root.join("docs/exercises");
    // One by one, for the reason that `DAY` gives.
    for Exercise { package, .. } in &exercises {
        let arguments = ["test", "--offline", "--locked", "--no-run", "-p", package];
        let fetch = "cargo fetch --locked --manifest-path docs/exercises/Cargo.toml";
        offline(&folder, &arguments, fetch)?;
    }
    Ok(format!("{} exercises are built", exercises.len()))
}

/// Builds with what has been fetched.
fn offline(folder: &Path, arguments: &[&str], fetch: &str) -> Result {
    let mut command = cargo();
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    let shown = shown(&command);
    warn(format_args!("$ {shown}"));
    // What cargo says is the participant's to read: it may take minutes.
    match command.status()?.success() {
        true => Ok(()),
        false => Err(format!(
            "`{shown}` failed, see above; with a network, run `{fetch}`; a linker that is missing comes \
             with a C compiler"
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        assert_eq!(
            version("rustc 1.95.0 (59807616e 2026-04-14)"),
            Some((1, 95))
        );
        assert_eq!(version("rustc 1.100.0-nightly"), Some((1, 100)));
        assert_eq!(version("command not found"), None);
        assert!((1, 100) > OLDEST && (1, 88) < OLDEST);
    }

    #[test]
    fn the_oldest_rust_is_what_the_manifest_says() {
        let manifest = include_str!("../../../Cargo.toml");
        let line = format!("rust-version = \"{}.{}\"", OLDEST.0, OLDEST.1);
        assert!(manifest.contains(&line));
    }

    #[test]
    fn the_loopback_check_finds_a_server() {
        let workspace = Workspace::find().expect("the manifests are sound");
        assert!(loopback(&workspace).is_ok());
    }

    /// For the lab there is more to build; its page says it.
    #[test]
    fn the_modules_run_nothing_that_is_not_built_here() {
        let workspace = Workspace::find().expect("the manifests are sound");
        let tree = Tree::read(&workspace).expect("the files can be read");
        let mut commands = 0;
        for (page, text) in tree.files_below("docs/src/workshop/".to_owned()) {
            if page.ends_with("/benchmark-lab.md") {
                continue;
            }
            // The aliases `cargo tour` and `cargo mock` have one form only.
            for verb in ["cargo run", "cargo test"] {
                for (at, _) in text.match_indices(verb) {
                    let line = text[at..].lines().next().unwrap_or_default();
                    let words: Vec<&str> = line.split([' ', '`', '|']).collect();
                    let is_built = match words[1..] {
                        ["run", "--bin", name, ..] => name.ends_with("sync") || name == "pitfall",
                        ["run", "--example", _, ..] => true,
                        ["test", "-p", name, ..] => name.starts_with("ex_"),
                        _ => false,
                    };
                    assert!(is_built, "{page}: {line}");
                    commands += 1;
                }
            }
        }
        assert!(commands > 15, "only {commands} were found");
    }
}
