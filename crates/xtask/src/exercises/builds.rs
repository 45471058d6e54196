//! What cargo says of the exercises: built once for all of them, and then each test program run.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::outcome::Outcome;
use super::{Exercise, FOLDER};
use crate::tidy::Tree;
use crate::workspace::Workspace;
use crate::{Result, cargo, run as run_command, shown, warn};

/// The longest time for the tests of one exercise. They end by themselves, also where they wait in
/// vain; this is for one that does not.
const LIMIT: Duration = Duration::from_secs(60);

/// Checks the format of all files, the solutions included, which belong to no package where they are.
///
/// # Errors
/// When a file is not formatted; rustfmt has shown by then how it should look.
pub(super) fn formatted(workspace: &Workspace, exercises: &[Exercise]) -> Result {
    let folder = workspace.root.join(FOLDER);
    let solution = |exercise: &Exercise| workspace.root.join(exercise.path("solution/lib.rs"));
    let mut command = cargo();
    command.args(["fmt", "--", "--check"]);
    command
        .args(exercises.iter().map(solution))
        .current_dir(folder);
    let status = command.stdout(Stdio::inherit()).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{FOLDER}: not formatted; run `cargo fmt` there, and `rustfmt --edition 2024` on solutions").into()),
    }
}

/// Makes a copy in which each solution has taken the place of the task, and returns its folder.
///
/// It lies below `target`, so that the learner's own files are left alone. The folders of its packages
/// have other names: cargo tells packages of a workspace apart by their path within it, and would take
/// what was built of one for the other.
///
/// # Errors
/// When a file can't be written.
pub(super) fn solved(
    workspace: &Workspace,
    tree: &Tree,
    exercises: &[Exercise],
) -> Result<PathBuf> {
    let copy = workspace.target.join("exercises");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    let write = |path: &str, text: &str| -> Result {
        let path = copy.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(path, text)?)
    };
    let manifest = &tree.files[&format!("{FOLDER}/Cargo.toml")];
    write("Cargo.toml", &moved(manifest, &workspace.root))?;
    let lock = fs::read_to_string(workspace.root.join(FOLDER).join("Cargo.lock"))?;
    write("Cargo.lock", &lock)?;
    for exercise in exercises {
        let folder = format!("{}_solved", &exercise.dir[FOLDER.len() + 1..]);
        for (from, to) in [
            ("Cargo.toml", "Cargo.toml"),
            ("solution/lib.rs", "src/lib.rs"),
            ("tests/check.rs", "tests/check.rs"),
        ] {
            write(&format!("{folder}/{to}"), exercise.text(tree, from))?;
        }
    }
    Ok(copy)
}

/// The manifest with paths that hold from anywhere.
fn moved(manifest: &str, root: &Path) -> String {
    let root = root.to_string_lossy().replace('\\', "/");
    manifest.replace("\"../../", &format!("\"{root}/"))
}

/// Builds all tests of a folder and runs them. Returns how they ended, in the order of the exercises.
///
/// # Errors
/// When something does not build, or a test does not end.
pub(super) fn tested(
    workspace: &Workspace,
    folder: &Path,
    exercises: &[Exercise],
) -> Result<Vec<Outcome>> {
    let mut command = cargo();
    command
        .args(["test", "--workspace", "--no-run", "--locked"])
        .args(["--message-format", "json"])
        // Where the workspace builds, for the copy too: all that they need is there.
        .env("CARGO_TARGET_DIR", &workspace.target)
        .current_dir(folder);
    warn(format_args!("$ {}", shown(&command)));
    let output = command.stderr(Stdio::inherit()).output()?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = Built::read(&messages);
    if !output.status.success() {
        built.errors.iter().for_each(warn);
        return Err(format!("{} does not build", folder.display()).into());
    }
    let outcome = |exercise: &Exercise| -> Result<Outcome> {
        let program = built.programs.iter().find(|it| it.0 == exercise.package);
        let (package, program) =
            program.ok_or_else(|| format!("{}: no tests were built", exercise.dir))?;
        let mut outcome = Outcome::read(&printed(program, package)?);
        let own = built.warnings.iter().filter(|it| it.0 == *package);
        outcome.warnings = own.map(|(_, text)| text.clone()).collect();
        Ok(outcome)
    };
    exercises.iter().map(outcome).collect()
}

