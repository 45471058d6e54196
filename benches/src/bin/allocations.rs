//! What our clients allocate over bare reqwest: a chat call, and a token of a stream.
//! `cargo run --release -p benches --bin allocations`
//!
//! dhat counts, on all threads: `reqwest::blocking` does its work on one of its own, and a counter of
//! this thread would see only half of it. A reallocation counts as an allocation of its new size.
//! `--profile` tells where they come from.

use std::io::Read;

use ai_core::{AsyncClient, CallOptions, ChatRequest, Event, SyncClient};
use benches::{
    Bare, BareBlocking, Figure, MockProcess, Output, PROMPT, Spread, Unit, runtime, serve_if_asked,
};
use clap::Parser;
use dhat::{HeapStats, Profiler};
use futures::StreamExt;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The tokens of two streams, as they come alone and in a burst. Only the difference between the two
/// counts, so that what every stream costs once is not taken for the tokens'. In a burst there are
/// many more: of what a read brings, chance decides.
const ALONE: [u32; 2] = [100, 600];
const BURST: [u32; 2] = [1_000, 21_000];

/// Tokens a second: more than any model has, and few enough for each to be read alone.
const PACE: f64 = 1_000.0;

/// What a chat call and a token of a stream allocate, by our clients and by bare reqwest
///
/// A token is measured as it comes alone, at a pace, and in a burst, where one read brings many.
/// Bare reqwest does not decode what it streams: it is the floor there.
#[derive(Parser)]
struct Arguments {
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// How many calls a measurement is of
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    calls: u32,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
    /// Instead, write to dhat-heap.json where one of them allocates: DHAT's viewer shows it
    #[arg(long, value_name = "ROW", value_parser = ROWS, conflicts_with = "json")]
    profile: Option<String>,
}

const ROWS: [&str; 12] = [
    "async/call",
    "async/token",
    "async/burst",
    "bare-async/call",
    "bare-async/token",
    "bare-async/burst",
    "sync/call",
    "sync/token",
    "sync/burst",
    "bare-sync/call",
    "bare-sync/token",
    "bare-sync/burst",
];

fn main() {
    serve_if_asked(|mock| mock);
    let arguments = Arguments::parse();
    let mock = MockProcess::start().expect("this program can start itself");
    let mut output = Output::new(arguments.json);
    if arguments.profile.is_none() {
        output
            .title("allocations of a chat call, and of a token that is read alone and in a burst");
    }
    let mut contest = Contest {
        arguments,
        mock: &mock,
        output,
    };
    asynchronous(&mut contest);
    blocking(&mut contest);
}

fn asynchronous(contest: &mut Contest) {
    let runtime = runtime();
    let client = AsyncClient::new(contest.mock.config()).expect("a client can be built");
    let call = || {
        let reply = runtime.block_on(client.chat(&request()));
        reply.expect("the mock answers");
    };
    let stream = |tokens: u32| {
        let client = client.with(options(tokens)).expect("a number can be sent");
        runtime.block_on(async {
            let stream = client.chat_stream(&request()).await;
            let mut stream = stream.expect("the mock answers");
            let mut texts = 0;
            while let Some(event) = stream.next().await {
                texts += u32::from(is_text(event));
            }
            assert_eq!(texts, tokens, "the stream comes to its end");
        });
    };
    contest.measure("async", &call, &stream);

    let bare = Bare::new(&contest.mock.base_url);
    let call = || assert!(runtime.block_on(bare.ask()) > 0);
    let http = reqwest::Client::builder().no_proxy().build();
    let http = http.expect("a client can be built");
    let url = format!("{}/chat/completions", contest.mock.base_url);
    let stream = |tokens: u32| {
        let request = http.post(&url).bearer_auth("sk-bench");
        let request = request.header(TOKENS, tokens).json(&body());
        runtime.block_on(async {
            let mut response = request.send().await.expect("the mock answers");
            let mut length = 0;
            while let Some(bytes) = response.chunk().await.expect("no stream breaks") {
                length += bytes.len();
            }
            assert!(length > tokens as usize, "each token has an event");
        });
    };
    contest.measure("bare-async", &call, &stream);
}

