//! What can be set, and how it is written: the same words in flags, request headers and the control API.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
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
#[derive(Clone, Default, PartialEq)]
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
    /// Shares of attempts that fail, each in [0, 1], and how they do. An attempt fails in one way at most, so all
    /// shares hold at once as long as they are 1 together.
    pub failure_rate: Vec<(f64, Failure)>,
    /// The first attempts of each item fail, and how.
    pub fail_first: Option<FailFirst>,
    /// The rate limit.
    pub quota: Option<Quota>,
    /// The only accepted key; without it any bearer token is.
    pub api_key: Option<String>,
    /// The wire script of requests that name none.
    pub script: Script,
    /// Scripts that replace [`script`](Self::script) for one service.
    pub service_script: BTreeMap<Service, Script>,
    /// Makes every text answer exactly this long; without it answers have a natural length.
    pub answer_tokens: Option<u32>,
    /// How many tokens of a stream leave in one write, as from a server or proxy that buffers. Default one.
    pub tokens_per_write: Option<NonZeroU32>,
    /// Makes the text of each streamed token the time at which it was written, in nanoseconds since the Unix epoch.
    /// A client on the same machine can tell by it how long the token was under way.
    pub stamp_tokens: bool,
    /// The [gate](crate::Mock::gate) of requests that name none. Not a setting of the control API: only this
    /// process has the handle that opens it.
    pub gate: Option<String>,
}

/// Shows what the control API shows, so that the key stays out of logs here too.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings{}", self.to_json())
    }
}