/// What cargo says while it builds, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Built {
    /// Package and path of each test program.
    programs: Vec<(String, PathBuf)>,
    /// Package and words of each warning.
    warnings: Vec<(String, String)>,
    /// Errors as the compiler shows them.
    errors: Vec<String>,
}

impl Built {
    /// Reads cargo's messages, one JSON object a line.
    fn read(messages: &str) -> Built {
        let mut built = Built::default();
        for line in messages.lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let package = package_of(message["package_id"].as_str().unwrap_or_default());
            let said = &message["message"];
            match (message["reason"].as_str(), said["level"].as_str()) {
                (Some("compiler-artifact"), _) => {
                    if let Some(path) = message["executable"].as_str() {
                        built.programs.push((package, path.into()));
                    }
                }
                (Some("compiler-message"), Some("warning")) => {
                    let text = said["message"].as_str().unwrap_or_default();
                    built.warnings.push((package, text.to_owned()));
                }
                (Some("compiler-message"), Some("error")) => {
                    let text = said["rendered"].as_str().unwrap_or_default();
                    built.errors.push(text.to_owned());
                }
                _ => {}
            }
        }
        built
    }
}

/// The package in cargo's id of it: `path+file:///home/me/docs/exercises/02/01#ex_02_01@0.1.0`.
fn package_of(id: &str) -> String {
    let name = id.rsplit_once('#').map_or(id, |(_, name)| name);
    name.split('@').next().unwrap_or_default().to_owned()
}

/// Runs a test program, and returns what it prints.
fn printed(program: &Path, package: &str) -> Result<String> {
    let mut child = Command::new(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Messages of panics that are meant to be: the tests tell which there are.
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdout = child.stdout.take().ok_or("it is piped")?;
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).map(|_| text)
    });
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Err(format!("the tests of {package} did not end within {LIMIT:?}").into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    let text = reader.join().map_err(|_| "the reader panicked")??;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Holds the solutions and the tests to clippy.
///
/// # Errors
/// When clippy has something to say; it has said it by then.
pub(super) fn clippy(workspace: &Workspace, copy: &Path) -> Result {
    run_command(
        cargo()
            .args(["clippy", "--workspace", "--all-targets", "--locked"])
            .args(["--", "-D", "warnings"])
            .env("CARGO_TARGET_DIR", &workspace.target)
            .current_dir(copy),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = r#"{"reason":"compiler-artifact","package_id":"registry+https://x#serde@1.0.0","executable":null}
{"reason":"compiler-message","package_id":"path+file:///w/02/01#ex_02_01@0.1.0","message":{"level":"warning","message":"unused variable: `client`"}}
{"reason":"compiler-message","package_id":"path+file:///w/02/02#ex_02_02@0.1.0","message":{"level":"error","message":"it","rendered":"error: it"}}
{"reason":"compiler-artifact","package_id":"path+file:///w/02/01#ex_02_01@0.1.0","executable":"/w/target/check-1"}
not JSON
"#;

    #[test]
    fn programs_warnings_and_errors_are_read_from_cargos_messages() {
        let package = "ex_02_01".to_owned();
        let built = Built {
            programs: vec![(package.clone(), "/w/target/check-1".into())],
            warnings: vec![(package, "unused variable: `client`".to_owned())],
            errors: vec!["error: it".to_owned()],
        };
        assert_eq!(Built::read(MESSAGES), built);
    }

    #[test]
    fn the_copys_paths_hold_from_anywhere() {
        let manifest = "ai-core = { path = \"../../crates/core\" }\n";
        assert_eq!(
            moved(manifest, Path::new("/w")),
            "ai-core = { path = \"/w/crates/core\" }\n"
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_a_program_prints_is_returned_whatever_its_exit_code() {
        let printed = printed(Path::new("/bin/echo"), "it").expect("it is there");
        assert_eq!(printed, "\n");
        let fails = super::printed(Path::new("/bin/false"), "it").expect("it is there");
        assert_eq!(fails, "");
    }
}
