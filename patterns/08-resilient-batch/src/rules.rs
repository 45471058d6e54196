//! What holds for all jobs of a run: pure, and shared by both versions.

use std::time::Duration;

use ai_core::{CallOptions, ChatRequest};
use caching::Scope;
use rate_limited_batch::NoSlot;
use retry::{Budget, Policy};

use crate::breakers;
use crate::failure::Failure;
use crate::line::Job;
use crate::trace::Trace;

/// What holds for all jobs of a run.
#[derive(Debug, Clone)]
pub struct Rules {
    /// When to try again. Its deadline and budget are not used: see [`deadline`](Self::deadline).
    ///
    /// No budget, since what it is for is done by others here: the limiter bounds all traffic, and
    /// the breaker asks nobody who is down.
    pub policy: Policy,
    /// When to stop asking a model that fails, and for how long.
    pub breaker: breakers::Rules,
    /// The model to ask when a job's own is given up on.
    pub fallback: Option<String>,
    /// How long a job may take in all, waiting included.
    pub deadline: Option<Duration>,
    /// Whose answers the cache may give.
    pub scope: Scope,
    /// Whether to tell the server the names of the jobs, as only the offline server wants it.
    pub named: bool,
}

/// One model's turn in a job.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) job: &'a Job,
    pub(crate) request: ChatRequest,
    /// When the job's time is over.
    pub(crate) until: Option<Duration>,
    deadline: Duration,
    /// Whether another model can be asked after this one.
    pub(crate) replaceable: bool,
    /// One key for all attempts: by it a server that knows the header sees that it has done this
    /// already.
    pub(crate) key: String,
}

impl Rules {
    /// The turns of a job that begins now: its own model's, then the fallback's.
    pub(crate) fn turns<'a>(&self, job: &'a Job, now: Duration, random: u128) -> Vec<Turn<'a>> {
        let own = &job.request.model;
        let fallback = self.fallback.as_ref().filter(|model| *model != own);
        let models = [Some(own), fallback].into_iter().flatten();
        let turn = |(index, model): (usize, &String)| Turn {
            job,
            request: ChatRequest {
                model: model.clone(),
                ..job.request.clone()
            },
            deadline: self.deadline.unwrap_or(Duration::MAX),
            until: self.deadline.and_then(|limit| now.checked_add(limit)),
            replaceable: index == 0 && fallback.is_some(),
            key: format!("{random:032x}-{index}"),
        };
        models.enumerate().map(turn).collect()
    }

    /// The policy of a turn that begins now.
    pub(crate) fn policy(&self, turn: &Turn<'_>, now: Duration) -> Policy {
        Policy {
            deadline: turn.left(now),
            budget: None,
            ..self.policy.clone()
        }
    }

    /// How to call in this turn, now. The call is the attempt's first, number 0, or its hedge.
    pub(crate) fn options(&self, turn: &Turn<'_>, now: Duration, number: usize) -> CallOptions {
        let mut options = CallOptions::new().idempotency_key(match number {
            0 => turn.key.clone(),
            // With the same one, a server that knows the header would let the hedge wait for the
            // very call it is to overtake.
            _ => format!("{}-hedge", turn.key),
        });
        if self.named {
            // A header takes no letter beyond ASCII, and no control character.
            options = options.header("x-mock-item", turn.job.id.escape_default().to_string());
        }
        match turn.left(now) {
            Some(left) => options.total(left),
            None => options,
        }
    }
}

impl Turn<'_> {
    /// The time that is left, if it is limited.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        self.until.map(|until| until.saturating_sub(now))
    }

    /// Whether it was another's time that was over, for whom this job has waited without a call of its
    /// own: it has time left.
    pub(crate) fn may_ask_again(&self, failure: &Failure, trace: &Trace, now: Duration) -> bool {
        let left = self.left(now).is_some_and(|left| !left.is_zero());
        failure.is_of_time() && trace.is_empty() && left
    }

    /// How much time the job had, if that is over.
    pub(crate) fn is_over(&self, now: Duration) -> Option<Duration> {
        self.until
            .is_some_and(|until| until <= now)
            .then_some(self.deadline)
    }

    /// What a wait for a slot ended with.
    pub(crate) fn no_slot(&self, error: NoSlot) -> Failure {
        Failure::of_turn(error, Some(self.deadline))
    }
}

/// When an attempt makes a second call beside its first, and how often that may be.
#[derive(Debug)]
pub(crate) struct Hedge {
    /// How long the first has had no answer then.
    pub(crate) after: Duration,
    /// In an outage all calls are slow, and would all be made twice. So a hedge costs 10, an answer
    /// earns 1, and 50 are there at first: in the long run at most one call in eleven is a hedge.
    budget: Budget,
}

impl Hedge {
    /// One hedge for each attempt that has had no answer for so long.
    pub(crate) fn new(after: Duration) -> Hedge {
        let budget = Budget::new(50);
        Hedge { after, budget }
    }

    /// Pays for a hedge, if there is enough.
    pub(crate) fn spend(&self) -> bool {
        // The dear kind: its loser may be paid for.
        self.budget.spend(true)
    }

    /// A call has been answered.
    pub(crate) fn earn(&self) {
        self.budget.refund();
    }
}
