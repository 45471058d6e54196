//! Pattern 6's cache beside moka's `try_get_with`, which is a cache and a single flight in one as
//! well: how often the service is called when a hundred ask for the same at once, also when the first
//! of them fails, panics or is cancelled, and how often for an answer that was cut off; and what a
//! hit costs. From this folder: `cargo run --release --bin cache`
//!
//! Moka keeps values and hands out clones of them. Ours keeps the bytes that the server sent, which
//! any store can hold, and checks and decodes them at each hit. So moka takes part in hits twice:
//! with the decoded answer in an `Arc`, as its docs show it, and with the body, decoded at each hit.
//! Ours alone decides what may be kept, and lives on when its store fails.

use std::future::pending;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use ai_core::{ChatRequest, ChatResponse, Config, Reply, SyncClient};
use ai_mock::Mock;
use benches::{Figure, Output, PROMPT, Spread, Unit, runtime};
use bytes::Bytes;
use caching::{AsyncCache, Cache, Key, Place, Scope, TTL, chat_key};
use clap::Parser;
use cpu_time::ThreadTime;
use futures::future::join_all;
use peers::{all_met, turns};
use tokio::time::{sleep, timeout};

/// How many ask for the same at once.
const CROWD: u32 = 100;

/// How long a call takes; all of the crowd have come by then.
const CALL: Duration = Duration::from_millis(50);

/// How many hits a measurement is of.
const HITS: u32 = 50_000;

/// Calls made, and CPU time a hit, by pattern 6's cache and by moka
#[derive(Parser)]
struct Arguments {
    /// How often a hit is measured, in turn with the others
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print a line of JSON a figure
    #[arg(long)]
    json: bool,
    /// Fail where ours makes more calls than it must, or leaves somebody without an answer
    #[arg(long)]
    check: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
struct Down;

type Answer = Result<Reply<ChatResponse>, Down>;

/// A cache for callers that block.
trait Blocking: Sync {
    /// The text's length, from the cache or from `call`.
    fn ask(&self, key: &Key, call: impl FnOnce() -> Answer) -> Result<usize, Down>;
}

impl Blocking for Cache {
    fn ask(&self, key: &Key, call: impl FnOnce() -> Answer) -> Result<usize, Down> {
        Ok(self.chat(key, call)?.value.text().len())
    }
}

type Moka = moka::sync::Cache<Key, Arc<ChatResponse>>;

impl Blocking for Moka {
    fn ask(&self, key: &Key, call: impl FnOnce() -> Answer) -> Result<usize, Down> {
        let answer = self.try_get_with(*key, || Ok(Arc::new(call()?.value)));
        Ok(answer
            .map_err(|down: Arc<Down>| (*down).clone())?
            .text()
            .len())
    }
}

type MokaOfBytes = moka::sync::Cache<Key, Bytes>;

impl Blocking for MokaOfBytes {
    fn ask(&self, key: &Key, call: impl FnOnce() -> Answer) -> Result<usize, Down> {
        let body = self.try_get_with(*key, || Ok(call()?.body));
        let body = body.map_err(|down: Arc<Down>| (*down).clone())?;
        Ok(decode(&body).text().len())
    }
}

/// A cache for callers that await.
trait Awaiting {
    /// The text's length, from the cache or from `call`.
    async fn ask<F: Future<Output = Answer>>(
        &self,
        key: &Key,
        call: impl FnOnce() -> F,
    ) -> Result<usize, Down>;
}

impl Awaiting for AsyncCache {
    async fn ask<F: Future<Output = Answer>>(
        &self,
        key: &Key,
        call: impl FnOnce() -> F,
    ) -> Result<usize, Down> {
        Ok(self.chat(key, call).await?.value.text().len())
    }
}

type AsyncMoka = moka::future::Cache<Key, Arc<ChatResponse>>;

impl Awaiting for AsyncMoka {
    async fn ask<F: Future<Output = Answer>>(
        &self,
        key: &Key,
        call: impl FnOnce() -> F,
    ) -> Result<usize, Down> {
        let call = async { Ok(Arc::new(call().await?.value)) };
        let answer = self.try_get_with(*key, call).await;
        Ok(answer
            .map_err(|down: Arc<Down>| (*down).clone())?
            .text()
            .len())
    }
}

type AsyncMokaOfBytes = moka::future::Cache<Key, Bytes>;

impl Awaiting for AsyncMokaOfBytes {
    async fn ask<F: Future<Output = Answer>>(
        &self,
        key: &Key,
        call: impl FnOnce() -> F,
    ) -> Result<usize, Down> {
        let body = self.try_get_with(*key, async { Ok(call().await?.body) });
        let body = body.await.map_err(|down: Arc<Down>| (*down).clone())?;
        Ok(decode(&body).text().len())
    }
}

fn decode(body: &Bytes) -> ChatResponse {
    let answer = ChatResponse::decode(200, &Default::default(), body);
    answer.expect("it was decoded once before")
}

fn ours() -> Cache {
    Cache::open(&Place::Memory, TTL)
}

fn ours_async() -> AsyncCache {
    AsyncCache::open(&Place::Memory, TTL)
}

/// As large as ours can get with answers of this size, and for as long.
const ANSWERS: u64 = 64 * 1024;

fn moka<V: Clone + Send + Sync + 'static>() -> moka::sync::Cache<Key, V> {
    let cache = moka::sync::Cache::builder();
    cache.max_capacity(ANSWERS).time_to_live(TTL).build()
}

