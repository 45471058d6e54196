//! The stops of the tour: a file a pattern, with what is special about it. To add one, write its file
//! and name it here.

mod caching;
mod concurrent_requests;
mod multi_service;
mod rate_limited_batch;
mod resilient_batch;
mod retry;
mod single_request;
mod streaming;

use std::fmt::Display;
use std::time::Duration;

use ai_mock::{Entry, Latency};
use clap::ValueEnum;
use demo::Scene;

use crate::runs::Lab;

/// The patterns, by the names of their packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pattern {
    SingleRequest,
    ConcurrentRequests,
    RateLimitedBatch,
    Streaming,
    MultiService,
    Caching,
    Retry,
    ResilientBatch,
}

impl Pattern {
    /// What is done at this stop. With the guide's own seconds, if need be, come its own few prompts.
    pub(crate) fn plan(self, guides_own: bool) -> Plan {
        match self {
            Pattern::SingleRequest => single_request::plan(),
            Pattern::ConcurrentRequests => concurrent_requests::plan(guides_own),
            Pattern::RateLimitedBatch => rate_limited_batch::plan(),
            Pattern::Streaming => streaming::plan(),
            Pattern::MultiService => multi_service::plan(),
            Pattern::Caching => caching::plan(),
            Pattern::Retry => retry::plan(),
            Pattern::ResilientBatch => resilient_batch::plan(),
        }
    }
}

/// What is done at one stop. Times are the guide's: they are scaled when it is run.
pub(crate) struct Plan {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) scene: Scene,
    /// How the server's latencies spread, where they are not all the scene's.
    pub(crate) latency: Option<(Duration, Duration)>,
    /// What the server takes for each request.
    pub(crate) replies: Vec<Duration>,
    /// What the timelines span: a little more than the slowest run takes.
    pub(crate) whole: Duration,
    /// What a request was for, where they differ.
    pub(crate) name_of: fn(&Entry) -> &'static str,
    pub(crate) strategies: Vec<Strategy>,
}

/// One way to do it, in one of the versions.
pub(crate) struct Strategy {
    /// `sync` or `async`.
    pub(crate) version: &'static str,
    pub(crate) name: &'static str,
    /// Whether all its requests overlap: then a speed-up is due.
    pub(crate) overlaps: bool,
    pub(crate) run: Box<dyn Fn(&Lab) -> Outcome>,
}

/// What a strategy did, before it is compared.
pub(crate) struct Outcome {
    pub(crate) ok: usize,
    pub(crate) failed: usize,
    pub(crate) error: Option<String>,
    pub(crate) first_token: Option<Duration>,
}

/// What the guide says a reply takes.
const REPLY: Duration = Duration::from_secs(3);

impl Plan {
    fn new(number: u8, name: &'static str, scene: Scene, replies: Vec<Duration>) -> Plan {
        let in_turn: Duration = replies.iter().sum();
        Plan {
            number,
            name,
            scene,
            latency: None,
            replies,
            whole: in_turn.mul_f64(1.01),
            name_of: |_| "",
            strategies: Vec::new(),
        }
    }

    /// Adds a strategy that is not expected to be faster than the first.
    fn with(
        mut self,
        version: &'static str,
        name: &'static str,
        run: impl Fn(&Lab) -> Outcome + 'static,
    ) -> Plan {
        self.strategies.push(Strategy {
            version,
            name,
            overlaps: false,
            run: Box::new(run),
        });
        self
    }

    /// Adds a strategy whose requests all overlap, so that the slowest is as slow as the whole.
    fn with_overlap(
        self,
        version: &'static str,
        name: &'static str,
        run: impl Fn(&Lab) -> Outcome + 'static,
    ) -> Plan {
        let mut plan = self.with(version, name, run);
        if let Some(added) = plan.strategies.last_mut() {
            added.overlaps = true;
        }
        plan
    }

    /// How the server's latencies spread at this scale.
    pub(crate) fn latency_at(&self, scale: f64) -> Option<Latency> {
        let (low, high) = self.latency?;
        let [low, high] = [low, high].map(|time| time.mul_f64(scale));
        Some(Latency::Uniform { low, high })
    }
}

impl Outcome {
    fn count<E: Display>(results: impl IntoIterator<Item = Result<(), E>>) -> Outcome {
        let (ok, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        Outcome {
            ok: ok.len(),
            failed: failed.len(),
            error: failed
                .into_iter()
                .find_map(|result| Some(result.err()?.to_string())),
            first_token: None,
        }
    }
}
