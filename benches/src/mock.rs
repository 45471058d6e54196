//! The mock in a process of its own.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ai_core::{Config, install_tls_provider};
use ai_mock::{Builder, Mock};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The argument that makes a bench program the mock's process instead.
const SERVE: &str = "--serve-mock";

/// A mock in a process of its own, so that its work is not counted as the client's.
#[derive(Debug)]
pub struct MockProcess {
    child: Child,
    /// Where it listens.
    pub base_url: String,
}

impl MockProcess {
    /// Starts this very program again, as the mock. `main` must begin with [`serve_if_asked`].
    // Not the `ai-mock` binary: cargo does not build another package's binaries for a bench.
    ///
    /// # Errors
    /// Those of starting a process.
    pub fn start() -> io::Result<MockProcess> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("it was piped");
        let mut base_url = String::new();
        BufReader::new(stdout).read_line(&mut base_url)?;
        Ok(MockProcess {
            child,
            base_url: base_url.trim().to_owned(),
        })
    }
}

/// A request as the mock saw it.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Seen {
    arrived_ms: f64,
    last_byte_ms: Option<f64>,
    /// The status it got, if any.
    pub status: Option<u16>,
}

impl Seen {
    /// When it had been read, since the mock started.
    pub fn arrived(&self) -> Duration {
        Duration::from_secs_f64(self.arrived_ms / 1000.0)
    }

    /// When all of the answer had been sent, since the mock started; `None` as long as it has not.
    pub fn answered(&self) -> Option<Duration> {
        let seconds = self.last_byte_ms? / 1000.0;
        Some(Duration::from_secs_f64(seconds))
    }
}

/// What the mock has counted since it was told to [`forget`](MockProcess::forget).
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Counted {
    /// Requests read.
    pub requests: u64,
    /// Connections on which a first request came in.
    pub connections: u64,
    /// The most requests there were at one time.
    pub peak_in_flight: u64,
}

impl MockProcess {
    /// The settings to call it.
    ///
    /// # Panics
    /// When it did not say where it listens, because it could not start.
    pub fn config(&self) -> Config {
        Config::new(&self.base_url, "sk-bench").expect("the mock's URL is valid")
    }

    /// Changes how it behaves, by the names of the control API.
    ///
    /// # Errors
    /// Those of the network, and a setting that it does not know.
    pub fn set(&self, settings: &Value) -> Result<(), reqwest::Error> {
        let request = control().patch(self.control_url("settings"));
        request.json(settings).send()?.error_for_status()?;
        Ok(())
    }

    /// What it was asked so far, in the order of arrival.
    ///
    /// # Errors
    /// Those of the network.
    pub fn log(&self) -> Result<Vec<Seen>, reqwest::Error> {
        self.get("log")
    }

    /// What it has counted.
    ///
    /// # Errors
    /// Those of the network.
    pub fn counted(&self) -> Result<Counted, reqwest::Error> {
        self.get("stats")
    }

    /// Empties its log, and puts what it has counted back to 0.
    ///
    /// # Errors
    /// Those of the network.
    pub fn forget(&self) -> Result<(), reqwest::Error> {
        let request = control().delete(self.control_url("log"));
        request.send()?.error_for_status()?;
        Ok(())
    }

    fn get<T: DeserializeOwned>(&self, what: &str) -> Result<T, reqwest::Error> {
        control().get(self.control_url(what)).send()?.json()
    }

    fn control_url(&self, what: &str) -> String {
        let server = self.base_url.trim_end_matches("/v1");
        format!("{server}/_mock/{what}")
    }
}

/// Its connections are its own, so that those which are measured stay cold.
fn control() -> reqwest::blocking::Client {
    install_tls_provider();
    // A proxy in the environment would catch 127.0.0.1.
    let client = reqwest::blocking::Client::builder().no_proxy();
    client.build().expect("a client can be built")
}

impl Drop for MockProcess {
    fn drop(&mut self) {
        // The child lives as long as its input is open.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// In the process that [`MockProcess::start`] makes: serves until the parent is gone, then exits.
pub fn serve_if_asked(configure: impl FnOnce(Builder) -> Builder) {
    if std::env::args().nth(1).as_deref() != Some(SERVE) {
        return;
    }
    let mock = configure(Mock::builder())
        .start()
        .expect("a free port on 127.0.0.1");
    println!("{}", mock.base_url());
    let _ = io::stdin().read_to_end(&mut Vec::new());
    drop(mock);
    std::process::exit(0);
}
