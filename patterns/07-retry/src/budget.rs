//! How much all retries of a program may spend together: pure, and shared by both versions.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A purse for retries, which all callers of one service share.
///
/// Limits on attempts are no limit on traffic: when a service is down, three attempts a call are
/// three times the traffic, just when it needs less. With a budget, retries end once many fail.
///
/// The figures are those of AWS's SDKs. A retry costs 5, and 10 where the server may have done the
/// work (a timeout there: the dear kind); a success gives 1 back. So in the long run at most one
/// call in six is a retry. (The SDKs also give back what a retry that succeeded had cost.)
///
/// A retry is paid for when it is decided on, before its pause. Who drops the future in that pause has
/// paid for an attempt that is not made: so the purse errs on the side of fewer retries. To give that
/// back, each pause would need a guard.
///
/// ```
/// use retry::Budget;
///
/// let budget = Budget::new(12);
/// assert!(budget.spend(false) && budget.spend(false));
/// assert!(!budget.spend(false), "2 are left, and 5 are asked for");
/// ```
// An atomic and not a mutex: there is one number, and each step is one change of it.
#[derive(Debug)]
pub struct Budget {
    tokens: AtomicU32,
    capacity: u32,
}

const COST: u32 = 5;
const COST_MAYBE_BILLED: u32 = 10;
const REFUND: u32 = 1;

impl Budget {
    /// A full purse that never holds more than this.
    pub fn new(capacity: u32) -> Budget {
        Budget {
            tokens: AtomicU32::new(capacity),
            capacity,
        }
    }

    /// Pays for a retry. `false` if there is not enough; then nothing is taken.
    pub fn spend(&self, maybe_billed: bool) -> bool {
        let cost = if maybe_billed {
            COST_MAYBE_BILLED
        } else {
            COST
        };
        let pay = |tokens: u32| tokens.checked_sub(cost);
        self.tokens.fetch_update(Relaxed, Relaxed, pay).is_ok()
    }

    /// Gives back what a success earns.
    pub fn refund(&self) {
        let earn = |tokens: u32| Some(tokens.saturating_add(REFUND).min(self.capacity));
        // It can't fail: `earn` always has an answer.
        let _ = self.tokens.fetch_update(Relaxed, Relaxed, earn);
    }
}

impl Default for Budget {
    /// 500, which is 100 retries.
    fn default() -> Budget {
        Budget::new(500)
    }
}
