//! The guide's own figures, once and unscaled: three requests of 3 s, and four services of 0.5, 0.3,
//! 0.7 and 0.4 s, in turn and at once, in both versions.
//! `cargo run --release -p benches --bin guide`
//!
//! The guide says 3x and 2.7x, by adding up sleeps, and gives the credit to async. Threads do as well.

use std::time::{Duration, Instant};

use ai_core::{AsyncClient, SyncClient};
use benches::{Figure, MockProcess, Output, Seen, Unit, runtime, serve_if_asked};
use clap::Parser;
use concurrent_requests::{LIMIT, PROMPTS};
use demo::SERVICES;
use multi_service::{Analysis, Limits, TEXT};
use serde_json::json;

/// How long the guide says one reply takes.
const REPLY: Duration = Duration::from_secs(3);

/// The guide's own figures, once and unscaled; takes half a minute
#[derive(Parser)]
struct Arguments {
    /// Print a line of JSON a figure, and one a timeline
    #[arg(long)]
    json: bool,
}

fn main() {
    serve_if_asked(|mock| {
        let mock = mock.latency(REPLY);
        SERVICES.into_iter().fold(mock, |mock, (service, time)| {
            mock.service_latency(service, time)
        })
    });
    let Arguments { json } = Arguments::parse();
    let mock = MockProcess::start().expect("this program can start itself");
    let sync = SyncClient::new(mock.config()).expect("a client can be built");
    let client = AsyncClient::new(mock.config()).expect("a client can be built");
    let runtime = runtime();
    let mut output = Output::new(json);

    output.title(format_args!("{} requests of {REPLY:?}", PROMPTS.len()));
    let whole = |items: Vec<concurrent_requests::Item>| {
        assert!(items.iter().all(|item| item.result.is_ok()), "all answered");
    };
    let in_turn = time(|| whole(concurrent_requests::in_turn(&sync, &PROMPTS)));
    let at_once = time(|| whole(concurrent_requests::at_once(&sync, &PROMPTS, LIMIT)));
    report(&mut output, "concurrent-requests/sync", in_turn, at_once);
    let all = concurrent_requests::in_turn_async(&client, &PROMPTS);
    let in_turn = time(|| whole(runtime.block_on(all)));
    let all = concurrent_requests::at_once_async(&client, &PROMPTS, LIMIT);
    let at_once = time(|| whole(runtime.block_on(all)));
    report(&mut output, "concurrent-requests/async", in_turn, at_once);

    output.title(format_args!(
        "four services of {:?}",
        SERVICES.map(|(_, time)| time)
    ));
    let limits = Limits::default();
    let measure = |way: &str, work: &dyn Fn() -> Analysis| {
        mock.forget().expect("the mock forgets");
        let time = time(|| whole_analysis(&work()));
        if json {
            let id = format!("guide/multi-service/{way}/timeline");
            println!("{}", json!({ "id": id, "points": timeline(&mock) }));
        }
        time
    };
    let in_turn = measure("sync/in-turn", &|| {
        multi_service::comprehensive_analysis_in_turn(&sync, TEXT, limits)
    });
    let at_once = measure("sync/at-once", &|| {
        multi_service::comprehensive_analysis(&sync, TEXT, limits)
    });
    report(&mut output, "multi-service/sync", in_turn, at_once);
    let in_turn = measure("async/in-turn", &|| {
        let all = multi_service::comprehensive_analysis_in_turn_async(&client, TEXT, limits);
        runtime.block_on(all)
    });
    let at_once = measure("async/at-once", &|| {
        let all = multi_service::comprehensive_analysis_async(&client, TEXT, limits);
        runtime.block_on(all)
    });
    report(&mut output, "multi-service/async", in_turn, at_once);
}

/// When each request came and was answered, in seconds since the first, by the mock's log.
fn timeline(mock: &MockProcess) -> Vec<(f64, f64)> {
    let log = mock.log().expect("the mock tells its log");
    let first = log.iter().map(Seen::arrived).min().unwrap_or_default();
    let since = |time: Duration| (time - first).as_secs_f64();
    let ended = log
        .iter()
        .filter_map(|seen| Some((seen.arrived(), seen.answered()?)));
    ended
        .map(|(start, end)| (since(start), since(end)))
        .collect()
}

fn time(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn whole_analysis(analysis: &Analysis) {
    let Analysis {
        embedding,
        sentiment,
        summary,
        entities,
        ..
    } = analysis;
    let whole = embedding.ok().is_some()
        && sentiment.ok().is_some()
        && summary.ok().is_some()
        && entities.ok().is_some();
    assert!(whole, "every service answers in time: {analysis:?}");
}

fn report(output: &mut Output, what: &str, in_turn: Duration, at_once: Duration) {
    let figure = |name: &str, unit, value| Figure::one(format!("guide/{what}/{name}"), unit, value);
    let speedup = in_turn.div_duration_f64(at_once);
    output.row(&[
        figure("in-turn", Unit::S, in_turn.as_secs_f64()),
        figure("at-once", Unit::S, at_once.as_secs_f64()),
        figure("speedup", Unit::Ratio, speedup),
    ]);
}
