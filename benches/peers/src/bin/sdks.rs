//! OpenAI's own SDKs for Python and Node beside our clients: CPU a chat call and calls a second, one
//! call after another and 64 in flight, no latency. `cargo xtask sdk` installs the SDKs; then, from
//! this folder: `cargo run --release --bin sdks`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use ai_core::{AsyncClient, SyncClient};
use benches::{
    Figure, MockProcess, Output, PROMPT, Spread, Unit, measure, runtime, serve_if_asked,
};
use clap::Parser;
use peers::{Contestant, ask, at_once, on_threads, turns};
use serde::Deserialize;

/// How many are always on their way.
const IN_FLIGHT: [usize; 2] = [1, 64];

/// Ours makes so many times as many calls in a run, or its runs would be over at once.
const OURS: usize = 32;

/// CPU a chat call and calls a second of OpenAI's SDKs for Python and Node, and of our clients
#[derive(Parser)]
struct Arguments {
    /// How often each is measured, in turn with the others
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// How many calls a run of an SDK is of; those of ours are of 32 times as many
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(64..))]
    calls: u32,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
    /// A Python that has the SDK [default: the one `cargo xtask sdk` makes]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// The node_modules with the SDK for Node in it [default: those `cargo xtask sdk` makes]
    #[arg(long, value_name = "PATH")]
    node_modules: Option<PathBuf>,
}

fn main() -> ExitCode {
    serve_if_asked(|mock| mock);
    let arguments = Arguments::parse();
    let mock = MockProcess::start().expect("this program can start itself");
    // Ours first, which `report` compares the others with.
    let mut contestants = vec![Who::OursSync, Who::OursAsync];
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/sdk");
    let programs = if cfg!(windows) { "Scripts" } else { "bin" };
    let python = format!("python/{programs}/python{}", std::env::consts::EXE_SUFFIX);
    let python = arguments.python.unwrap_or_else(|| installed.join(python));
    if is_there("Python", &python) {
        contestants.extend([Who::PythonSync(python.clone()), Who::PythonAsync(python)]);
    }
    let modules = arguments.node_modules;
    let modules = modules.unwrap_or_else(|| installed.join("node/node_modules"));
    if is_there("Node", &modules.join("openai")) {
        contestants.push(Who::Node(modules));
    }
    if contestants.len() == 2 {
        eprintln!("error: there is no SDK to compare with");
        return ExitCode::FAILURE;
    }
    let mut output = Output::new(arguments.json);
    for in_flight in IN_FLIGHT {
        let mut cells: Vec<_> = contestants.iter().map(|_| Vec::new()).collect();
        for round in 0..arguments.runs.into() {
            for who in turns(round, contestants.len()) {
                let calls = arguments.calls as usize;
                match contestants[who].cell(&mock, calls, in_flight) {
                    Ok(cell) => cells[who].push(cell),
                    Err(error) => {
                        eprintln!("error: {}: {error}", contestants[who].name());
                        return ExitCode::FAILURE;
                    }
                }
            }
        }
        report(&mut output, in_flight, &contestants, &cells);
    }
    ExitCode::SUCCESS
}

/// Whether an SDK is there; says what to do about it, if not.
fn is_there(language: &str, path: &Path) -> bool {
    let there = path.exists();
    if !there {
        eprintln!(
            "{language} left out: there is no {}; `cargo xtask sdk` in this project's main folder \
             installs it",
            path.display()
        );
    }
    there
}

/// Who makes the calls, and where its SDK is.
enum Who {
    OursSync,
    OursAsync,
    /// Threads, as many as are in flight.
    PythonSync(PathBuf),
    /// One task for each that is in flight, by asyncio.
    PythonAsync(PathBuf),
    Node(PathBuf),
}

/// What one run came to.
#[derive(Deserialize)]
struct Cell {
    /// Seconds.
    wall: f64,
    /// Seconds of CPU time, all threads.
    cpu: f64,
    /// Of the SDK, and of what it runs on.
    version: String,
    /// An SDK does not say it: it is told.
    #[serde(skip)]
    calls: usize,
}

impl Cell {
    /// Microseconds of CPU time a call.
    fn micros(&self) -> f64 {
        self.cpu * 1e6 / self.calls as f64
    }
}

