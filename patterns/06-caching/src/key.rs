//! What an answer is found by, whether it is kept, and for how long: pure, and shared by both
//! versions.

use std::fmt;
use std::time::Duration;

use ai_core::{ChatRequest, ChatResponse, Config, FinishReason, Transcript};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::canonical;

/// Whether an answer may be given to others later.
pub fn may_keep(answer: &ChatResponse) -> bool {
    // All must be whole: where `n` asked for several, one that was cut goes out with the others.
    answer.choices.iter().all(|choice| {
        let message = &choice.message;
        let finish = choice.finish_reason.as_ref();
        is_whole(
            finish,
            message.refusal.as_deref(),
            !message.tool_calls.is_empty(),
        )
    })
}

/// As [`may_keep`], for what a stream has told up to its end.
pub fn may_keep_stream(seen: &Transcript) -> bool {
    // Where a call is only half there, this is an error, and the stream not worth keeping either.
    let calls = seen.tool_calls().map_or(true, |calls| !calls.is_empty());
    is_whole(seen.finish_reason.as_ref(), Some(&seen.refusal), calls)
}

fn is_whole(finish: Option<&FinishReason>, refusal: Option<&str>, calls: bool) -> bool {
    match finish {
        // It came to its own end. An empty text is an answer, too.
        Some(FinishReason::Stop) => {
            // A refusal may be chance, and would last an hour. Some servers say "stop" for calls.
            refusal.is_none_or(str::is_empty) && !calls
        }
        // It was cut, or a filter took text away: asked again, it may come whole.
        Some(FinishReason::Length | FinishReason::ContentFilter) => false,
        // It asks for something to be done, as things stand now. An hour later they stand otherwise.
        Some(FinishReason::ToolCalls) => false,
        // Nobody has said that it is whole.
        Some(_) | None => false,
    }
}

/// How long an answer is kept: `ttl`, less up to a tenth of it.
///
/// `random` is in [0, 1). Answers that were stored together would otherwise expire together, and be
/// asked for together again. Shorter and never longer, so that `ttl` is what it promises.
pub fn lifetime(ttl: Duration, random: f64) -> Duration {
    ttl - ttl.mul_f64(0.1 * random.clamp(0.0, 1.0))
}

/// How long answers are kept unless told otherwise: the guide's hour.
pub const TTL: Duration = Duration::from_secs(3600);

/// The key of a plain answer: everything in the request that can change it.
///
/// A field nobody here knows is in the key, too: one too many costs a call, one too few gives people
/// wrong answers. Left out are `stream_options`, which no plain request sends. Where `n` is absent it
/// is 1, as the API says; other defaults are the server's business, and may change.
pub fn chat_key(request: &ChatRequest, scope: &Scope) -> Key {
    Key::of("chat", scope, chat_fields(request))
}

/// The key of a streamed answer, which is not that of a plain one.
///
/// A replay has the events the server has sent. They can't be made of a plain answer, nor that of
/// them (its id, the model's full name), so what is asked for in both ways is paid for twice. Here
/// `stream_options` counts: without usage a replay has none to tell.
pub fn stream_key(request: &ChatRequest, scope: &Scope) -> Key {
    let mut fields = chat_fields(request);
    let usage = request.stream_options.is_none_or(|it| it.include_usage);
    fields["stream_options"] = json!({ "include_usage": usage });
    Key::of("stream", scope, fields)
}

fn chat_fields(request: &ChatRequest) -> Value {
    let mut fields = to_value(request);
    // Only where it is absent: somebody may have written it into `extra`.
    if fields.get("n").is_none() {
        fields["n"] = json!(1);
    }
    fields
}

pub(crate) fn to_value(request: &impl Serialize) -> Value {
    serde_json::to_value(request).expect("a request has nothing in it that JSON has not")
}

/// Whose answers they are: the same question to another service, or by somebody who must not see
/// this one's answers, is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The service, as a rule by its base URL.
    pub base_url: String,
    /// The customer or user that asks. Empty where all who use the cache may see the same.
    pub tenant: String,
}

impl Scope {
    /// A service that everybody here may ask.
    pub fn new(base_url: impl Into<String>) -> Scope {
        Scope {
            base_url: base_url.into(),
            tenant: String::new(),
        }
    }

    /// The service of this configuration.
    pub fn of(config: &Config) -> Scope {
        Scope::new(config.base_url())
    }
}

/// What an answer is found by: the SHA-256 of everything that can change it.
///
/// Not the guide's MD5: people who write prompts can make two that share an MD5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    pub(crate) fn of(kind: &str, scope: &Scope, request: Value) -> Key {
        // The version changes with this form and with that of the values, so that no program reads
        // what another has written differently.
        let mut all = json!({
            "version": 1,
            "kind": kind,
            "base_url": scope.base_url,
            "tenant": scope.tenant,
        });
        // Not in `json!`, which would copy the whole conversation first.
        all["request"] = request;
        let mut text = Vec::with_capacity(2048);
        canonical::write(&all, &mut text);
        Key(Sha256::digest(&text).into())
    }
}

impl Key {
    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Key {
    /// `ai_cache:` and 64 digits, as the guide names its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ai_cache:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
