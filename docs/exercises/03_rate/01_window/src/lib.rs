//! Who may go now: a limit that holds by the server's clock. No clock here, and no waiting.
//!
//! All times are durations since any fixed start, and don't go backwards.

use std::collections::VecDeque;
use std::time::Duration;

/// At most so many requests in any window of this length, as the server counts them.
///
/// The server counts a request some time after it was sent and before its answer is there. When, it
/// does not say. So a request holds its slot while it is under way, and for one window after it was
/// [`seen`](Window::seen).
#[derive(Debug)]
pub struct Window {
    requests: usize,
    length: Duration,
    /// How many are sent and not yet answered.
    under_way: usize,
    /// When the slots of the answered ones are free again, the first one in front.
    expiries: VecDeque<Duration>,
}

/// What a caller that asks has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Send it now: the slot is taken.
    Go,
    /// Ask again at this time.
    WaitUntil(Duration),
    /// Ask again when an answer has been seen: before that nobody can tell.
    Wait,
}

impl Window {
    /// A window in which nothing has been sent.
    pub fn new(requests: usize, length: Duration) -> Window {
        Window {
            requests,
            length,
            under_way: 0,
            expiries: VecDeque::new(),
        }
    }

    /// Asks whether a request may be sent now. With [`Admission::Go`] its slot is taken.
    pub fn poll(&mut self, now: Duration) -> Admission {
        // TODO: forget the slots that are free by now, then decide.
        let held = self.under_way + self.expiries.len();
        todo!("{held} of {} slots are held at {now:?}", self.requests)
    }

    /// An answer is there, or a failure: by now the server has counted the request.
    pub fn seen(&mut self, now: Duration) {
        let others = self.under_way.checked_sub(1);
        self.under_way = others.expect("nothing is under way: does `poll` count who goes?");
        self.expiries.push_back(now + self.length);
    }
}
