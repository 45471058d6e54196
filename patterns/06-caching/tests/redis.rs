//! What only a real Redis shows. These tests start servers of their own, on free ports, to stop them
//! in mid-run: `cargo test -p caching --features redis-tests`.
#![cfg(feature = "redis-tests")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, Config, SyncClient};
use ai_mock::Mock;
use bytes::Bytes;
use caching::{
    AsyncCache, Cache, Key, Place, Scope, Source, TTL, Trouble, chat_key, generate_text,
    generate_text_async,
};

#[path = "support/stampede.rs"]
#[allow(dead_code)]
mod stampede;

use stampede::{LONG, until};

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
            // Looked at after the answer: that may have come from another, which has won the port.
            if process.try_wait().expect("it is ours").is_some() {
                return false;
            }
            if answers.is_ok() {
                return true;
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

type Ask = Box<dyn Fn(&str) -> Source + Send + Sync>;

/// Asks in one version, and counts the warnings.
struct Asker {
    mock: Mock,
    ask: Ask,
    warnings: Arc<AtomicUsize>,
}

impl Asker {
    fn ask(&self) -> Source {
        (self.ask)(PROMPT)
    }

    fn warnings(&self) -> usize {
        self.warnings.load(SeqCst)
    }
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
    let ask = move |prompt: &str| {
        let answer = generate_text(&client, &cache, prompt);
        answer.expect("a store never fails a call").source
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let client = AsyncClient::new(config(&mocks[1])).expect("a client can be built");
    let cache = AsyncCache::open(place, TTL).on_trouble(count(1));
    // Threads may share a runtime, and then they are many callers of one cache, as tasks are.
    let ask_async = move |prompt: &str| {
        let answer = runtime.block_on(generate_text_async(&client, &cache, prompt));
        answer.expect("a store never fails a call").source
    };
    let asks: [Ask; 2] = [Box::new(ask), Box::new(ask_async)];
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
        let ask = || asker.ask();
        assert_eq!([ask(), ask()], [Source::Called, Source::Stored]);
        redis.stop();
        assert_eq!([ask(), ask(), ask()], [Source::Called; 3]);
        assert_eq!(asker.warnings(), 1);
        assert!(redis.run(), "its port is still free");
        until(|| ask() == Source::Stored);
        assert_eq!(asker.warnings(), 1, "it was told once");
        asker.mock.clear_log();
        assert_eq!(ask(), Source::Stored);
        assert_eq!(asker.mock.stats().requests, 0);
    }
}

#[test]
fn killed_in_the_middle_of_a_crowd_it_costs_no_answer_and_one_warning_in_both_versions() {
    const CROWD: usize = 32;
    let mut redis = Redis::start();
    for asker in askers(&redis.place()) {
        let [called, stored] = [(); 2].map(|()| AtomicUsize::new(0));
        let over = AtomicBool::new(false);
        // Each has a prompt of his own, and asks it over and over.
        let caller = |number: usize| {
            while !over.load(SeqCst) {
                let seen = match (asker.ask)(&format!("{PROMPT} {number}")) {
                    Source::Stored => &stored,
                    _ => &called,
                };
                seen.fetch_add(1, SeqCst);
            }
        };
        let some_more = |seen: &AtomicUsize| {
            let before = seen.load(SeqCst);
            until(|| seen.load(SeqCst) >= before + 10 * CROWD);
        };
        // Ends the crowd however this ends, or a failure would wait for it for ever.
        let end = End(&over);
        std::thread::scope(|scope| {
            let end = end;
            let callers: Vec<_> = (0..CROWD)
                .map(|number| scope.spawn(move || caller(number)))
                .collect();
            some_more(&stored);
            redis.stop();
            some_more(&called);
            assert_eq!(asker.warnings(), 1);
            assert!(redis.run(), "its port is still free");
            some_more(&stored);
            drop(end);
            for caller in callers {
                caller.join().expect("a store never fails a call");
            }
        });
        assert_eq!(asker.warnings(), 1, "it was told once");
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn restarted_while_nobody_asks_it_costs_a_miss_and_no_warning_in_both_versions() {
    let mut redis = Redis::start();
    for asker in askers(&redis.place()) {
        let ask = || asker.ask();
        assert_eq!([ask(), ask()], [Source::Called, Source::Stored]);
        redis.stop();
        assert!(redis.run(), "its port is still free");
        assert_eq!([ask(), ask()], [Source::Called, Source::Stored]);
        assert_eq!(asker.warnings(), 0);
    }
}

#[test]
fn one_that_is_silent_is_a_miss_and_is_not_asked_each_time_in_both_versions() {
    let redis = Redis::start();
    for asker in askers(&redis.place()) {
        let ask = || asker.ask();
        assert_eq!([ask(), ask()], [Source::Called, Source::Stored]);
        redis.signal("-STOP");
        assert_eq!([ask(), ask(), ask()], [Source::Called; 3]);
        assert_eq!(asker.warnings(), 1);
        redis.signal("-CONT");
        until(|| ask() == Source::Stored);
    }
}

/// Stands before Redis, and can make the connections there are say nothing more, as when a cable is cut:
/// they stay open. New ones are served.
struct Forwarder {
    port: u16,
    connections: Arc<AtomicUsize>,
    /// The connections with lower numbers are silent.
    silent: Arc<AtomicUsize>,
}

impl Forwarder {
    fn before(redis: u16) -> Forwarder {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on 127.0.0.1");
        let forwarder = Forwarder {
            port: listener.local_addr().expect("it is bound").port(),
            connections: Arc::default(),
            silent: Arc::default(),
        };
        let (connections, silent) = (forwarder.connections.clone(), forwarder.silent.clone());
        // It ends with the process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(("127.0.0.1", redis)).expect("it runs");
                let number = connections.fetch_add(1, SeqCst);
                let other = |it: &TcpStream| it.try_clone().expect("a handle more");
                let back = (other(&server), other(&client));
                for (from, to) in [(client, server), back] {
                    let silent = silent.clone();
                    let speaks = move || number >= silent.load(SeqCst);
                    std::thread::spawn(move || forward(from, to, speaks));
                }
            }
        });
        forwarder
    }

    fn place(&self) -> Place {
        Place::Redis(format!("redis://127.0.0.1:{}", self.port))
    }

    fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    fn fall_silent(&self) {
        self.silent.store(self.connections(), SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, speaks: impl Fn() -> bool) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        // Long enough that others want a connection of their own in the meantime.
        std::thread::sleep(Duration::from_millis(5));
        if speaks() && to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
}

#[test]
fn whose_connection_has_gone_silent_hits_again_through_another_in_both_versions() {
    let redis = Redis::start();
    let forwarder = Forwarder::before(redis.port);
    for asker in askers(&forwarder.place()) {
        let ask = || asker.ask();
        assert_eq!([ask(), ask()], [Source::Called, Source::Stored]);
        forwarder.fall_silent();
        assert_eq!(ask(), Source::Called);
        until(|| ask() == Source::Stored);
        assert_eq!(asker.warnings(), 1);
    }
}

#[test]
fn of_many_connections_that_have_gone_silent_one_is_waited_for_in_both_versions() {
    let redis = Redis::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    for version in ["sync", "async"] {
        let forwarder = Forwarder::before(redis.port);
        let (store, awaited) = (forwarder.place().store(), forwarder.place().async_store());
        let get = || match version {
            "sync" => store.get(&key()),
            _ => runtime.block_on(awaited.get(&key())),
        };
        let enough = if version == "sync" { 4 } else { 1 };
        until(|| {
            std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(get))));
            forwarder.connections() >= enough
        });
        forwarder.fall_silent();
        let silent = (0..20).take_while(|_| get().is_err()).count();
        assert_eq!(silent, 1, "{version}");
    }
}

