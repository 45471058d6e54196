//! Long computing in a task holds up every other task of its thread. Who counts tokens, parses large
//! documents or compares vectors between two calls has it. Move it to `spawn_blocking`.

use std::cell::Cell;
use std::time::Instant;

use tokio::select;
use tokio::task::{spawn_blocking, yield_now};

use crate::Both;
use crate::support::{block_on, ms};

// ANCHOR: wrong
/// There is no await in it, and so no other task has a turn.
pub async fn wrong() -> u64 {
    compare_vectors()
}
// ANCHOR_END: wrong

// ANCHOR: right
/// It has a thread of its own. (For many such jobs at once, rayon has as many threads as cores.)
pub async fn right() -> u64 {
    spawn_blocking(compare_vectors)
        .await
        .expect("it does not panic")
}
// ANCHOR_END: right

/// In place of real work: half a second of it.
fn compare_vectors() -> u64 {
    let (started, mut steps) = (Instant::now(), 0);
    while started.elapsed() < ms(500) {
        steps += 1;
    }
    steps
}

/// How often another task of the thread had a turn meanwhile.
fn turns(half: impl Future<Output = u64>) -> u64 {
    let turns = Cell::new(0);
    let other_task = async {
        loop {
            turns.set(turns.get() + 1);
            yield_now().await;
        }
    };
    block_on(async {
        select! {
            biased;
            _ = half => {}
            () = other_task => {}
        }
    });
    turns.get()
}

pub(crate) fn both() -> Both {
    let tell = |turns: &u64| match turns {
        0 => "the other task has no turn until it is done".to_owned(),
        _ => "the other task goes on".to_owned(),
    };
    Both::of(turns(wrong()), turns(right()), |turns| *turns > 0, tell)
}
