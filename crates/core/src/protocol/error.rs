//! What can go wrong, sorted by what the caller can do about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::chat::FinishReason;

/// Why a call failed. Cheap to clone, so that many callers can share one failure.
///
/// ```
/// use ai_core::Error;
///
/// fn advice(error: &Error) -> &'static str {
///     match error {
///         Error::Config(_) => "fix the settings",
///         Error::RateLimited(refusal) if refusal.retry_after.is_some() => "wait as long as it says",
///         error if error.is_retryable() => "try again with backoff",
///         error if error.maybe_billed() => "it may have been paid for: do not repeat it blindly",
///         _ => "give up and tell the user",
///     }
/// }
/// assert_eq!(advice(&Error::Truncated), "it may have been paid for: do not repeat it blindly");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The settings or the request cannot work. Nothing was sent.
    Config(String),
    /// No connection came about: name lookup, refused, TLS. Nothing was sent.
    Connect(String),
    /// Nothing arrived for as long as [`Timeouts::silence`](crate::Timeouts::silence) allows.
    Silent {
        /// What was being waited for.
        phase: Phase,
        /// The limit that was reached.
        limit: Duration,
    },
    /// The whole call took longer than [`Timeouts::total`](crate::Timeouts::total) allows.
    Deadline {
        /// The limit that was reached.
        limit: Duration,
    },
    /// 429: too many requests or tokens for now. `retry_after` says when it is worth another try.
    RateLimited(Arc<Refusal>),
    /// 402, or 429 with `insufficient_quota` or `billing_not_active`: the account is out of money, or
    /// can't pay. Waiting does not help.
    QuotaExhausted(Arc<Refusal>),
    /// Any other answer that is not 2xx.
    Status(Arc<Refusal>),
    /// An error object where an answer was due: in mid-stream, or in a reply that said 200.
    Server(Arc<Refusal>),
    /// The answer is not what the protocol promises. The text is kept, shortened.
    Malformed {
        /// What was wrong with it.
        reason: String,
        /// The offending text, at most [`KEPT_TEXT`] bytes of it.
        text: String,
    },
    /// The stream ended in good order, but before the model had finished.
    Truncated,
    /// The connection broke after the request was sent.
    Interrupted {
        /// What was being waited for.
        phase: Phase,
        /// What the network said.
        message: String,
    },
    /// One event or one body was larger than the limit of the [`Config`](crate::Config).
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body is compressed although nobody asked for that.
    UnsupportedEncoding(String),
    /// The model stopped before it was done. What it wrote is kept: it was paid for.
    Unfinished {
        /// Why it stopped.
        reason: FinishReason,
        /// What it wrote until then.
        text: Arc<str>,
    },
}

/// Which part of the response was being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Status and headers: not a byte of the answer has arrived.
    Head,
    /// The answer itself: some of it may have arrived.
    Body,
}

/// How much of an offending text an [`Error`] keeps, in bytes.
pub const KEPT_TEXT: usize = 2048;

