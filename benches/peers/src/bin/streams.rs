//! Streams: our client beside reqwest with eventsource-stream, and async-openai. CPU a token of 200
//! streams at full speed; and how late a token is at the pace of a model.
//! `cargo run --release --bin streams`, from this folder.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use ai_core::{
    AsyncClient, CallOptions, ChatRequest, Config, DEFAULT_MODEL, Event, install_tls_provider,
};
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessageArgs, ChatCompletionStreamOptions,
    CreateChatCompletionRequestArgs,
};
use benches::{
    Figure, MockProcess, Output, PROMPT, Spread, Unit, measure, raise_open_files, runtime,
    serve_if_asked,
};
use clap::Parser;
use eventsource_stream::Eventsource;
use futures::StreamExt;
use futures::future::join_all;
use hdrhistogram::Histogram;
use peers::{all_met, turns};
use serde::Deserialize;
use serde_json::json;

/// At full speed: this many streams of so many tokens.
const STREAMS: usize = 200;
const TOKENS: usize = 500;
/// How often in a measurement, for half a second of work.
const TIMES: usize = 2;
/// How many tokens the server sends in one write, and what that is called. One that writes each by
/// itself is slower than any client here. They pay a read of the socket for nearly each token then,
/// which hides what they do themselves; so that has no targets.
const FULL_SPEED: (usize, &str) = (16, "full-speed");
const ONE_A_WRITE: (usize, &str) = (1, "one-a-write");

const PACED: [Paced; 2] = [
    Paced {
        streams: 1,
        pace: 500,
        tokens: 1_500,
        stretch: 1_500,
        times: 2,
    },
    Paced {
        streams: 200,
        pace: 100,
        tokens: 120,
        stretch: 2_000,
        times: 4,
    },
];

/// Streams at the pace of a model.
#[derive(Clone, Copy)]
struct Paced {
    /// How many at one time.
    streams: usize,
    /// How many tokens a second each has: one stream as many as the fastest services send, since
    /// the p99 of few tokens is chance; many as many as a usual model does.
    pace: usize,
    /// Of how many tokens each.
    tokens: usize,
    /// How many tokens, in the order of their arrival, are a stretch. The delay of a measurement is
    /// that of its median stretch: one stall of 10 ms of a shared machine delays 200 of the 20,000
    /// tokens of a second, and would be the p99 of them all. So would be the start, when all heads
    /// arrive at once.
    stretch: usize,
    /// How often their delay is measured for one measurement of CPU time: it differs more.
    times: usize,
}

/// The time to the first token: over as many milliseconds as there are between two tokens of many
/// streams, so that not all of them have a token at the same moment.
const FIRST_TOKEN: &str = "300ms..310ms";
/// What the mock takes its draws from, beside the seed and how many such requests came before. All
/// name their requests alike: else the bodies would, which the clients don't write to the same byte.
const ITEM: (&str, &str) = ("x-mock-item", "story");

/// What ours may take of the CPU time of a peer at full speed.
const MOST_OF_REQWEST: f64 = 1.0;
const MOST_OF_ASYNC_OPENAI: f64 = 0.7;
/// How many microseconds later than with reqwest the latest token in a hundred may be.
const LATER: f64 = 50.0;

const KEY: &str = "sk-bench";
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

