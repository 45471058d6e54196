//! How an analysis is shown: the guide's three lines, the state of each branch, and JSON.

use std::fmt;
use std::time::Duration;

use ai_core::Error;
use serde::Serializer;

use crate::analysis::{Analysis, Branch, Limit};
use crate::services::Sentiment;

impl Analysis {
    /// A line a branch: how it ended.
    pub fn states(&self) -> String {
        let lines = self.ends().map(|(name, end)| match end {
            Ok(value) => format!("{name}: {value}"),
            Err(problem) => format!("{name}: {problem}"),
        });
        lines.join("\n")
    }

    /// Success, or how many branches have no value, and what the first of them met.
    ///
    /// # Errors
    /// When a branch failed or timed out. What the others found is there all the same.
    pub fn success(&self) -> Result<(), String> {
        let ends = self.ends();
        let mut problems = ends
            .iter()
            .filter_map(|(name, end)| Some((name, end.as_ref().err()?)));
        match problems.next() {
            None => Ok(()),
            Some((name, problem)) => {
                let missing = 1 + problems.count();
                Err(format!(
                    "{missing} of 4 services gave no answer: {name} {problem}"
                ))
            }
        }
    }

    /// Each branch's name, and how it ended.
    fn ends(&self) -> [(&'static str, Result<String, String>); 4] {
        let vector = |vector: &Vec<f32>| format!("ok, {} numbers", vector.len());
        [
            ("embedding", self.embedding.end(vector)),
            ("sentiment", self.sentiment.end(|_| "ok".to_owned())),
            ("summary", self.summary.end(|_| "ok".to_owned())),
            ("entities", self.entities.end(|_| "ok".to_owned())),
        ]
    }
}

impl<T> Branch<T> {
    /// The value in words, or the problem.
    fn end(&self, words: impl FnOnce(&T) -> String) -> Result<String, String> {
        match self {
            Branch::Ok(value) => Ok(words(value)),
            Branch::Failed(error) => Err(format!("failed: {error}")),
            Branch::TimedOut(limit) => Err(format!("timed out: {limit}")),
        }
    }

    fn show(&self, words: impl FnOnce(&T) -> String) -> String {
        self.end(words).unwrap_or_else(|problem| problem)
    }
}

impl fmt::Display for Analysis {
    /// The guide's three lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Sentiment: {}", self.sentiment.show(ToString::to_string))?;
        writeln!(f, "Summary: {}", self.summary.show(Clone::clone))?;
        write!(
            f,
            "Entities: {}",
            self.entities.show(|names| names.join(", "))
        )
    }
}

impl fmt::Display for Sentiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sentiment::Positive => "positive",
            Sentiment::Negative => "negative",
            Sentiment::Neutral => "neutral",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Branch(limit) => write!(f, "a branch may take {limit:?}"),
            Limit::Total(limit) => write!(f, "the whole may take {limit:?}"),
        }
    }
}

pub(crate) fn as_text<S: Serializer>(error: &Error, output: S) -> Result<S::Ok, S::Error> {
    output.collect_str(error)
}

pub(crate) fn as_milliseconds<S: Serializer>(
    time: &Duration,
    output: S,
) -> Result<S::Ok, S::Error> {
    output.serialize_f64(time.as_secs_f64() * 1000.0)
}
