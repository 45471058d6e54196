//! Where threads stop being the cheaper answer: 1 to 10,000 calls of 300 ms in flight, by both
//! versions of pattern 2 and by bare reqwest.
//! `cargo run --release -p benches --bin in-flight`
//!
//! A process for each measurement, so that its memory is its own. All take turns, and the ratios are
//! those of one round. The connections are opened within the time that is
//! measured: opening so many is the price of so many in flight.

use std::num::NonZeroUsize;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ai_core::{AsyncClient, Config, SyncClient};
use benches::{
    Bare, BareBlocking, Cost, Figure, MockProcess, Output, PROMPT, Spread, Unit, context_switches,
    measure, peak_resident, raise_open_files, resident, runtime, serve_if_asked, threads,
};
use clap::{Parser, ValueEnum};
use concurrent_requests::{Item, at_once, at_once_async};
use cpu_time::ThreadTime;
use futures::future::join_all;
use serde::{Deserialize, Serialize};

const LATENCY: Duration = Duration::from_millis(300);

/// How many at once.
const SIZES: [usize; 6] = [1, 10, 100, 1_000, 5_000, 10_000];

/// From how many calls on the memory and the CPU time are theirs, and not those of the program.
const ENOUGH: usize = 100;

/// What a process has open beside its connections; rather too many than too few.
const OTHER_FILES: u64 = 64;

/// 1 to 10,000 calls of 300 ms in flight, by threads, by async and by bare reqwest
#[derive(Parser)]
struct Arguments {
    /// The most calls in flight
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max: usize,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
    /// Be the process that makes one measurement
    #[arg(long, hide = true, num_args = 3, value_names = ["HOW", "SIZE", "URL"])]
    cell: Option<Vec<String>>,
}

/// How the calls are made.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// Pattern 2's threads. They have the stacks std gives them: 2 MiB each, of which memory is
    /// taken only as it is used.
    Sync,
    /// Threads over `reqwest::blocking`.
    BareSync,
    /// Pattern 2's one task, on a runtime of one thread.
    Async,
    /// The same over `reqwest`.
    BareAsync,
}

/// All of them, in the order of `How`.
const WAYS: [How; 4] = [How::Sync, How::BareSync, How::Async, How::BareAsync];

/// Who is compared with whom, and what that is called.
const RATIOS: [(How, How, &str); 3] = [
    (How::Sync, How::BareSync, "bare"),
    (How::Async, How::BareAsync, "bare"),
    (How::Sync, How::Async, "async"),
];

/// What one measurement came to.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Cell {
    /// Seconds.
    wall: f64,
    /// Seconds of CPU time.
    cpu: f64,
    /// The most at one time, where the system tells.
    threads: Option<u64>,
    /// The most memory, in bytes, where the system tells.
    peak: Option<u64>,
    /// The memory before the first of the calls, in bytes.
    before: u64,
    switches: Option<u64>,
    /// Calls without an answer.
    failed: usize,
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
        "calls of {LATENCY:?} in flight: median of {} runs; cpu, memory and switches are those of one \
         call",
        arguments.runs
    ));
    let mut failed = 0;
    for size in SIZES.into_iter().filter(|size| *size <= arguments.max) {
        if size as u64 + OTHER_FILES > open_files {
            eprintln!(
                "{size} in flight left out: a process may open {open_files} files here (ulimit -Hn), \
                 and each call needs one"
            );
            continue;
        }
        let cells = in_turn(&mock, size, arguments.runs);
        for (how, cells) in WAYS.iter().zip(&cells) {
            output.row(&figures(*how, size, cells));
            failed += cells.iter().map(|(cell, _)| cell.failed).sum::<usize>();
        }
        for (ours, peer, name) in RATIOS {
            let [ours_cells, peers] = [ours, peer].map(|how| &cells[how as usize]);
            output.row(&ratios(ours, name, size, ours_cells, peers));
        }
    }
    match failed {
        0 => ExitCode::SUCCESS,
        failed => {
            eprintln!("error: {failed} calls had no answer");
            ExitCode::FAILURE
        }
    }
}