impl Settings {
    /// The settings as the control API shows them, by the names of the flags; the key itself is never shown.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "seed": self.seed,
            "latency": self.latency.to_string(),
            "service-latency": shown(&self.service_latency),
            "first-token": self.first_token.map(|l| l.to_string()),
            "tokens-per-second": self.tokens_per_second,
            "slots": self.slots,
            "failure-rate": parse::show_failure_rate(&self.failure_rate),
            "fail-first": self.fail_first.map(|f| f.to_string()),
            "rpm": self.quota.and_then(|q| q.requests),
            "tpm": self.quota.and_then(|q| q.tokens),
            "window": self.quota.map(|q| parse::show(q.window)),
            "api-key": self.api_key.as_ref().map(|_| "***"),
            "script": self.script.name(),
            "service-script": shown(&self.service_script),
            "answer-tokens": self.answer_tokens,
            "tokens-per-write": self.tokens_per_write,
            "stamp-tokens": self.stamp_tokens,
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
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let text = text.as_deref();
        match name {
            "seed" => self.seed = number(text)?.unwrap_or_default(),
            "latency" => self.latency = parsed(text)?.unwrap_or_default(),
            "service-latency" => self.service_latency = by_service(value, "500ms")?,
            "first-token" => self.first_token = parsed(text)?,
            "tokens-per-second" => self.tokens_per_second = text.map(parse::pace).transpose()?,
            "slots" => self.slots = text.map(parse::slots).transpose()?,
            "failure-rate" => {
                self.failure_rate = text
                    .map(parse::failure_rate)
                    .transpose()?
                    .unwrap_or_default();
            }
            "fail-first" => self.fail_first = parsed(text)?,
            "rpm" => self.quota.get_or_insert_default().requests = number(text)?,
            "tpm" => self.quota.get_or_insert_default().tokens = number(text)?,
            "window" => {
                let window = text.map(parse::window).transpose()?;
                self.quota.get_or_insert_default().window =
                    window.unwrap_or(Quota::default().window);
            }
            "api-key" => self.api_key = text.map(str::to_owned),
            "script" => self.script = parsed(text)?.unwrap_or_default(),
            "service-script" => self.service_script = by_service(value, "html-502")?,
            "answer-tokens" => self.answer_tokens = number(text)?,
            "tokens-per-write" => self.tokens_per_write = number(text)?,
            "stamp-tokens" => {
                let stamp = text.map(|text| {
                    text.parse()
                        .map_err(|_| format!("{text:?} is neither true nor false"))
                });
                self.stamp_tokens = stamp.transpose()?.unwrap_or_default();
            }
            _ => {
                let settings = Self::default().to_json();
                let names: Vec<&str> = settings
                    .as_object()
                    .into_iter()
                    .flat_map(|settings| settings.keys().map(String::as_str))
                    .collect();
                return Err(format!("no such setting; known are {}", names.join(", ")));
            }
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

    /// The script of a request of this service that names none.
    pub(crate) fn script_of(&self, service: Service) -> Script {
        self.service_script
            .get(&service)
            .copied()
            .unwrap_or(self.script)
    }

    /// Whether this attempt fails, and how: a function of the seed, the item and the attempt, never of arrival order.
    pub(crate) fn failure_of(&self, item: &str, attempt: u32) -> Option<Failure> {
        if let Some(first) = self.fail_first
            && first.hits(attempt)
        {
            return Some(first.failure);
        }
        // One throw for all kinds, each of which has its own part of [0, 1): so none hides another.
        let thrown = Dice::new(self.seed, &["failure", item, &attempt.to_string()]).unit();
        let mut upto = 0.0;
        let mut kinds = self.failure_rate.iter();
        let met = kinds.find(|(rate, _)| {
            upto += rate;
            thrown < upto
        });
        met.map(|(_, failure)| *failure)
    }
}

fn shown<T: fmt::Display>(by_service: &BTreeMap<Service, T>) -> BTreeMap<String, String> {
    by_service
        .iter()
        .map(|(service, value)| (service.to_string(), value.to_string()))
        .collect()
}

fn by_service<T>(value: &Value, example: &str) -> Result<BTreeMap<Service, T>, String>
where
    T: FromStr<Err = String>,
{
    if value.is_null() {
        return Ok(BTreeMap::new());
    }
    let expected = || format!("expected an object like {{\"embedding\": {example:?}}}");
    value
        .as_object()
        .ok_or_else(expected)?
        .iter()
        .map(|(service, value)| {
            Ok((
                service.parse()?,
                value.as_str().ok_or_else(expected)?.parse()?,
            ))
        })
        .collect()
}

fn parsed<T: FromStr<Err = String>>(text: Option<&str>) -> Result<Option<T>, String> {
    text.map(str::parse).transpose()
}

fn number<T: FromStr>(text: Option<&str>) -> Result<Option<T>, String> {
    text.map(|text| {
        text.parse()
            .map_err(|_| format!("{text:?} is not a whole number that fits"))
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
            failure_rate: vec![(0.3, Failure::Reset)],
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
    fn each_kind_of_failure_has_its_own_rate() {
        let settings = Settings {
            failure_rate: vec![(0.1, Failure::Status(500)), (0.05, Failure::Reset)],
            ..Settings::default()
        };
        let fates: Vec<_> = (0..5000)
            .map(|n: u32| settings.failure_of(&n.to_string(), 1))
            .collect();
        for (rate, failure) in &settings.failure_rate {
            let hit = fates.iter().filter(|fate| **fate == Some(*failure)).count();
            let share = hit as f64 / 5000.0;
            assert!((share - rate).abs() < 0.02, "{failure}: {share}");
        }
        // A kind that is added changes nobody else's fate.
        let alone = Settings {
            failure_rate: settings.failure_rate[..1].to_vec(),
            ..Settings::default()
        };
        let of_500 = |fate: Option<Failure>| fate == Some(Failure::Status(500));
        for (n, fate) in fates.iter().enumerate() {
            assert_eq!(of_500(alone.failure_of(&n.to_string(), 1)), of_500(*fate));
        }
    }

    #[test]
    fn a_patch_changes_all_it_names_or_nothing() {
        let settings = Settings::default();
        let patch = json!({"latency": "20ms", "slots": 4, "fail-first": "2x429", "rpm": 60, "window": "10s",
            "service-latency": {"embedding": "500ms"}, "script": "cr", "service-script": {"summary": "html-502"},
            "seed": "7", "api-key": "sk-secret"});
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
        assert_eq!(patched.script_of(Service::Summary), Script::Html502);
        assert_eq!(patched.script_of(Service::Embedding), Script::Cr);
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
            ("service-script", json!({"summary": "x"})),
            ("rpm", json!(-1)),
            ("tokens-per-write", json!(0)),
            ("stamp-tokens", json!(1)),
        ] {
            assert!(
                patched.patched(&json!({ name: value })).is_err(),
                "{name} {value}"
            );
        }
    }

    #[test]
    fn every_setting_that_is_shown_can_be_set_and_put_back_to_its_default() {
        let default = Settings::default();
        let changed = default
            .patched(&json!({"seed": 1, "latency": "1ms", "service-latency": {"chat": "1ms"}, "first-token": "1ms",
                "tokens-per-second": 1, "slots": 1, "failure-rate": "0.5x500,0.25xreset", "fail-first": 1, "rpm": 1, "tpm": 1,
                "window": "1s", "api-key": "k", "script": "cr", "service-script": {"chat": "cr"}, "answer-tokens": 1,
                "tokens-per-write": 2, "stamp-tokens": true}))
            .unwrap();
        let shown = default.to_json();
        for (name, value) in shown.as_object().unwrap() {
            assert_ne!(changed.to_json()[name], *value, "{name}");
            let back = changed.patched(&json!({ name: null })).unwrap();
            // A limit without a window would be none, so the window of a limit has a default of its own.
            let expected = match name.as_str() {
                "window" => &json!("60000ms"),
                _ => value,
            };
            assert_eq!(back.to_json()[name], *expected, "{name}");
        }
    }
}
