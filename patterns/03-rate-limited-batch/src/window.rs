//! Who may go now: pure, and shared by both versions.
//!
//! All times are durations since any fixed start, and must not go backwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::limits::{Cost, Limits, TooLarge};
use crate::pace::Pace;

/// A queue in front of a server that allows so many requests and tokens in any window of time.
///
/// A request takes its slot before it is sent, holds it while it is under way, and gives it back
/// one window after it was [`seen`](Self::seen): when the answer, or a failure, shows that the
/// server has counted it. At that time the server's own count of it has expired, whenever between
/// the two that was made.
#[derive(Debug)]
pub struct Window {
    limits: Limits,
    pace: Option<Pace>,
    paused_until: Duration,
    /// Who waits, and for how many tokens. Tickets are numbers, so the first is the oldest.
    waiting: BTreeMap<Ticket, u64>,
    /// What the server counts, or may be about to count.
    slots: BTreeMap<Ticket, Slot>,
    /// When the slots expire that have been seen.
    expiries: BTreeSet<(Duration, Ticket)>,
    used: Cost,
    under_way: BTreeSet<Ticket>,
    next: u64,
}

impl Window {
    /// Whether the head of the queue may go, and when to ask again if not.
    fn turn_of(&mut self, tokens: u64, now: Duration) -> Turn {
        self.expire(now);
        if self.under_way.len() >= self.limits.concurrency.get() {
            return Turn::Wait;
        }
        let paced = self.pace.map_or(Duration::ZERO, |pace| pace.next());
        let mut at = self.paused_until.max(paced);
        // All budgets are looked at together, so that none is held while another is waited for.
        let want = Cost {
            requests: 1,
            tokens,
        };
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
            false => Turn::Wait,
            true if at > now => Turn::WaitUntil(at),
            true => Turn::Go,
        }
    }
}

/// What the one who asks has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Send it now: the slot is taken.
    Go,
    /// Ask again at this time, or when told that something has changed.
    WaitUntil(Duration),
    /// Ask again when told that something has changed.
    Wait,
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
            under_way: BTreeSet::new(),
            next: 0,
        }
    }

    /// Queues up with a request that costs at most so many tokens.
    ///
    /// # Errors
    /// When it is larger than a whole window. It would wait for ever, and all behind it.
    pub fn enter(&mut self, tokens: u64) -> Result<Ticket, TooLarge> {
        let limits = self.limits;
        if !limits.allow(Cost {
            requests: 1,
            tokens,
        }) {
            return Err(TooLarge { tokens, limits });
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.insert(ticket, tokens);
        Ok(ticket)
    }

    /// Asks whether it is this ticket's turn. With [`Turn::Go`] its slot is taken.
    pub fn poll(&mut self, ticket: Ticket, now: Duration) -> Turn {
        let Some((head, tokens)) = self.waiting.first_key_value() else {
            return Turn::Wait;
        };
        // First come, first served, also when a smaller one further back would fit: large ones
        // would wait for ever.
        if *head != ticket {
            return Turn::Wait;
        }
        let tokens = *tokens;
        let turn = self.turn_of(tokens, now);
        if turn == Turn::Go {
            self.waiting.remove(&ticket);
            let cost = Cost {
                requests: 1,
                tokens,
            };
            let expires = None;
            self.slots.insert(ticket, Slot { cost, expires });
            self.used = self.used + cost;
            self.under_way.insert(ticket);
            self.pace.iter_mut().for_each(|pace| pace.go(now));
        }
        turn
    }

    /// Whether it is worth while to tell the head of the queue that something has changed.
    pub fn is_open(&mut self, now: Duration) -> bool {
        let head = self.waiting.first_key_value();
        head.map(|(_, tokens)| *tokens)
            .is_some_and(|tokens| self.turn_of(tokens, now) != Turn::Wait)
    }

    /// There is evidence that the server has counted the request: the head of its answer, or a
    /// failure. Its slot expires a window later. Only the first evidence counts.
    pub fn seen(&mut self, ticket: Ticket, now: Duration) {
        if let Some(slot) = self.slots.get_mut(&ticket)
            && slot.expires.is_none()
        {
            let expires = now + self.limits.length;
            slot.expires = Some(expires);
            self.expiries.insert((expires, ticket));
        }
    }

    /// The request is over, and has used this many tokens, if that is known.
    pub fn finished(&mut self, ticket: Ticket, tokens: Option<u64>, now: Duration) {
        self.seen(ticket, now);
        self.under_way.remove(&ticket);
        if let Some(slot) = self.slots.get_mut(&ticket)
            && let Some(tokens) = tokens.filter(|_| self.limits.trued_up)
        {
            // Downward only: what was reserved was promised to be the most, and if it was not, the
            // server has let it pass.
            let unused = slot.cost.tokens.saturating_sub(tokens);
            slot.cost.tokens -= unused;
            self.used.tokens -= unused;
        }
    }

    /// Nobody wants the request any more.
    ///
    /// If it waits, it gives everything back. If it is under way, nobody will ever know when the
    /// server counted it: it is assumed that this was before the connection was closed, so now.
    pub fn leave(&mut self, ticket: Ticket, now: Duration) {
        if self.waiting.remove(&ticket).is_none() {
            self.finished(ticket, None, now);
        }
    }

    /// Lets nobody go before this time: the server has said so (429 with Retry-After).
    pub fn pause(&mut self, until: Duration) {
        self.paused_until = self.paused_until.max(until);
    }

    /// The server says how many requests are left, and in how long all will be there again
    /// (`x-ratelimit-remaining-requests`, `x-ratelimit-reset-requests`).
    ///
    /// It counts downward only: if there are fewer than we think, then somebody else uses the same
    /// account. If there are more, some of ours are still on their way.
    pub fn left(&mut self, remaining: u64, reset: Duration, now: Duration) {
        self.expire(now);
        let limit = u64::from(self.limits.requests);
        let others = limit
            .saturating_sub(remaining)
            .saturating_sub(self.used.requests);
        if others > 0 {
            let ticket = Ticket(self.next);
            self.next += 1;
            let cost = Cost {
                requests: others,
                tokens: 0,
            };
            let expires = now + reset.min(self.limits.length);
            let slot = Slot {
                cost,
                expires: Some(expires),
            };
            self.slots.insert(ticket, slot);
            self.used = self.used + cost;
            self.expiries.insert((expires, ticket));
        }
    }

    fn expire(&mut self, now: Duration) {
        while let Some((expires, ticket)) = self.expiries.first().copied()
            && expires <= now
        {
            self.expiries.pop_first();
            let slot = self.slots.remove(&ticket).expect("what expires has a slot");
            self.used = self.used - slot.cost;
        }
    }
}
