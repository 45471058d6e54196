//! `derive(Debug)` on a struct with the key in it writes the key into every log line that shows the
//! struct. The guide keeps it in a plain field, too. Give the key a type that does not show itself.

use std::fmt;

use crate::Both;

// ANCHOR: wrong
/// `{:?}` shows all fields.
#[derive(Debug)]
pub struct Open {
    /// Where to call.
    pub base_url: &'static str,
    /// Who calls.
    pub api_key: &'static str,
}
// ANCHOR_END: wrong

// ANCHOR: right
/// `{:?}` shows all fields, and the key shows itself as stars.
#[derive(Debug)]
pub struct Guarded {
    /// Where to call.
    pub base_url: &'static str,
    /// Who calls.
    pub api_key: ApiKey,
}

/// A key.
pub struct ApiKey(pub &'static str);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
// ANCHOR_END: right

pub(crate) fn both() -> Both {
    let (base_url, api_key) = ("http://localhost/v1", "sk-secret");
    let wrong = format!("{:?}", Open { base_url, api_key });
    let api_key = ApiKey(api_key);
    let sent = format!("Bearer {}", api_key.0);
    let right = format!("{:?}", Guarded { base_url, api_key });
    assert_eq!(sent, "Bearer sk-secret", "it can still be sent");
    let tell = |line: &String| format!("the log says {line}");
    Both::of(wrong, right, |line| !line.contains("secret"), tell)
}
