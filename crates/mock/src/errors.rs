//! Refusals in OpenAI's shape.

use serde::Serialize;

use crate::http::json_bytes;

/// An error reply: `{"error": {"message", "type", "param", "code"}}`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ApiError {
    #[serde(skip)]
    pub(crate) status: u16,
    pub(crate) message: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) param: Option<String>,
    pub(crate) code: Option<&'static str>,
}

impl ApiError {
    pub(crate) fn new(
        status: u16,
        kind: &'static str,
        code: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            message: message.into(),
            kind,
            param: None,
            code,
        }
    }

    /// The request is wrong, and so it will be if it is sent again.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", None, message)
    }

    /// One field of the request is wrong.
    pub(crate) fn field(param: &str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.to_owned()),
            ..Self::invalid(message)
        }
    }

    pub(crate) fn no_model(model: &str) -> Self {
        let message =
            format!("The model `{model}` does not exist or you do not have access to it.");
        Self::new(
            404,
            "invalid_request_error",
            Some("model_not_found"),
            message,
        )
    }

    /// The error that a server which broke down sends with this status.
    pub(crate) fn of_status(status: u16) -> Self {
        let (kind, code, message) = match status {
            401 => (
                "invalid_request_error",
                Some("invalid_api_key"),
                "Incorrect API key provided.",
            ),
            403 => (
                "invalid_request_error",
                None,
                "You are not allowed to do this.",
            ),
            404 => ("invalid_request_error", None, "There is nothing here."),
            408 => ("timeout", None, "The request took too long to arrive."),
            409 => ("conflict", None, "The resource is busy. Try again."),
            429 => (
                "requests",
                Some("rate_limit_exceeded"),
                "Rate limit reached. Try again later.",
            ),
            400..500 => ("invalid_request_error", None, "The request was refused."),
            503 => (
                "server_error",
                None,
                "The engine is overloaded. Try again later.",
            ),
            _ => (
                "server_error",
                None,
                "The server had an error while processing your request.",
            ),
        };
        Self::new(status, kind, code, message)
    }

    /// The error as a response body.
    pub(crate) fn body(&self) -> Vec<u8> {
        json_bytes(&Envelope { error: self })
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a ApiError,
}
