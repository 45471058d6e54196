//! A Redis server for the tests of pattern 6: found or installed, on a port of its own, and never left
//! behind.
//!
//! Not the server that may run on this machine already: that one holds somebody's data.

use std::fs;
use std::io::{BufRead, BufReader, Result as IoResult};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::Result;
use crate::packages::{self, Package, find};

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

/// What it is called where.
const PACKAGE: Package = Package {
    apt_get: "redis-server",
    dnf: "redis",
    brew: "redis",
    service: Some("redis-server"),
};

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
    let failed = packages::install(&PACKAGE).err();
    // Some managers fail for a reason of their own, such as a list of packages that can't be reached:
    // what counts is whether the program is there in the end.
    let reason = failed.map_or(String::new(), |error| error.to_string());
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
