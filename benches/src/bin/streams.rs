//! What a program that reads streams feels, and what it takes: time to the first token, how late a
//! token is, CPU a token; with a thread a stream, and with one thread for all of them.
//! `cargo run --release -p benches --bin streams`

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ai_core::{AsyncClient, ChatRequest, DEFAULT_MODEL, Event, SyncClient};
use benches::{
    Figure, MockProcess, Output, PROMPT, Spread, Unit, measure, raise_open_files, runtime,
    serve_if_asked,
};
use clap::Parser;
use futures::StreamExt;
use futures::future::join_all;
use hdrhistogram::Histogram;
use serde_json::json;

/// How many streams there are at one time.
const STREAMS: [usize; 3] = [1, 200, 1_000];
/// The open files there have to be beside a stream's own.
const OTHER_FILES: u64 = 64;

/// A model's pace: the time to its first token in milliseconds, its tokens a second, and how many a
/// stream has.
const FIRST_TOKEN: u64 = 300;
const PACE: usize = 50;
const PACED_TOKENS: usize = 75;

/// At full speed: how many tokens all streams have together, and how many the server sends in one
/// write. One by one it would be slower than those who read.
const TOKENS: usize = 100_000;
const PER_WRITE: usize = 16;

/// No stream goes on for as long as this.
const LONGEST: Duration = Duration::from_secs(60);

/// Time to the first token, delay of a token and CPU a token, of 1 to 1,000 streams at one time
#[derive(Parser)]
struct Arguments {
    /// How often each is measured, the two versions in turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
}

fn main() {
    let open_files = raise_open_files();
    serve_if_asked(|mock| mock);
    let arguments = Arguments::parse();
    let runs = usize::from(arguments.runs);
    let mock = MockProcess::start().expect("this program can start itself");
    let mut output = Output::new(arguments.json);
    let streams = STREAMS.into_iter().filter(|streams| {
        let allowed = *streams as u64 + OTHER_FILES <= open_files;
        if !allowed {
            eprintln!(
                "{streams} streams left out: a process may open {open_files} files here (ulimit -Hn), \
                 and each stream needs one"
            );
        }
        allowed
    });
    let streams: Vec<usize> = streams.collect();

    output.title(format_args!(
        "streams of {PACE} tokens a second, the first after {FIRST_TOKEN} ms; median of {runs} runs"
    ));
    let settings = json!({
        "answer-tokens": PACED_TOKENS, "first-token": format!("{FIRST_TOKEN}ms"),
        "tokens-per-second": PACE, "stamp-tokens": true,
    });
    mock.set(&settings).expect("the mock knows these settings");
    for streams in &streams {
        paced(&mut output, &mock, runs, *streams);
    }

    output.title(format_args!(
        "CPU a token at full speed, {TOKENS} tokens in all; median of {runs} runs"
    ));
    for streams in &streams {
        let settings = json!({
            "answer-tokens": TOKENS / streams, "tokens-per-write": PER_WRITE,
            "first-token": null, "tokens-per-second": null, "stamp-tokens": false,
        });
        mock.set(&settings).expect("the mock knows these settings");
        full_speed(&mut output, &mock, runs, *streams);
    }
}

fn paced(output: &mut Output, mock: &MockProcess, runs: usize, streams: usize) {
    let measured = in_turn(runs, |version| {
        // A new client each time, so that the time to the first token includes a new connection.
        let client = Client::new(version, mock);
        client.warm_up();
        let mut seen = Vec::new();
        let cost = measure(|| seen = client.read(streams, true));
        let [mut first, mut delay] = [histogram(), histogram()];
        for stream in &seen {
            first.saturating_record(stream.first.as_nanos() as u64);
            let delays = stream.delays.iter();
            delays.for_each(|one| delay.saturating_record(one.as_nanos() as u64));
        }
        let tokens = streams * PACED_TOKENS;
        assert_eq!(delay.len(), tokens as u64, "every token arrives");
        [
            first.value_at_quantile(0.5) as f64 / 1e6,
            first.value_at_quantile(0.99) as f64 / 1e6,
            delay.value_at_quantile(0.5) as f64 / 1e3,
            delay.value_at_quantile(0.99) as f64 / 1e3,
            cost.cpu.as_secs_f64() * 1e6 / tokens as f64,
        ]
    });
    let columns = [
        ("ttft-p50", Unit::Ms),
        ("ttft-p99", Unit::Ms),
        ("delay-p50", Unit::Us),
        ("delay-p99", Unit::Us),
        ("cpu", Unit::Us),
    ];
    report(output, streams, columns, &measured);
}

fn full_speed(output: &mut Output, mock: &MockProcess, runs: usize, streams: usize) {
    let clients = VERSIONS.map(|version| Client::new(version, mock));
    let read = |version| {
        let client = &clients[version as usize];
        let seen = client.read(streams, false);
        let tokens: usize = seen.iter().map(|stream| stream.tokens).sum();
        assert_eq!(tokens, TOKENS / streams * streams, "every token arrives");
        tokens
    };
    // The connections are opened before the clock starts.
    for version in VERSIONS {
        read(version);
    }
    let measured = in_turn(runs, |version| {
        let mut tokens = 0;
        let cost = measure(|| tokens = read(version));
        [cost.cpu.as_secs_f64() * 1e6 / tokens as f64]
    });
    report(output, streams, [("cpu-full-speed", Unit::Us)], &measured);
}

