//! Failures on purpose.

use std::fmt;
use std::str::FromStr;

/// How an injected failure looks to the client.
///
/// Written as a status (`503`) or `reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An error of this status (400 to 599) with a body in OpenAI's shape; a 429 asks to be retried after a second.
    Status(u16),
    /// The connection is reset before any byte of the response.
    Reset,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Reset => f.write_str("reset"),
        }
    }
}

impl FromStr for Failure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "reset" {
            return Ok(Self::Reset);
        }
        let status = text
            .parse()
            .ok()
            .filter(|status| (400..600).contains(status));
        status.map(Self::Status).ok_or_else(|| {
            format!("{text:?} is no failure; write a status from 400 to 599, or reset")
        })
    }
}

/// "Fail n times, then succeed", counted for each item on its own.
///
/// Written `2` (a 503), `2x429`, `2xreset`, `always` or `alwaysx500`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailFirst {
    /// How many attempts fail; `None` means all of them.
    pub attempts: Option<u32>,
    /// How they fail.
    pub failure: Failure,
}

impl FailFirst {
    /// Whether this attempt, counted from 1, is one of those that fail.
    pub(crate) fn hits(self, attempt: u32) -> bool {
        self.attempts.is_none_or(|n| attempt <= n)
    }
}

impl fmt::Display for FailFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempts {
            Some(n) => write!(f, "{n}x{}", self.failure),
            None => write!(f, "alwaysx{}", self.failure),
        }
    }
}

impl FromStr for FailFirst {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (times, failure) = text.split_once('x').unwrap_or((text, "503"));
        let attempts =
            match times {
                "always" => None,
                n => Some(n.parse().map_err(|_| {
                    format!("{text:?}: write 2, 2x429, 2xreset, always or alwaysx500")
                })?),
            };
        Ok(Self {
            attempts,
            failure: failure.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn failures_are_written_in_one_way_everywhere() {
        let parse = |text: &str| text.parse::<FailFirst>();
        assert_eq!(
            parse("2"),
            Ok(FailFirst {
                attempts: Some(2),
                failure: Failure::Status(503)
            })
        );
        assert_eq!(
            parse("2xreset"),
            Ok(FailFirst {
                attempts: Some(2),
                failure: Failure::Reset
            })
        );
        assert_eq!(
            parse("alwaysx500"),
            Ok(FailFirst {
                attempts: None,
                failure: Failure::Status(500)
            })
        );
        for text in ["", "x", "2x", "2x200", "2x600", "sometimes", "-1", "2xx503"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["0.1xreset", "0.1x500,0.05xreset"] {
            let kinds = parse::failure_rate(text).unwrap();
            assert_eq!(parse::show_failure_rate(&kinds).as_deref(), Some(text));
        }
        assert_eq!(
            parse::failure_rate("0.1,0.2"),
            Ok(vec![
                (0.1, Failure::Status(503)),
                (0.2, Failure::Status(503))
            ])
        );
        for text in ["1.1", "-0.1", "nan", "x503", "half", "0.1,", "", "0.6,0.6"] {
            assert!(parse::failure_rate(text).is_err(), "{text}");
        }
    }
}