/// A measurement, with how many calls the mock saw at one time.
type Measured = (Cell, u64);

/// Each way in turn, `runs` times.
fn in_turn(mock: &MockProcess, size: usize, runs: u16) -> [Vec<Measured>; WAYS.len()] {
    let mut cells = WAYS.map(|_| Vec::new());
    for run in 0..usize::from(runs) {
        // Who goes first changes, so that none always profits.
        for turn in 0..WAYS.len() {
            let at = (run + turn) % WAYS.len();
            cells[at].push(in_a_process(mock, WAYS[at], size));
        }
    }
    cells
}

/// What ours takes in proportion to the peer, run by run.
fn ratios(how: How, peer: &str, size: usize, ours: &[Measured], peers: &[Measured]) -> Vec<Figure> {
    let ratio = |name: &str, of: &dyn Fn(&Cell) -> f64| {
        let pairs = ours.iter().zip(peers);
        let ratios = pairs.map(|((ours, _), (peer, _))| of(ours) / of(peer));
        let id = format!("in-flight/{}/{size}/{name}-to-{peer}", name_of(how));
        Figure::new(id, Unit::Ratio, Spread::of(ratios))
    };
    let mut ratios = vec![ratio("share", &share)];
    if size >= ENOUGH {
        ratios.push(ratio("cpu", &|cell| cell.cpu));
    }
    let told = |cells: &[Measured]| cells.iter().all(|(cell, _)| cell.peak.is_some());
    if size >= ENOUGH && told(ours) && told(peers) {
        ratios.push(ratio("memory", &|cell| memory(cell, size)));
    }
    ratios
}

/// Makes one measurement in a process of its own.
fn in_a_process(mock: &MockProcess, how: How, size: usize) -> Measured {
    mock.forget().expect("the mock forgets");
    let program = std::env::current_exe().expect("this program is a file");
    let child = Command::new(program)
        .args(["--cell", &name_of(how), &size.to_string(), &mock.base_url])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("this program can start itself");
    let cell = serde_json::from_slice(&child.stdout).expect("a cell tells what it measured");
    let counted = mock.counted().expect("the mock counts");
    (cell, counted.peak_in_flight)
}

fn figures(how: How, size: usize, cells: &[Measured]) -> Vec<Figure> {
    let figure = |name: &str, unit, of: &dyn Fn(&Cell) -> f64| {
        let id = format!("in-flight/{}/{size}/{name}", name_of(how));
        Figure::new(id, unit, Spread::of(cells.iter().map(|(cell, _)| of(cell))))
    };
    let calls = size as f64;
    let mut figures = vec![
        figure("wall", Unit::S, &|cell| cell.wall),
        figure("share", Unit::Share, &share),
    ];
    // Of fewer calls the beginning of the process would be the most.
    if size >= ENOUGH {
        figures.push(figure("cpu", Unit::Us, &|cell| cell.cpu * 1e6 / calls));
    }
    let told = |of: fn(&Cell) -> Option<u64>| cells.iter().all(|(cell, _)| of(cell).is_some());
    let number = |number: Option<u64>| number.unwrap_or_default() as f64;
    if told(|cell| cell.threads) {
        figures.push(figure("threads", Unit::Count, &|cell| number(cell.threads)));
    }
    if told(|cell| cell.peak) {
        figures.push(figure("rss", Unit::Bytes, &|cell| number(cell.peak)));
    }
    if told(|cell| cell.peak) && size >= ENOUGH {
        figures.push(figure("memory", Unit::Bytes, &|cell| memory(cell, size)));
    }
    if told(|cell| cell.switches) && size >= ENOUGH {
        figures.push(figure("switches", Unit::Count, &|cell| {
            number(cell.switches) / calls
        }));
    }
    let seen = Spread::of(cells.iter().map(|(_, seen)| *seen as f64));
    let id = format!("in-flight/{}/{size}/at-the-server", name_of(how));
    figures.push(Figure::new(id, Unit::Count, seen));
    figures
}

