//! The solution of 06.01.
//!
//! The same as patterns/06-caching/src/key.rs: fn of
//! The same as patterns/06-caching/src/key.rs: fn chat_key
//! The same as patterns/06-caching/src/canonical.rs: fn write

use std::fmt;

use ai_core::ChatRequest;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What an answer is found by: the SHA-256 of everything that can change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// Whose answers they are: the same question to another service, or by somebody who must not see
/// this one's answers, is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The service, by its base URL.
    pub base_url: String,
    /// The customer or user that asks. Empty where all who use the cache may see the same.
    pub tenant: String,
}

impl Key {
    /// The key of a request of this kind: `chat` for a plain answer, `stream` for a streamed one.
    // ANCHOR: of
    pub fn of(kind: &str, scope: &Scope, request: Value) -> Key {
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
    // ANCHOR_END: of

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The key of a plain answer.
// ANCHOR: chat_key
pub fn chat_key(request: &ChatRequest, scope: &Scope) -> Key {
    Key::of("chat", scope, chat_fields(request))
}
// ANCHOR_END: chat_key

fn chat_fields(request: &ChatRequest) -> Value {
    serde_json::to_value(request).expect("a request has nothing in it that JSON has not")
}

impl fmt::Display for Key {
    /// `ai_cache:` and 64 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ai_cache:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One text for equal JSON, whatever the order of its fields.
pub mod canonical {
    use serde::Serialize;
    use serde_json::Value;

    /// Writes `value` to `out` with sorted fields and without spaces.
    // ANCHOR: write
    pub fn write(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Object(map) => {
                // Sorted here, although `Map` is sorted already: it is not if any crate of the program
                // turns on serde_json's feature `preserve_order`.
                let mut fields: Vec<_> = map.iter().collect();
                fields.sort_unstable_by_key(|(name, _)| *name);
                out.push(b'{');
                for (name, value) in fields {
                    plain(name, out);
                    out.push(b':');
                    write(value, out);
                    out.push(b',');
                }
                out.push(b'}');
            }
            Value::Array(list) => {
                out.push(b'[');
                for value in list {
                    write(value, out);
                    out.push(b',');
                }
                out.push(b']');
            }
            // 1.0 is the number 1, and -0.0 is 0.
            Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
                Some(whole) if whole.fract() == 0.0 && whole.abs() < EXACT => {
                    plain(&(whole as i64), out);
                }
                _ => plain(value, out),
            },
            _ => plain(value, out),
        }
    }
    // ANCHOR_END: write

    /// 2^53: up to here every whole number has a double of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    fn plain(value: &impl Serialize, out: &mut Vec<u8>) {
        serde_json::to_writer(out, value).expect("it is part of a `Value`, and a `Vec` takes it");
    }
}
