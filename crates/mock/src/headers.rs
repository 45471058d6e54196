//! Request headers: those that set the mock's behaviour for one request, and those that must not be logged.

use crate::errors::ApiError;
use crate::failure::FailFirst;
use crate::http::Request;
use crate::latency::Latency;
use crate::scripts::Script;

/// What the request's own `x-mock-` headers ask for.
#[derive(Default)]
pub(crate) struct Overrides {
    pub(crate) latency: Option<Latency>,
    pub(crate) script: Option<Script>,
    pub(crate) fail: Option<FailFirst>,
    pub(crate) gate: Option<String>,
    pub(crate) tokens: Option<u32>,
}

impl Overrides {
    /// Reads them, or says which one is wrong and what is allowed.
    pub(crate) fn read(request: &Request) -> Result<Self, ApiError> {
        const KNOWN: &str =
            "x-mock-latency, x-mock-script, x-mock-fail, x-mock-gate, x-mock-item, x-mock-tokens";
        let mut own = Self::default();
        for (name, value) in request
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-mock-"))
        {
            let result = match name.as_str() {
                "x-mock-latency" => value.parse().map(|latency| own.latency = Some(latency)),
                "x-mock-script" => value.parse().map(|script| own.script = Some(script)),
                "x-mock-fail" => value.parse().map(|fail| own.fail = Some(fail)),
                "x-mock-gate" => {
                    own.gate = Some(value.clone());
                    Ok(())
                }
                "x-mock-item" => Ok(()),
                "x-mock-tokens" => match value.parse() {
                    Ok(tokens @ 1..=1_000_000) => {
                        own.tokens = Some(tokens);
                        Ok(())
                    }
                    _ => Err(format!(
                        "{value:?} is no length; write a whole number from 1 to 1000000"
                    )),
                },
                _ => Err(format!("no such header; known are {KNOWN}")),
            };
            result.map_err(|why| ApiError::field(name, format!("{name}: {why}")))?;
        }
        Ok(own)
    }
}

/// A header's value as the log keeps it: of a credential only its scheme.
pub(crate) fn without_secret(name: &str, value: &str) -> String {
    match name {
        "authorization" | "proxy-authorization" => {
            let scheme = value.split(' ').next().unwrap_or_default();
            format!("{scheme} ***")
        }
        "api-key" | "x-api-key" | "cookie" => "***".to_owned(),
        _ => value.to_owned(),
    }
}
