//! Pattern 8: the hostile batch with each layer taken away in turn; the same where the model is down
//! for a while, which is what the breaker and the fallback are for; and what the layers cost where
//! they have nothing to do.
//! `cargo bench -p benches --bench resilient-batch`

mod setup;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ai_core::{
    AsyncClient, CallOptions, ChatRequest, ChatResponse, Reply, SyncClient, SystemClock,
};
use ai_mock::{Builder, Latency, Mock, Quota};
use benches::{Figure, MockProcess, Output, PROMPT, Unit, runtime, serve_if_asked};
use bytes::Bytes;
use caching::{AsyncCache, AsyncStore, Cache, Key, Place, Scope, Store, TTL, Trouble};
use criterion::Criterion;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use rate_limited_batch::{AsyncLimiter, Limiter, Limits};
use resilient_batch::{AsyncLayers, BreakerRules, Defaults, Done, Job, Layers, Rules};
use retry::Policy;

/// The jobs of a run; the last of them ask what the first have asked.
const JOBS: usize = 240;
const REPEATED: usize = 40;

/// How many jobs are looked after at one time, and how many of them may have a call under way.
const AT_ONCE: usize = 28;
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(10).expect("10 is not 0");

/// The limit on the rate, and how long the server's minute is: 120th of one.
const REQUESTS: u32 = 60;
const WINDOW: Duration = Duration::from_millis(500);
const SCALE: f64 = 1.0 / 120.0;

/// When the jobs' own model is down, from the first job on. The other one is up.
const OUTAGE: Range<Duration> = Duration::from_millis(300)..Duration::from_millis(1300);
const FALLBACK: &str = "gpt-4o";

/// The hostile server of the lesson.
fn hostile(mock: Builder) -> Builder {
    demo::hostile(mock.seed(7), SCALE)
        // In whole milliseconds.
        .latency(Latency::LogNormal {
            p50: Duration::from_millis(17),
            p99: Duration::from_millis(133),
        })
        .quota(Quota {
            requests: Some(REQUESTS),
            tokens: None,
            window: WINDOW,
        })
}

fn main() {
    serve_if_asked(hostile);
    setup::run(count, bench);
}

/// Which layers there are.
#[derive(Clone, Copy)]
struct With {
    cache: bool,
    retry: bool,
    limiter: bool,
    breaker: bool,
    fallback: bool,
}

const ALL: With = With {
    cache: true,
    retry: true,
    limiter: true,
    breaker: true,
    fallback: true,
};

const CASES: [(&str, With); 7] = [
    ("all-layers", ALL),
    (
        "no-cache",
        With {
            cache: false,
            ..ALL
        },
    ),
    (
        "no-retry",
        With {
            retry: false,
            ..ALL
        },
    ),
    (
        "no-limiter",
        With {
            limiter: false,
            ..ALL
        },
    ),
    (
        "no-breaker",
        With {
            breaker: false,
            ..ALL
        },
    ),
    (
        "no-fallback",
        With {
            fallback: false,
            ..ALL
        },
    ),
    (
        "none",
        With {
            cache: false,
            retry: false,
            limiter: false,
            breaker: false,
            fallback: false,
        },
    ),
];

impl With {
    fn rules(self, scope: Scope) -> Rules {
        let policy = Policy::default();
        let breaker = BreakerRules::default();
        Rules {
            policy: Policy {
                max_attempts: if self.retry { 3 } else { 1 },
                base_delay: policy.base_delay.mul_f64(SCALE),
                max_delay: policy.max_delay.mul_f64(SCALE),
                ..policy
            },
            // More than it looks back to: it never opens.
            breaker: BreakerRules {
                failures: if self.breaker {
                    breaker.failures
                } else {
                    u32::MAX
                },
                cool_down: breaker.cool_down.mul_f64(SCALE),
                ..breaker
            },
            fallback: self.fallback.then(|| FALLBACK.to_owned()),
            deadline: None,
            scope,
            named: true,
        }
    }

    /// Without a limiter there still is one, since the layers are made with it: it knows no limit.
    fn limits(self) -> Limits {
        Limits {
            concurrency: if self.limiter {
                CONCURRENCY
            } else {
                NonZeroUsize::MAX
            },
            ..Limits::new(if self.limiter { REQUESTS } else { u32::MAX }, WINDOW)
        }
    }

    /// It would learn the limit from the headers, so it does not see them. Of a refusal it still hears.
    fn heard(self, mut reply: Reply<ChatResponse>) -> Reply<ChatResponse> {
        if !self.limiter {
            reply.headers.clear();
        }
        reply
    }
}

