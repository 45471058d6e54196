//! A Redis server for the tests of pattern 6: found or installed, on a port of its own, and never left
//! behind.
//!
//! Not the server that may run on this machine already: that one holds somebody's data.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

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
///
/// What it says on stderr is heard as well: of a wrong setting it tells there, and so does the loader of
/// a library that is missing.
const SUPERVISE: &str = r#"trap '' INT TERM HUP
"$@" 2>&1 & server=$!
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

/// How long it may take to be there. It takes a tenth of a second: one that has not said so by then
/// says something else, or says it elsewhere.
const PATIENCE: Duration = Duration::from_secs(30);

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
            said = match wait_until_ready(stdout, PATIENCE) {
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

/// Reads what a server logs until it is ready. If it ends before, or takes too long: its last words.
///
/// A connection made from here would prove less: it might lead to whoever has won the port.
fn wait_until_ready(stdout: ChildStdout, patience: Duration) -> Option<String> {
    let (send, lines) = channel();
    // A thread, since nobody can stop reading a pipe. It ends with the server, or when nobody listens.
    thread::spawn(move || {
        let mut said = BufReader::new(stdout).lines().map_while(|line| line.ok());
        said.try_for_each(|line| send.send(line))
    });
    let end = Instant::now() + patience;
    let mut last = String::new();
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(READY) => return None,
            // The line that gives the reason is not always the last one.
            Ok(line) if last.contains(TAKEN) || line.trim().is_empty() => {}
            Ok(line) => last = line,
            Err(RecvTimeoutError::Disconnected) => return Some(last),
            Err(RecvTimeoutError::Timeout) => {
                return Some(format!(
                    "it has not said {READY:?} within {patience:?}, and at last {last:?}"
                ));
            }
        }
    }
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    // All else is in tests/redis.rs, where the programs are played: there it would take the 30 s.
    #[test]
    fn a_server_that_never_says_that_it_is_ready_is_not_waited_for_for_ever() {
        let mut server = Command::new("sh");
        server.args(["-c", "echo ready, in other words; exec sleep 60"]);
        let mut server = server.stdout(Stdio::piped()).spawn().expect("sh is here");
        let stdout = server.stdout.take().expect("it is piped");
        let said = wait_until_ready(stdout, Duration::from_millis(100));
        let said = said.expect("it is not ready");
        assert!(said.contains("within 100ms"), "{said}");
        server.kill().expect("it runs");
        server.wait().expect("it ends");
    }
}
