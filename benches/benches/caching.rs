//! Pattern 6: what a hit costs by store, and a stampede; and what a cache is worth, by how long it
//! keeps answers, when some prompts are asked far more often than others.
//! `cargo bench -p benches --bench caching`
//!
//! With `REDIS_URL` set, that server is measured, too; it keeps some keys of this for an hour.

mod setup;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{fs, thread};

use ai_core::{AsyncClient, ChatRequest, Clock, Cost, SimulatedClock, SyncClient};
use benches::{Figure, MockProcess, Output, PROMPT, Unit, runtime, serve_if_asked};
use bytes::Bytes;
use caching::{
    Answer, AsyncCache, Cache, Key, Place, Scope, Store, TTL, Trouble, chat_key, generate_text,
    generate_text_async,
};
use criterion::{BenchmarkId, Criterion};
use futures::future::join_all;
use rand::SeedableRng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;

/// How many ask at once for the same.
const CROWD: usize = 100;

/// How many prompts there are, and how often one is asked.
const PROMPTS: usize = 1_000;
const ASKED: usize = 10_000;

/// Somebody asks once a second, so all of them take almost three hours.
const PAUSE: Duration = Duration::from_secs(1);

/// How long answers are kept.
const TTLS: [(&str, Duration); 4] = [
    ("1-minute", Duration::from_secs(60)),
    ("10-minutes", Duration::from_secs(600)),
    ("1-hour", TTL),
    ("1-day", Duration::from_secs(24 * 3600)),
];

fn main() {
    serve_if_asked(|mock| mock);
    let mock = MockProcess::start().expect("this program can start itself");
    setup::run(
        |output| {
            count_by_popularity(output, &mock);
            count_by_ttl(output, &mock);
            count_stampede(output, &mock);
        },
        |criterion| bench(criterion, &mock),
    );
}

/// The prompts that are asked, by Zipf's law: the second half as often as the first, the third a
/// third as often. Words, pages and questions come so. The same each time.
fn popular() -> impl Iterator<Item = String> {
    let weights = (1..=PROMPTS).map(|rank| 1.0 / rank as f64);
    let law = WeightedIndex::new(weights).expect("all weights are positive");
    let mut random = StdRng::seed_from_u64(7);
    (0..ASKED).map(move |_| format!("What is topic {}?", law.sample(&mut random)))
}

fn count_by_popularity(output: &mut Output, mock: &MockProcess) {
    output.title(format_args!(
        "{ASKED} questions of {PROMPTS} kinds, by Zipf's law"
    ));
    let (runtime, sync, client) = clients(mock);
    let cache = Cache::open(&Place::Memory, TTL);
    worth(output, "sync/zipf", mock, |prompt| {
        generate_text(&sync, &cache, prompt)
    });
    let cache = AsyncCache::open(&Place::Memory, TTL);
    worth(output, "async/zipf", mock, |prompt| {
        runtime.block_on(generate_text_async(&client, &cache, prompt))
    });
}

/// In virtual time, and only in one version: the twins are tested to do the same.
fn count_by_ttl(output: &mut Output, mock: &MockProcess) {
    output.title(format_args!(
        "the same, one each {PAUSE:?}, by how long an answer is kept"
    ));
    let (_, client, _) = clients(mock);
    for (name, ttl) in TTLS {
        let kept = Arc::new(Kept::new(ttl));
        let cache = Cache::new(kept.clone(), ttl);
        worth(output, &format!("ttl/{name}"), mock, |prompt| {
            kept.clock.sleep(PAUSE);
            generate_text(&client, &cache, prompt)
        });
    }
}

/// A store whose hours pass in no time.
struct Kept {
    /// The cache would vary it by chance. Without that, what is counted is the same each time.
    ttl: Duration,
    clock: SimulatedClock,
    answers: Mutex<HashMap<Key, (Bytes, Duration)>>,
}

impl Kept {
    fn new(ttl: Duration) -> Kept {
        Kept {
            ttl,
            clock: SimulatedClock::new(),
            answers: Mutex::default(),
        }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Key, (Bytes, Duration)>> {
        self.answers.lock().expect("nobody panics under it")
    }
}

impl Store for Kept {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, Trouble> {
        let answers = self.answers();
        let kept = answers.get(key);
        let kept = kept.filter(|(_, until)| self.clock.now() < *until);
        Ok(kept.map(|(bytes, _)| bytes.clone()))
    }

