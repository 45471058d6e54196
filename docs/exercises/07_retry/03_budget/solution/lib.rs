//! The solution of 07.03.
//!
//! The same as patterns/07-retry/src/budget.rs: fn spend
//! The same as patterns/07-retry/src/budget.rs: fn refund

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A purse for retries, which all callers of one service share.
///
/// Limits on attempts are no limit on traffic: when a service is down, three attempts a call are
/// three times the traffic, just when it needs less. With a budget, retries end once many fail.
#[derive(Debug)]
pub struct Budget {
    tokens: AtomicU32,
    capacity: u32,
}

/// What a retry costs.
pub const COST: u32 = 5;
/// What a retry costs where the server may have done the work already: a timeout there.
pub const COST_MAYBE_BILLED: u32 = 10;
/// What a success gives back.
pub const REFUND: u32 = 1;

impl Budget {
    /// A full purse that never holds more than this.
    pub fn new(capacity: u32) -> Budget {
        Budget {
            tokens: AtomicU32::new(capacity),
            capacity,
        }
    }

    /// Pays for a retry. `false` if there is not enough; then nothing is taken.
    // ANCHOR: spend
    pub fn spend(&self, maybe_billed: bool) -> bool {
        let cost = if maybe_billed {
            COST_MAYBE_BILLED
        } else {
            COST
        };
        let pay = |tokens: u32| tokens.checked_sub(cost);
        self.tokens.fetch_update(Relaxed, Relaxed, pay).is_ok()
    }
    // ANCHOR_END: spend

    /// Gives back what a success earns.
    // ANCHOR: refund
    pub fn refund(&self) {
        let earn = |tokens: u32| Some(tokens.saturating_add(REFUND).min(self.capacity));
        // It can't fail: `earn` always has an answer.
        let _ = self.tokens.fetch_update(Relaxed, Relaxed, earn);
    }
    // ANCHOR_END: refund

    /// What is in it.
    pub fn left(&self) -> u32 {
        self.tokens.load(Relaxed)
    }
}
