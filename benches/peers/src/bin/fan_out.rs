//! Calls of 300 ms, all at once: our async client beside bare reqwest, hyper and async-openai, each
//! on a runtime of one thread. From this folder: `cargo run --release --bin fan-out`, with
//! `-- --check` to fail where ours falls behind.
//!
//! A process for each measurement, so that its memory is its own. The contestants take turns, and
//! the ratios are those of one round. The connections are opened within the time that is measured:
//! opening so many is the price of so many in flight.

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use ai_core::AsyncClient;
use benches::{
    Bare, Figure, MockProcess, Output, Spread, Unit, measure, peak_resident, raise_open_files,
    resident, runtime, serve_if_asked,
};
use clap::{Parser, ValueEnum};
use futures::future::join_all;
use peers::{AsyncOpenAi, Contestant, Hyper, all_met, turns};
use serde::{Deserialize, Serialize};

const LATENCY: Duration = Duration::from_millis(300);

/// How many at once.
const SIZES: [usize; 3] = [1_000, 5_000, 10_000];

/// Up to here the share of ideal is compared; above, the calls only have to be answered.
const COMPARED: usize = 5_000;

/// What a process has open beside its connections; rather too many than too few.
const OTHER_FILES: u64 = 64;

/// What ours must reach of bare reqwest's share of the ideal.
const LEAST_SHARE: f64 = 0.97;

/// What ours may take of bare reqwest's memory.
const MOST_MEMORY: f64 = 1.1;

/// 1,000 to 10,000 calls of 300 ms at once, by ours, bare reqwest, hyper and async-openai
#[derive(Parser)]
struct Arguments {
    /// The most calls in flight
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max: usize,
    /// How often each is measured, in turn with the others
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
    /// Fail where a call of ours fails, or where ours is below 0.97 of bare reqwest's share of the
    /// ideal, not above async-openai's, or takes more than 1.1 of bare reqwest's memory
    #[arg(long)]
    check: bool,
    /// Be the process that makes one measurement
    #[arg(long, hide = true, num_args = 3, value_names = ["WHO", "SIZE", "URL"])]
    cell: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Who {
    Ours,
    Reqwest,
    Hyper,
    AsyncOpenai,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Who::Ours => AsyncClient::NAME,
            Who::Reqwest => Bare::NAME,
            Who::Hyper => Hyper::NAME,
            Who::AsyncOpenai => AsyncOpenAi::NAME,
        }
    }
}

/// What one measurement came to.
#[derive(Serialize, Deserialize)]
struct Cell {
    /// Seconds.
    wall: f64,
    /// Seconds of CPU time.
    cpu: f64,
    /// The memory that the calls added, in bytes, where the system tells.
    memory: Option<u64>,
    /// Calls without an answer.
    failed: usize,
    /// What the first of them failed with.
    error: Option<String>,
}

