//! Tokens and money, counted in integers. What is not known is `None`, never 0.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The tokens of one call, as the server counted them.
///
/// (De)serialized under the names it has here; what servers send is read as a part of their answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: u64,
    /// Tokens the model wrote, reasoning included.
    pub output_tokens: u64,
    /// The part of `input_tokens` that the server had in its prompt cache, and bills for less.
    pub cached_input_tokens: u64,
    /// The part of `output_tokens` that went into reasoning nobody sees.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// What the call cost, or `None` for a model that is not in [`PRICES`] (and for more tokens than
    /// money can count).
    ///
    /// ```
    /// use ai_core::Usage;
    /// let usage = Usage { input_tokens: 1_000, output_tokens: 500, ..Usage::default() };
    /// assert_eq!(usage.cost("gpt-4o-mini").unwrap().to_string(), "$0.000450");
    /// assert_eq!(usage.cost("a-model-of-mine"), None);
    /// ```
    pub fn cost(&self, model: &str) -> Option<Cost> {
        let price = price(model)?;
        // A server that reports more cached tokens than tokens is wrong; it must not earn us money.
        let cached = self.cached_input_tokens.min(self.input_tokens);
        // Counts come from the server, so they may be anything: what can't be added up is unknown.
        let uncached = (self.input_tokens - cached).checked_mul(price.input)?;
        let cached = cached.checked_mul(price.cached_input)?;
        let output = self.output_tokens.checked_mul(price.output)?;
        uncached.checked_add(cached)?.checked_add(output).map(Cost)
    }
}

impl Add for Usage {
    type Output = Usage;

    fn add(self, other: Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cached_input_tokens: self
                .cached_input_tokens
                .saturating_add(other.cached_input_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
        }
    }
}

/// OpenAI's names and nesting. Embeddings have no `completion_tokens`, and some servers send null
/// for the details.
#[derive(Deserialize)]
struct OnTheWire {
    prompt_tokens: u64,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl OnTheWire {
    /// `None` if it does not tell what was written: that is unknown then, and not 0.
    fn usage(self) -> Option<Usage> {
        let written = || self.total_tokens?.checked_sub(self.prompt_tokens);
        Some(Usage {
            input_tokens: self.prompt_tokens,
            output_tokens: self.completion_tokens.or_else(written)?,
            cached_input_tokens: self
                .prompt_tokens_details
                .and_then(|d| d.cached_tokens)
                .unwrap_or(0),
            reasoning_tokens: self
                .completion_tokens_details
                .and_then(|d| d.reasoning_tokens)
                .unwrap_or(0),
        })
    }
}

/// Reads a usage if there is one that makes sense. An answer is not thrown away because its
/// accounting is odd: then the usage is unknown.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Usage>, D::Error> {
    // Boxed: a borrowed one can be had from a slice only, not from a reader or a `Value`.
    let raw = Option::<Box<RawValue>>::deserialize(input)?;
    let wire = raw.and_then(|raw| serde_json::from_str::<OnTheWire>(raw.get()).ok());
    Ok(wire.and_then(OnTheWire::usage))
}

/// An amount of money in billionths of a US dollar, so that one token of the cheapest model is a
/// whole number and sums have no rounding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cost(pub u64);

impl fmt::Display for Cost {
    /// Dollars with six places, rounded to the nearest millionth.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millionths = self.0 / 1_000 + u64::from(self.0 % 1_000 >= 500);
        write!(
            f,
            "${}.{:06}",
            millionths / 1_000_000,
            millionths % 1_000_000
        )
    }
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost(self.0.saturating_add(other.0))
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), Add::add)
    }
}

/// What one token costs, in billionths of a US dollar. (A price list's "$0.15 per million" is 150.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// A token of the prompt.
    pub input: u64,
    /// A token of the prompt that the server had in its cache.
    pub cached_input: u64,
    /// A token the model writes.
    pub output: u64,
}

impl Price {
    const fn new(input: u64, cached_input: u64, output: u64) -> Price {
        Price {
            input,
            cached_input,
            output,
        }
    }
}

/// List prices of some models, the only place where prices stand. Check them before you rely on
/// them: they change, and yours may differ by contract.
pub const PRICES: &[(&str, Price)] = &[
    ("gpt-4o", Price::new(2_500, 1_250, 10_000)),
    ("gpt-4o-2024-05-13", Price::new(5_000, 5_000, 15_000)),
    ("gpt-4o-mini", Price::new(150, 75, 600)),
    ("gpt-4.1", Price::new(2_000, 500, 8_000)),
    ("gpt-4.1-mini", Price::new(400, 100, 1_600)),
    ("gpt-4.1-nano", Price::new(100, 25, 400)),
    ("gpt-5-mini", Price::new(250, 25, 2_000)),
    ("gpt-5-nano", Price::new(50, 5, 400)),
    ("text-embedding-3-small", Price::new(20, 20, 0)),
    ("text-embedding-3-large", Price::new(130, 130, 0)),
];

/// The price of a model, also of a dated release of it (`gpt-4o-mini-2024-07-18`) that is not listed
/// by itself.
pub fn price(model: &str) -> Option<Price> {
    let listed = |name: &str| PRICES.iter().find(|(listed, _)| *listed == name);
    let release_of = || {
        let (name, date) = model.split_at_checked(model.len().checked_sub("-2024-07-18".len())?)?;
        date.starts_with("-20").then_some(name)
    };
    let (_, price) = listed(model).or_else(|| listed(release_of()?))?;
    Some(*price)
}
