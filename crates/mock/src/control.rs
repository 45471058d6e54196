//! The control API: what the handle can do, for programs that only have the address.

use serde_json::{Value, json};

use crate::errors::ApiError;
use crate::http::json_bytes;
use crate::scripts::Script;
use crate::server::Shared;

/// The status and body of the reply to a request for `/_mock/` and this path.
pub(crate) fn reply(shared: &Shared, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let answer = match (method, path, gate_name(path)) {
        ("GET", "log", _) => Ok(json_bytes(&shared.log.entries())),
        ("DELETE", "log", _) => {
            shared.log.clear();
            Ok(json_bytes(&json!({"cleared": true})))
        }
        ("GET", "stats", _) => Ok(json_bytes(&shared.log.stats())),
        ("GET", "settings", _) => Ok(json_bytes(&shared.settings().to_json())),
        ("PATCH", "settings", _) => patch(shared, body),
        ("GET", "scripts", _) => {
            let list = Script::ALL
                .iter()
                .map(|script| json!({"name": script.name(), "about": script.about()}));
            Ok(json_bytes(&list.collect::<Vec<_>>()))
        }
        ("POST", _, Some(gate)) => release(shared, gate, body),
        _ => {
            let message = format!(
                "no {method} /_mock/{path}; there are GET and DELETE /_mock/log, GET /_mock/stats, GET and PATCH \
                 /_mock/settings, POST /_mock/gates/NAME/release and GET /_mock/scripts"
            );
            return (
                404,
                ApiError::new(404, "invalid_request_error", None, message).body(),
            );
        }
    };
    match answer {
        Ok(body) => (200, body),
        Err(message) => (400, ApiError::invalid(message).body()),
    }
}

fn patch(shared: &Shared, body: &[u8]) -> Result<Vec<u8>, String> {
    let patched = shared.settings().patched(&parse(body)?)?;
    let shown = patched.to_json();
    shared.change(|settings| *settings = patched);
    Ok(json_bytes(&shown))
}

fn gate_name(path: &str) -> Option<&str> {
    path.strip_prefix("gates/")?.strip_suffix("/release")
}

/// Lets tokens through a gate: `{"tokens": n}`, or one if there is no body.
fn release(shared: &Shared, name: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    let tokens = if body.is_empty() {
        Some(1)
    } else {
        parse(body)?["tokens"].as_u64()
    };
    let tokens = tokens.filter(|n| (1..=1_000_000).contains(n));
    let tokens = tokens.ok_or("expected {\"tokens\": n} with n from 1 to 1000000")?;
    shared.gate(name).add_permits(tokens as usize);
    Ok(json_bytes(&json!({"released": tokens})))
}

fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))
}