/// What makes a difference while the model is down.
const OUTAGE_CASES: [(&str, With); 4] = [
    ("all-layers", ALL),
    (
        "no-breaker",
        With {
            breaker: false,
            ..ALL
        },
    ),
    (
        "no-fallback",
        With {
            fallback: false,
            ..ALL
        },
    ),
    (
        "neither",
        With {
            breaker: false,
            fallback: false,
            ..ALL
        },
    ),
];

fn count(output: &mut Output) {
    output.title(format_args!(
        "{JOBS} jobs, {REPEATED} of them repeated, on a server that fails, at {REQUESTS} requests in any \
         {WINDOW:?}"
    ));
    for (version, run) in VERSIONS {
        for (name, with) in CASES {
            let batch = Batch::run(run, with, None);
            let log = batch.server.mock.log().expect("the mock tells its log");
            let refused = log.iter().filter(|seen| seen.status == Some(429)).count();
            output.row(&batch.figures(&format!("{version}/{name}"), "refused", refused));
        }
    }
    output.title(format_args!(
        "the same, while the model is down from {:?} to {:?}; vain: calls to it in that time",
        OUTAGE.start, OUTAGE.end
    ));
    for (version, run) in VERSIONS {
        for (name, with) in OUTAGE_CASES {
            let batch = Batch::run(run, with, Some(OUTAGE));
            let vain = batch.server.vain.load(Ordering::Relaxed);
            output.row(&batch.figures(&format!("{version}/outage/{name}"), "vain", vain));
        }
    }
}

/// What came of all jobs.
struct Batch {
    server: Server,
    succeeded: f64,
    wall: Duration,
}

impl Batch {
    fn run(run: Version, with: With, outage: Option<Range<Duration>>) -> Batch {
        // A server of its own: another's window and attempts would still count.
        let mock = MockProcess::start().expect("this program can start itself");
        let server = Server {
            mock,
            outage,
            began: Instant::now(),
            vain: AtomicUsize::new(0),
        };
        let done = run(&server, with);
        let wall = server.began.elapsed();
        let succeeded = done.iter().filter(|done| succeeded(done)).count();
        Batch {
            server,
            succeeded: succeeded as f64 / JOBS as f64,
            wall,
        }
    }

    /// What they came to, and how many calls were `which`: refused, say.
    fn figures(&self, case: &str, which: &str, count: usize) -> [Figure; 4] {
        let id = |what: &str| format!("resilient-batch/{case}/{what}");
        let calls = self.server.mock.counted().expect("the mock counts");
        [
            Figure::one(id("succeeded"), Unit::Share, self.succeeded),
            Figure::one(id("calls"), Unit::Count, calls.requests as f64),
            Figure::one(id(which), Unit::Count, count as f64),
            Figure::one(id("wall"), Unit::S, self.wall.as_secs_f64()),
        ]
    }
}

/// The hostile server, one of whose models may be down for a while.
struct Server {
    mock: MockProcess,
    outage: Option<Range<Duration>>,
    began: Instant,
    /// The calls to what was down.
    vain: AtomicUsize,
}

impl Server {
    /// How to make this call so that it fails if its model is down now.
    fn options(&self, request: &ChatRequest, options: CallOptions) -> CallOptions {
        let is_down = |outage: &Range<_>| outage.contains(&self.began.elapsed());
        if request.model == FALLBACK || !self.outage.as_ref().is_some_and(is_down) {
            return options;
        }
        self.vain.fetch_add(1, Ordering::Relaxed);
        options.header("x-mock-fail", "alwaysx503")
    }
}

fn succeeded(done: &Done) -> bool {
    let record = done.record.as_ref();
    record.is_some_and(|record| record.response.is_some())
}

/// Does all jobs.
type Version = fn(&Server, With) -> Vec<Done>;