fn main() -> ExitCode {
    let open_files = raise_open_files();
    serve_if_asked(|mock| mock.latency(LATENCY));
    let arguments = Arguments::parse();
    if let Some(cell) = &arguments.cell {
        return be_a_cell(cell);
    }
    let mock = MockProcess::start().expect("this program can start itself");
    let mut output = Output::new(arguments.json);
    output.title(format_args!(
        "calls of {LATENCY:?}, all at once, {} runs; median. share: of the ideal; cpu and memory: of \
         one call; to-reqwest: in proportion to bare reqwest",
        arguments.runs
    ));
    let mut targets = Vec::new();
    for size in SIZES.into_iter().filter(|size| *size <= arguments.max) {
        if size as u64 + OTHER_FILES > open_files {
            let limit = format!(
                "{size} in flight left out: a process may open {open_files} files here (ulimit -Hn), \
                 and each call needs one"
            );
            eprintln!("{limit}");
            targets.push((limit, false));
            continue;
        }
        let sets = Who::value_variants().iter().map(|_| Vec::new()).collect();
        let mut fan_out = FanOut { size, cells: sets };
        for round in 0..arguments.runs.into() {
            for who in turns(round, fan_out.cells.len()) {
                let cell = in_a_process(&mock, Who::value_variants()[who], size);
                fan_out.cells[who].push(cell);
            }
        }
        fan_out.report(&mut output);
        targets.extend(fan_out.targets());
    }
    if arguments.check && !all_met(&targets) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Makes one measurement in a process of its own.
fn in_a_process(mock: &MockProcess, who: Who, size: usize) -> Cell {
    // The log of so many calls would be the mock's to keep.
    mock.forget().expect("the mock forgets");
    let program = std::env::current_exe().expect("this program is a file");
    let variant = who.to_possible_value().expect("nobody is hidden");
    let child = Command::new(program)
        .args([
            "--cell",
            variant.get_name(),
            &size.to_string(),
            &mock.base_url,
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("this program can start itself");
    serde_json::from_slice(&child.stdout).expect("a cell tells what it measured")
}

/// So many calls at once by everybody, who are in the order of [`Who`].
struct FanOut {
    size: usize,
    cells: Vec<Vec<Cell>>,
}

impl FanOut {
    fn of(&self, who: Who) -> &[Cell] {
        &self.cells[who as usize]
    }

    /// One figure of somebody in proportion to bare reqwest's, run by run.
    fn to_reqwest(&self, who: Who, what: impl Fn(&Cell) -> f64) -> Spread {
        let runs = self.of(who).iter().zip(self.of(Who::Reqwest));
        Spread::of(runs.map(|(cell, reqwest)| what(cell) / what(reqwest)))
    }

    /// Whether the system tells how much memory the calls took.
    fn tells_memory(&self) -> bool {
        self.cells
            .iter()
            .flatten()
            .all(|cell| cell.memory.is_some())
    }

    fn report(&self, output: &mut Output) {
        for who in Who::value_variants().iter().copied() {
            let id = |what: &str| format!("peers/fan-out/{}/{}/{what}", self.size, who.name());
            let spread = |what: &dyn Fn(&Cell) -> f64| Spread::of(self.of(who).iter().map(what));
            let size = self.size as f64;
            let mut figures = vec![
                Figure::new(id("share"), Unit::Share, spread(&share)),
                Figure::new(
                    id("share-to-reqwest"),
                    Unit::Ratio,
                    self.to_reqwest(who, share),
                ),
                Figure::new(id("cpu"), Unit::Us, spread(&|cell| cell.cpu * 1e6 / size)),
            ];
            if self.tells_memory() {
                let memory_to_reqwest = self.to_reqwest(who, memory);
                figures.extend([
                    Figure::new(
                        id("memory"),
                        Unit::Bytes,
                        spread(&|cell| memory(cell) / size),
                    ),
                    Figure::new(id("memory-to-reqwest"), Unit::Ratio, memory_to_reqwest),
                ]);
            }
            let failed = self.of(who).iter().map(|cell| cell.failed).sum::<usize>();
            figures.push(Figure::one(id("failed"), Unit::Count, failed as f64));
            output.row(&figures);
            if let Some(error) = self.of(who).iter().find_map(|cell| cell.error.as_ref()) {
                eprintln!("{} with {size} in flight: {error}", who.name());
            }
        }
    }

    /// What ours has to reach, and whether it does.
    fn targets(&self) -> Vec<(String, bool)> {
        let size = self.size;
        let failed = self
            .of(Who::Ours)
            .iter()
            .map(|cell| cell.failed)
            .sum::<usize>();
        let mut targets = vec![(
            format!("{failed} calls of ours failed with {size} in flight, and none should"),
            failed == 0,
        )];
        if size <= COMPARED {
            let ours = self.to_reqwest(Who::Ours, share).median;
            let async_openai = self.to_reqwest(Who::AsyncOpenai, share).median;
            targets.extend([
                (
                    format!(
                        "with {size} in flight ours has {ours:.3} of bare reqwest's share of the \
                         ideal, and {LEAST_SHARE} is to be reached"
                    ),
                    ours >= LEAST_SHARE,
                ),
                (
                    format!(
                        "with {size} in flight ours has {ours:.3} of bare reqwest's share of the \
                         ideal, async-openai {async_openai:.3}, and ours has to be more"
                    ),
                    ours > async_openai,
                ),
            ]);
        }
        if self.tells_memory() {
            let memory = self.to_reqwest(Who::Ours, memory).median;
            targets.push((
                format!(
                    "with {size} in flight ours takes {memory:.3} of bare reqwest's memory, and may \
                     take {MOST_MEMORY}"
                ),
                memory <= MOST_MEMORY,
            ));
        }
        targets
    }
}

/// How much of the ideal it is: all done after the latency of one.
fn share(cell: &Cell) -> f64 {
    LATENCY.as_secs_f64() / cell.wall
}

fn memory(cell: &Cell) -> f64 {
    cell.memory.unwrap_or_default() as f64
}

/// The process that makes one measurement, and prints it.
fn be_a_cell(arguments: &[String]) -> ExitCode {
    let [who, size, url] = arguments else {
        unreachable!("clap has counted them");
    };
    let who = Who::from_str(who, false).expect("the parent knows who there is");
    let size = size.parse().expect("the parent sends a size");
    let cell = match who {
        Who::Ours => at_once::<AsyncClient>(url, size),
        Who::Reqwest => at_once::<Bare>(url, size),
        Who::Hyper => at_once::<Hyper>(url, size),
        Who::AsyncOpenai => at_once::<AsyncOpenAi>(url, size),
    };
    println!("{}", serde_json::to_string(&cell).expect("a cell is JSON"));
    ExitCode::SUCCESS
}

fn at_once<C: Contestant>(url: &str, size: usize) -> Cell {
    let (runtime, client) = (runtime(), C::new(url));
    // The first call is to warm it: it opens the first connection.
    runtime.block_on(client.ask()).expect("the mock answers");
    let before = resident();
    let mut answers = Vec::new();
    let cost = measure(|| {
        let calls = (0..size).map(|_| client.ask());
        answers = runtime.block_on(join_all(calls));
    });
    let memory = peak_resident().map(|peak| peak.saturating_sub(before));
    let mut errors = answers.into_iter().filter_map(Result::err);
    let error = errors.next();
    Cell {
        wall: cost.wall.as_secs_f64(),
        cpu: cost.cpu.as_secs_f64(),
        memory,
        failed: usize::from(error.is_some()) + errors.count(),
        error,
    }
}
