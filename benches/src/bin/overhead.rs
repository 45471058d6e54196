//! What our clients cost over bare reqwest: CPU a chat call, 64 in flight, no latency.
//! `cargo run --release -p benches --bin overhead`
//!
//! Each measurement is made in slices of some 50 ms, by turns with its peer's. A machine that is shared
//! changes its pace from one second to the next, and so that does the same to both.

use std::thread;

use ai_core::{AsyncClient, ChatRequest, SyncClient};
use benches::{
    Bare, BareBlocking, Cost, Figure, MockProcess, Output, PROMPT, SLICES, Spread, Unit, in_pairs,
    of_slices, runtime, serve_if_asked,
};
use clap::Parser;
use futures::future::join_all;

const IN_FLIGHT: usize = 64;

/// A call in each slice for each that is in flight.
const AT_LEAST: i64 = (IN_FLIGHT * SLICES) as i64;

/// CPU a chat call of our clients and of bare reqwest, 64 in flight, no latency
#[derive(Parser)]
struct Arguments {
    /// How often each is measured, in turn with its peer
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
    /// How many calls each measurement is of
    #[arg(long, value_name = "N", default_value_t = 32_000, value_parser = clap::value_parser!(u32).range(AT_LEAST..))]
    calls: u32,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
}

fn main() {
    serve_if_asked(|mock| mock);
    let Arguments { pairs, calls, json } = Arguments::parse();
    let (pairs, calls) = (
        usize::from(pairs),
        calls as usize / SLICES / IN_FLIGHT * IN_FLIGHT * SLICES,
    );
    let mock = MockProcess::start().expect("this program can start itself");
    let mut output = Output::new(json);
    output.title(format_args!(
        "CPU a chat call, {IN_FLIGHT} in flight, {pairs} pairs of {calls} calls; median"
    ));

    let ours = AsyncClient::new(mock.config()).expect("a client can be built");
    let peer = Bare::new(&mock.base_url);
    // A connection lives on the runtime that opened it, so each contestant keeps one of its own.
    let (our_runtime, peer_runtime) = (runtime(), runtime());
    let slice = calls / SLICES;
    let costs = in_pairs(
        pairs * SLICES,
        || our_runtime.block_on(at_once(slice, async || ask_async(&ours).await)),
        || peer_runtime.block_on(at_once(slice, async || peer.ask().await)),
    );
    report(&mut output, "async", calls, &costs);

    let ours = SyncClient::new(mock.config()).expect("a client can be built");
    let peer = BareBlocking::new(&mock.base_url);
    let costs = in_pairs(
        pairs * SLICES,
        || on_threads(slice, || ask(&ours)),
        || on_threads(slice, || peer.ask()),
    );
    report(&mut output, "sync", calls, &costs);
}

fn report(output: &mut Output, version: &str, calls: usize, slices: &[(Cost, Cost)]) {
    let (ours, peer): (Vec<_>, Vec<_>) = slices.iter().copied().unzip();
    let costs: Vec<_> = of_slices(&ours).into_iter().zip(of_slices(&peer)).collect();
    let micros = |cost: &Cost| cost.cpu.as_secs_f64() * 1e6 / calls as f64;
    let figure = |name: &str, unit, of: &dyn Fn(&(Cost, Cost)) -> f64| {
        let id = format!("overhead/{version}/{name}");
        Figure::new(id, unit, Spread::of(costs.iter().map(of)))
    };
    output.row(&[
        figure("bare", Unit::Us, &|(_, peer)| micros(peer)),
        figure("ours", Unit::Us, &|(ours, _)| micros(ours)),
        figure("ratio", Unit::Ratio, &|(ours, peer)| {
            micros(ours) / micros(peer)
        }),
    ]);
}

/// So many calls, of which `IN_FLIGHT` are always on their way.
async fn at_once(calls: usize, call: impl AsyncFn() -> usize) {
    let workers = (0..IN_FLIGHT).map(|_| async {
        for _ in 0..calls / IN_FLIGHT {
            assert!(call().await > 0, "every answer has a text");
        }
    });
    join_all(workers).await;
}

/// As [`at_once`], a thread for each that is on its way.
fn on_threads(calls: usize, call: impl Fn() -> usize + Sync) {
    let work = || {
        for _ in 0..calls / IN_FLIGHT {
            assert!(call() > 0, "every answer has a text");
        }
    };
    thread::scope(|scope| {
        for _ in 0..IN_FLIGHT {
            scope.spawn(work);
        }
    });
}

async fn ask_async(client: &AsyncClient) -> usize {
    let request = ChatRequest::new(&client.config().model, PROMPT).temperature(0.7);
    let reply = client.chat(&request).await;
    reply.expect("the mock answers").text().len()
}

fn ask(client: &SyncClient) -> usize {
    let request = ChatRequest::new(&client.config().model, PROMPT).temperature(0.7);
    let reply = client.chat(&request);
    reply.expect("the mock answers").text().len()
}
