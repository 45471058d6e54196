//! What holds for all jobs of a run: pure, and shared by both versions.

use std::time::Duration;

use ai_core::{CallOptions, ChatRequest};
use caching::Scope;
use rate_limited_batch::{AcquireError, Feedback};
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
    /// No budget, since others do here what it is for: the limiter bounds all traffic, and the
    /// breaker asks no model that is down.
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

/// Which call of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    /// The one that each attempt makes.
    First,
    /// The one beside it, if that has had no answer for long.
    Hedge,
}

/// One model's turn in a job.
#[derive(Debug)]
pub(crate) struct ModelTurn<'a> {
    pub(crate) job: &'a Job,
    pub(crate) request: ChatRequest,
    /// When the job's time is over.
    pub(crate) until: Option<Duration>,
    /// How much time the job had when it began.
    pub(crate) deadline: Option<Duration>,
    /// Whether it is the job's own model, and not the fallback.
    pub(crate) own: bool,
    /// Whether another model can be asked after this one.
    pub(crate) replaceable: bool,
    /// One key for all attempts: by it a server that knows the header sees that it has done this
    /// already.
    pub(crate) key: String,
}

impl Rules {
    /// The turns of a job that begins now: its own model's, then the fallback's.
    pub(crate) fn turns<'a>(
        &self,
        job: &'a Job,
        now: Duration,
        random: u128,
    ) -> Vec<ModelTurn<'a>> {
        let own = &job.request.model;
        let fallback = self.fallback.as_ref().filter(|model| *model != own);
        let models = [Some(own), fallback].into_iter().flatten();
        let turn = |(index, model): (usize, &String)| ModelTurn {
            job,
            request: ChatRequest {
                model: model.clone(),
                ..job.request.clone()
            },
            deadline: self.deadline,
            until: self.deadline.and_then(|limit| now.checked_add(limit)),
            own: index == 0,
            replaceable: index == 0 && fallback.is_some(),
            key: format!("{random:032x}-{index}"),
        };
        models.enumerate().map(turn).collect()
    }

    /// The policy of a turn that begins now.
    pub(crate) fn policy(&self, turn: &ModelTurn<'_>, now: Duration) -> Policy {
        Policy {
            deadline: turn.left(now),
            budget: None,
            ..self.policy.clone()
        }
    }

    /// How to make this call of an attempt, now.
    pub(crate) fn options(&self, turn: &ModelTurn<'_>, now: Duration, which: Which) -> CallOptions {
        let mut options = CallOptions::new().idempotency_key(match which {
            Which::First => turn.key.clone(),
            // With the same one, a server that knows the header would let the hedge wait for the
            // very call it is to overtake.
            Which::Hedge => format!("{}-hedge", turn.key),
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

impl ModelTurn<'_> {
    /// The time that is left, if it is limited.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        self.until.map(|until| until.saturating_sub(now))
    }

    /// Whether it was another job's time that was over: this one has followed that one's call, and it
    /// has time left. What it has called itself before, another model say, has nothing to do with it.
    pub(crate) fn may_ask_again(&self, failure: &Failure, trace: &Trace, now: Duration) -> bool {
        let left = self.left(now).is_some_and(|left| !left.is_zero());
        failure.is_of_time() && trace.follows() && left
    }

    /// How much time the job had, if that is over.
    pub(crate) fn is_over(&self, now: Duration) -> Option<Duration> {
        let is_over = self.until.is_some_and(|until| until <= now);
        self.deadline.filter(|_| is_over)
    }

    /// What the limiter is to learn from a call. What the server says is left is said of one model,
    /// and the limiter's is one for all: the fallback's account may be a small one, and would slow the
    /// jobs' own models down.
    pub(crate) fn lesson(&self, feedback: Feedback) -> Feedback {
        if self.own {
            return feedback;
        }
        Feedback {
            requests_left: None,
            tokens_left: None,
            ..feedback
        }
    }

    /// What the job fails with when its time was over before anything else.
    pub(crate) fn late(&self) -> Failure {
        Failure::Deadline(self.deadline.unwrap_or_default())
    }

    /// What the job fails with when there was no slot.
    pub(crate) fn no_slot(&self, error: AcquireError) -> Failure {
        Failure::of_acquire(error, self.deadline)
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