fn blocking(contest: &mut Contest) {
    let client = SyncClient::new(contest.mock.config()).expect("a client can be built");
    let call = || {
        client.chat(&request()).expect("the mock answers");
    };
    let stream = |tokens: u32| {
        let client = client.with(options(tokens)).expect("a number can be sent");
        let stream = client.chat_stream(&request()).expect("the mock answers");
        let texts: u32 = stream.map(|event| u32::from(is_text(event))).sum();
        assert_eq!(texts, tokens, "the stream comes to its end");
    };
    contest.measure("sync", &call, &stream);

    let bare = BareBlocking::new(&contest.mock.base_url);
    let call = || assert!(bare.ask() > 0);
    let http = reqwest::blocking::Client::builder().no_proxy().build();
    let http = http.expect("a client can be built");
    let url = format!("{}/chat/completions", contest.mock.base_url);
    let stream = |tokens: u32| {
        let request = http.post(&url).bearer_auth("sk-bench");
        let request = request.header(TOKENS, tokens).json(&body());
        let mut response = request.send().expect("the mock answers");
        // As large as ours.
        let mut buffer = vec![0; 8 * 1024];
        let mut length = 0;
        loop {
            match response.read(&mut buffer).expect("no stream breaks") {
                0 => break,
                read => length += read,
            }
        }
        assert!(length > tokens as usize, "each token has an event");
    };
    contest.measure("bare-sync", &call, &stream);
}

/// The header that tells the mock how many tokens to stream.
const TOKENS: &str = "x-mock-tokens";

fn request() -> ChatRequest {
    ChatRequest::new(ai_core::DEFAULT_MODEL, PROMPT).temperature(0.7)
}

fn options(tokens: u32) -> CallOptions {
    CallOptions::new().header(TOKENS, tokens.to_string())
}

/// What our clients send for a stream.
fn body() -> Value {
    json!({
        "model": ai_core::DEFAULT_MODEL,
        "messages": [{ "role": "user", "content": PROMPT }],
        "temperature": 0.7,
        "stream": true,
        "stream_options": { "include_usage": true },
    })
}

fn is_text(event: Result<Event, ai_core::Error>) -> bool {
    matches!(event.expect("no stream breaks"), Event::Text(_))
}

struct Contest<'a> {
    arguments: Arguments,
    mock: &'a MockProcess,
    output: Output,
}

impl Contest<'_> {
    fn measure(&mut self, who: &str, call: &dyn Fn(), stream: &dyn Fn(u32)) {
        // The first ones grow what stays: the connection, its buffers.
        call();
        stream(ALONE[0]);
        let calls = self.arguments.calls;
        let all = || (0..calls).for_each(|_| call());
        self.row(who, "call", calls, &all, &|| {});
        let cases = [("token", Some(PACE), ALONE), ("burst", None, BURST)];
        for (what, pace, [short, long]) in cases {
            let settings = json!({ "tokens-per-second": pace });
            self.mock.set(&settings).expect("the mock knows this");
            let (more, less) = (|| stream(long), || stream(short));
            self.row(who, what, long - short, &more, &less);
        }
    }

    /// What one of `count` allocates, when `work` has so many more of them than `less`.
    fn row(&mut self, who: &str, what: &str, count: u32, work: &dyn Fn(), less: &dyn Fn()) {
        let id = format!("{who}/{what}");
        if let Some(profile) = &self.arguments.profile {
            if *profile == id {
                let _until_here = Profiler::new_heap();
                work();
            }
            return;
        }
        let runs = (0..self.arguments.runs).map(|_| (allocated(work), allocated(less)));
        let runs: Vec<_> = runs.collect();
        let figure = |name: &str, unit, of: fn(&HeapStats) -> u64| {
            let each = runs
                .iter()
                .map(|(work, less)| (of(work) as f64 - of(less) as f64) / f64::from(count));
            Figure::new(format!("allocations/{id}/{name}"), unit, Spread::of(each))
        };
        self.output.row(&[
            figure("count", Unit::Count, |stats| stats.total_blocks),
            figure("bytes", Unit::Bytes, |stats| stats.total_bytes),
        ]);
    }
}

fn allocated(work: &dyn Fn()) -> HeapStats {
    let _counting = Profiler::builder().testing().build();
    work();
    HeapStats::get()
}
