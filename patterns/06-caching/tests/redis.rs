//! What only a real Redis shows. These tests start servers of their own, on free ports, to stop them
//! in mid-run: `cargo test -p caching --features redis-tests`.
#![cfg(feature = "redis-tests")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, Config, SyncClient};
use ai_mock::Mock;
use caching::{AsyncCache, Cache, Place, Source, TTL, Trouble, generate_text, generate_text_async};

#[path = "support/stampede.rs"]
#[allow(dead_code)]
mod stampede;

/// For what is sure to happen. Only a failing test waits as long as this.
const LONG: Duration = Duration::from_secs(30);

const PROMPT: &str = "What is AI?";

/// A server of its own, stopped in the end.
struct Redis {
    port: u16,
    process: Option<Child>,
}

impl Redis {
    fn start() -> Redis {
        // Between looking for a free port and taking it somebody else may be faster.
        let mut tries = 0..20;
        loop {
            tries.next().expect("a free port for Redis");
            let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
            let mut redis = Redis {
                port: free.expect("a free port on 127.0.0.1").port(),
                process: None,
            };
            if redis.run() {
                return redis;
            }
        }
    }

    /// Starts it, and waits until it answers. `false` if it has ended instead.
    fn run(&mut self) -> bool {
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let port = self.port.to_string();
        let process = Command::new(&program)
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.unwrap_or_else(|error| {
            panic!("{program}: {error}: install Redis, or set REDIS_SERVER to the program")
        });
        let process = self.process.insert(process);
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).expect("a URL");
        let start = Instant::now();
        loop {
            let answers = client
                .get_connection()
                .and_then(|mut it| redis::cmd("PING").query::<String>(&mut it));
            if answers.is_ok() {
                return true;
            }
            if process.try_wait().expect("it is ours").is_some() {
                return false;
            }
            assert!(start.elapsed() < LONG, "{program} does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Makes it silent, or speak again: its connections stay open.
    fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("it runs");
        let sent = Command::new("kill")
            .args([name, &process.id().to_string()])
            .status();
        assert!(sent.expect("kill is everywhere").success());
    }

    fn place(&self) -> Place {
        Place::Redis(format!("redis://127.0.0.1:{}", self.port))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn of_a_hundred_equal_misses_one_calls_with_redis() {
    stampede::stampedes_in(|| {
        let redis = Redis::start();
        (redis.place(), redis)
    });
}

/// Asks in one version, and counts the warnings.
struct Asker {
    mock: Mock,
    ask: Box<dyn Fn() -> Source>,
    warnings: Arc<AtomicUsize>,
}

fn askers(place: &Place) -> [Asker; 2] {
    let mocks = [(); 2].map(|()| Mock::start().expect("a free port on 127.0.0.1"));
    let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let count = |index: usize| {
        let warnings = counts[index].clone();
        move |_: &Trouble| {
            warnings.fetch_add(1, SeqCst);
        }
    };
    let config = |mock: &Mock| Config::new(&mock.base_url(), "offline").expect("a URL");
    let client = SyncClient::new(config(&mocks[0])).expect("a client can be built");
    let cache = Cache::open(place, TTL).on_trouble(count(0));
    let ask = move || {
        let answer = generate_text(&client, &cache, PROMPT);
        answer.expect("a store never fails a call").source
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let client = AsyncClient::new(config(&mocks[1])).expect("a client can be built");
    let cache = AsyncCache::open(place, TTL).on_trouble(count(1));
    let ask_async = move || {
        let answer = runtime.block_on(generate_text_async(&client, &cache, PROMPT));
        answer.expect("a store never fails a call").source
    };
    let asks: [Box<dyn Fn() -> Source>; 2] = [Box::new(ask), Box::new(ask_async)];
    let mut parts = mocks.into_iter().zip(asks).zip(counts);
    [(); 2].map(|()| {
        let ((mock, ask), warnings) = parts.next().expect("two of each");
        Asker {
            mock,
            ask,
            warnings,
        }
    })
}

#[test]
fn stopped_in_mid_run_it_is_a_miss_and_started_again_it_hits_in_both_versions() {
    let mut redis = Redis::start();
    for asker in askers(&redis.place()) {
        let Asker {
            mock,
            ask,
            warnings,
        } = asker;
        assert_eq!([ask(), ask()], [Source::Called, Source::Stored]);
        redis.stop();
        assert_eq!([ask(), ask(), ask()], [Source::Called; 3]);
        assert_eq!(warnings.load(SeqCst), 1);
        assert!(redis.run(), "its port is still free");
        let start = Instant::now();
        while ask() != Source::Stored {
            assert!(start.elapsed() < LONG, "it never hits again");
        }
        assert_eq!(warnings.load(SeqCst), 1, "it was told once");
        mock.clear_log();
        assert_eq!(ask(), Source::Stored);
        assert_eq!(mock.stats().requests, 0);
    }
}

#[test]
fn restarted_while_nobody_asks_it_costs_a_miss_and_no_warning_in_both_versions() {
    let mut redis = Redis::start();
    for Asker { ask, warnings, .. } in askers(&redis.place()) {
        assert_eq!([ask(), ask()], [Source::Called, Source::Stored]);
        redis.stop();
        assert!(redis.run(), "its port is still free");
        assert_eq!([ask(), ask()], [Source::Called, Source::Stored]);
        assert_eq!(warnings.load(SeqCst), 0);
    }
}

#[test]
fn one_that_is_silent_is_a_miss_and_is_not_asked_each_time_in_both_versions() {
    let redis = Redis::start();
    for Asker { ask, warnings, .. } in askers(&redis.place()) {
        assert_eq!([ask(), ask()], [Source::Called, Source::Stored]);
        redis.signal("-STOP");
        assert_eq!([ask(), ask(), ask()], [Source::Called; 3]);
        assert_eq!(warnings.load(SeqCst), 1);
        redis.signal("-CONT");
        let start = Instant::now();
        while ask() != Source::Stored {
            assert!(start.elapsed() < LONG, "it never hits again");
        }
    }
}

#[test]
fn two_processes_share_it() {
    let redis = Redis::start();
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let programs = [
        env!("CARGO_BIN_EXE_caching-sync"),
        env!("CARGO_BIN_EXE_caching-async"),
    ];
    let outs = programs.map(|program| {
        let mut command = Command::new(program);
        command.args(["--latency", "1ms", "--cache", &url]);
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        assert_eq!(
            output
                .stderr
                .windows(7)
                .filter(|it| it == b"warning")
                .count(),
            0
        );
        String::from_utf8(output.stdout).expect("text")
    });
    assert!(outs[0].starts_with("Result 1 - Cached: false\nResult 2 - Cached: true\n"));
    assert!(outs[1].starts_with("Result 1 - Cached: true\nResult 2 - Cached: true\n"));
}

#[test]
fn its_connections_are_kept_in_both_versions() {
    let redis = Redis::start();
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", redis.port)).expect("a URL");
    let mut probe = client.get_connection().expect("it answers");
    let mut opened = || {
        let info: String = redis::cmd("INFO").query(&mut probe).expect("it answers");
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        let number: u32 = line.expect("it counts them").parse().expect("a number");
        number
    };
    let before = opened();
    for Asker { ask, .. } in askers(&redis.place()) {
        for _ in 0..20 {
            ask();
        }
    }
    assert_eq!(opened() - before, 2, "one for each version");
}

#[test]
fn it_keeps_an_answer_for_ever_if_told_to() {
    let redis = Redis::start();
    let mock = Mock::start().expect("a free port on 127.0.0.1");
    let config = Config::new(&mock.base_url(), "offline").expect("a URL");
    let client = SyncClient::new(config).expect("a client can be built");
    let cache = Cache::open(&redis.place(), Duration::MAX);
    let ask = || generate_text(&client, &cache, PROMPT).map(|it| it.source);
    assert_eq!([ask(), ask()], [Ok(Source::Called), Ok(Source::Stored)]);
}

#[test]
fn it_keeps_each_answer_until_its_end() {
    let redis = Redis::start();
    let store = redis.place().store();
    let request = ai_core::ChatRequest::new("m", PROMPT);
    let key = caching::chat_key(&request, &caching::Scope::new(""));
    let value = bytes::Bytes::from_static(b"\0\xff\n");
    assert_eq!(store.get(&key), Ok(None));
    store.put(&key, value.clone(), TTL).expect("it is put");
    assert_eq!(store.get(&key), Ok(Some(value.clone())));
    store.put(&key, value, Duration::ZERO).expect("it is put");
    let start = Instant::now();
    while store.get(&key) != Ok(None) {
        assert!(start.elapsed() < LONG, "it never ends");
    }
}
