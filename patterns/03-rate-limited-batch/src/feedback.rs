//! What an ended call teaches the limiter: pure, and shared by both versions.

use std::time::Duration;

use ai_core::{Error, Usage};
use http::HeaderMap;

/// What an ended call teaches the limiter. What is not known is `None`: the limiter then keeps to
/// what it thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feedback {
    /// The tokens of prompt and answer, if the server tells.
    pub tokens: Option<u64>,
    /// What is left of the requests (`x-ratelimit-remaining-requests`, `-reset-requests`).
    pub requests_left: Option<Left>,
    /// What is left of the tokens (`x-ratelimit-remaining-tokens`, `-reset-tokens`).
    pub tokens_left: Option<Left>,
    /// How long no request may go (429, with or without `Retry-After`).
    pub pause: Option<Duration>,
    /// Nothing was sent, so the server has counted nothing.
    pub unsent: bool,
}

/// What the server says is left of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How many requests or tokens.
    pub remaining: u64,
    /// In how long all will be there again.
    pub reset: Duration,
}

/// The pause after a 429 that does not say how long, as a gateway's page of HTML does not. Without one
/// all that wait would follow it, into the same refusal.
const UNSAID_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause in which a server is obeyed, unless its window is longer. What was full is empty
/// again after a window: one garbled header that says "in a day" must not silence the program for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

impl Feedback {
    /// What an answer teaches, from its headers and the tokens it used.
    pub fn of_reply(headers: &HeaderMap, usage: Option<Usage>) -> Feedback {
        let sum = |usage: Usage| usage.input_tokens.saturating_add(usage.output_tokens);
        Feedback {
            tokens: usage.map(sum),
            requests_left: left(headers, REQUESTS),
            tokens_left: left(headers, TOKENS),
            pause: None,
            unsent: false,
        }
    }

    /// What a failure teaches: a refusal has headers, too, and a 429 says how long to wait. Where no
    /// connection came about, there was nothing for the server to count.
    pub fn of_error(error: &Error) -> Feedback {
        let Some(refusal) = error.refusal() else {
            return Feedback {
                unsent: matches!(error, Error::Config(_) | Error::Connect(_)),
                ..Feedback::default()
            };
        };
        // An exhausted quota is a 429 as well, but waiting does not help against it.
        let limited = matches!(error, Error::RateLimited(_));
        let pause = refusal.retry_after.unwrap_or(UNSAID_PAUSE);
        Feedback {
            pause: limited.then_some(pause),
            ..Feedback::of_reply(&refusal.headers, None)
        }
    }

    /// The pause to keep, if the window is so long.
    pub(crate) fn pause_in(&self, window: Duration) -> Option<Duration> {
        self.pause.map(|pause| pause.min(window.max(LONGEST_PAUSE)))
    }
}

const REQUESTS: [&str; 2] = [
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
];
const TOKENS: [&str; 2] = ["x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];

/// One number without the other says nothing: for how long would it hold?
fn left(headers: &HeaderMap, names: [&str; 2]) -> Option<Left> {
    let [remaining, reset] = names.map(|name| headers.get(name)?.to_str().ok());
    Some(Left {
        remaining: remaining?.parse().ok()?,
        reset: go_duration(reset?)?,
    })
}

/// Reads `6m0s`, `1.5s` or `20ms`, as OpenAI writes them (it is Go's notation).
fn go_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let number = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let unit = &rest[number..];
        let end = unit.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = unit.split_at(end.unwrap_or(unit.len()));
        let size = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        seconds += rest[..number].parse::<f64>().ok()? * size;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).ok()
}