/// CPU and delay of a streamed token: ours, reqwest with eventsource-stream, async-openai
#[derive(Parser)]
struct Arguments {
    /// How often each is measured, in turn with the others; delays two and four times as often
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
    /// Fail when a target is missed
    #[arg(long)]
    check: bool,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    raise_open_files();
    // The server of a model has a machine of its own. Where a client and it are put on one core, as
    // Linux does with those that wake each other, a token waits for its turn there.
    serve_if_asked(|mock| {
        stay_on_core(1);
        mock
    });
    let arguments = Arguments::parse();
    let pairs = usize::from(arguments.pairs);
    let mock = MockProcess::start().expect("this program can start itself");
    stay_on_core(0);
    let mut output = Output::new(arguments.json);
    let contestants = [
        contestant::<AsyncClient>(&mock),
        contestant::<Reqwest>(&mock),
        contestant::<AsyncOpenAi>(&mock),
    ];
    let fast = [FULL_SPEED, ONE_A_WRITE]
        .map(|writes| full_speed(&mut output, &mock, pairs, &contestants, writes));
    let paced = PACED.map(|streams| how_late(&mut output, &mock, pairs, &contestants, streams));
    let targets = [&fast[0][..], &paced].concat();
    if arguments.check && !all_met(&targets) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Keeps this thread, and those that it will start, on that core, if there is such a one.
fn stay_on_core(core: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(core) = cores.get(core) {
        core_affinity::set_for_current(*core);
    }
}

/// What was measured, and whether it is as it should be.
type Target = (String, bool);

/// CPU a token when there is always one to read.
fn full_speed(
    output: &mut Output,
    mock: &MockProcess,
    pairs: usize,
    contestants: &[Contestant; 3],
    (per_write, part): (usize, &str),
) -> [Target; 2] {
    output.title(format_args!(
        "CPU a token, {STREAMS} streams of {TOKENS} tokens at full speed, {per_write} a write; median of {pairs}"
    ));
    let settings = json!({
        "answer-tokens": TOKENS, "tokens-per-write": per_write,
        "tokens-per-second": null, "first-token": null, "stamp-tokens": false,
    });
    mock.set(&settings).expect("the mock knows these settings");
    let costs = in_turn(pairs, contestants, |_, contestant| {
        let texts = Cell::new(0);
        let count = |_| texts.set(texts.get() + 1);
        let cost = measure(|| (0..TIMES).for_each(|_| (contestant.read)(STREAMS, &count)));
        assert_eq!(texts.get(), TIMES * STREAMS * TOKENS, "every token arrives");
        cost.cpu.as_secs_f64() * 1e6 / texts.get() as f64
    });
    for (contestant, costs) in contestants.iter().zip(&costs) {
        let id = format!("peers/streams/{part}/{}/cpu", contestant.name);
        output.row(&[Figure::new(id, Unit::Us, Spread::of(costs.iter().copied()))]);
    }
    let mut target = |peer: usize, most: f64| {
        let (name, costs) = (contestants[peer].name, costs[0].iter().zip(&costs[peer]));
        let ratio = Spread::of(costs.map(|(ours, peer)| ours / peer));
        let id = format!("peers/streams/{part}/{name}/ratio");
        output.row(&[Figure::new(id, Unit::Ratio, ratio)]);
        let ratio = ratio.median;
        let target = format!(
            "at {part} ours takes {ratio:.3} of the CPU time of {name}, and may take {most}"
        );
        (target, ratio <= most)
    };
    [target(1, MOST_OF_REQWEST), target(2, MOST_OF_ASYNC_OPENAI)]
}

/// How late a token is: from its write at the server until the program has it.
fn how_late(
    output: &mut Output,
    mock: &MockProcess,
    pairs: usize,
    contestants: &[Contestant; 3],
    Paced {
        streams,
        pace,
        tokens,
        stretch,
        times,
    }: Paced,
) -> Target {
    let pairs = pairs * times;
    output.title(format_args!(
        "how late a token is, {streams} at one time with {pace} tokens a second each: in the median stretch of {stretch} tokens; median of {pairs}"
    ));
    let settings = json!({
        "answer-tokens": tokens, "tokens-per-write": 1,
        "tokens-per-second": pace, "first-token": FIRST_TOKEN, "stamp-tokens": true,
    });
    mock.set(&settings).expect("the mock knows these settings");
    let delays = in_turn(pairs, contestants, |round, contestant| {
        // Which streams have their tokens in the same millisecond is drawn with the first token, and
        // makes more of the p99 than any client. So a round has one draw for all.
        mock.forget().expect("the mock is there");
        let draw = mock.set(&json!({"seed": round}));
        draw.expect("the mock knows this setting");
        let delays = RefCell::new(Vec::with_capacity(streams * tokens));
        let record = |stamp: String| delays.borrow_mut().push(since(&stamp));
        let cost = measure(|| (contestant.read)(streams, &record));
        let delays = delays.into_inner();
        assert_eq!(delays.len(), streams * tokens, "every token arrives");
        let median_of = |quantile| {
            let stretches = delays.chunks(stretch);
            Spread::of(stretches.map(|stretch| micros_at(quantile, stretch))).median
        };
        Delay {
            p50: median_of(0.5),
            p99: median_of(0.99),
            cpu: cost.cpu.as_secs_f64() * 1e6 / delays.len() as f64,
        }
    });
    for (contestant, delays) in contestants.iter().zip(&delays) {
        let figure = |what, of: fn(&Delay) -> f64| {
            let id = format!("peers/streams/{streams}/{}/{what}", contestant.name);
            Figure::new(id, Unit::Us, Spread::of(delays.iter().map(of)))
        };
        output.row(&[
            figure("delay-p50", |delay| delay.p50),
            figure("delay-p99", |delay| delay.p99),
            figure("cpu", |delay| delay.cpu),
        ]);
    }
    let pairs = delays[0].iter().zip(&delays[1]);
    let later = Spread::of(pairs.map(|(ours, reqwest)| ours.p99 - reqwest.p99));
    let id = format!("peers/streams/{streams}/reqwest/delay-p99-more");
    output.row(&[Figure::new(id, Unit::Us, later)]);
    let later = later.median;
    let target = format!(
        "of {streams} streams, the p99 of the delay is {later:.0} us more than reqwest's, and may be {LATER} us more"
    );
    (target, later <= LATER)
}

/// In microseconds.
struct Delay {
    p50: f64,
    p99: f64,
    cpu: f64,
}

/// The delay that this share of the tokens does not pass, in microseconds.
fn micros_at(quantile: f64, delays: &[Duration]) -> f64 {
    let mut histogram = Histogram::<u32>::new_with_max(SILENCE.as_nanos() as u64, 3)
        .expect("three digits are allowed");
    for delay in delays {
        histogram.saturating_record(delay.as_nanos() as u64);
    }
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

/// How long ago that was, in nanoseconds since 1970. The server is on this machine, so it has the
/// same clock.
fn since(stamp: &str) -> Duration {
    let written = Duration::from_nanos(stamp.parse().expect("each token is a time"));
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    now.saturating_sub(written)
}

/// Measures the contestants in turn, so many times, after a first time to open the connections.
fn in_turn<T>(
    rounds: usize,
    contestants: &[Contestant; 3],
    measurement: impl Fn(usize, &Contestant) -> T,
) -> [Vec<T>; 3] {
    let mut measured = [const { Vec::new() }; 3];
    for round in 0..=rounds {
        for who in turns(round, contestants.len()) {
            let one = measurement(round, &contestants[who]);
            if round > 0 {
                measured[who].push(one);
            }
        }
    }
    measured
}

/// Reads so many streams at one time, and hands the text of each token on.
type Read = dyn Fn(usize, &dyn Fn(String));

/// Somebody who is compared.
struct Contestant {
    name: &'static str,
    read: Box<Read>,
}

fn contestant<C: Streaming + 'static>(mock: &MockProcess) -> Contestant {
    // A connection lives on the runtime that opened it, so each contestant keeps one of its own.
    let (runtime, client) = (runtime(), C::new(&mock.base_url));
    let read = move |streams, token: &dyn Fn(String)| {
        runtime.block_on(join_all((0..streams).map(|_| client.read(token))));
    };
    Contestant {
        name: C::NAME,
        read: Box::new(read),
    }
}

/// A client that reads a stream.
trait Streaming {
    /// As it is called in figures.
    const NAME: &str;

