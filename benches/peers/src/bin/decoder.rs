//! Our decoders beside others, in memory: server-sent events from bytes that were cut in several
//! ways, and on to what a program gets. In thread CPU time; nothing here waits.
//! `cargo run --release --bin decoder`, from this folder.

use std::convert::Infallible;
use std::fmt::Display;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use ai_core::protocol::sse::SseDecoder;
use ai_core::protocol::stream::{Event, FinishPolicy, StreamDecoder};
use async_openai::types::chat::CreateChatCompletionStreamResponse;
use benches::{Figure, Output, Spread, Unit};
use clap::Parser;
use cpu_time::ThreadTime;
use eventsource_stream::Eventsource;
use futures::executor::block_on;
use futures::{Stream, StreamExt, stream};
use peers::{all_met, turns};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sse_stream::SseByteStream;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How much each measurement takes at least: the input is read as often as that needs.
const LEAST: Duration = Duration::from_millis(500);
/// How much more a byte of the slowest length of event may cost than one of the fastest, in proportion
/// to what a mere copy of it costs: memory beyond the cache is slower for everybody.
const FLAT: f64 = 1.5;
/// What our decoders may hold of one event.
const LIMIT: usize = 16 * MIB;

/// Something that is measured: its name, and what measures it.
type Part = (&'static str, fn(&mut Report));

const PARTS: [Part; 5] = [
    ("random-cuts", random_cuts),
    ("one-event", one_event),
    ("one-byte", one_byte),
    ("long", long),
    ("json", json),
];

/// Our decoders beside eventsource-stream, sse-stream and async-openai, in memory
#[derive(Parser)]
struct Arguments {
    /// Measure this part only
    #[arg(value_parser = PARTS.map(|(name, _)| name))]
    part: Option<String>,
    /// How often each is measured, in turn with the others
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
    let arguments = Arguments::parse();
    let mut report = Report {
        output: Output::new(arguments.json),
        pairs: arguments.pairs.into(),
        targets: Vec::new(),
    };
    for (name, part) in PARTS {
        if arguments.part.as_deref().is_none_or(|only| only == name) {
            part(&mut report);
        }
    }
    if arguments.check && !all_met(&report.targets) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

const SSE: [Contestant; 4] = [
    ("ours", ours),
    ("eventsource-stream", eventsource),
    ("sse-stream", sse),
    ("memchr", newlines),
];

/// As a busy connection delivers it: several events at once, the last one in part.
fn random_cuts(report: &mut Report) {
    let body = Body::of_chunks(64 * MIB);
    let input = body.cut_at_random();
    report.title(format_args!("{body}, in pieces of 1 B to 16 KiB"));
    let costs = in_turn(&SSE.map(|who| (who, &input)), report.pairs);
    report.throughput("random-cuts", &input, &costs);
    report.at_least(
        1.15,
        "random-cuts",
        "sse-stream",
        &faster(&costs[0], &costs[2]),
    );
    report.at_least(
        9.0,
        "random-cuts",
        "eventsource-stream",
        &faster(&costs[0], &costs[1]),
    );
}

/// As a model at its pace delivers it.
fn one_event(report: &mut Report) {
    let body = Body::of_chunks(64 * MIB);
    let input = body.cut_after_each_event();
    report.title(format_args!("{body}, an event a piece"));
    let costs = in_turn(&SSE.map(|who| (who, &input)), report.pairs);
    report.throughput("one-event", &input, &costs);
}

/// The worst cut there is.
fn one_byte(report: &mut Report) {
    // It is small so that the list of its pieces, 16 bytes for each byte, stays in the cache.
    let body = Body::of_chunks(64 * KIB);
    let input = body.cut_each(1);
    report.title(format_args!("{body}, in pieces of 1 B"));
    let costs = in_turn(
        &[SSE[0], SSE[1], SSE[2]].map(|who| (who, &input)),
        report.pairs,
    );
    report.a_byte("one-byte", &input, &costs);
    report.at_most(0.6, "one-byte", "sse-stream", &ratios(&costs[0], &costs[2]));
}

/// One event as long as a picture in base64, which must not take quadratic time.
fn long(report: &mut Report) {
    let bodies = [64 * KIB, MIB, 4 * MIB].map(Body::of_one_event);
    let [small, middle, large] = bodies.each_ref().map(|body| body.cut_each(KIB));
    report.title("one event of 64 KiB, 1 MiB and 4 MiB, in pieces of 1 KiB");
    let [ours, eventsource, sse, _] = SSE;
    let entries = [
        (ours, &small),
        (eventsource, &small),
        (sse, &small),
        (COPY, &small),
        (ours, &middle),
        (eventsource, &middle),
        (sse, &middle),
        (COPY, &middle),
        (ours, &large),
        // Without eventsource-stream, which takes 7 s for this one: it is quadratic.
        (sse, &large),
        (COPY, &large),
    ];
    let costs = in_turn(&entries, report.pairs);
    let lengths = [&costs[..4], &costs[4..8], &costs[8..]];
    report.a_byte("long-64-kib", &small, lengths[0]);
    report.a_byte("long-1-mib", &middle, lengths[1]);
    report.a_byte("long-4-mib", &large, lengths[2]);
    let flat = |who: Contestant| {
        let rounds = (0..report.pairs).map(|round| {
            let to_copy = lengths.map(|costs| {
                let [who, copy] = [who, COPY].map(|(name, _)| {
                    let mut costs = costs.iter();
                    let costs = costs.find(|costs| costs.who == name);
                    costs.expect("it was measured at each length").each[round]
                });
                who / copy
            });
            to_copy.into_iter().fold(f64::MIN, f64::max)
                / to_copy.into_iter().fold(f64::MAX, f64::min)
        });
        Spread::of(rounds)
    };
    let (ours, sse) = (flat(ours), flat(sse));
    report.ratio("long/ours/slowest-to-fastest", ours);
    report.ratio("long/sse-stream/slowest-to-fastest", sse);
    let ours = ours.median;
    let what = format!(
        "long: a byte of the slowest length costs {ours:.2} times one of the fastest, in proportion to a copy, and may cost {FLAT}"
    );
    report.targets.push((what, ours <= FLAT));
}

/// From bytes to what a program gets: our [`Event`], async-openai's chunk.
fn json(report: &mut Report) {
    let body = Body::of_chunks(64 * MIB);
    let input = body.cut_at_random().counted_as(body.texts);
    report.title(format_args!(
        "{body}, in pieces of 1 B to 16 KiB, and their JSON"
    ));
    let contestants: [Contestant; 2] = [("ours", our_events), ("async-openai", their_chunks)];
    let costs = in_turn(&contestants.map(|who| (who, &input)), report.pairs);
    report.rows(
        "json",
        &costs,
        &[
            ("gb-a-second", &|cost| input.length as f64 / cost),
            ("ns-an-event", &|cost| cost / input.events as f64),
        ],
    );
    let ratios = ratios(&costs[0], &costs[1]);
    report.ratio("json/async-openai/ratio", ratios);
    report.at_most(0.45, "json", "async-openai", &ratios);
}

/// What there was in a body, by which contestants show that they did the same work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    events: usize,
    bytes: usize,
}

impl Counted {
    fn add(&mut self, text: &str) {
        self.events += 1;
        self.bytes += black_box(text).len();
    }
}

/// Its name, and how it counts the events in the pieces of a body.
type Contestant = (&'static str, fn(&[&[u8]]) -> Counted);

/// The whole grammar; what it hands out is borrowed wherever it can be. It replaces what is no
/// UTF-8, and sets a limit to what it holds.
fn ours(pieces: &[&[u8]]) -> Counted {
    let mut decoder = SseDecoder::new(LIMIT);
    let mut counted = Counted::default();
    for mut piece in pieces.iter().copied() {
        while let Some(event) = decoder.next(&mut piece).expect("no event is too large") {
            counted.add(&event.data);
        }
    }
    counted
}

/// Hands out strings of its own, and an error for what is no UTF-8. It sets no limit.
fn eventsource(pieces: &[&[u8]]) -> Counted {
    let mut events = body(pieces).eventsource();
    let mut counted = Counted::default();
    block_on(async {
        while let Some(event) = events.next().await {
            counted.add(&event.expect("the body is well-formed").data);
        }
    });
    counted
}

/// As `eventsource-stream` in what it hands out. An id does not last beyond its event here.
fn sse(pieces: &[&[u8]]) -> Counted {
    let mut events = SseByteStream::new(body(pieces));
    let mut counted = Counted::default();
    block_on(async {
        while let Some(event) = events.next().await {
            let event = event.expect("the body is well-formed");
            counted.add(&event.data.expect("each event has data"));
        }
    });
    counted
}

/// No decoder, but what each has to do at least: find the line ends. What it counts holds for events
/// of one line alone.
fn newlines(pieces: &[&[u8]]) -> Counted {
    let lines: usize = pieces
        .iter()
        .map(|piece| memchr::memchr_iter(b'\n', piece).count())
        .sum();
    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    let events = lines / 2;
    Counted {
        events,
        bytes: bytes - events * "data: \n\n".len(),
    }
}

const COPY: Contestant = ("copy", copy);

/// No decoder, but what each has to do at least with an event in many pieces: look for line ends, put
/// the pieces together, and check that they are text.
fn copy(pieces: &[&[u8]]) -> Counted {
    let (mut whole, mut lines) = (Vec::new(), 0);
    for piece in pieces {
        lines += memchr::memchr2_iter(b'\n', b'\r', piece).count();
        whole.extend_from_slice(piece);
    }
    assert_eq!(lines, 2, "it is one event");
    let text = str::from_utf8(&whole).expect("the body is well-formed");
    let mut counted = Counted::default();
    counted.add(&text["data: ".len()..text.len() - "\n\n".len()]);
    counted
}

fn our_events(pieces: &[&[u8]]) -> Counted {
    let mut decoder = StreamDecoder::new(LIMIT, FinishPolicy::Required);
    let mut counted = Counted::default();
    for piece in pieces {
        decoder.push(piece);
        while let Some(event) = decoder.next() {
            if let Event::Text(text) = event.expect("the answer is whole") {
                counted.add(&text);
            }
        }
    }
    assert!(decoder.is_done(), "the body ends with [DONE]");
    counted
}

/// What async-openai does with the bytes of a stream, as its `client.rs` has it. It does so in a task,
/// and hands the chunks out through a channel, which is left out here.
fn their_chunks(pieces: &[&[u8]]) -> Counted {
    let mut events = body(pieces).eventsource();
    let mut counted = Counted::default();
    block_on(async {
        while let Some(event) = events.next().await {
            let event = event.expect("the body is well-formed");
            if event.data == "[DONE]" {
                break;
            }
            let chunk = serde_json::from_str::<CreateChatCompletionStreamResponse>(&event.data);
            let chunk = black_box(chunk.expect("it is a chunk"));
            let texts = chunk
                .choices
                .into_iter()
                .filter_map(|choice| choice.delta.content);
            texts.for_each(|text| counted.add(&text));
        }
    });
    counted
}

/// Pieces as the body of a response gives them, but never to be waited for.
fn body<'a>(pieces: &'a [&'a [u8]]) -> impl Stream<Item = Result<&'a [u8], Infallible>> + Unpin {
    stream::iter(pieces.iter().copied().map(Ok))
}

/// The body of a streamed answer.
struct Body {
    bytes: Vec<u8>,
    /// Where each event ends.
    ends: Vec<usize>,
    /// What an SSE decoder finds in it.
    data: Counted,
    /// What is left of that when the JSON is decoded.
    texts: Counted,
    /// How many events have an escape in their JSON.
    escapes: usize,
}

/// A body as it was cut, and what is to be found in it.
struct Input<'a> {
    pieces: Vec<&'a [u8]>,
    length: usize,
    events: usize,
    expected: Counted,
}

/// Words with an escape in JSON: every tenth token is one of them, and a decoder can't hand it out as
/// it came. Of a model that writes lists and code it is at least every twelfth.
const ESCAPED: [&str; 4] = ["\n", "\n\n", " \"", "\\"];
const WORDS: [&str; 12] = [
    " the",
    " quantum",
    " of",
    " computer",
    ",",
    " superposition",
    " is",
    " caf\u{e9}",
    ".",
    " and",
    " qubits",
    " \u{91cf}\u{5b50}",
];

impl Body {
    /// Chunks as OpenAI sends them, to at least so many bytes, and `[DONE]`.
    fn of_chunks(length: usize) -> Body {
        let mut random = StdRng::seed_from_u64(1);
        let mut body = Body::empty();
        while body.bytes.len() < length {
            let escaped = body.texts.events.is_multiple_of(10);
            let words = if escaped { &ESCAPED[..] } else { &WORDS };
            let word = words.choose(&mut random).expect("there are words");
            body.escapes += usize::from(escaped);
            body.texts.add(word);
            let word = serde_json::to_string(word).expect("text is JSON");
            body.push(&chunk(&format!(r#"{{"content":{word}}}"#), "null"));
        }
        body.push(&chunk("{}", r#""stop""#));
        body.push("[DONE]");
        body
    }

    /// One event with so many bytes of data.
    fn of_one_event(length: usize) -> Body {
        let mut body = Body::empty();
        body.push(&"x".repeat(length));
        body
    }

    fn empty() -> Body {
        Body {
            bytes: Vec::new(),
            ends: Vec::new(),
            data: Counted::default(),
            texts: Counted::default(),
            escapes: 0,
        }
    }

    fn push(&mut self, data: &str) {
        self.data.add(data);
        self.bytes
            .extend_from_slice(format!("data: {data}\n\n").as_bytes());
        self.ends.push(self.bytes.len());
    }

    fn cut_at_random(&self) -> Input<'_> {
        let mut random = StdRng::seed_from_u64(2);
        let mut pieces = Vec::new();
        let mut rest = &self.bytes[..];
        while !rest.is_empty() {
            let length = random.random_range(1..=16 * KIB).min(rest.len());
            let (piece, after) = rest.split_at(length);
            pieces.push(piece);
            rest = after;
        }
        self.input(pieces)
    }

    fn cut_after_each_event(&self) -> Input<'_> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let events = starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end]);
        self.input(events.collect())
    }

    fn cut_each(&self, length: usize) -> Input<'_> {
        self.input(self.bytes.chunks(length).collect())
    }

    fn input<'a>(&'a self, pieces: Vec<&'a [u8]>) -> Input<'a> {
        Input {
            pieces,
            length: self.bytes.len(),
            events: self.data.events,
            expected: self.data,
        }
    }
}

impl Display for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (length, events) = (self.bytes.len(), self.data.events);
        let escapes = 100.0 * self.escapes as f64 / events as f64;
        write!(
            f,
            "{} KiB, {events} events of {} B, {escapes:.1} % with an escape",
            length / KIB,
            length / events
        )
    }
}

impl Input<'_> {
    /// For those who find something else than the data of the events.
    fn counted_as(self, expected: Counted) -> Self {
        Input { expected, ..self }
    }
}

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-CAo7tNQxKqXl2bFzTtW9sYvUe4RmJ","object":"chat.completion.chunk","created":1764072000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_560af6e559","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}"#
    )
}

