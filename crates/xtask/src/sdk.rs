//! `cargo xtask sdk`: OpenAI's own SDKs, unmodified, against ai-mock.
//!
//! What the mock says is ours alone to judge wrong or right, so we let others judge: if the official
//! clients take it for the real thing, so may a lesson. The checks are in `sdk/check.py` and
//! `sdk/check.mjs`; the pins are in the files that pip and npm use for that.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::packages::{self, Package};
use crate::workspace::Workspace;
use crate::{Result, cargo, is_installed, run as run_command, say};

/// The only key that the mock accepts here. It is no secret.
const KEY: &str = "sk-mock";

/// Checks the Python SDK, and the Node SDK where Node is installed.
///
/// # Errors
/// When Python is missing, an SDK can't be installed, or a check fails.
pub fn run(workspace: &Workspace, latest: bool) -> Result {
    let folder = workspace.target.join("sdk");
    let checks = workspace.root.join("crates/xtask/sdk");
    let mock = build_mock(workspace)?;
    let python = python(&checks, &folder.join("python"), latest)
        .and_then(|python| check(Command::new(python).arg(checks.join("check.py")), &mock));
    // A failure of the one should not hide what the other has to say.
    let node = match node(&checks, &folder.join("node"), latest) {
        Ok(Some(script)) => check(Command::new("node").arg(script), &mock),
        Ok(None) => {
            say("skipped  node: node and npm are not both installed");
            Ok(())
        }
        Err(error) => Err(error),
    };
    python.and(node)
}

/// Runs a script of checks against a mock of its own, whose log and quotas nobody else has used.
fn check(script: &mut Command, mock: &Path) -> Result {
    let mock = Mock::start(mock)?;
    script
        .env("OPENAI_BASE_URL", &mock.base_url)
        .env("OPENAI_API_KEY", KEY)
        // The mock is on this machine, where a proxy could not reach it. Both names are in use.
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    run_command(script)
}

/// Makes a virtual environment with the SDK in it and gives its Python.
fn python(checks: &Path, folder: &Path, latest: bool) -> Result<PathBuf> {
    let programs = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    // Without pip the environment is one that was left half made.
    if !programs.join(program("pip")).exists() {
        make_environment(folder)?;
    }
    let python = programs.join(program("python"));
    // pip does nothing, and asks nobody, where the pinned version is there already.
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    match latest {
        true => pip.args(["--upgrade", "openai"]),
        false => pip
            .arg("--requirement")
            .arg(checks.join("requirements.txt")),
    };
    run_command(&mut pip)?;
    Ok(python)
}

/// Debian parts it from Python.
const VENV: Package = Package {
    apt_get: "python3-venv",
    dnf: "python3",
    brew: "python",
    service: None,
};

fn make_environment(folder: &Path) -> Result {
    let make = || {
        let mut command = Command::new(if cfg!(windows) { "python" } else { "python3" });
        run_command(command.args(["-m", "venv", "--clear"]).arg(folder))
    };
    let Err(error) = make() else { return Ok(()) };
    // On a machine of CI's we may install; on a person's we only say what is missing.
    if std::env::var_os("CI").is_some() {
        packages::install(&VENV)?;
        return make();
    }
    Err(format!(
        "{error}; install Python 3 with venv, on Debian and Ubuntu: apt-get install python3-venv"
    )
    .into())
}

/// Installs the SDK for Node and gives the script of checks, or nothing where Node is missing.
fn node(checks: &Path, folder: &Path, latest: bool) -> Result<Option<PathBuf>> {
    // On Windows npm is a script, which only its full name starts.
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    if !is_installed("node") || !is_installed(npm) {
        return Ok(None);
    }
    fs::create_dir_all(folder)?;
    fs::copy(checks.join("package.json"), folder.join("package.json"))?;
    let mut install = Command::new(npm);
    install.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    if latest {
        install.arg("openai@latest");
    }
    run_command(install.current_dir(folder))?;
    // A module finds its packages beside itself, so the script must stand there too.
    let script = folder.join("check.mjs");
    fs::copy(checks.join("check.mjs"), &script)?;
    Ok(Some(script))
}

fn program(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

/// Builds ai-mock and says where its program is.
fn build_mock(workspace: &Workspace) -> Result<PathBuf> {
    let mut build = cargo();
    build
        .args(["build", "--locked", "--package", "ai-mock"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let output = build.current_dir(&workspace.root).output()?;
    if !output.status.success() {
        return Err("ai-mock does not build".into());
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| "cargo built ai-mock but named no program".into())
}

/// The program that cargo says, in its JSON messages, to have built last.
fn executable(messages: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let mut messages = messages.lines().rev();
    messages.find_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
}

/// A running ai-mock, which is ended when this is dropped.
struct Mock {
    process: Child,
    base_url: String,
}

impl Mock {
    fn start(program: &Path) -> Result<Mock> {
        let mut process = Command::new(program)
            .args(["--port", "0", "--api-key", KEY])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = process
            .stdout
            .take()
            .expect("it was asked for a line above");
        // From here on a return ends the process.
        let mut mock = Mock {
            process,
            base_url: String::new(),
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        mock.base_url = base_url(&line)
            .ok_or_else(|| format!("ai-mock did not say where it listens, but {line:?}"))?;
        Ok(mock)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the mock's first line.
fn base_url(line: &str) -> Option<String> {
    Some(line.trim_end().strip_prefix("listening on ")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_last_that_cargo_names() {
        let messages = r#"{"reason": "compiler-artifact", "executable": null}
{"reason": "compiler-artifact", "executable": "/target/debug/ai-mock"}
{"reason": "build-finished", "success": true}
"#;
        assert_eq!(
            executable(messages),
            Some(PathBuf::from("/target/debug/ai-mock"))
        );
        assert_eq!(executable("{\"reason\": \"build-finished\"}"), None);
    }

    #[test]
    fn the_address_is_taken_from_the_first_line_and_from_no_other() {
        let line = "listening on http://127.0.0.1:4321/v1\n";
        assert_eq!(base_url(line).as_deref(), Some("http://127.0.0.1:4321/v1"));
        assert_eq!(base_url("error: port 80 is taken\n"), None);
    }
}
