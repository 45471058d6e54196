//! Several requests, blocking. Here the difference to `async.rs` is the lesson: threads.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::Instant;

use ai_core::SyncClient;

use crate::outcome::{Item, Run, in_input_order};

/// Asks one prompt after another: the times add up.
pub fn in_turn(client: &SyncClient, prompts: &[impl AsRef<str>]) -> Vec<Item> {
    let mut items = Vec::with_capacity(prompts.len());
    for (index, prompt) in prompts.iter().enumerate() {
        items.push(ask(client, index, prompt));
    }
    items
}

/// Asks with at most `limit` requests under way, and returns the items in the order of the prompts.
///
/// It comes back when all are done. Nothing can call a thread off that waits for an answer: bound
/// its wait, with [`CallOptions::total`](ai_core::CallOptions::total).
pub fn at_once(
    client: &SyncClient,
    prompts: &[impl AsRef<str> + Sync],
    limit: NonZeroUsize,
) -> Vec<Item> {
    // Room for all of them, since nobody takes any before the last has been handed in.
    let (hand_in, arrivals) = mpsc::sync_channel(prompts.len());
    share_out(client, prompts, limit, hand_in);
    in_input_order(arrivals)
}

/// As [`at_once`], but hands each item out as it arrives; its `index` tells whose answer it is.
///
/// Dropping the iterator keeps what has not begun from being asked. What is under way goes on to
/// its end, unheard, and is paid for.
///
/// # Panics
/// When the system can't start a thread.
pub fn as_they_come(
    client: &SyncClient,
    prompts: &[impl AsRef<str>],
    limit: NonZeroUsize,
) -> mpsc::IntoIter<Item> {
    // No room at all: a thread asks again once its answer has been taken. With room, all would be
    // asked, and paid for, while the reader is still at the first.
    let (hand_in, arrivals) = mpsc::sync_channel(0);
    // These threads outlive this function, so they can't borrow: they get a client of their own,
    // which shares the connections, and copies of the prompts.
    let client = client.clone();
    let prompts: Vec<_> = prompts
        .iter()
        .map(|prompt| prompt.as_ref().to_owned())
        .collect();
    thread::spawn(move || share_out(&client, &prompts, limit, hand_in));
    arrivals.into_iter()
}

/// Lets `limit` threads ask, not one a prompt: a thread costs memory, and a connection costs both
/// sides more.
fn share_out(
    client: &SyncClient,
    prompts: &[impl AsRef<str> + Sync],
    limit: NonZeroUsize,
    hand_in: SyncSender<Item>,
) {
    let next = AtomicUsize::new(0);
    let work = || work(client, prompts, &next, &hand_in);
    // The scope waits for its threads, and so they may borrow all that this function has.
    thread::scope(|scope| {
        for _ in 1..limit.get().min(prompts.len()) {
            let helper = thread::Builder::new().spawn_scoped(scope, work);
            if helper.is_err() {
                // The system has no more threads for us: those we have will do it.
                break;
            }
        }
        // This thread would only wait, so it is the first worker.
        work();
    });
}

/// What each thread does: take the next prompt that nobody has taken, until there is none.
// Not a share of the prompts for each, cut beforehand: behind one slow answer a whole share would
// wait, while the other threads have nothing left to do.
fn work(
    client: &SyncClient,
    prompts: &[impl AsRef<str>],
    next: &AtomicUsize,
    hand_in: &SyncSender<Item>,
) {
    loop {
        // Each number is given out once. `Relaxed` is enough: no other memory hangs on it.
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(prompt) = prompts.get(index) else {
            return;
        };
        if hand_in.send(ask(client, index, prompt)).is_err() {
            // Nobody listens any more.
            return;
        }
    }
}

/// Asks one prompt, and answers for whatever happens.
fn ask(client: &SyncClient, index: usize, prompt: &impl AsRef<str>) -> Item {
    let call = || client.generate_text(prompt.as_ref());
    // The client is the only thing that lives on after a panic, and it holds no half-made state.
    Item::new(index, catch_unwind(AssertUnwindSafe(call)))
}

/// Times one way of asking.
pub fn timed(strategy: &'static str, ask_all: impl FnOnce() -> Vec<Item>) -> Run {
    let started = Instant::now();
    let items = ask_all();
    Run {
        strategy,
        elapsed: started.elapsed(),
        items,
    }
}
