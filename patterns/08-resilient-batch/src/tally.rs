//! What a run has done, in figures: pure, and shared by both versions.

use std::fmt;
use std::time::Duration;

use ai_core::{Cost, Usage};
use hdrhistogram::Histogram;

use crate::record::{Record, ms};

/// One call that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// When it began.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// It failed, and may have been paid for.
    pub maybe_billed: bool,
}

/// The figures of a run.
#[derive(Debug)]
pub struct Tally {
    /// Jobs with an answer.
    pub succeeded: u64,
    /// Jobs without.
    pub failed: u64,
    /// Lines that are no job.
    pub bad_lines: u64,
    /// Jobs that were done before.
    pub skipped: u64,
    /// Jobs that were begun, and are still to do.
    pub unfinished: u64,
    /// All calls, also those that failed.
    pub calls: u64,
    /// What was used, of what the server tells.
    pub usage: Usage,
    /// What that has cost.
    pub cost: Cost,
    /// Calls whose cost is not known.
    pub cost_unknown: u64,
    /// Jobs with a cached answer, which made no call.
    pub cached: u64,
    /// What those calls would have used.
    pub saved: Usage,
    /// What that would have cost.
    pub saved_cost: Cost,
    /// Cached jobs for which that cost is not known.
    pub saved_unknown: u64,
    times: Histogram<u64>,
    /// When the first call began, and when the last one.
    span: Option<(Duration, Duration)>,
    /// How many requests are permitted, and in which time.
    rate: (u32, Duration),
}

impl Tally {
    /// Nothing done yet, at a limit of so many requests in so long.
    pub fn new(rate: (u32, Duration)) -> Tally {
        // Microseconds up to an hour, in three digits: some 200 KB, whatever comes.
        let times = Histogram::new_with_bounds(1, 3_600_000_000, 3);
        Tally {
            succeeded: 0,
            failed: 0,
            bad_lines: 0,
            skipped: 0,
            unfinished: 0,
            calls: 0,
            usage: Usage::default(),
            cost: Cost::default(),
            cost_unknown: 0,
            cached: 0,
            saved: Usage::default(),
            saved_cost: Cost::default(),
            saved_unknown: 0,
            times: times.expect("the bounds are in order"),
            span: None,
            rate,
        }
    }

    /// Jobs that are done now: in this run or before.
    pub fn done(&self) -> u64 {
        self.succeeded + self.failed + self.skipped
    }

    /// Counts what a job has called.
    pub fn add_calls(&mut self, calls: &[Call]) {
        for call in calls {
            self.calls += 1;
            self.cost_unknown += u64::from(call.maybe_billed);
            self.times.saturating_record(call.took.as_micros() as u64);
            let (first, last) = self.span.unwrap_or((call.at, call.at));
            self.span = Some((first.min(call.at), last.max(call.at)));
        }
    }

    /// Counts what became of a job. `saved` is what a cached answer would have cost.
    pub fn add(&mut self, record: &Record, saved: Option<Cost>) {
        if record.error.is_some() {
            self.failed += 1;
            return;
        }
        self.succeeded += 1;
        let usage = record.usage.unwrap_or_default();
        if record.cached {
            self.cached += 1;
            self.saved = self.saved + usage;
            self.saved_cost = self.saved_cost + saved.unwrap_or_default();
            self.saved_unknown += u64::from(saved.is_none());
        } else {
            self.usage = self.usage + usage;
            self.cost = self.cost + record.cost.unwrap_or_default();
            self.cost_unknown += u64::from(record.cost.is_none());
        }
    }

    /// The share of the permitted rate that was used; none if there were too few calls for the
    /// limit to matter.
    ///
    /// It compares times: that in which a perfect client could have begun as many calls (a whole
    /// window's at once, then the next ones) with that between the first and the last one.
    pub fn share_of_rate(&self) -> Option<f64> {
        let (requests, window) = self.rate;
        let (first, last) = self.span?;
        let windows = self.calls.checked_sub(1)?.checked_div(requests.into())?;
        let ideal = window.mul_f64(windows as f64);
        let share = ideal.div_duration_f64(last - first);
        (windows > 0 && share.is_finite()).then_some(share)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.succeeded + self.failed {
            0 if self.unfinished == 0 => f.write_str("nothing to do")?,
            // Where some were left, the sum says nothing.
            _ if self.unfinished > 0 => write!(f, "{} succeeded", self.succeeded)?,
            jobs => write!(f, "{}/{jobs} succeeded", self.succeeded)?,
        }
        for (count, what) in [
            (self.failed, "failed"),
            (self.unfinished, "begun and left"),
            (self.skipped, "done before"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if self.bad_lines > 0 {
            write!(f, ", {}", Count(self.bad_lines, "bad line"))?;
        }
        let (input, output) = (self.usage.input_tokens, self.usage.output_tokens);
        let calls = Count(self.calls, "call");
        write!(
            f,
            "\n{calls}, {input} tokens in and {output} out, {}",
            self.cost
        )?;
        if self.cost_unknown > 0 {
            let calls = Count(self.cost_unknown, "call");
            write!(f, " and what {calls} cost, which is unknown")?;
        }
        if self.cached > 0 {
            let (input, output) = (self.saved.input_tokens, self.saved.output_tokens);
            let (calls, tokens) = (Count(self.cached, "call"), input.saturating_add(output));
            write!(
                f,
                "\ncache: {calls} saved, {tokens} tokens, {}",
                self.saved_cost
            )?;
            if self.saved_unknown > 0 {
                let calls = Count(self.saved_unknown, "call");
                write!(f, " and what {calls} would have cost, which is unknown")?;
            }
        }
        if self.calls > 0 {
            let at = |share| Duration::from_micros(self.times.value_at_quantile(share));
            let (p50, p99) = (ms(at(0.5)), ms(at(0.99)));
            write!(f, "\na call took {p50} ms (p50), {p99} ms (p99)")?;
        }
        if let Some(share) = self.share_of_rate() {
            let percent = share * 100.0;
            write!(f, "; {percent:.0} % of the permitted rate was used")?;
        }
        Ok(())
    }
}

/// So many of something.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}