fn moka_async<V: Clone + Send + Sync + 'static>() -> moka::future::Cache<Key, V> {
    let cache = moka::future::Cache::builder();
    cache.max_capacity(ANSWERS).time_to_live(TTL).build()
}

/// What becomes of the call of whoever asks first.
#[derive(Clone, Copy, PartialEq)]
enum First {
    IsAnswered,
    Fails,
    /// It panics where threads wait, and is dropped where tasks do.
    Dies,
}

/// What came of a crowd.
#[derive(Clone, Copy, PartialEq)]
struct Seen {
    calls: u32,
    answered: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new(arguments.json);
    let answers = Answers::new();
    let targets = count(&mut output, &answers);
    output.title("CPU time of a hit; the ratio is ours to theirs");
    let rounds = usize::from(arguments.runs);
    time(&mut output, "sync-hit", rounds, &blocking_hits(&answers));
    time(&mut output, "async-hit", rounds, &awaited_hits(&answers));
    match arguments.check && !all_met(&targets) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// What the service answers. Only a client can make a reply, so one has asked a mock.
struct Answers {
    key: Key,
    whole: Reply<ChatResponse>,
    cut: Reply<ChatResponse>,
}

impl Answers {
    fn new() -> Answers {
        let mock = Mock::start().expect("a free port on 127.0.0.1");
        let config = Config::new(&mock.base_url(), "sk-bench").expect("the mock's URL is valid");
        let client = SyncClient::new(config).expect("a client can be built");
        let request = ChatRequest::new(ai_core::DEFAULT_MODEL, PROMPT).temperature(0.7);
        let ask = |request: &ChatRequest| client.chat(request).expect("the mock answers");
        Answers {
            key: chat_key(&request, &Scope::of(client.config())),
            cut: ask(&request.clone().max_tokens(3)),
            whole: ask(&request),
        }
    }
}

/// Prints what came of each case, and returns whether ours did as it must.
fn count(output: &mut Output, answers: &Answers) -> Vec<(String, bool)> {
    output.title(format_args!(
        "{CROWD} ask for the same at once; of an answer that is cut off, two ask in turn"
    ));
    let runtime = runtime();
    let crowd_async = |first| {
        let ours = runtime.block_on(crowd_async(&ours_async(), answers, first));
        let theirs: AsyncMoka = moka_async();
        (ours, runtime.block_on(crowd_async(&theirs, answers, first)))
    };
    let crowd = |first| {
        let theirs: Moka = moka();
        (
            crowd(&ours(), answers, first),
            crowd(&theirs, answers, first),
        )
    };
    let seen = |calls, answered| Seen { calls, answered };
    let one_pays = seen(1, CROWD);
    let all_hear_of_it = seen(1, 0);
    let the_next_one_pays = seen(2, CROWD - 1);
    let cases = [
        ("sync-stampede", crowd(First::IsAnswered), one_pays),
        ("sync-first-fails", crowd(First::Fails), all_hear_of_it),
        ("sync-first-panics", crowd(First::Dies), the_next_one_pays),
        ("sync-cut-off", twice(answers), seen(2, 2)),
        ("async-stampede", crowd_async(First::IsAnswered), one_pays),
        (
            "async-first-fails",
            crowd_async(First::Fails),
            all_hear_of_it,
        ),
        (
            "async-first-cancelled",
            crowd_async(First::Dies),
            the_next_one_pays,
        ),
    ];
    let row = |case: &str, who: &str, seen: Seen| {
        let id = |what: &str| format!("peers/cache/{case}/{who}/{what}");
        [
            Figure::one(id("calls"), Unit::Count, f64::from(seen.calls)),
            Figure::one(id("answered"), Unit::Count, f64::from(seen.answered)),
        ]
    };
    let targets = cases.map(|(case, (ours, theirs), target)| {
        output.row(&row(case, "ours", ours));
        output.row(&row(case, "moka", theirs));
        let Seen { calls, answered } = ours;
        let seen = format!("{case}: {calls} calls, {answered} answered");
        let Seen { calls, answered } = target;
        let wanted = format!("{seen}; wanted {calls} and {answered}");
        (wanted, ours == target)
    });
    targets.into()
}

fn crowd(cache: &impl Blocking, answers: &Answers, first: First) -> Seen {
    let (arrived, calls) = (AtomicU32::new(0), AtomicU32::new(0));
    let call = || {
        let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        while arrived.load(Ordering::Relaxed) < CROWD {
            thread::sleep(Duration::from_millis(1));
        }
        // Till who has just arrived waits, too.
        thread::sleep(CALL);
        match first {
            First::Fails if is_first => Err(Down),
            // As a panic, but it tells nobody.
            First::Dies if is_first => resume_unwind(Box::new("the call panics")),
            _ => Ok(answers.whole.clone()),
        }
    };
    let ask = || {
        arrived.fetch_add(1, Ordering::Relaxed);
        let result = catch_unwind(AssertUnwindSafe(|| cache.ask(&answers.key, call)));
        u32::from(matches!(result, Ok(Ok(_))))
    };
    let answered = thread::scope(|scope| {
        let threads: Vec<_> = (0..CROWD).map(|_| scope.spawn(ask)).collect();
        let threads = threads.into_iter();
        threads
            .map(|thread| thread.join().expect("panics are caught"))
            .sum()
    });
    Seen {
        calls: calls.into_inner(),
        answered,
    }
}

async fn crowd_async(cache: &impl Awaiting, answers: &Answers, first: First) -> Seen {
    let calls = AtomicU32::new(0);
    let call = || async {
        let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        // The others come before this task has slept for the first time.
        sleep(CALL).await;
        match first {
            First::Fails if is_first => Err(Down),
            First::Dies if is_first => pending().await,
            _ => Ok(answers.whole.clone()),
        }
    };
    let asking = (0..CROWD).map(|number| async move {
        let answer = cache.ask(&answers.key, call);
        match number {
            // Who comes first calls, and this is how he leaves.
            0 => timeout(2 * CALL, answer).await.is_ok_and(|it| it.is_ok()),
            _ => answer.await.is_ok(),
        }
    });
    let answered = join_all(asking).await;
    Seen {
        calls: calls.load(Ordering::Relaxed),
        answered: answered.into_iter().map(u32::from).sum(),
    }
}

/// An answer that was cut off is worth asking for again.
fn twice(answers: &Answers) -> (Seen, Seen) {
    fn ask(cache: &impl Blocking, answers: &Answers) -> Seen {
        let mut calls = 0;
        let answered = (0..2).map(|_| {
            let call = || {
                calls += 1;
                Ok(answers.cut.clone())
            };
            u32::from(cache.ask(&answers.key, call).is_ok())
        });
        let answered = answered.sum();
        Seen { calls, answered }
    }
    let theirs: Moka = moka();
    (ask(&ours(), answers), ask(&theirs, answers))
}

/// Who is measured, and the CPU time that a hit takes it.
type Hit<'a> = (&'static str, Box<dyn Fn() -> Duration + 'a>);

fn blocking_hits(answers: &Answers) -> [Hit<'_>; 3] {
    fn hits<'a>(cache: impl Blocking + 'a, answers: &'a Answers) -> Box<dyn Fn() -> Duration + 'a> {
        let first = cache.ask(&answers.key, || Ok(answers.whole.clone()));
        first.expect("it was answered");
        Box::new(move || {
            let began = ThreadTime::now();
            for _ in 0..HITS {
                let hit = cache.ask(&answers.key, || unreachable!("it is there"));
                black_box(hit.expect("it is there"));
            }
            began.elapsed() / HITS
        })
    }
    [
        ("ours", hits(ours(), answers)),
        ("moka", hits(moka::<Arc<ChatResponse>>(), answers)),
        ("moka-of-bodies", hits(moka::<Bytes>(), answers)),
    ]
}

fn awaited_hits(answers: &Answers) -> [Hit<'_>; 3] {
    fn hits<'a>(cache: impl Awaiting + 'a, answers: &'a Answers) -> Box<dyn Fn() -> Duration + 'a> {
        let runtime = runtime();
        let first = cache.ask(&answers.key, || async { Ok(answers.whole.clone()) });
        runtime.block_on(first).expect("it was answered");
        Box::new(move || {
            runtime.block_on(async {
                let began = ThreadTime::now();
                for _ in 0..HITS {
                    let call = || async { unreachable!("it is there") };
                    let hit = cache.ask(&answers.key, call).await;
                    black_box(hit.expect("it is there"));
                }
                began.elapsed() / HITS
            })
        })
    }
    [
        ("ours", hits(ours_async(), answers)),
        ("moka", hits(moka_async::<Arc<ChatResponse>>(), answers)),
        ("moka-of-bodies", hits(moka_async::<Bytes>(), answers)),
    ]
}

/// Prints what a hit takes, ours first, and how ours compares with each of the others.
fn time(output: &mut Output, what: &str, rounds: usize, hits: &[Hit<'_>; 3]) {
    let mut times = [const { Vec::new() }; 3];
    for round in 0..rounds {
        for turn in turns(round, hits.len()) {
            let (_, hit) = &hits[turn];
            times[turn].push(hit().as_secs_f64());
        }
    }
    let id = |who: &str, what_of_it: &str| format!("peers/cache/{what}/{who}/{what_of_it}");
    for ((who, _), times) in hits.iter().zip(&times) {
        let micros = Spread::of(times.iter().map(|seconds| seconds * 1e6));
        output.row(&[Figure::new(id(who, "time"), Unit::Us, micros)]);
    }
    let [ours, others @ ..] = &times;
    for ((who, _), theirs) in hits[1..].iter().zip(others) {
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
        output.row(&[Figure::new(
            id(who, "ratio"),
            Unit::Ratio,
            Spread::of(ratios),
        )]);
    }
}
