//! A Redis server for the tests of pattern 6: found or installed, on a port of its own, and never left
//! behind.
//!
//! Not the server that may run on this machine already: that one holds somebody's data.

use std::env::{self, consts::EXE_SUFFIX};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Result as IoResult};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::{Result, run, warn};

/// A running server, which ends with this value, and with this process however that ends.
#[derive(Debug)]
pub struct Redis {
    /// Its program, for tests that stop and restart a server of their own.
    pub program: PathBuf,
    /// Where it listens: `redis://127.0.0.1:PORT`.
    pub url: String,
    supervisor: Child,
}

/// Runs a server until its own input ends. That comes when its owner drops the other end or dies,
/// even by `kill -9`, and no signal comes before: the shell ignores those that Ctrl-C, a closed
/// terminal and `kill` send. The server keeps nothing, so it needs no time to end.
const SUPERVISE: &str = r#"trap '' INT TERM HUP
"$@" & server=$!
exec >&-
read -r _
kill -KILL "$server"
wait "$server""#;

/// How many ports are tried: between our closing one and Redis's opening it another may take it.
const TRIES: usize = 10;

/// What it logs when it is there for everybody.
const READY: &str = "Ready to accept connections";

/// What it logs when another has its port.
const TAKEN: &str = "Address already in use";

/// A package manager, and how it installs the server.
struct Manager {
    program: &'static str,
    needs_root: bool,
    commands: &'static [&'static str],
}

/// In this order, because a Linux machine may have brew beside its own.
const MANAGERS: [Manager; 3] = [
    Manager {
        program: "apt-get",
        needs_root: true,
        // The lists are old or empty on many a machine. And without the variable some ask which
        // services they shall restart.
        commands: &[
            "apt-get update",
            "env DEBIAN_FRONTEND=noninteractive apt-get install --yes redis-server",
        ],
    },
    Manager {
        program: "dnf",
        needs_root: true,
        commands: &["dnf install --assumeyes redis"],
    },
    Manager {
        program: "brew",
        needs_root: false,
        commands: &["brew install redis"],
    },
];

impl Redis {
    /// Starts a server on a free port of 127.0.0.1; installs the program first where it is missing.
    ///
    /// # Errors
    /// When there is no program and none can be installed (the error says what to do), or when it
    /// does not start (the error has its own words).
    pub fn start(folder: &Path) -> Result<Redis> {
        let program = match find("redis-server") {
            Some(program) => program,
            None => install()?,
        };
        fs::create_dir_all(folder)?;
        let mut said = String::new();
        for _ in 0..TRIES {
            // Redis takes no port 0, so the system finds one for us, and we hand it over.
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            let (server, stdout) = Redis::start_on(&program, port, folder)?;
            said = match wait_until_ready(stdout)? {
                None => return Ok(server),
                Some(said) => said,
            };
            if !said.contains(TAKEN) {
                break;
            }
        }
        Err(format!("{} did not start: {}", program.display(), said.trim()).into())
    }

    fn start_on(program: &Path, port: u16, folder: &Path) -> Result<(Redis, ChildStdout)> {
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISE, "sh"]).arg(program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        // Nothing of a test is worth a file.
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.arg("--dir").arg(folder);
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut supervisor = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`sh` could not be started: {error}"))?;
        let stdout = supervisor.stdout.take().expect("it is piped");
        let server = Redis {
            program: program.to_owned(),
            url: format!("redis://127.0.0.1:{port}"),
            supervisor,
        };
        Ok((server, stdout))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        // It ends by the above, and there is nobody left to tell if it does not.
        let _ = self.supervisor.wait();
    }
}

/// Reads what a server logs until it is ready. If it ends before: its last words.
///
/// A connection made from here would prove less: it might lead to whoever has won the port.
fn wait_until_ready(stdout: ChildStdout) -> IoResult<Option<String>> {
    let mut last = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if line.contains(READY) {
            return Ok(None);
        }
        // The line that gives the reason is not always the last one.
        if !last.contains(TAKEN) && !line.trim().is_empty() {
            last = line;
        }
    }
    Ok(Some(last))
}