/// What a pass over its input took a contestant, in nanoseconds, time after time.
struct Costs {
    who: &'static str,
    each: Vec<f64>,
}

/// Measures the contestants in turn, so many times.
fn in_turn(entries: &[(Contestant, &Input)], rounds: usize) -> Vec<Costs> {
    let mut costs: Vec<_> = entries
        .iter()
        .map(|((who, _), _)| Costs {
            who,
            each: Vec::new(),
        })
        .collect();
    let pass = |(who, decode): Contestant, input: &Input| {
        let counted = decode(black_box(&input.pieces));
        assert_eq!(counted, input.expected, "what {who} found");
    };
    for (contestant, input) in entries {
        pass(*contestant, input);
    }
    for round in 0..rounds {
        for entry in turns(round, entries.len()) {
            let (contestant, input) = entries[entry];
            let (start, mut passes) = (ThreadTime::now(), 0.0);
            let took = loop {
                pass(contestant, input);
                passes += 1.0;
                let took = start.elapsed();
                if took >= LEAST {
                    break took;
                }
            };
            costs[entry].each.push(took.as_secs_f64() * 1e9 / passes);
        }
    }
    costs
}

/// How much of the peer's cost ours is.
fn ratios(ours: &Costs, peer: &Costs) -> Spread {
    Spread::of(
        ours.each
            .iter()
            .zip(&peer.each)
            .map(|(ours, peer)| ours / peer),
    )
}