/// Measures both versions, so many times; who begins changes.
fn in_turn<T>(runs: usize, measurement: impl Fn(Version) -> T) -> [Vec<T>; 2] {
    let mut measured = [Vec::new(), Vec::new()];
    for run in 0..runs {
        let [one, other] = VERSIONS;
        let order = if run % 2 == 0 {
            [one, other]
        } else {
            [other, one]
        };
        for version in order {
            measured[version as usize].push(measurement(version));
        }
    }
    measured
}

fn report<const N: usize>(
    output: &mut Output,
    streams: usize,
    columns: [(&str, Unit); N],
    measured: &[Vec<[f64; N]>; 2],
) {
    for (name, runs) in ["sync", "async"].into_iter().zip(measured) {
        let figures = columns.iter().enumerate().map(|(column, (what, unit))| {
            let id = format!("streams/{name}/{streams}/{what}");
            Figure::new(id, *unit, Spread::of(runs.iter().map(|run| run[column])))
        });
        output.row(&figures.collect::<Vec<_>>());
    }
}

/// Of nanoseconds, to three digits.
fn histogram() -> Histogram<u32> {
    Histogram::new_with_max(LONGEST.as_nanos() as u64, 3).expect("three digits are allowed")
}

/// How streams are read.
#[derive(Clone, Copy)]
enum Version {
    /// A thread a stream.
    Sync,
    /// One thread, one task for all of them.
    Async,
}

const VERSIONS: [Version; 2] = [Version::Sync, Version::Async];

enum Client {
    Sync(SyncClient),
    Async(tokio::runtime::Runtime, AsyncClient),
}

impl Client {
    fn new(version: Version, mock: &MockProcess) -> Client {
        let config = mock.config();
        match version {
            Version::Sync => Client::Sync(SyncClient::new(config).expect("a client can be built")),
            Version::Async => {
                let client = AsyncClient::new(config).expect("a client can be built");
                Client::Async(runtime(), client)
            }
        }
    }

    /// Makes one call, which is answered at once.
    fn warm_up(&self) {
        let text = match self {
            Client::Sync(client) => client.generate_text(PROMPT),
            Client::Async(runtime, client) => runtime.block_on(client.generate_text(PROMPT)),
        };
        text.expect("the mock answers");
    }

    /// Reads so many streams at one time to their end. The texts are stamps, or not.
    fn read(&self, streams: usize, stamps: bool) -> Vec<Seen> {
        match self {
            Client::Sync(client) => thread::scope(|scope| {
                let read = || read(client, stamps);
                let readers: Vec<_> = (0..streams).map(|_| scope.spawn(read)).collect();
                let seen = readers.into_iter().map(|reader| reader.join());
                seen.map(|seen| seen.expect("no stream breaks")).collect()
            }),
            Client::Async(runtime, client) => {
                let readers = (0..streams).map(|_| read_async(client, stamps));
                runtime.block_on(join_all(readers))
            }
        }
    }
}

fn read(client: &SyncClient, stamps: bool) -> Seen {
    let mut seen = Seen::new(stamps);
    let stream = client.chat_stream(&request()).expect("the mock answers");
    for event in stream {
        seen.take(&event.expect("no stream breaks"));
    }
    seen
}

async fn read_async(client: &AsyncClient, stamps: bool) -> Seen {
    let mut seen = Seen::new(stamps);
    let stream = client.chat_stream(&request()).await;
    let mut stream = stream.expect("the mock answers");
    while let Some(event) = stream.next().await {
        seen.take(&event.expect("no stream breaks"));
    }
    seen
}

fn request() -> ChatRequest {
    ChatRequest::new(DEFAULT_MODEL, PROMPT)
}

/// What a stream has given so far.
struct Seen {
    asked: Instant,
    tokens: usize,
    /// How long after asking the first token was there.
    first: Duration,
    /// Whether the texts are times, and how late each was.
    stamps: bool,
    delays: Vec<Duration>,
}

impl Seen {
    fn new(stamps: bool) -> Seen {
        Seen {
            asked: Instant::now(),
            tokens: 0,
            first: Duration::ZERO,
            stamps,
            delays: Vec::new(),
        }
    }

    fn take(&mut self, event: &Event) {
        let Event::Text(text) = event else {
            return;
        };
        if self.tokens == 0 {
            self.first = self.asked.elapsed();
        }
        self.tokens += 1;
        if self.stamps {
            // When it was written. The server is on this machine, so it has the same clock.
            let written = Duration::from_nanos(text.parse().expect("each token is a time"));
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            self.delays.push(now.saturating_sub(written));
        }
    }
}