/// Installs the server and says where its program is.
fn install() -> Result<PathBuf> {
    let is_here = |program: &str| find(program).is_some();
    let commands = commands(is_here, is_root(), sudo_works(), is_booted_by_systemd());
    let mut reason = match commands {
        None => "no package manager that we could use is here".into(),
        Some(_) => String::new(),
    };
    for command in commands.iter().flatten() {
        let mut words = command.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        // Some fail for a reason of their own, such as a list of packages that can't be reached: what
        // counts is whether the program is there in the end.
        if let Err(error) = run(command.args(words)) {
            reason = error.to_string();
            warn(format_args!("{reason}"));
        }
    }
    find("redis-server").ok_or_else(|| how_to(&reason).into())
}

/// What a person has to do.
fn how_to(reason: &str) -> String {
    format!(
        "the tests of pattern 6 need the program `redis-server`, and it could not be installed: \
         {reason}; install it (Debian and Ubuntu: sudo apt-get install redis-server; Fedora: sudo \
         dnf install redis; macOS: brew install redis) and run this again, or run `cargo test`, \
         which tests everything else"
    )
}

/// The commands that install the server, or none where nothing here can.
fn commands(
    is_here: impl Fn(&str) -> bool,
    root: bool,
    sudo: bool,
    systemd: bool,
) -> Option<Vec<String>> {
    let manager = MANAGERS.iter().find(|manager| {
        let allowed = match manager.needs_root {
            true => root || sudo,
            // brew refuses to run as root.
            false => !root,
        };
        allowed && is_here(manager.program)
    })?;
    let before = match manager.needs_root && !root {
        // Not without `-n`: CI has nobody to type a password.
        true => "sudo -n ",
        false => "",
    };
    let mut commands: Vec<_> = manager.commands.iter().map(ToString::to_string).collect();
    // Debian's package starts a service too, which nobody has asked for. In a container it can't.
    if manager.program == "apt-get" && systemd {
        commands.push("systemctl disable --now redis-server".into());
    }
    Some(commands.iter().map(|it| format!("{before}{it}")).collect())
}

/// As `man sd_booted` says.
fn is_booted_by_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether it needs no password.
fn sudo_works() -> bool {
    let output = Command::new("sudo").args(["-n", "true"]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Where a program is, by PATH.
fn find(program: &str) -> Option<PathBuf> {
    find_on(&env::var_os("PATH")?, program)
}

fn find_on(path: &OsStr, program: &str) -> Option<PathBuf> {
    let name = format!("{program}{EXE_SUFFIX}");
    let found = env::split_paths(path)
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())?;
    // PATH may hold relative folders, and each test runs in the folder of its package.
    std::path::absolute(found).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is installed with which rights is in tests/redis.rs, where the programs are played.

    #[test]
    fn the_service_that_comes_with_debians_package_is_stopped() {
        let stop = |manager: &str, systemd| {
            let commands = commands(|program| program == manager, false, true, systemd);
            commands.and_then(|commands| commands.last().cloned())
        };
        let stopped = stop("apt-get", true).expect("apt-get can");
        assert_eq!(stopped, "sudo -n systemctl disable --now redis-server");
        assert!(
            !stop("apt-get", false)
                .expect("it can")
                .contains("systemctl")
        );
        assert!(!stop("dnf", true).expect("it can").contains("systemctl"));
    }

    // Elsewhere a program's name has an ending, which this file has not.
    #[cfg(unix)]
    #[test]
    fn a_program_is_where_path_says_and_its_place_is_absolute() {
        let path = env::join_paths(["no-such-folder", "src"]).expect("no colon is in them");
        let here = find_on(&path, "redis.rs").expect("it is there");
        assert!(here.is_absolute() && here.ends_with("src/redis.rs"));
        assert_eq!(find_on(&path, "redis-server"), None);
    }
}
