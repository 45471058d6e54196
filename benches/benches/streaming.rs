//! Pattern 4: whole streams at full speed, and the decoder alone, in memory.
//! `cargo bench -p benches --bench streaming`

mod setup;

use std::hint::black_box;
use std::thread;

use ai_core::protocol::sse::SseDecoder;
use ai_core::protocol::stream::StreamDecoder;
use ai_core::{AsyncClient, Error, Event, FinishPolicy, SyncClient};
use benches::{MockProcess, PROMPT, runtime, serve_if_asked};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Throughput};
use futures::StreamExt;
use futures::future::join_all;
use serde_json::json;
use streaming::{generate_stream, generate_stream_async};

const TOKENS: u64 = 500;

/// How many streams at once.
const STREAMS: [u64; 2] = [1, 200];

/// How large the pieces are in which the bytes come, in bytes: as a socket gives them, and the worst.
const PIECES: [usize; 2] = [16 << 10, 1];

/// The most bytes of one event. None here comes near.
const LIMIT: usize = 1 << 20;

fn main() {
    serve_if_asked(|mock| mock.answer_tokens(TOKENS as u32));
    let mock = MockProcess::start().expect("this program can start itself");
    setup::run(
        |_| {},
        |criterion| {
            let mut group = setup::group(criterion, "streaming");
            over_sockets(&mut group, &mock);
            in_memory(&mut group, &body(&mock));
        },
    );
}

fn over_sockets(group: &mut BenchmarkGroup<'_, WallTime>, mock: &MockProcess) {
    let runtime = runtime();
    let sync = SyncClient::new(mock.config()).expect("a client can be built");
    let client = AsyncClient::new(mock.config()).expect("a client can be built");
    let read = || {
        let stream = generate_stream(&sync, PROMPT).expect("the mock answers");
        assert_eq!(stream.map(texts).sum::<u64>(), TOKENS);
    };
    let read_async = async || {
        let stream = generate_stream_async(&client, PROMPT).await;
        let stream = stream.expect("the mock answers").map(texts);
        let sum = stream.fold(0, async |sum, texts| sum + texts).await;
        assert_eq!(sum, TOKENS);
    };
    for streams in STREAMS {
        group.throughput(Throughput::Elements(streams * TOKENS));
        group.bench_function(BenchmarkId::new("sync/streams", streams), |b| {
            b.iter(|| {
                thread::scope(|scope| {
                    (1..streams).for_each(|_| drop(scope.spawn(read)));
                    read();
                });
            });
        });
        group.bench_function(BenchmarkId::new("async/streams", streams), |b| {
            b.iter(|| runtime.block_on(join_all((0..streams).map(|_| read_async()))));
        });
    }
}

/// How many texts an item holds.
fn texts(item: Result<Event, Error>) -> u64 {
    u64::from(matches!(item.expect("no stream breaks"), Event::Text(_)))
}

/// The two halves of decoding: bytes to events, and those to what the caller is told.
fn in_memory(group: &mut BenchmarkGroup<'_, WallTime>, body: &[u8]) {
    group.throughput(Throughput::Bytes(body.len() as u64));
    for size in PIECES {
        group.bench_function(BenchmarkId::new("decoder/events", size), |b| {
            b.iter(|| {
                let mut decoder = SseDecoder::new(LIMIT);
                for mut piece in body.chunks(size) {
                    while let Some(event) = decoder.next(&mut piece).expect("no event is too long")
                    {
                        black_box(event);
                    }
                }
            });
        });
        group.bench_function(BenchmarkId::new("decoder/with-json", size), |b| {
            b.iter(|| {
                let mut decoder = StreamDecoder::new(LIMIT, FinishPolicy::default());
                for piece in body.chunks(size) {
                    decoder.push(piece);
                    while let Some(item) = decoder.next() {
                        black_box(item).expect("the stream is whole");
                    }
                }
                assert!(decoder.is_done());
            });
        });
    }
}

/// A stream as it comes over the wire.
fn body(mock: &MockProcess) -> Vec<u8> {
    let http = reqwest::blocking::Client::builder().no_proxy().build();
    let request = json!({
        "model": ai_core::DEFAULT_MODEL,
        "messages": [{"role": "user", "content": PROMPT}],
        "stream": true,
    });
    let url = format!("{}/chat/completions", mock.base_url);
    let request = http.map(|http| http.post(url).bearer_auth("sk-bench").json(&request));
    let body = request.and_then(|request| request.send()?.error_for_status()?.bytes());
    body.expect("the mock answers").to_vec()
}
