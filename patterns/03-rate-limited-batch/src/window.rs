//! Which request may go now: pure, and shared by both versions.
//!
//! All times are durations since any fixed start, and must not go backwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::feedback::Feedback;
use crate::limits::{AcquireError, Cost, Limits, TooLarge};
use crate::pace::Pace;

/// A queue in front of a server that allows so many requests and tokens in any window of time.
///
/// A request takes its slot before it is sent, holds it while it is under way, and gives it back
/// one window after it was [`seen`](Self::seen): when the answer, or a failure, shows that the
/// server has counted it. At that time the server's own count of it has expired, whenever between
/// the two that was made. ([`Limits::margin`] is the other policy.)
#[derive(Debug)]
pub struct Window {
    limits: Limits,
    pace: Option<Pace>,
    paused_until: Duration,
    /// The requests that wait, and their tokens. Tickets are numbers, so the first is the oldest.
    waiting: BTreeMap<Ticket, u64>,
    /// What the server counts, or may be about to count.
    slots: BTreeMap<Ticket, Slot>,
    /// When the slots expire that have been seen.
    expiries: BTreeSet<(Duration, Ticket)>,
    used: Cost,
    /// All that was ever given back.
    freed: Cost,
    /// The calls that have not ended, and what `freed` was when each was sent.
    under_way: BTreeMap<Ticket, Cost>,
    /// What the caller at the head of the queue was told last.
    head_was_told: Admission,
    closed: bool,
    next: u64,
}

impl Window {
    /// Whether the request at the head of the queue may go, and when to ask again if not.
    fn admission(&mut self, tokens: u64, now: Duration) -> Admission {
        self.expire(now);
        if self.under_way.len() >= self.limits.concurrency.get() {
            return Admission::Wait;
        }
        let paced = self.pace.map_or(Duration::ZERO, |pace| pace.next());
        let mut at = self.paused_until.max(paced);
        // All budgets are looked at together, so that none is held while another is waited for.
        let want = Cost::of(tokens);
        let mut used = self.used;
        for (expires, ticket) in &self.expiries {
            if self.limits.allow(used + want) {
                break;
            }
            used = used - self.slots[ticket].cost;
            at = at.max(*expires);
        }
        match self.limits.allow(used + want) {
            // What is in the way is under way itself: when it expires is not known yet.
            false => Admission::Wait,
            true if at > now => Admission::WaitUntil(at),
            true => Admission::Go,
        }
    }
}

/// What a caller that asks has to do. The sooner its request may go, the smaller it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// Send it now: the slot is taken.
    Go,
    /// Ask again at this time, or when told that something has changed.
    WaitUntil(Duration),
    /// Ask again when told that something has changed.
    Wait,
    /// Give up: no request goes any more.
    Closed,
}

/// A place in the queue. Older ones are smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug, Clone, Copy)]
struct Slot {
    cost: Cost,
    expires: Option<Duration>,
}

impl Window {
    /// A window in which nothing has been sent.
    pub fn new(limits: Limits) -> Window {
        let interval = limits.length.checked_div(limits.requests);
        Window {
            limits,
            pace: interval.filter(|_| limits.paced).map(Pace::new),
            paused_until: Duration::ZERO,
            waiting: BTreeMap::new(),
            slots: BTreeMap::new(),
            expiries: BTreeSet::new(),
            used: Cost::default(),
            freed: Cost::default(),
            under_way: BTreeMap::new(),
            head_was_told: Admission::Wait,
            closed: false,
            next: 0,
        }
    }

    /// Queues up with a request that costs at most so many tokens.
    ///
    /// # Errors
    /// When it is larger than a whole window, since it would wait for ever, and all behind it; and
    /// when the window is closed.
    pub fn enter(&mut self, tokens: u64) -> Result<Ticket, AcquireError> {
        let limits = self.limits;
        if !limits.allow(Cost::of(tokens)) {
            return Err(AcquireError::TooLarge(TooLarge { tokens, limits }));
        }
        if self.closed {
            return Err(AcquireError::Closed);
        }
        let ticket = self.ticket();
        self.waiting.insert(ticket, tokens);
        Ok(ticket)
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        ticket
    }

    /// Asks whether it is this ticket's turn. With [`Admission::Go`] its slot is taken.
    pub fn poll(&mut self, ticket: Ticket, now: Duration) -> Admission {
        if self.closed {
            return Admission::Closed;
        }
        // First come, first served, also when a smaller one further back would fit: large ones
        // would wait for ever.
        let head = self.waiting.first_key_value();
        let Some((_, &tokens)) = head.filter(|(head, _)| **head == ticket) else {
            return Admission::Wait;
        };
        let admission = self.admission(tokens, now);
        self.head_was_told = admission;
        if admission == Admission::Go {
            self.take(ticket, tokens, now);
        }
        admission
    }

    fn take(&mut self, ticket: Ticket, tokens: u64, now: Duration) {
        self.waiting.remove(&ticket);
        // The next caller has not been told anything yet.
        self.head_was_told = Admission::Wait;
        self.under_way.insert(ticket, self.freed);
        if let Some(pace) = &mut self.pace {
            pace.go(now);
        }
        self.occupy(ticket, Cost::of(tokens));
        if let Some(margin) = self.limits.margin {
            let length = self.limits.length.saturating_add(margin);
            self.expire_at(ticket, now.saturating_add(length));
        }
    }

