//! What can be set, and how it is written: the same words in flags, request headers and the control API.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::failure::{FailFirst, Failure};
use crate::latency::Latency;
use crate::parse;
use crate::quota::Quota;
use crate::scripts::Script;

/// How the mock behaves; every field can be changed while it runs, with [`Mock::set`](crate::Mock::set).
///
/// A change applies to requests that arrive after it.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// Fixes the answers, the drawn latencies and the faults. Default 0.
    pub seed: u64,
    /// Time to the response head of a plain reply. Default none.
    pub latency: Latency,
    /// Latencies that replace [`latency`](Self::latency) for one service.
    pub service_latency: BTreeMap<Service, Latency>,
    /// Time to the first token of a stream; without it streams take the latency.
    pub first_token: Option<Latency>,
    /// Pace of a stream's tokens; without it they come as fast as they can be written.
    pub tokens_per_second: Option<f64>,
    /// How many requests are served at once; the others wait in line, first come first served.
    pub slots: Option<usize>,
    /// Share of attempts that fail, in [0, 1], and how they do.
    pub failure_rate: Option<(f64, Failure)>,
    /// The first attempts of each item fail, and how.
    pub fail_first: Option<FailFirst>,
    /// The rate limit.
    pub quota: Option<Quota>,
    /// The only accepted key; without it any bearer token is.
    pub api_key: Option<String>,
    /// The wire script of requests that name none.
    pub script: Script,
    /// Makes every text answer exactly this long; without it answers have a natural length.
    pub answer_tokens: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            latency: Latency::default(),
            service_latency: BTreeMap::new(),
            first_token: None,
            tokens_per_second: None,
            slots: None,
            failure_rate: None,
            fail_first: None,
            quota: None,
            api_key: None,
            script: Script::Normal,
            answer_tokens: None,
        }
    }
}

/// Shows what the control API shows, so that the key stays out of logs here too.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings{}", self.to_json())
    }
}

/// The names of the settings: `ai-mock --NAME` and the keys of `PATCH /_mock/settings`.
pub(crate) const NAMES: [&str; 14] = [
    "seed",
    "latency",
    "service-latency",
    "first-token",
    "tokens-per-second",
    "slots",
    "failure-rate",
    "fail-first",
    "rpm",
    "tpm",
    "window",
    "api-key",
    "script",
    "answer-tokens",
];

impl Settings {
    /// The settings as the control API shows them; the key itself is never shown.
    pub(crate) fn to_json(&self) -> Value {
        let services: BTreeMap<String, String> = self
            .service_latency
            .iter()
            .map(|(service, latency)| (service.to_string(), latency.to_string()))
            .collect();
        json!({
            "seed": self.seed,
            "latency": self.latency.to_string(),
            "service-latency": services,
            "first-token": self.first_token.map(|l| l.to_string()),
            "tokens-per-second": self.tokens_per_second,
            "slots": self.slots,
            "failure-rate": self.failure_rate.map(|(rate, failure)| format!("{rate}x{failure}")),
            "fail-first": self.fail_first.map(|f| f.to_string()),
            "rpm": self.quota.and_then(|q| q.requests),
            "tpm": self.quota.and_then(|q| q.tokens),
            "window": self.quota.map(|q| parse::show(q.window)),
            "api-key": self.api_key.as_ref().map(|_| "***"),
            "script": self.script.name(),
            "answer-tokens": self.answer_tokens,
        })
    }