impl Error {
    /// Whether the same request is worth another try: it failed before the first byte of an answer,
    /// and the reason may pass.
    ///
    /// `true` for no connection, for a reset or silence before the head, and for 408, 409, 429 and
    /// 5xx, as the official SDKs do, unless the server says `x-should-retry: false`. That header can't
    /// make a request worth repeating that is wrong in itself. See [`maybe_billed`](Self::maybe_billed) for what a repetition may cost.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Connect(_) => true,
            Error::Silent { phase, .. } | Error::Interrupted { phase, .. } => *phase == Phase::Head,
            Error::RateLimited(refusal) => refusal.should_retry != Some(false),
            Error::Status(refusal) => {
                let may_pass = matches!(refusal.status, Some(408 | 409 | 500..=599));
                may_pass && refusal.should_retry != Some(false)
            }
            _ => false,
        }
    }

    /// Whether the server may have done the work, and charge for it, although there is no answer.
    ///
    /// Of the refusals that is so for 408, 502 and 504, and for Cloudflare's 520 and 524: there a
    /// gateway gave up, and the model behind it may not have.
    pub fn maybe_billed(&self) -> bool {
        if let Error::Status(refusal) = self {
            return matches!(refusal.status, Some(408 | 502 | 504 | 520 | 524));
        }
        let never_done = matches!(
            self,
            Error::Config(_) | Error::Connect(_) | Error::RateLimited(_) | Error::QuotaExhausted(_)
        );
        !never_done
    }

    /// What the server said when it refused, where it did.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::RateLimited(refusal)
            | Error::QuotaExhausted(refusal)
            | Error::Status(refusal)
            | Error::Server(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// How long the server asks us to wait before the next try.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }

    /// A short, stable name for logs and metrics (`error.type` in OpenTelemetry's conventions).
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Config(_) => "config",
            Error::Connect(_) => "connect",
            Error::Silent { .. } => "silent",
            Error::Deadline { .. } => "deadline",
            Error::RateLimited(_) => "rate_limited",
            Error::QuotaExhausted(_) => "quota_exhausted",
            Error::Status(_) => "status",
            Error::Server(_) => "server",
            Error::Malformed { .. } => "malformed",
            Error::Truncated => "truncated",
            Error::Interrupted { .. } => "interrupted",
            Error::TooLarge { .. } => "too_large",
            Error::UnsupportedEncoding(_) => "unsupported_encoding",
            Error::Unfinished { .. } => "unfinished",
        }
    }

    /// The error of an answer with a status other than 2xx.
    pub fn from_response(status: u16, headers: &HeaderMap, body: &[u8]) -> Error {
        let refusal = Arc::new(Refusal::decode(Some(status), headers, body));
        match status {
            // OpenAI says it with a 429 and a code, DeepSeek and OpenRouter with a 402.
            402 => Error::QuotaExhausted(refusal),
            429 if refusal.is_quota() => Error::QuotaExhausted(refusal),
            429 => Error::RateLimited(refusal),
            _ => Error::Status(refusal),
        }
    }

    /// A [`Malformed`](Error::Malformed) that keeps the beginning of `text`.
    pub(crate) fn malformed(reason: impl fmt::Display, text: &[u8]) -> Error {
        let text = String::from_utf8_lossy(&text[..text.len().min(KEPT_TEXT)]).into_owned();
        Error::Malformed {
            // serde quotes what it did not expect, however long that is.
            reason: first_line(&reason.to_string()),
            text,
        }
    }

    /// Replaces `secret` wherever the error quotes the server: some echo the key they were sent.
    pub(crate) fn without(self, secret: &str) -> Error {
        // Local servers are given words like "ollama"; that is no secret, and it may well occur in
        // an honest message.
        if secret.len() < 8 {
            return self;
        }
        let hide = |text: &str| {
            let mut text = text.replace(secret, "***");
            // Where a long text was cut, the key may have been cut with it.
            let mut cut = (4..secret.len())
                .rev()
                .filter_map(|length| secret.get(..length));
            if let Some(rest) = cut.find_map(|part| text.strip_suffix(part)) {
                text = format!("{rest}***");
            }
            text
        };
        let hide_in = |refusal: Arc<Refusal>| Arc::new(refusal.map_text(hide));
        match self {
            Error::RateLimited(refusal) => Error::RateLimited(hide_in(refusal)),
            Error::QuotaExhausted(refusal) => Error::QuotaExhausted(hide_in(refusal)),
            Error::Status(refusal) => Error::Status(hide_in(refusal)),
            Error::Server(refusal) => Error::Server(hide_in(refusal)),
            Error::Malformed { reason, text } => Error::Malformed {
                reason: hide(&reason),
                text: hide(&text),
            },
            Error::UnsupportedEncoding(name) => Error::UnsupportedEncoding(hide(&name)),
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Config(message) => f.write_str(message),
            Error::Connect(message) => write!(f, "cannot connect: {message}"),
            Error::Silent {
                phase: Phase::Head,
                limit,
            } => {
                write!(f, "the server did not begin to answer within {limit:?}")
            }
            Error::Silent {
                phase: Phase::Body,
                limit,
            } => {
                write!(f, "the server fell silent in mid-answer for {limit:?}")
            }
            Error::Deadline { limit } => {
                write!(f, "the call took longer than its limit of {limit:?}")
            }
            Error::RateLimited(refusal) => {
                write!(f, "rate limited: {refusal}")?;
                match refusal.retry_after {
                    Some(wait) => write!(f, "; the server asks to wait {wait:?}"),
                    None => Ok(()),
                }
            }
            Error::QuotaExhausted(refusal) => {
                write!(f, "the account's quota is used up: {refusal}")
            }
            Error::Status(refusal) => write!(f, "the server refused: {refusal}"),
            Error::Server(refusal) => write!(f, "the server failed: {refusal}"),
            Error::Malformed { reason, text } => {
                write!(
                    f,
                    "the server's answer makes no sense ({reason}): {}",
                    first_line(text)
                )
            }
            Error::Truncated => f.write_str("the stream ended before the model had finished"),
            Error::Interrupted {
                phase: Phase::Head,
                message,
            } => {
                write!(f, "the connection broke before the answer began: {message}")
            }
            Error::Interrupted {
                phase: Phase::Body,
                message,
            } => {
                write!(f, "the connection broke in mid-answer: {message}")
            }
            Error::TooLarge { limit } => {
                write!(
                    f,
                    "the server sent more than the limit of {limit} bytes in one piece"
                )
            }
            Error::UnsupportedEncoding(name) => {
                write!(
                    f,
                    "the answer is encoded as {name:?}, which was not asked for"
                )
            }
            Error::Unfinished { reason, text } => {
                write!(
                    f,
                    "the model stopped early ({}) after {} characters",
                    first_line(reason.as_str()),
                    text.chars().count()
                )
            }
        }
    }
}

