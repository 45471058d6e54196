//! What an answer means: its status comes before its body.
//!
//! The client hands over what arrived: status, headers, bytes. Decide what that is.

use std::borrow::Cow;
use std::sync::Arc;

use ai_core::{Error, Refusal};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

/// Reads a whole answer: an answer of type `T`, or the error that it really is.
///
/// # Errors
/// A refusal for a status other than 2xx; and what [`in_place_of_an_answer`] makes of a 200 that is no
/// answer.
pub fn decode<T: for<'de> Deserialize<'de>>(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, Error> {
    // TODO: look at the status, and only then at the body. `Error::from_response` knows refusals,
    // `text` and `in_place_of_an_answer` stand below.
    todo!("decode {status}, {headers:?}, {:?}", text(body))
}

/// The bytes as text, with U+FFFD for what is none.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Makes sense of a 200 that is no answer: gateways put error objects, and proxies pages, there.
pub fn in_place_of_an_answer(reason: serde_json::Error, headers: &HeaderMap, body: &[u8]) -> Error {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if value.get("error").is_some_and(|error| !error.is_null()) => {
            Error::Server(Arc::new(Refusal::decode(Some(200), headers, body)))
        }
        _ => Error::Malformed {
            reason: reason.to_string(),
            text: text(body).into_owned(),
        },
    }
}