const VERSIONS: [(&str, Version); 2] = [
    ("sync", |server, with| {
        let client = SyncClient::new(server.mock.config()).expect("a client can be built");
        let rules = with.rules(Scope::of(client.config()));
        let cache = match with.cache {
            true => Cache::open(&Place::Memory, TTL),
            false => Cache::new(Nothing, TTL),
        };
        let clock = SystemClock::new();
        let limiter = Limiter::with_clock(with.limits(), clock);
        let layers = Layers::new(rules, cache, limiter, clock, |request, options| {
            let options = server.options(request, options);
            let reply = client.with(options)?.chat(request);
            reply.map(|reply| with.heard(reply))
        });
        let (jobs, next) = (jobs(), AtomicUsize::new(0));
        let work = || {
            let next = || jobs.get(next.fetch_add(1, Ordering::Relaxed));
            let jobs = std::iter::from_fn(next);
            jobs.map(|job| layers.answer(job)).collect::<Vec<_>>()
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            let threads = threads.into_iter();
            let done = threads.map(|thread| thread.join().expect("no job panics"));
            done.flatten().collect()
        })
    }),
    ("async", |server, with| {
        let client = AsyncClient::new(server.mock.config()).expect("a client can be built");
        let rules = with.rules(Scope::of(client.config()));
        runtime().block_on(async {
            let cache = match with.cache {
                true => AsyncCache::open(&Place::Memory, TTL),
                false => AsyncCache::new(Nothing, TTL),
            };
            let limiter = AsyncLimiter::new(with.limits());
            let layers = AsyncLayers::new(rules, cache, limiter, async |request, options| {
                let options = server.options(request, options);
                let reply = client.with(options)?.chat(request).await;
                reply.map(|reply| with.heard(reply))
            });
            let jobs = jobs();
            let done = stream::iter(&jobs).map(|job| layers.answer(job));
            done.buffer_unordered(AT_ONCE).collect().await
        })
    }),
];

fn jobs() -> Vec<Job> {
    let jobs = 0..JOBS as u64;
    jobs.map(|number| {
        let topic = number % (JOBS - REPEATED) as u64;
        job(number, &format!("Summarize topic {topic}"))
    })
    .collect()
}

fn job(number: u64, prompt: &str) -> Job {
    let line = serde_json::json!({ "custom_id": format!("job-{number}"), "prompt": prompt });
    let line = line.to_string();
    Job::parse(line.as_bytes(), number + 1, &Defaults::default()).expect("it is a job")
}

/// A store that keeps nothing.
#[derive(Clone, Copy)]
struct Nothing;

impl Store for Nothing {
    fn get(&self, _: &Key) -> Result<Option<Bytes>, Trouble> {
        Ok(None)
    }

    fn put(&self, _: &Key, _: Bytes, _: Duration) -> Result<(), Trouble> {
        Ok(())
    }
}

impl AsyncStore for Nothing {
    fn get<'a>(&'a self, _: &'a Key) -> BoxFuture<'a, Result<Option<Bytes>, Trouble>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn put<'a>(&'a self, _: &'a Key, _: Bytes, _: Duration) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What the layers cost around a call that costs nothing.
fn bench(criterion: &mut Criterion) {
    let mock = Mock::start().expect("a free port on 127.0.0.1");
    let config = ai_core::Config::new(&mock.base_url(), "sk-bench");
    let client = SyncClient::new(config.expect("the mock's URL is valid"));
    let client = client.expect("a client can be built");
    let job = job(0, PROMPT);
    // An answer, which only a client can make.
    let reply = client.chat(&job.request).expect("the mock answers");
    let scope = || Scope::of(client.config());
    // Nobody waits for the limit, and little is remembered.
    let limits = Limits::new(u32::MAX, Duration::from_millis(1));

    let mut group = setup::group(criterion, "resilient-batch");
    let clock = SystemClock::new();
    let layers = |cache| {
        let limiter = Limiter::with_clock(limits, clock);
        Layers::new(ALL.rules(scope()), cache, limiter, clock, |_, _| {
            Ok(reply.clone())
        })
    };
    let miss = layers(Cache::new(Nothing, TTL));
    group.bench_function("sync/miss", |b| {
        b.iter(|| assert!(succeeded(&miss.answer(&job))));
    });
    let hit = layers(Cache::open(&Place::Memory, TTL));
    group.bench_function("sync/hit", |b| {
        b.iter(|| assert!(succeeded(&hit.answer(&job))));
    });

    let runtime = runtime();
    let layers = |cache| {
        let limiter = AsyncLimiter::new(limits);
        AsyncLayers::new(ALL.rules(scope()), cache, limiter, async |_, _| {
            Ok(reply.clone())
        })
    };
    let miss = layers(AsyncCache::new(Nothing, TTL));
    group.bench_function("async/miss", |b| {
        b.iter(|| assert!(succeeded(&runtime.block_on(miss.answer(&job)))));
    });
    let hit = layers(AsyncCache::open(&Place::Memory, TTL));
    group.bench_function("async/hit", |b| {
        b.iter(|| assert!(succeeded(&runtime.block_on(hit.answer(&job)))));
    });
}
