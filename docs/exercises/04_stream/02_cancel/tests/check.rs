//! What must hold: the names of the tests say it, their messages say where to look.
//!
//! The time is paused: it jumps to the next timer when nothing else is to be done.

use std::time::Duration;

use ex_04_02::Reader;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};

const LINES: [&str; 6] = ["One", "two", "three,", "café", "and", "done."];

/// A connection on which a piece of three bytes comes each 10 ms: no line comes in one piece.
fn connect() -> Reader {
    let body = LINES.map(|line| format!("{line}\n")).concat();
    let (send, pieces) = mpsc::channel(1);
    tokio::spawn(async move {
        for piece in body.as_bytes().chunks(3) {
            sleep(Duration::from_millis(10)).await;
            if send.send(piece.to_vec()).await.is_err() {
                return;
            }
        }
    });
    Reader::new(pieces)
}

#[tokio::test(start_paused = true)]
async fn lines_come_whole_however_they_were_cut() {
    let mut reader = connect();
    let mut lines = Vec::new();
    while let Some(line) = reader.next().await {
        lines.push(line);
    }
    assert_eq!(
        lines, LINES,
        "one piece may hold the end of a line and the beginning of the next"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_ticks_in_between_costs_not_a_letter() {
    let mut reader = connect();
    let mut lines = Vec::new();
    // Ticks come more often than pieces, so each `next` is dropped several times before it is done.
    let mut clock = interval(Duration::from_millis(7));
    let reading = async {
        loop {
            tokio::select! {
                _ = clock.tick() => {}
                line = reader.next() => match line {
                    Some(line) => lines.push(line),
                    None => break,
                },
            }
        }
    };
    let ended = timeout(Duration::from_secs(60), reading).await;
    assert_eq!(
        lines, LINES,
        "`select!` has dropped the future of `next` at each tick, and with it all that was in its \
         variables. What must outlive it belongs into the reader"
    );
    assert!(
        ended.is_ok(),
        "the connection has ended, and `next` does not say so"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_run_out_of_time_goes_on_where_it_was() {
    let mut reader = connect();
    let mut lines = Vec::new();
    for _ in 0..100 {
        match timeout(Duration::from_millis(15), reader.next()).await {
            Ok(Some(line)) => lines.push(line),
            Ok(None) => break,
            // Too late, this time. `timeout` drops the future as `select!` does.
            Err(_) => {}
        }
    }
    assert_eq!(
        lines, LINES,
        "what `next` had read when the time ran out is lost"
    );
}

#[tokio::test(start_paused = true)]
async fn two_lines_of_one_piece_are_two_lines() {
    let (send, pieces) = mpsc::channel(1);
    send.send(b"a\nb\n\nc".to_vec())
        .await
        .expect("somebody reads");
    drop(send);
    let mut reader = Reader::new(pieces);
    let mut lines = Vec::new();
    while let Some(line) = reader.next().await {
        lines.push(line);
    }
    assert_eq!(
        lines,
        ["a", "b", ""],
        "an empty line is a line, and the half one at the end is none"
    );
}