/// How many times the peer's speed ours is.
fn faster(ours: &Costs, peer: &Costs) -> Spread {
    ratios(peer, ours)
}

/// Where the figures go, and the targets: what was measured, and whether it is as it should be.
struct Report {
    output: Output,
    pairs: usize,
    targets: Vec<(String, bool)>,
}

/// A column of a table, and how its figure follows from the nanoseconds of a pass.
type Column<'a> = (&'a str, &'a dyn Fn(f64) -> f64);

impl Report {
    fn title(&mut self, title: impl Display) {
        self.output.title(title);
    }

    fn throughput(&mut self, part: &str, input: &Input, costs: &[Costs]) {
        let columns: [Column; 2] = [
            ("gb-a-second", &|cost| input.length as f64 / cost),
            ("ns-an-event", &|cost| cost / input.events as f64),
        ];
        self.rows(part, costs, &columns);
        for peer in &costs[1..] {
            self.ratio(
                &format!("{part}/{}/faster", peer.who),
                faster(&costs[0], peer),
            );
        }
    }

    fn a_byte(&mut self, part: &str, input: &Input, costs: &[Costs]) {
        self.rows(
            part,
            costs,
            &[("ns-a-byte", &|cost| cost / input.length as f64)],
        );
        for peer in &costs[1..] {
            self.ratio(
                &format!("{part}/{}/ratio", peer.who),
                ratios(&costs[0], peer),
            );
        }
    }

    fn rows(&mut self, part: &str, costs: &[Costs], columns: &[Column]) {
        for Costs { who, each } in costs {
            let figures = columns.iter().map(|(column, of)| {
                let id = format!("peers/decoder/{part}/{who}/{column}");
                Figure::new(id, Unit::Count, Spread::of(each.iter().copied().map(of)))
            });
            self.output.row(&figures.collect::<Vec<_>>());
        }
    }

    fn ratio(&mut self, id: &str, ratio: Spread) {
        let id = format!("peers/decoder/{id}");
        self.output.row(&[Figure::new(id, Unit::Ratio, ratio)]);
    }

    fn at_least(&mut self, target: f64, part: &str, peer: &str, faster: &Spread) {
        let faster = faster.median;
        let what = format!(
            "{part}: ours has {faster:.2} times the speed of {peer}, and is to have {target}"
        );
        self.targets.push((what, faster >= target));
    }

    fn at_most(&mut self, target: f64, part: &str, peer: &str, ratio: &Spread) {
        let ratio = ratio.median;
        let what =
            format!("{part}: ours takes {ratio:.2} of the time of {peer}, and may take {target}");
        self.targets.push((what, ratio <= target));
    }
}
