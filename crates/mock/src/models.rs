//! The models: any name is served, so that a lesson can name today's model without a change here.

use serde::Serialize;

use crate::errors::ApiError;
use crate::http::json_bytes;

/// Those that a client finds when it asks which there are.
const LISTED: [&str; 6] = [
    "gpt-4o-mini",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-5-mini",
    "text-embedding-3-small",
    "text-embedding-3-large",
];

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'a> Model<'a> {
    fn of(id: &'a str) -> Self {
        Self {
            id,
            object: "model",
            created: 1_700_000_000,
            owned_by: "ai-mock",
        }
    }
}

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: [Model<'static>; LISTED.len()],
}

/// The body of `GET /models`.
pub(crate) fn list() -> Vec<u8> {
    json_bytes(&List {
        object: "list",
        data: LISTED.map(Model::of),
    })
}

/// The body of `GET /models/ID`.
pub(crate) fn one(id: &str) -> Result<Vec<u8>, ApiError> {
    check(id)?;
    Ok(json_bytes(&Model::of(id)))
}

/// Refuses the names that stand for a model which doesn't exist: those that begin with `no-such`.
pub(crate) fn check(id: &str) -> Result<(), ApiError> {
    if id.is_empty() || id.starts_with("no-such") {
        Err(ApiError::no_model(id))
    } else {
        Ok(())
    }
}
