//! `select!` drops the future that did not win, and with it the half of an event it has read. Who
//! draws a spinner, or looks for Ctrl-C, while a stream is read has it. Keep what has been read outside.

use std::mem::take;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;
use tokio::{join, select};

use crate::Both;
use crate::support::{in_virtual_time, ms};

// ANCHOR: wrong
/// The text dies with the turn of the loop.
pub async fn wrong(mut body: DuplexStream) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        let mut text = String::new();
        select! {
            event = read_event(&mut body, &mut text) => match event {
                Some(()) => events.push(take(&mut text)),
                None => return events,
            },
            () = sleep(ms(15)) => {} // Draw the spinner.
        }
    }
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The text outlives the future that reads into it.
pub async fn right(mut body: DuplexStream) -> Vec<String> {
    let mut events = Vec::new();
    let mut text = String::new();
    loop {
        select! {
            event = read_event(&mut body, &mut text) => match event {
                Some(()) => events.push(take(&mut text)),
                None => return events,
            },
            () = sleep(ms(15)) => {} // Draw the spinner.
        }
    }
}
// ANCHOR_END: right

/// Reads up to the blank line; `None` at the end of the body.
async fn read_event(body: &mut DuplexStream, text: &mut String) -> Option<()> {
    while !text.ends_with("\n\n") {
        text.push(body.read_u8().await.ok()?.into());
    }
    Some(())
}

/// Sends six events, each in two halves.
async fn send(mut body: DuplexStream) {
    for half in ["data: token", "\n\n"].repeat(6) {
        body.write_all(half.as_bytes()).await.expect("it is read");
        sleep(ms(20)).await;
    }
}

fn read<F: Future<Output = Vec<String>>>(half: fn(DuplexStream) -> F) -> usize {
    let (sends, reads) = duplex(1024);
    let (_, events) = in_virtual_time(async { join!(send(sends), half(reads)) });
    events.iter().filter(|it| it.starts_with("data: ")).count()
}

pub(crate) fn both() -> Both {
    let tell = |read: &usize| format!("{read} of 6 events are read");
    Both::of(read(wrong), read(right), |read| *read == 6, tell)
}
