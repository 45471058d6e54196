//! What one job does until it is done: pure, and shared by both versions.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ai_core::ChatResponse;
use caching::{Cached, Source};

use crate::failure::Failure;
use crate::line::Job;
use crate::record::{self, Reason, Record, ms, on_one_line};
use crate::tally::Call;

/// Notes the calls of one job. Behind a lock and not `&mut`, since what waits for the job looks at
/// it, too.
#[derive(Debug, Default)]
pub(crate) struct Trace(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    calls: Vec<Call>,
    /// When those began that have not ended.
    under_way: Vec<Duration>,
    follows: bool,
}

impl Trace {
    /// A model's turn begins: if another job is asking for the same, this one follows it.
    pub(crate) fn follow(&self) {
        self.lock().follows = true;
    }

    /// It makes its calls itself.
    pub(crate) fn lead(&self) {
        self.lock().follows = false;
    }

    /// Whether it makes none itself, in this turn.
    pub(crate) fn follows(&self) -> bool {
        self.lock().follows
    }

    /// A call begins.
    pub(crate) fn began(&self, at: Duration) {
        self.lock().under_way.push(at);
    }

    /// A call that began at `at` has ended now.
    pub(crate) fn ended(&self, at: Duration, now: Duration, maybe_billed: bool) {
        let mut noted = self.lock();
        let begun = noted.under_way.iter().position(|begun| *begun == at);
        noted.under_way.swap_remove(begun.expect("it began then"));
        let took = now.saturating_sub(at);
        noted.calls.push(Call {
            at,
            took,
            maybe_billed,
        });
    }

    /// Whether a call is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.lock().under_way.is_empty()
    }

    /// All calls. Those that a panic has left under way end now, and may have been paid for.
    pub(crate) fn into_calls(self, now: Duration) -> Vec<Call> {
        let noted = self.0.into_inner();
        let noted = noted.unwrap_or_else(PoisonError::into_inner);
        let left = noted.under_way.into_iter().map(|at| Call {
            at,
            took: now.saturating_sub(at),
            maybe_billed: true,
        });
        noted.calls.into_iter().chain(left).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long at least one call was under way. A hedge runs beside the call before it, and they may
/// have ended in any order.
fn called(calls: &[Call]) -> Duration {
    let mut calls: Vec<_> = calls.iter().map(|call| (call.at, call.took)).collect();
    calls.sort_unstable();
    let mut until = Duration::ZERO;
    let alone = calls.into_iter().map(|(at, took)| {
        let end = at + took;
        let new = end.saturating_sub(at.max(until));
        until = until.max(end);
        new
    });
    alone.sum()
}

/// What became of a job.
#[derive(Debug)]
pub struct Done {
    /// Its line of the output; none if it was stopped, and stays to do.
    pub record: Option<Record>,
    /// Why no other job is worth a try. This one stays to do as well.
    pub hopeless: Option<Failure>,
    /// What its answer would have cost, if it was cached and that is known.
    pub saved: Option<ai_core::Cost>,
    /// The calls it made.
    pub calls: Vec<Call>,
}

impl Done {
    /// Puts together what became of a job that has taken so long in all.
    pub fn new(
        job: &Job,
        asked: &str,
        result: Result<Cached<ChatResponse>, Failure>,
        calls: Vec<Call>,
        took: Duration,
    ) -> Done {
        let called = called(&calls);
        let mut record = Record {
            custom_id: job.id.clone(),
            response: None,
            error: None,
            model: asked.to_owned(),
            cached: false,
            usage: None,
            cost: None,
            attempts: u32::try_from(calls.len()).unwrap_or(u32::MAX),
            wait_ms: ms(took.saturating_sub(called)),
            call_ms: ms(called),
        };
        let mut done = Done {
            record: None,
            hopeless: None,
            saved: None,
            calls,
        };
        match result {
            Err(Failure::Stopped) => return done,
            Err(failure) if failure.is_everybodys() => {
                done.hopeless = Some(failure);
                return done;
            }
            Err(failure) => record.error = Some(Reason::of(&failure)),
            Ok(answer) => {
                record.model = record::model(&answer.value, asked).to_owned();
                record.cached = answer.source != Source::Called;
                record.usage = answer.usage;
                let cost = record::cost(&answer.value, answer.usage, asked);
                (record.cost, done.saved) = match record.cached {
                    true => (Some(Default::default()), cost),
                    false => (cost, None),
                };
                record.response = Some(on_one_line(&answer.body));
            }
        }
        done.record = Some(record);
        done
    }
}