impl std::error::Error for Error {}

/// What a server said when it refused: OpenAI's error object, or what could be saved of another.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status; `None` for an error object in mid-stream.
    pub status: Option<u16>,
    /// The machine-readable cause, such as `invalid_api_key`. Numbers are kept as their digits.
    pub code: Option<String>,
    /// The class of error, such as `invalid_request_error` (`type` on the wire).
    pub kind: Option<String>,
    /// The parameter that was wrong.
    pub param: Option<String>,
    /// The server's words, or ours where it sent none.
    pub message: String,
    /// The server's name for this request; its support will ask for it.
    pub request_id: Option<String>,
    /// How long the server asks us to wait: `retry-after-ms`, else `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The server's own opinion on another try (`x-should-retry`).
    pub should_retry: Option<bool>,
    /// All headers of the answer, rate limits among them.
    pub headers: HeaderMap,
}

impl Refusal {
    /// Reads a refusal from any body a server, gateway or proxy may send. Never fails.
    ///
    /// Understood are OpenAI's `{"error": {...}}`, `{"error": "text"}`, FastAPI's
    /// `{"detail": "text"}` and `{"detail": [{"msg": ...}]}`, `{"message": ...}`, HTML and nothing.
    pub fn decode(status: Option<u16>, headers: &HeaderMap, body: &[u8]) -> Refusal {
        let mut refusal = Refusal {
            status,
            request_id: header(headers, "x-request-id").map(str::to_owned),
            retry_after: retry_after(headers),
            should_retry: header(headers, "x-should-retry").and_then(|value| value.parse().ok()),
            headers: headers.clone(),
            ..Refusal::default()
        };
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => refusal.read_object(&value),
            Err(_) => refusal.message = describe_text(body),
        }
        // Redirects are not followed: a POST would lose its body, or take the key to another host.
        if let (Some(300..400), Some(place)) = (status, header(headers, "location")) {
            refusal.message = format!("it has moved to {place}");
        }
        refusal
    }

    fn read_object(&mut self, value: &Value) {
        let text = |value: &Value| match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let error = &value["error"];
        let object = if error.is_object() { error } else { value };
        self.code = text(&object["code"]);
        self.kind = text(&object["type"]);
        self.param = text(&object["param"]);
        let details = || {
            let list = value["detail"]
                .as_array()?
                .iter()
                .filter_map(|item| text(&item["msg"]));
            Some(list.collect::<Vec<_>>().join("; ")).filter(|list| !list.is_empty())
        };
        self.message = text(&object["message"])
            .or_else(|| text(error))
            .or_else(|| text(&value["detail"]))
            .or_else(details)
            .unwrap_or_else(|| describe_text(value.to_string().as_bytes()));
    }

    fn is_quota(&self) -> bool {
        let words = [self.code.as_deref(), self.kind.as_deref()];
        words
            .iter()
            .flatten()
            .any(|word| matches!(*word, "insufficient_quota" | "billing_not_active"))
    }

    fn map_text(&self, map: impl Fn(&str) -> String) -> Refusal {
        let map_some = |field: &Option<String>| field.as_deref().map(&map);
        let mut headers = self.headers.clone();
        for value in headers.values_mut() {
            // A header that is no text cannot hold the key, which is.
            if let Ok(text) = value.to_str() {
                *value = map(text)
                    .parse()
                    .unwrap_or_else(|_| http::HeaderValue::from_static(""));
            }
        }
        Refusal {
            status: self.status,
            code: map_some(&self.code),
            kind: map_some(&self.kind),
            param: map_some(&self.param),
            message: map(&self.message),
            request_id: map_some(&self.request_id),
            retry_after: self.retry_after,
            should_retry: self.should_retry,
            headers,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&first_line(&self.message))?;
        let mut facts = Vec::new();
        facts.extend(self.status.map(|status| format!("status {status}")));
        let code = self.code.as_deref().map(first_line);
        facts.extend(code.map(|code| format!("code {code}")));
        facts.extend(self.request_id.as_ref().map(|id| format!("request {id}")));
        if facts.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", facts.join(", "))
        }
    }
}