    fn occupy(&mut self, ticket: Ticket, cost: Cost) {
        let expires = None;
        self.slots.insert(ticket, Slot { cost, expires });
        self.used = self.used + cost;
    }

    /// Whether the request at the head of the queue may go sooner than its caller was told.
    pub fn head_may_go_sooner(&mut self, now: Duration) -> bool {
        let head = self.waiting.values().next().copied();
        head.is_some_and(|tokens| self.admission(tokens, now) < self.head_was_told)
    }

    /// There is evidence that the server has counted the request: the head of its answer, or a
    /// failure. Its slot expires a window later. Only the first evidence counts.
    pub fn seen(&mut self, ticket: Ticket, now: Duration) {
        // It may be as long as can be said, a budget for ever: then its slots never expire.
        self.expire_at(ticket, now.saturating_add(self.limits.length));
    }

    fn expire_at(&mut self, ticket: Ticket, time: Duration) {
        if let Some(slot) = self.slots.get_mut(&ticket)
            && slot.expires.is_none()
        {
            slot.expires = Some(time);
            self.expiries.insert((time, ticket));
        }
    }

    /// The request is over, and this is what it taught.
    pub fn finished(&mut self, ticket: Ticket, feedback: &Feedback, now: Duration) {
        if feedback.unsent {
            self.unsent(ticket);
        }
        self.seen(ticket, now);
        if let Some(freed) = self.under_way.remove(&ticket) {
            self.learn(freed, feedback, now);
        }
        if let Some(slot) = self.slots.get_mut(&ticket)
            && let Some(tokens) = feedback.tokens.filter(|_| self.limits.trued_up)
        {
            // Downward only: what was reserved was promised to be the most, and if it was not, the
            // server has let it pass.
            let unused = Cost::tokens(slot.cost.tokens.saturating_sub(tokens));
            slot.cost = slot.cost - unused;
            self.free(unused);
        }
    }

    /// Learns that others use the same account, if less is left than we think.
    ///
    /// It counts downward only. If more is left, some of our requests are still on their way, or a
    /// reservation was more than the server counted.
    fn learn(&mut self, freed_at_sending: Cost, feedback: &Feedback, now: Duration) {
        if let Some(pause) = feedback.pause_in(self.limits.length) {
            self.paused_until = self.paused_until.max(now.saturating_add(pause));
        }
        // The server has counted at some time during the call. So all that was in use at any time
        // during it is ours, and not only what is in use now. Otherwise what was given back during a
        // long call would seem to be taken by others.
        let ours = self.used + (self.freed - freed_at_sending);
        let others = |limit: u64, left, ours| limit.saturating_sub(left).saturating_sub(ours);
        if let Some(left) = feedback.requests_left {
            let requests = others(self.limits.requests.into(), left.remaining, ours.requests);
            self.taken_by_others(Cost::requests(requests), left.reset, now);
        }
        if let (Some(left), Some(limit)) = (feedback.tokens_left, self.limits.tokens) {
            let tokens = others(limit, left.remaining, ours.tokens);
            self.taken_by_others(Cost::tokens(tokens), left.reset, now);
        }
    }

    fn taken_by_others(&mut self, cost: Cost, reset: Duration, now: Duration) {
        if cost != Cost::default() {
            let ticket = self.ticket();
            self.occupy(ticket, cost);
            self.expire_at(ticket, now.saturating_add(reset.min(self.limits.length)));
        }
    }

    /// The caller does not want the request any more.
    ///
    /// If the request waits, it gives up its place. If it is under way, there will never be evidence
    /// of when the server counted it: we assume that this was before the connection was closed, so
    /// by now.
    pub fn leave(&mut self, ticket: Ticket, now: Duration) {
        let was_head = self.waiting.keys().next() == Some(&ticket);
        if self.waiting.remove(&ticket).is_none() {
            self.finished(ticket, &Feedback::default(), now);
        } else if was_head {
            // The next caller has not been told anything yet.
            self.head_was_told = Admission::Wait;
        }
    }

    /// Not a byte of the request was sent: what it took of requests and tokens is free at once. Then
    /// let it [`leave`](Self::leave), which frees its place under way.
    ///
    /// Its time by the pace is gone. Given back, it would let two requests go in one interval if the
    /// next one has gone already.
    pub fn unsent(&mut self, ticket: Ticket) {
        if let Some(slot) = self.slots.get_mut(&ticket) {
            // Not by `free`, which is for what the server may have counted.
            self.used = self.used - std::mem::take(&mut slot.cost);
        }
    }

    /// Lets no request go any more. Those under way go on.
    pub fn close(&mut self) {
        self.closed = true;
    }

    fn expire(&mut self, now: Duration) {
        while let Some((expires, ticket)) = self.expiries.first().copied()
            && expires <= now
        {
            self.expiries.pop_first();
            let slot = self.slots.remove(&ticket).expect("what expires has a slot");
            self.free(slot.cost);
        }
    }

    fn free(&mut self, cost: Cost) {
        self.used = self.used - cost;
        self.freed = self.freed + cost;
    }
}