impl Who {
    fn name(&self) -> &'static str {
        match self {
            Who::OursSync => "ours-sync",
            Who::OursAsync => "ours-async",
            Who::PythonSync(_) => "python-sync",
            Who::PythonAsync(_) => "python-async",
            Who::Node(_) => "node",
        }
    }

    /// One run, with a client of its own, warmed.
    fn cell(&self, mock: &MockProcess, calls: usize, in_flight: usize) -> Result<Cell, String> {
        // The log of so many calls would be the mock's to keep.
        mock.forget().map_err(|error| error.to_string())?;
        let script = |script: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let mut command = match self {
            Who::OursSync => return Ok(sync(mock, calls * OURS, in_flight)),
            Who::OursAsync => return Ok(asynchronous(mock, calls * OURS, in_flight)),
            Who::PythonSync(python) | Who::PythonAsync(python) => {
                let how = match self {
                    Who::PythonSync(_) => "sync",
                    _ => "async",
                };
                let mut command = Command::new(python);
                command.arg(script("sdk/chat.py")).arg(how);
                command
            }
            Who::Node(modules) => {
                let mut command = Command::new("node");
                command.arg(script("sdk/chat.cjs"));
                command.env("NODE_PATH", modules);
                command
            }
        };
        let child = command
            .args([&calls.to_string(), &in_flight.to_string()])
            .args([PROMPT, ai_core::DEFAULT_MODEL])
            .env("OPENAI_BASE_URL", &mock.base_url)
            .env("OPENAI_API_KEY", "sk-bench")
            // The mock is on this machine, where a proxy could not reach it. Both names are in use.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        if !child.status.success() {
            return Err(child.status.to_string());
        }
        let cell: Cell =
            serde_json::from_slice(&child.stdout).map_err(|error| error.to_string())?;
        Ok(Cell { calls, ..cell })
    }
}

fn sync(mock: &MockProcess, calls: usize, in_flight: usize) -> Cell {
    let client = SyncClient::new(mock.config()).expect("a client can be built");
    ours(calls, |calls| on_threads(|| ask(&client), calls, in_flight))
}

fn asynchronous(mock: &MockProcess, calls: usize, in_flight: usize) -> Cell {
    let (runtime, client) = (runtime(), <AsyncClient as Contestant>::new(&mock.base_url));
    ours(calls, |calls| {
        runtime.block_on(at_once(&client, calls, in_flight))
    })
}

fn ours(calls: usize, run: impl Fn(usize)) -> Cell {
    // The warm-up.
    run(calls / 8);
    let cost = measure(|| run(calls));
    Cell {
        wall: cost.wall.as_secs_f64(),
        cpu: cost.cpu.as_secs_f64(),
        version: String::new(),
        calls,
    }
}

/// Shows what everybody's runs came to, one list of cells for each.
fn report(output: &mut Output, in_flight: usize, contestants: &[Who], cells: &[Vec<Cell>]) {
    let versions = cells
        .iter()
        .filter_map(|cells| Some(cells.first()?.version.as_str()));
    let versions: BTreeSet<_> = versions.filter(|version| !version.is_empty()).collect();
    let versions = Vec::from_iter(versions).join("; ");
    output.title(format_args!(
        "CPU a chat call and calls a second, {in_flight} in flight, {} runs; median; ratio: CPU, ours \
         to theirs ({versions})",
        cells[0].len()
    ));
    let id = |who: &Who, what: &str| format!("peers/sdks/{in_flight}/{}/{what}", who.name());
    for (who, cells) in contestants.iter().zip(cells) {
        let cpu = Spread::of(cells.iter().map(Cell::micros));
        let rate = Spread::of(cells.iter().map(|cell| cell.calls as f64 / cell.wall));
        output.row(&[
            Figure::new(id(who, "cpu"), Unit::Us, cpu),
            Figure::new(id(who, "rate"), Unit::Count, rate),
        ]);
    }
    for (who, theirs) in contestants.iter().zip(cells) {
        let ours = match who {
            Who::OursSync | Who::OursAsync => continue,
            Who::PythonSync(_) => &cells[0],
            Who::PythonAsync(_) | Who::Node(_) => &cells[1],
        };
        let runs = ours.iter().zip(theirs);
        let ratio = Spread::of(runs.map(|(ours, theirs)| ours.micros() / theirs.micros()));
        output.row(&[Figure::new(id(who, "ratio"), Unit::Ratio, ratio)]);
    }
}
