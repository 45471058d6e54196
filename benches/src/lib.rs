//! The protocol under which everything here is measured, and the shared set-up.
//!
//! Release build; the mock in a process of its own; clients built and warmed before the clock
//! starts; CPU time by the process's own nanosecond clock; two contestants taken in turn, ABAB, so
//! that both see the same neighbours; the median of the paired ratios, with its quartiles.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ai_core::install_tls_provider;
use ai_mock::{Builder, Mock};
use cpu_time::ProcessTime;
use serde::Deserialize;
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
    /// The status it got, if any.
    pub status: Option<u16>,
}

impl Seen {
    /// When it had been read, since the mock started.
    pub fn arrived(&self) -> Duration {
        Duration::from_secs_f64(self.arrived_ms / 1000.0)
    }
}

impl MockProcess {
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
        control().get(self.control_url("log")).send()?.json()
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

/// What one run cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// CPU time of this process, all threads, user and system.
    pub cpu: Duration,
    /// Time on the wall.
    pub wall: Duration,
}

/// Measures one run.
pub fn measure(run: impl FnOnce()) -> Cost {
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    run();
    Cost {
        cpu: cpu.elapsed(),
        wall: wall.elapsed(),
    }
}

/// The median of some figures, with their quartiles around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// A quarter of the figures is below.
    pub low: f64,
    /// The middle one.
    pub median: f64,
    /// A quarter of the figures is above.
    pub high: f64,
}

impl Spread {
    /// Sorts out some figures, of which there must be one at least.
    pub fn of(mut figures: Vec<f64>) -> Spread {
        figures.sort_by(f64::total_cmp);
        let at = |share: f64| figures[((figures.len() - 1) as f64 * share).round() as usize];
        Spread {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.3} ({:.3} to {:.3})",
            self.median, self.low, self.high
        )
    }
}

/// Runs two contestants in turn, `pairs` times, and returns the costs of each, pair by pair.
pub fn in_pairs(pairs: usize, mut ours: impl FnMut(), mut peer: impl FnMut()) -> Vec<(Cost, Cost)> {
    ours();
    peer();
    // Who goes first changes from pair to pair, so that neither always profits from the other's
    // warm caches.
    (0..pairs)
        .map(|pair| {
            if pair % 2 == 0 {
                let ours = measure(&mut ours);
                (ours, measure(&mut peer))
            } else {
                let peer = measure(&mut peer);
                (measure(&mut ours), peer)
            }
        })
        .collect()
}
