//! CPU a chat call, 64 in flight, no latency: our clients beside bare reqwest, hyper and async-openai.
//! From this folder: `cargo run --release --bin clients`, with `-- --check` to fail where ours takes
//! more than it may.
//!
//! Each measurement is made in slices of some 50 ms, by turns with those of the others. A machine that is
//! shared changes its pace from one second to the next, and so that does the same to all.

use std::process::ExitCode;

use ai_core::{AsyncClient, SyncClient};
use benches::{
    Bare, BareBlocking, Cost, Figure, MockProcess, Output, SLICES, Spread, Unit, measure,
    of_slices, runtime, serve_if_asked,
};
use clap::Parser;
use peers::{AsyncOpenAi, Contestant, Hyper, all_met, ask, at_once, on_threads, turns};

const IN_FLIGHT: usize = 64;

/// A call in each slice for each that is in flight.
const AT_LEAST: i64 = (IN_FLIGHT * SLICES) as i64;

/// How many times as many runs the threads have: whom the system wakes first makes their ratio vary twice as
/// much, by 2 to 3 %, and the median has to tell 1.02 from [`MOST`].
const TIMES: usize = 3;

/// What ours may take of bare reqwest's CPU time.
const MOST: f64 = 1.05;

/// CPU a chat call of our clients, bare reqwest, hyper and async-openai, 64 in flight, no latency
#[derive(Parser)]
struct Arguments {
    /// How often each is measured, in turn with the others; those that block, three times as often
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// How many calls each measurement is of
    #[arg(long, value_name = "N", default_value_t = 32_000, value_parser = clap::value_parser!(u32).range(AT_LEAST..))]
    calls: u32,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
    /// Fail where ours takes more than 1.05 of bare reqwest's CPU time, or as much as async-openai
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    serve_if_asked(|mock| mock);
    let arguments = Arguments::parse();
    let (runs, calls) = (usize::from(arguments.runs), arguments.calls as usize);
    let slice = calls / SLICES / IN_FLIGHT * IN_FLIGHT;
    let calls = slice * SLICES;
    let mock = MockProcess::start().expect("this program can start itself");
    let mut output = Output::new(arguments.json);
    output.title(format_args!(
        "CPU a chat call, {IN_FLIGHT} in flight, {runs} runs of {calls} calls ({TIMES} times as many \
         of those that block); median; to-reqwest: in proportion to bare reqwest; connections: opened \
         in all of the runs; ratio: ours to theirs"
    ));
    let measured = [
        asynchronous::<AsyncClient>(&mock, slice),
        asynchronous::<Bare>(&mock, slice),
        asynchronous::<Hyper>(&mock, slice),
        asynchronous::<AsyncOpenAi>(&mock, slice),
    ];
    let measured = in_turns(&mock, runs, measured);
    report(&mut output, "async", calls, &measured);
    let [ours, reqwest, _, async_openai] = &measured;
    let (ours, async_openai) = (ours.over(reqwest).median, async_openai.over(reqwest).median);

    let (sync, bare) = (
        SyncClient::new(mock.config()),
        BareBlocking::new(&mock.base_url),
    );
    let sync = sync.expect("a client can be built");
    let measured = [
        blocking("ours", slice, move || ask(&sync)),
        blocking("reqwest", slice, move || bare.ask()),
    ];
    let measured = in_turns(&mock, runs * TIMES, measured);
    report(&mut output, "sync", calls, &measured);
    let sync = measured[0].over(&measured[1]).median;

    let targets = [
        (
            format!("async takes {ours:.3} of bare reqwest's CPU time, and may take {MOST}"),
            ours <= MOST,
        ),
        (
            format!(
                "async takes {ours:.3} of bare reqwest's CPU time, async-openai {async_openai:.3}, \
                 and it has to be less"
            ),
            ours < async_openai,
        ),
        (
            format!(
                "sync takes {sync:.3} of bare reqwest::blocking's CPU time, and may take {MOST}"
            ),
            sync <= MOST,
        ),
    ];
    if arguments.check && !all_met(&targets) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Somebody who is to be measured: the name, and what makes all of the calls.
type Runner = (&'static str, Box<dyn FnMut()>);

/// What somebody's calls came to.
struct Measured {
    name: &'static str,
    costs: Vec<Cost>,
    connections: u64,
}

impl Measured {
    /// The CPU time of one in proportion to that of another, run by run.
    fn over(&self, other: &Measured) -> Spread {
        let costs = self.costs.iter().zip(&other.costs);
        Spread::of(costs.map(|(ours, other)| ours.cpu.as_secs_f64() / other.cpu.as_secs_f64()))
    }
}

fn asynchronous<C: Contestant + 'static>(mock: &MockProcess, calls: usize) -> Runner {
    // A connection lives on the runtime that opened it, so each contestant keeps one of its own.
    let (runtime, client) = (runtime(), C::new(&mock.base_url));
    let run = move || runtime.block_on(at_once(&client, calls, IN_FLIGHT));
    (C::NAME, Box::new(run))
}

fn blocking(name: &'static str, calls: usize, ask: impl Fn() -> usize + Sync + 'static) -> Runner {
    (name, Box::new(move || on_threads(&ask, calls, IN_FLIGHT)))
}

/// Measures all of them, `runs` times, after a slice to open the connections.
fn in_turns<const N: usize>(
    mock: &MockProcess,
    runs: usize,
    mut runners: [Runner; N],
) -> [Measured; N] {
    let mut measured = std::array::from_fn(|who| Measured {
        name: runners[who].0,
        costs: Vec::new(),
        connections: 0,
    });
    let mut slices = [(); N].map(|()| Vec::new());
    for round in 0..=runs * SLICES {
        for who in turns(round, N) {
            mock.forget().expect("the mock forgets");
            let cost = measure(&mut runners[who].1);
            let counted = mock.counted().expect("the mock counts");
            measured[who].connections += counted.connections;
            if round > 0 {
                slices[who].push(cost);
            }
        }
    }
    for (measured, slices) in measured.iter_mut().zip(&slices) {
        measured.costs = of_slices(slices);
    }
    measured
}

fn report<const N: usize>(
    output: &mut Output,
    version: &str,
    calls: usize,
    measured: &[Measured; N],
) {
    let id = |who: &Measured, what: &str| format!("peers/clients/{version}/{}/{what}", who.name);
    for who in measured {
        let cpu = who.costs.iter();
        let cpu = Spread::of(cpu.map(|cost| cost.cpu.as_secs_f64() * 1e6 / calls as f64));
        output.row(&[
            Figure::new(id(who, "cpu"), Unit::Us, cpu),
            Figure::new(id(who, "to-reqwest"), Unit::Ratio, who.over(&measured[1])),
            Figure::one(id(who, "connections"), Unit::Count, who.connections as f64),
        ]);
    }
    for peer in &measured[1..] {
        let ratio = measured[0].over(peer);
        output.row(&[Figure::new(id(peer, "ratio"), Unit::Ratio, ratio)]);
    }
}