/// One line is what a person at a terminal wants; the whole text stays in the field. What would move
/// the cursor or colour the terminal is left out, since a stranger wrote it.
fn first_line(text: &str) -> String {
    text.trim()
        .chars()
        .take_while(|c| !matches!(c, '\n' | '\r'))
        .filter(|c| !c.is_control())
        .take(300)
        .collect()
}

fn describe_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(KEPT_TEXT)]);
    let text = text.trim();
    if text.is_empty() {
        "the server gave no reason".to_owned()
    } else if text.starts_with('<') {
        // Gateways and proxies answer in HTML; the page itself helps nobody at a terminal.
        "an HTML page where JSON was due; is a proxy or gateway in between?".to_owned()
    } else {
        text.to_owned()
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The wait a server asks for: `retry-after-ms` where it is sent, else `Retry-After` (RFC 9110,
/// section 10.2.3) in seconds, with fractions as some servers send them, or as an HTTP-date.
///
/// A date is measured against the `Date` header of the same answer, so the server's clock is
/// compared with itself: ours may be wrong, and this function needs none. Without that header a
/// date means nothing, and there is no answer.
///
/// A number too large for a [`Duration`] is the longest one. It is no garbage: who took it for none would
/// come back the sooner the longer the server asks to wait.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |text: &str, scale: f64| {
        let wait = text.trim().parse::<f64>().ok()? / scale;
        let longest = (wait > 0.0).then_some(Duration::MAX);
        Duration::try_from_secs_f64(wait).ok().or(longest)
    };
    if let Some(wait) = header(headers, "retry-after-ms").and_then(|text| seconds(text, 1000.0)) {
        return Some(wait);
    }
    let text = header(headers, "retry-after")?;
    seconds(text, 1.0).or_else(|| {
        let due = httpdate::parse_http_date(text.trim()).ok()?;
        let now = httpdate::parse_http_date(header(headers, "date")?).ok()?;
        // A date in the past means: now.
        Some(due.duration_since(now).unwrap_or_default())
    })
}
