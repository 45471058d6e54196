//! Clients that contend for one record, in virtual time: what jitter is for.
//! `cargo run --example retry-contention`
//!
//! The set-up of the AWS article "Exponential Backoff And Jitter": each client reads the record and
//! writes it back; the write fails if another has written in between. All begin at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use retry::{Attempts, Jitter, Next, Policy, Retryable};

/// Somebody else has written in between.
struct Conflict;

impl Retryable for Conflict {
    fn is_retryable(&self) -> bool {
        true
    }
}

/// What arrives at the server.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Read,
    /// With the version that was read.
    Write(u64),
}

/// How many writes it takes until every client has succeeded once, and how long. Events happen in
/// the order of their times and chance is seeded, so the answer is the same each time.
pub(crate) fn contend(clients: usize, jitter: Jitter, seed: u64) -> (u64, Duration) {
    let policy = Policy {
        max_attempts: u32::MAX,
        base_delay: Duration::from_millis(5),
        max_delay: Duration::from_secs(2),
        jitter,
        ..Policy::default()
    };
    let mut random = StdRng::seed_from_u64(seed);
    // The article's network: 10 ms a way, a little more or less.
    let network = |random: &mut StdRng| Duration::from_micros(random.random_range(8_000..12_000));
    let mut attempts: Vec<Attempts<'_>> =
        (0..clients).map(|_| policy.start(Duration::ZERO)).collect();
    let mut events: BinaryHeap<_> = (0..clients)
        .map(|client| Reverse((network(&mut random), client, Call::Read)))
        .collect();
    let (mut version, mut writes, mut end) = (0, 0, Duration::ZERO);
    while let Some(Reverse((now, client, call))) = events.pop() {
        let there_and_back = network(&mut random) + network(&mut random);
        match call {
            Call::Read => events.push(Reverse((
                now + there_and_back,
                client,
                Call::Write(version),
            ))),
            Call::Write(read) => {
                writes += 1;
                if read == version {
                    version += 1;
                    end = now;
                } else if let Next::Wait(pause) =
                    attempts[client].after(&Conflict, now, random.random())
                {
                    events.push(Reverse((now + there_and_back + pause, client, Call::Read)));
                }
            }
        }
    }
    (writes, end)
}

/// Calls and time by strategy.
pub(crate) fn table() -> String {
    let mut table = "clients   jitter          calls   done after\n".to_owned();
    for clients in [10, 100, 200] {
        for jitter in [
            Jitter::None,
            Jitter::Equal,
            Jitter::Full,
            Jitter::Decorrelated,
        ] {
            let (calls, end) = contend(clients, jitter, 7);
            let (name, end) = (format!("{jitter:?}"), end.as_secs_f64());
            table += &format!("{clients:>7}   {name:<13}{calls:>8}   {end:>8.2} s\n");
        }
    }
    table
}

fn main() {
    print!("{}", table());
}