    /// The settings with these changes, or why a change is refused; then none is made.
    pub(crate) fn patched(&self, changes: &Value) -> Result<Self, String> {
        let changes = changes
            .as_object()
            .ok_or("the body must be a JSON object of settings")?;
        let mut settings = self.clone();
        for (name, value) in changes {
            settings
                .change(name, value)
                .map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(settings)
    }

    fn change(&mut self, name: &str, value: &Value) -> Result<(), String> {
        // Numbers may be written as numbers or as text; `null` puts a setting back to its default.
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let clear = value.is_null();
        let set = |text: &str| (!clear).then(|| text.to_owned());
        match name {
            "seed" => self.seed = number(set(&text))?.unwrap_or(0),
            "latency" => self.latency = parsed(set(&text))?.unwrap_or_default(),
            "service-latency" => self.service_latency = service_latencies(value)?,
            "first-token" => self.first_token = parsed(set(&text))?,
            "tokens-per-second" => {
                self.tokens_per_second = set(&text).map(|t| parse::pace(&t)).transpose()?
            }
            "slots" => self.slots = set(&text).map(|t| parse::slots(&t)).transpose()?,
            "failure-rate" => {
                self.failure_rate = set(&text).map(|t| parse::failure_rate(&t)).transpose()?
            }
            "fail-first" => self.fail_first = parsed(set(&text))?,
            "rpm" => self.quota.get_or_insert_default().requests = number(set(&text))?,
            "tpm" => self.quota.get_or_insert_default().tokens = number(set(&text))?,
            "window" => {
                self.quota.get_or_insert_default().window = set(&text)
                    .map(|t| parse::window(&t))
                    .transpose()?
                    .unwrap_or(Quota::default().window);
            }
            "api-key" => self.api_key = set(&text),
            "script" => self.script = parsed(set(&text))?.unwrap_or_default(),
            "answer-tokens" => self.answer_tokens = number(set(&text))?,
            _ => return Err(format!("no such setting; known are {}", NAMES.join(", "))),
        }
        Ok(())
    }

    /// How long a request of this service takes to its head, or to its first token when it streams.
    pub(crate) fn latency_of(&self, service: Service, stream: bool) -> Latency {
        let plain = self
            .service_latency
            .get(&service)
            .copied()
            .unwrap_or(self.latency);
        if stream {
            self.first_token.unwrap_or(plain)
        } else {
            plain
        }
    }

    /// Whether this attempt fails, and how: a function of the seed, the item and the attempt, never of arrival order.
    pub(crate) fn failure_of(&self, item: &str, attempt: u32) -> Option<Failure> {
        if let Some(first) = self.fail_first
            && first.hits(attempt)
        {
            return Some(first.failure);
        }
        let (rate, failure) = self.failure_rate?;
        (Dice::new(self.seed, &["failure", item, &attempt.to_string()]).unit() < rate)
            .then_some(failure)
    }
}

fn service_latencies(value: &Value) -> Result<BTreeMap<Service, Latency>, String> {
    const EXPECTED: &str = "expected an object like {\"embedding\": \"500ms\"}";
    if value.is_null() {
        return Ok(BTreeMap::new());
    }
    let services = value.as_object().ok_or(EXPECTED)?.iter();
    services
        .map(|(service, latency)| {
            Ok((service.parse()?, latency.as_str().ok_or(EXPECTED)?.parse()?))
        })
        .collect()
}

fn parsed<T: FromStr<Err = String>>(text: Option<String>) -> Result<Option<T>, String> {
    text.map(|t| t.parse()).transpose()
}

fn number<T: FromStr>(text: Option<String>) -> Result<Option<T>, String> {
    text.map(|t| {
        t.parse()
            .map_err(|_| format!("{t:?} is not a whole number that fits"))
    })
    .transpose()
}

/// A kind of work, told apart by the endpoint and by the words of the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Any chat completion that is none of the others.
    Chat,
    /// An embeddings call.
    Embedding,
    /// A chat completion whose instructions ask for the sentiment of a text.
    Sentiment,
    /// A chat completion whose instructions ask for a summary.
    Summary,
    /// A chat completion whose instructions ask for entities.
    Entities,
}

impl Service {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Chat, "chat"),
        (Self::Embedding, "embedding"),
        (Self::Sentiment, "sentiment"),
        (Self::Summary, "summary"),
        (Self::Entities, "entities"),
    ];
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL[*self as usize].1)
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(service, _)| *service).ok_or_else(|| {
            let names = Self::ALL.map(|(_, name)| name).join(", ");
            format!("{text:?} is no service; known are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_failure_rate_is_met_and_does_not_depend_on_order() {
        let settings = Settings {
            failure_rate: Some((0.3, Failure::Reset)),
            ..Settings::default()
        };
        let failed = |n: u32| settings.failure_of(&n.to_string(), 1).is_some();
        let forward: Vec<bool> = (0..5000).map(failed).collect();
        let mut backward: Vec<bool> = (0..5000).rev().map(failed).collect();
        backward.reverse();
        assert_eq!(forward, backward);
        let share = forward.iter().filter(|f| **f).count() as f64 / 5000.0;
        assert!((share - 0.3).abs() < 0.03, "{share}");
    }

    #[test]
    fn a_patch_changes_all_it_names_or_nothing() {
        let settings = Settings::default();
        let patch = json!({"latency": "20ms", "slots": 4, "fail-first": "2x429", "rpm": 60, "window": "10s",
            "service-latency": {"embedding": "500ms"}, "script": "cr", "seed": "7", "api-key": "sk-secret"});
        let patched = settings.patched(&patch).unwrap();
        assert_eq!(patched.slots, Some(4));
        assert_eq!(patched.seed, 7);
        assert_eq!(
            patched.quota,
            Some(Quota {
                requests: Some(60),
                tokens: None,
                window: Duration::from_secs(10)
            })
        );
        assert_eq!(
            patched.latency_of(Service::Embedding, false),
            Duration::from_millis(500).into()
        );
        assert!(!format!("{patched:?}").contains("sk-secret"));

        let error = patched
            .patched(&json!({"slots": 1, "colour": "red"}))
            .unwrap_err();
        assert!(
            error.contains("colour") && error.contains("tokens-per-second"),
            "{error}"
        );
        assert_eq!(
            patched.patched(&json!({"slots": null})).unwrap().slots,
            None
        );
        for (name, value) in [
            ("slots", json!(0)),
            ("slots", json!([])),
            ("service-latency", json!("1s")),
            ("script", json!("x")),
            ("rpm", json!(-1)),
        ] {
            assert!(
                patched.patched(&json!({ name: value })).is_err(),
                "{name} {value}"
            );
        }
    }

    #[test]
    fn every_name_of_a_setting_is_known_and_shown() {
        let shown = Settings::default().to_json();
        for name in NAMES {
            assert!(shown.get(name).is_some(), "{name}");
            assert!(
                Settings::default().patched(&json!({ name: null })).is_ok(),
                "{name}"
            );
        }
        assert_eq!(shown.as_object().unwrap().len(), NAMES.len());
    }
}
