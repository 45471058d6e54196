//! What counts as a failure, and a breaker for each model: pure, and shared by both versions.

use std::collections::BTreeMap;
use std::time::Duration;

use ai_core::Error;

use crate::breaker::{Breaker, Outcome};

impl Outcome {
    /// What counts as a failure is what the service can't help: 5xx, no connection, silence, and a
    /// connection that broke. 429 and other 4xx are neutral. A service that says "not so fast", or
    /// "not you", is up.
    ///
    /// A call that was ended by its job's `deadline` has met with silence as well, if it had at least
    /// half of that time. One that had less is neutral: its job had lost the time by waiting.
    pub fn of<T>(result: &Result<T, Error>, deadline: Option<Duration>) -> Outcome {
        let is_long = |limit: Duration| deadline.is_none_or(|deadline| limit >= deadline / 2);
        match result {
            Ok(_) => Outcome::Answered,
            Err(Error::Connect(_) | Error::Silent { .. } | Error::Interrupted { .. }) => {
                Outcome::Failed
            }
            Err(Error::Deadline { limit }) if is_long(*limit) => Outcome::Failed,
            Err(Error::Status(refusal)) if refusal.status >= Some(500) => Outcome::Failed,
            Err(_) => Outcome::Neutral,
        }
    }
}

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// So many failures open it: 10. More than [`of_the_last`](Self::of_the_last), such as
    /// [`u32::MAX`], never do.
    pub failures: u32,
    /// Of so many last calls: 20, and 63 at the most. A service that fails by chance in 15 % of all
    /// calls is taken for one that is down about once in 13,000 calls.
    pub of_the_last: u32,
    /// How long it stays open: 10 s. [`Duration::MAX`] is for ever.
    pub cool_down: Duration,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            failures: 10,
            of_the_last: 20,
            cool_down: Duration::from_secs(10),
        }
    }
}

/// A breaker for each model: one may be overloaded, and the other not.
#[derive(Debug)]
pub struct Breakers {
    rules: Rules,
    by_model: BTreeMap<String, Breaker>,
}

impl Breakers {
    /// None yet: each model's is made when it is first asked for.
    pub fn new(rules: Rules) -> Breakers {
        let by_model = BTreeMap::new();
        Breakers { rules, by_model }
    }

    /// The breaker of this model.
    pub fn of(&mut self, model: &str) -> &mut Breaker {
        let new = || Breaker::new(self.rules);
        // `entry` would take a copy of the name each time.
        if !self.by_model.contains_key(model) {
            self.by_model.insert(model.to_owned(), new());
        }
        self.by_model.get_mut(model).expect("it is there now")
    }
}
