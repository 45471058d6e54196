//! How fast a stream was: pure, and shared by both versions.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// How fast the tokens of one answer came, as its reader saw it.
///
/// A slow reader stretches these times. That is meant: nobody else measures what one sat through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pace {
    /// The pieces of text that arrived. Most servers send one token in each, none promises it; what
    /// is billed stands in the usage.
    pub tokens: usize,
    /// From the call to the first token: how long one looks at an empty screen.
    #[serde(rename = "first_token_ms", serialize_with = "as_milliseconds")]
    pub first_token: Option<Duration>,
    /// The middle one of the gaps between two tokens. Not the mean, which one long stall ruins.
    #[serde(rename = "median_gap_ms", serialize_with = "as_milliseconds")]
    pub median_gap: Option<Duration>,
    /// The longest gap between two tokens: the stall that one notices.
    #[serde(rename = "longest_gap_ms", serialize_with = "as_milliseconds")]
    pub longest_gap: Option<Duration>,
    /// From the first token to the last. The wait for the first is no part of the speed.
    pub tokens_per_second: Option<f64>,
}

impl Pace {
    /// Measures the times at which the tokens arrived, counted from the call.
    pub fn of(arrivals: &[Duration]) -> Pace {
        let mut gaps: Vec<Duration> = arrivals
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .collect();
        gaps.sort_unstable();
        let telling: Duration = gaps.iter().sum();
        Pace {
            tokens: arrivals.len(),
            first_token: arrivals.first().copied(),
            median_gap: gaps.get(gaps.len() / 2).copied(),
            longest_gap: gaps.last().copied(),
            // Without time in between, as from a cache, there is no speed. Infinity is no JSON.
            tokens_per_second: (!telling.is_zero())
                .then(|| gaps.len() as f64 / telling.as_secs_f64()),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first_token) = self.first_token else {
            return f.write_str("no token");
        };
        let tokens = self.tokens;
        let noun = if tokens == 1 { "token" } else { "tokens" };
        write!(f, "first token after {first_token:.1?}, {tokens} {noun}")?;
        if let Some(speed) = self.tokens_per_second {
            write!(f, ", {speed:.1} tokens/s")?;
        }
        if let Some(gap) = self.longest_gap {
            write!(f, ", longest gap {gap:.1?}")?;
        }
        Ok(())
    }
}

fn as_milliseconds<S: Serializer>(time: &Option<Duration>, output: S) -> Result<S::Ok, S::Error> {
    // Through whole microseconds, for a fraction that ends.
    let milliseconds = time.map(|time| time.as_micros() as f64 / 1000.0);
    milliseconds.serialize(output)
}
