//! The true schedule: the pause after each attempt, by jitter. It stands beside the lesson:
//! `cargo run --bin retry-sync -- --schedule`
//!
//! The guide says "~1, ~2, ~4, ~8 seconds". With its own jitter the means are three quarters of that.
//!
//! It is drawn with a seed, and not worked out: the pauses of [`Jitter::Decorrelated`] depend on those
//! before them, and no formula for their means is as easy to believe.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::backoff::{Jitter, Next, Policy, Retryable};

const OPERATIONS: u64 = 20_000;

/// What always fails.
struct Busy;

impl Retryable for Busy {
    fn is_retryable(&self) -> bool {
        true
    }
}

/// Mean, least and most of the pauses after each attempt, in seconds. The same each time.
pub fn schedule(jitter: Jitter) -> [[f64; 3]; 4] {
    let policy = Policy {
        max_attempts: 5,
        jitter,
        ..Policy::default()
    };
    let mut random = StdRng::seed_from_u64(7);
    let mut pauses = [[0.0, f64::MAX, 0.0]; 4];
    for _ in 0..OPERATIONS {
        let mut attempts = policy.start(Duration::ZERO);
        for [mean, least, most] in &mut pauses {
            let next = attempts.after(&Busy, Duration::ZERO, random.random());
            let Next::Wait(pause) = next else { continue };
            let pause = pause.as_secs_f64();
            *mean += pause / OPERATIONS as f64;
            *least = least.min(pause);
            *most = most.max(pause);
        }
    }
    pauses
}

/// The schedules of all jitters, as a table for people.
pub fn schedule_table() -> String {
    let mut table =
        format!("{OPERATIONS} operations, seconds to wait after attempt: mean (least to most)\n\n");
    table += &format!("{:<14}{:<22}{:<22}{:<22}4\n", "jitter", 1, 2, 3);
    for jitter in [
        Jitter::None,
        Jitter::Equal,
        Jitter::Full,
        Jitter::Decorrelated,
    ] {
        let cells = schedule(jitter)
            .map(|[mean, least, most]| format!("{mean:.2} ({least:.2} to {most:.2})"));
        let row: String = cells.iter().map(|cell| format!("{cell:<22}")).collect();
        table += &format!("{:<14}{}\n", format!("{jitter:?}"), row.trim_end());
    }
    table
}