    fn put(&self, key: &Key, value: Bytes, _: Duration) -> Result<(), Trouble> {
        let until = self.clock.now() + self.ttl;
        self.answers().insert(*key, (value, until));
        Ok(())
    }
}

fn worth(
    output: &mut Output,
    what: &str,
    mock: &MockProcess,
    ask: impl Fn(&str) -> Result<Answer, ai_core::Error>,
) {
    mock.forget().expect("the mock forgets");
    let answers: Vec<_> = popular()
        .map(|prompt| ask(&prompt).expect("the mock answers"))
        .collect();
    let hits = answers.iter().filter(|answer| answer.cached).count();
    let calls = mock.counted().expect("the mock counts").requests;
    let dollars = |cached: bool| {
        let answers = answers.iter().filter(|answer| answer.cached == cached);
        let cost: Option<Cost> = answers.map(|answer| answer.cost).sum();
        cost.expect("the mock tells the usage").0 as f64 / 1e9
    };
    let figure =
        |name: &str, unit, value| Figure::one(format!("caching/{what}/{name}"), unit, value);
    output.row(&[
        figure("hit-rate", Unit::Share, hits as f64 / ASKED as f64),
        figure("calls", Unit::Count, calls as f64),
        figure("paid", Unit::Usd, dollars(false)),
        figure("saved", Unit::Usd, dollars(true)),
    ]);
}

fn count_stampede(output: &mut Output, mock: &MockProcess) {
    output.title(format_args!("calls when {CROWD} ask for the same at once"));
    let (runtime, sync, client) = clients(mock);
    let calls = |version: &str, ask: &dyn Fn()| {
        mock.forget().expect("the mock forgets");
        ask();
        let calls = mock.counted().expect("the mock counts").requests;
        let id = format!("caching/{version}/stampede/calls");
        Figure::one(id, Unit::Count, calls as f64)
    };
    let cache = Cache::open(&Place::Memory, TTL);
    output.row(&[calls("sync", &|| stampede(&sync, &cache, PROMPT))]);
    let cache = AsyncCache::open(&Place::Memory, TTL);
    output.row(&[calls("async", &|| {
        runtime.block_on(stampede_async(&client, &cache, PROMPT));
    })]);
}

fn stampede(client: &SyncClient, cache: &Cache, prompt: &str) {
    thread::scope(|scope| {
        for _ in 0..CROWD {
            scope.spawn(|| generate_text(client, cache, prompt).expect("the mock answers"));
        }
    });
}

async fn stampede_async(client: &AsyncClient, cache: &AsyncCache, prompt: &str) {
    let all = join_all((0..CROWD).map(|_| generate_text_async(client, cache, prompt)));
    for answer in all.await {
        answer.expect("the mock answers");
    }
}

fn bench(criterion: &mut Criterion, mock: &MockProcess) {
    let (runtime, sync, client) = clients(mock);
    let request = ChatRequest::new(ai_core::DEFAULT_MODEL, PROMPT).temperature(0.7);
    let key = chat_key(&request, &Scope::of(client.config()));
    let mut group = setup::group(criterion, "caching");
    for (name, place) in places() {
        let cache = Cache::open(&place, TTL);
        let hit = || {
            let answer = cache.chat(&key, || sync.chat(&request));
            answer.expect("the mock answers").is_cached()
        };
        hit();
        if !hit() {
            eprintln!("{place} left out: it keeps nothing; is the server up?");
            continue;
        }
        group.bench_function(BenchmarkId::new("sync/hit", name), |b| {
            b.iter(|| assert!(hit(), "it is stored"));
        });
        // The file is one process's, and one cache's.
        drop(cache);
        let cache = AsyncCache::open(&place, TTL);
        let hit = || {
            let answer = runtime.block_on(cache.chat(&key, || client.chat(&request)));
            answer.expect("the mock answers").is_cached()
        };
        hit();
        group.bench_function(BenchmarkId::new("async/hit", name), |b| {
            b.iter(|| assert!(hit(), "it is stored"));
        });
        if let Place::Disk(file) = place {
            // What is left of it disturbs nobody: the next run begins by removing it.
            let _ = fs::remove_file(file);
        }
    }
    // What comes before each of them, hit or miss.
    group.bench_function("key", |b| {
        let scope = Scope::of(sync.config());
        b.iter(|| chat_key(&request, &scope));
    });

    let latency = serde_json::json!({ "latency": format!("{}ms", setup::LATENCY.as_millis()) });
    mock.set(&latency).expect("the mock knows this setting");
    // Each time another prompt, which nobody has asked yet.
    let mut prompts = (0..).map(|n| format!("{PROMPT}, in {n} words"));
    let cache = Cache::open(&Place::Memory, TTL);
    group.bench_function(BenchmarkId::new("sync/stampede", CROWD), |b| {
        b.iter(|| stampede(&sync, &cache, &prompts.next().expect("they never end")));
    });
    let mut prompts = (0..).map(|n| format!("{PROMPT}, in {n} words"));
    let cache = AsyncCache::open(&Place::Memory, TTL);
    group.bench_function(BenchmarkId::new("async/stampede", CROWD), |b| {
        b.iter(|| {
            let prompt = prompts.next().expect("they never end");
            runtime.block_on(stampede_async(&client, &cache, &prompt));
        });
    });
}

/// Where answers are kept, by name.
fn places() -> Vec<(&'static str, Place)> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-cache.redb");
    let _ = fs::remove_file(&file);
    let mut places = vec![("memory", Place::Memory), ("disk", Place::Disk(file))];
    match std::env::var("REDIS_URL") {
        Ok(url) => {
            let redis = url.parse();
            places.push((
                "redis",
                redis.unwrap_or_else(|error| panic!("REDIS_URL: {error}")),
            ));
        }
        Err(_) => eprintln!("Redis left out: set REDIS_URL to measure it, redis://127.0.0.1 say"),
    }
    places
}

fn clients(mock: &MockProcess) -> (Runtime, SyncClient, AsyncClient) {
    let sync = SyncClient::new(mock.config()).expect("a client can be built");
    let client = AsyncClient::new(mock.config()).expect("a client can be built");
    (runtime(), sync, client)
}