    fn new(base_url: &str) -> Self;

    /// Asks for [`PROMPT`], with the usage, and hands on the text of each token.
    async fn read(&self, token: &dyn Fn(String));
}

/// Ours. Beside what the others do, it bounds what it holds, tells `tracing`, keeps the model, and
/// can't take a stream that was cut for a whole one.
impl Streaming for AsyncClient {
    const NAME: &str = "ours";

    fn new(base_url: &str) -> AsyncClient {
        let config = Config::new(base_url, KEY).expect("the mock's URL is valid");
        let client = AsyncClient::new(config).expect("a client can be built");
        let named = client.with(CallOptions::new().header(ITEM.0, ITEM.1));
        named.expect("it is a header")
    }

    async fn read(&self, token: &dyn Fn(String)) {
        let request = ChatRequest::new(DEFAULT_MODEL, PROMPT);
        let stream = self.chat_stream(&request).await;
        let mut stream = pin!(stream.expect("the mock answers"));
        while let Some(event) = stream.next().await {
            if let Event::Text(text) = event.expect("no stream breaks") {
                token(text);
            }
        }
    }
}

/// reqwest, with eventsource-stream as its documentation shows it, and what is read of a chunk.
struct Reqwest {
    http: reqwest::Client,
    url: String,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Chunk {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Choice {
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Streaming for Reqwest {
    const NAME: &str = "reqwest";

    fn new(base_url: &str) -> Reqwest {
        install_tls_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .no_proxy();
        Reqwest {
            http: http.build().expect("a client can be built"),
            url: format!("{base_url}/chat/completions"),
        }
    }

    async fn read(&self, token: &dyn Fn(String)) {
        let request = json!({
            "model": DEFAULT_MODEL,
            "messages": [{"role": "user", "content": PROMPT}],
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        let http = self.http.post(&self.url).bearer_auth(KEY);
        let request = http.header(ITEM.0, ITEM.1).json(&request);
        let response = request
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        let mut events = response
            .expect("the mock answers")
            .bytes_stream()
            .eventsource();
        while let Some(event) = events.next().await {
            let event = event.expect("no stream breaks");
            if event.data == "[DONE]" {
                break;
            }
            let chunk: Chunk = serde_json::from_str(&event.data).expect("it is a chunk");
            let texts = chunk
                .choices
                .into_iter()
                .filter_map(|choice| choice.delta.content);
            texts.filter(|text| !text.is_empty()).for_each(token);
        }
    }
}

/// async-openai, which is built on reqwest and eventsource-stream, as its documentation shows it. It
/// decodes in a task and into a channel without a bound, whether anybody reads or not; it decodes
/// every field there is, and has no limit on silence.
struct AsyncOpenAi(async_openai::Client<OpenAIConfig>);

impl Streaming for AsyncOpenAi {
    const NAME: &str = "async-openai";

    fn new(base_url: &str) -> AsyncOpenAi {
        install_tls_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .no_proxy();
        let config = OpenAIConfig::new()
            .with_api_base(base_url)
            .with_api_key(KEY)
            .with_header(ITEM.0, ITEM.1)
            .expect("it is a header");
        let http = http.build().expect("a client can be built");
        AsyncOpenAi(async_openai::Client::build(http, config))
    }

    async fn read(&self, token: &dyn Fn(String)) {
        let message = ChatCompletionRequestUserMessageArgs::default()
            .content(PROMPT)
            .build()
            .expect("nothing is missing");
        let request = CreateChatCompletionRequestArgs::default()
            .model(DEFAULT_MODEL)
            .messages([message.into()])
            .stream_options(ChatCompletionStreamOptions {
                include_usage: Some(true),
                include_obfuscation: None,
            })
            .build()
            .expect("nothing is missing");
        let stream = self.0.chat().create_stream(request).await;
        let mut stream = stream.expect("the mock answers");
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.expect("no stream breaks");
            let texts = chunk
                .choices
                .into_iter()
                .filter_map(|choice| choice.delta.content);
            texts.filter(|text| !text.is_empty()).for_each(token);
        }
    }
}
