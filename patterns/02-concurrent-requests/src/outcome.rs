//! What becomes of each prompt, and of all of them: pure, and shared by both versions.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use ai_core::{Error, panic_message};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// What became of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The place of its prompt among the prompts, from 0. It stays with the answer, whenever that
    /// arrives and wherever it is passed on.
    pub index: usize,
    /// The answer, or why there is none.
    pub result: Result<String, Failure>,
}

/// Why a prompt has no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// The call failed.
    Call(Error),
    /// The code that made the call panicked with this message.
    Panicked(String),
}

/// How a call can end: with an answer, with an error, or not at all. (What `catch_unwind` gives,
/// of a closure and of a future.)
pub(crate) type Ended = Result<Result<String, Error>, Box<dyn Any + Send>>;

impl Item {
    /// Sorts out how the call for a prompt ended.
    pub(crate) fn new(index: usize, ended: Ended) -> Item {
        let result = match ended {
            Ok(Ok(text)) => Ok(text),
            // The error stays with its prompt. A `?` here would throw the neighbours' answers away,
            // and those have been paid for.
            Ok(Err(error)) => Err(Failure::Call(error)),
            // A panic is a bug in one call. It is reported, but it is not the neighbours' bug.
            Err(panic) => Err(Failure::Panicked(panic_message(&*panic).to_owned())),
        };
        Item { index, result }
    }
}

/// Puts what arrived in any order into the order of the prompts.
pub(crate) fn in_input_order(arrivals: impl IntoIterator<Item = Item>) -> Vec<Item> {
    let mut items: Vec<_> = arrivals.into_iter().collect();
    items.sort_unstable_by_key(|item| item.index);
    items
}

/// What became of all prompts, asked in one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// The way: "in turn", "at once", ...
    pub strategy: &'static str,
    /// From the first call to the last answer.
    #[serde(rename = "elapsed_ms", serialize_with = "as_milliseconds")]
    pub elapsed: Duration,
    /// One a prompt.
    pub items: Vec<Item>,
}

fn as_milliseconds<S: Serializer>(time: &Duration, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_f64(time.as_secs_f64() * 1000.0)
}

/// The same prompts, asked in several ways.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Runs {
    runs: Vec<Run>,
}

impl Run {
    /// How many prompts have no answer.
    pub fn failed(&self) -> usize {
        self.items
            .iter()
            .filter(|item| item.result.is_err())
            .count()
    }
}

impl Runs {
    /// Puts runs beside each other, in the order in which they were made.
    pub fn new(runs: impl Into<Vec<Run>>) -> Runs {
        Runs { runs: runs.into() }
    }

    /// Success, or how many prompts have no answer in the first run that is not whole, and why.
    ///
    /// # Errors
    /// When a prompt of any run failed.
    pub fn success(&self) -> Result<(), String> {
        for Run {
            strategy, items, ..
        } in &self.runs
        {
            let mut failures = items.iter().filter_map(|item| item.result.as_ref().err());
            if let Some(first) = failures.next() {
                let failed = 1 + failures.count();
                let all = items.len();
                return Err(format!(
                    "{failed} of {all} prompts failed {strategy}: {first}"
                ));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Runs {
    /// The guide's line for each run, then the items of the first, which has them in the order of the
    /// prompts: they are the same in all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in &self.runs {
            writeln!(f, "{run}")?;
        }
        let items = self.runs.first().map_or(&[][..], |run| &run.items);
        let lines: Vec<_> = items.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prompts, seconds) = (self.items.len(), self.elapsed.as_secs_f64());
        write!(
            f,
            "Processed {prompts} prompts in {seconds:.2}s, {}",
            self.strategy
        )?;
        match self.failed() {
            0 => Ok(()),
            failed => write!(f, ", {failed} failed"),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(text) => write!(f, "{}. {text}", self.index + 1),
            Err(failure) => write!(f, "{}. failed: {failure}", self.index + 1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Call(error) => error.fmt(f),
            Failure::Panicked(message) => {
                write!(f, "the code that made the call panicked: {message}")
            }
        }
    }
}

/// `{"index": 0, "text": ...}` or `{"index": 0, "error": ...}`: an error never stands where a text
/// is looked for.
impl Serialize for Item {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut item = output.serialize_struct("Item", 2)?;
        item.serialize_field("index", &self.index)?;
        match &self.result {
            Ok(text) => item.serialize_field("text", text)?,
            Err(failure) => item.serialize_field("error", &failure.to_string())?,
        }
        item.end()
    }
}