/// How much of the ideal it is: all done after the latency of one.
fn share(cell: &Cell) -> f64 {
    LATENCY.as_secs_f64() / cell.wall
}

/// The memory a call in flight, in bytes.
fn memory(cell: &Cell, size: usize) -> f64 {
    cell.peak.unwrap_or_default().saturating_sub(cell.before) as f64 / size as f64
}

fn name_of(how: How) -> String {
    let name = how.to_possible_value().expect("no way is hidden");
    name.get_name().to_owned()
}

/// The process that makes one measurement, and prints it.
fn be_a_cell(arguments: &[String]) -> ExitCode {
    let [how, size, url] = arguments else {
        unreachable!("clap has counted them");
    };
    let how = How::from_str(how, false).expect("the parent knows the ways");
    let size = size.parse().expect("the parent sends a size");
    let cell = run(how, size, url);
    let cell = serde_json::to_string(&cell).expect("a cell is JSON");
    println!("{cell}");
    ExitCode::SUCCESS
}

fn run(how: How, size: NonZeroUsize, url: &str) -> Cell {
    let prompts = vec![PROMPT; size.get()];
    let config = Config::new(url, "sk-bench").expect("the mock's URL is valid");
    // The first call of each is to warm it: it opens the first connection.
    match how {
        How::Sync => {
            let client = SyncClient::new(config).expect("a client can be built");
            client.generate_text(PROMPT).expect("the mock answers");
            watched(|| failed(&at_once(&client, &prompts, size)))
        }
        How::Async => {
            let (runtime, client) = (runtime(), AsyncClient::new(config));
            let client = client.expect("a client can be built");
            let first = runtime.block_on(client.generate_text(PROMPT));
            first.expect("the mock answers");
            watched(|| failed(&runtime.block_on(at_once_async(&client, &prompts, size))))
        }
        How::BareSync => {
            let client = BareBlocking::new(url);
            client.ask();
            watched(|| {
                thread::scope(|scope| {
                    for _ in 0..size.get() {
                        scope.spawn(|| client.ask());
                    }
                });
                0
            })
        }
        How::BareAsync => {
            let (runtime, client) = (runtime(), Bare::new(url));
            runtime.block_on(client.ask());
            watched(|| {
                runtime.block_on(join_all((0..size.get()).map(|_| client.ask())));
                0
            })
        }
    }
}

fn failed(items: &[Item]) -> usize {
    items.iter().filter(|item| item.result.is_err()).count()
}

/// Measures what `work` takes. It returns how many calls failed.
fn watched(work: impl FnOnce() -> usize) -> Cell {
    let before = resident();
    let switches = context_switches();
    let done = AtomicBool::new(false);
    let mut failed = 0;
    let (cost, threads, sleeps) = thread::scope(|scope| {
        // Another thread counts the threads, since nothing keeps the most there were.
        let count = scope.spawn(|| {
            let (own, mut sleeps) = (ThreadTime::now(), 0);
            let mut most = threads();
            while !done.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
                sleeps += 1;
                most = most.max(threads());
            }
            // Without itself.
            (most.map(|most| most - 1), own.elapsed(), sleeps)
        });
        let cost = measure(|| failed = work());
        done.store(true, Ordering::Relaxed);
        let (threads, own, sleeps) = count.join().expect("counting can't fail");
        let cpu = cost.cpu.saturating_sub(own);
        (Cost { cpu, ..cost }, threads, sleeps)
    });
    Cell {
        wall: cost.wall.as_secs_f64(),
        cpu: cost.cpu.as_secs_f64(),
        threads,
        peak: peak_resident(),
        before,
        switches: context_switches()
            .zip(switches)
            // Each sleep of the thread that counts was one.
            .map(|(now, before)| (now - before).saturating_sub(sleeps)),
        failed,
    }
}
