//! A benchmark against a server that sleeps on its only thread measures that server: nothing is faster
//! at once. Who writes a stand-in of ten lines has it. Look how many calls the server had at one time.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use crate::Both;
use crate::support::ms;

const CALLS: usize = 8;

// ANCHOR: wrong
/// The next call is accepted when this one is answered.
pub fn wrong(listener: &TcpListener, answers: &Answers) {
    for call in listener.incoming().take(CALLS).flatten() {
        answers.give(call);
    }
}
// ANCHOR_END: wrong

// ANCHOR: right
/// A thread for each call; an async server does as well.
pub fn right(listener: &TcpListener, answers: &Answers) {
    thread::scope(|scope| {
        for call in listener.incoming().take(CALLS).flatten() {
            scope.spawn(move || answers.give(call));
        }
    });
}
// ANCHOR_END: right

/// How many answers are in the making, and the most there were.
#[derive(Debug, Default)]
pub struct Answers {
    now: AtomicU32,
    peak: AtomicU32,
}

impl Answers {
    /// In place of an answer: the connection is closed.
    fn give(&self, call: TcpStream) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.peak.fetch_max(now, SeqCst);
        thread::sleep(ms(100));
        self.now.fetch_sub(1, SeqCst);
        drop(call);
    }
}

fn peak(serve: fn(&TcpListener, &Answers)) -> io::Result<u32> {
    let (answers, listener) = (Answers::default(), TcpListener::bind("127.0.0.1:0")?);
    let server = listener.local_addr()?;
    thread::scope(|scope| {
        scope.spawn(|| serve(&listener, &answers));
        for _ in 0..CALLS {
            scope.spawn(move || TcpStream::connect(server)?.read(&mut [0]));
        }
    });
    Ok(answers.peak.into_inner())
}

pub(crate) fn both() -> Both {
    let peak = |half| peak(half).expect("127.0.0.1 can be reached");
    let many = |peak: &u32| if *peak == 1 { "one" } else { "several" };
    let tell = |peak: &u32| format!("8 calls at once, served at a time: {}", many(peak));
    Both::of(peak(wrong), peak(right), |peak| *peak > 1, tell)
}
