//! `buffered` hands out in order, and behind one slow call it begins no new ones. Who wants the
//! answers in the order of the questions takes it. Let them come as they come, and sort by index.

use std::pin::pin;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use tokio::time::{Instant, sleep};

use crate::Both;
use crate::support::{in_virtual_time, ms};

// ANCHOR: wrong
/// What is done, but not handed out yet, counts as under way.
pub fn wrong(times: &[Duration]) -> impl Stream<Item = usize> {
    stream::iter(times).enumerate().map(call).buffered(2)
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The index of each item is its place: sort by it at the end, if the order matters.
pub fn right(times: &[Duration]) -> impl Stream<Item = usize> {
    stream::iter(times)
        .enumerate()
        .map(call)
        .buffer_unordered(2)
}
// ANCHOR_END: right

/// In place of a call.
async fn call((index, time): (usize, &Duration)) -> usize {
    sleep(*time).await;
    index
}

/// When the first item has come, and when all have.
async fn watch(items: impl Stream) -> (Duration, Duration) {
    let (started, mut items) = (Instant::now(), pin!(items));
    items.next().await;
    let first = started.elapsed();
    while items.next().await.is_some() {}
    (first, started.elapsed())
}

pub(crate) fn both() -> Both {
    let mut times = [ms(100); 9];
    times[0] = ms(500);
    let wrong = in_virtual_time(watch(wrong(&times)));
    let right = in_virtual_time(watch(right(&times)));
    let tell = |(first, all): &(Duration, Duration)| {
        format!("the first answer after {first:?}, all after {all:?}")
    };
    Both::of(wrong, right, |(first, _)| *first < ms(200), tell)
}