fn key() -> Key {
    chat_key(&ai_core::ChatRequest::new("m", PROMPT), &Scope::new(""))
}

#[test]
fn what_something_else_has_put_there_is_garbage_and_overwritten_in_both_versions() {
    let redis = Redis::start();
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", redis.port)).expect("a URL");
    let mut other = client.get_connection().expect("it answers");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let (store, awaited) = (redis.place().store(), redis.place().async_store());
    let value = Bytes::from_static(b"value");
    for version in ["sync", "async"] {
        let name = key().to_string();
        let mut list = redis::pipe();
        list.cmd("DEL").arg(&name).cmd("RPUSH").arg(&name).arg("x");
        list.exec(&mut other).expect("it answers");
        let get = || match version {
            "sync" => store.get(&key()),
            _ => runtime.block_on(awaited.get(&key())),
        };
        let garbage = Trouble::Garbage("a value of another type".to_owned());
        assert_eq!(get(), Err(garbage), "{version}");
        let put = match version {
            "sync" => store.put(&key(), value.clone(), TTL),
            _ => runtime.block_on(awaited.put(&key(), value.clone(), TTL)),
        };
        assert_eq!(put, Ok(()), "{version}");
        assert_eq!(get(), Ok(Some(value.clone())), "{version}");
    }
}

/// With the server that `cargo xtask test` has started, where there is one: it is there to be shared.
#[test]
fn two_processes_share_it() {
    let own = std::env::var("REDIS_URL").is_err().then(Redis::start);
    let url = match &own {
        Some(own) => format!("redis://127.0.0.1:{}", own.port),
        None => std::env::var("REDIS_URL").expect("it is set"),
    };
    let programs = [
        env!("CARGO_BIN_EXE_caching-sync"),
        env!("CARGO_BIN_EXE_caching-async"),
    ];
    for (first, second) in [(0, 1), (1, 0)] {
        // Nobody has asked this before, whoever uses that server.
        let prompt = format!("{PROMPT} {:032x}", rand::random::<u128>());
        let run = |program: usize| {
            let mut command = Command::new(programs[program]);
            command.args(["--latency", "1ms", "--cache", &url, "--ttl", "1m", &prompt]);
            let output = command.stdin(Stdio::null()).output().expect("it runs");
            let text = |bytes| String::from_utf8(bytes).expect("text");
            let (out, err) = (text(output.stdout), text(output.stderr));
            assert!(!err.contains("warning"), "{err}");
            out
        };
        let (out, again) = (run(first), run(second));
        let both = |first| format!("Result 1 - Cached: {first}\nResult 2 - Cached: true\n");
        assert!(out.starts_with(&both(false)), "{out}");
        assert!(again.starts_with(&both(true)), "{again}");
    }
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
    for asker in askers(&redis.place()) {
        for _ in 0..20 {
            asker.ask();
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
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", redis.port)).expect("a URL");
    let mut probe = client.get_connection().expect("it answers");
    let store = redis.place().store();
    let value = Bytes::from_static(b"\0\xff\n");
    assert_eq!(store.get(&key()), Ok(None));
    store.put(&key(), value.clone(), TTL).expect("it is put");
    assert_eq!(store.get(&key()), Ok(Some(value.clone())));
    let mut left = redis::cmd("PTTL");
    let left: u128 = left
        .arg(key().to_string())
        .query(&mut probe)
        .expect("an end");
    assert!((1..=TTL.as_millis()).contains(&left), "{left} ms");
    store.put(&key(), value, Duration::ZERO).expect("it is put");
    until(|| store.get(&key()) == Ok(None));
}
