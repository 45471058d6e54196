//! What both clients do alike: everything but the waiting.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use tracing::Span;
use tracing::field::Empty;

use crate::protocol::chat::{ChatRequest, ChatResponse};
use crate::protocol::embedding::{EmbeddingRequest, EmbeddingResponse};
use crate::protocol::stream::Event;
use crate::{CallOptions, Config, Error, FinishReason, Phase, Timeouts, Usage};

/// A decoded answer, with what came around it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Reply<T> {
    /// The answer.
    pub value: T,
    /// The HTTP status.
    pub status: u16,
    /// All headers, rate limits among them.
    pub headers: HeaderMap,
    /// The body as it came, for the fields the answer type does not know.
    pub body: Bytes,
    /// From the call to the last byte.
    pub elapsed: Duration,
}

impl<T> Reply<T> {
    /// The server's name for this request; its support will ask for it.
    pub fn request_id(&self) -> Option<&str> {
        self.headers.get("x-request-id")?.to_str().ok()
    }
}

/// A reply is used like the answer it carries.
impl<T> Deref for Reply<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Where a client calls and what it sends along: settled once, shared by all of its calls.
#[derive(Clone)]
pub(crate) struct Target {
    /// The endpoints, parsed once: a URL is costlier to parse than to clone.
    pub(crate) chat: Url,
    pub(crate) embeddings: Url,
    pub(crate) config: Config,
    pub(crate) timeouts: Timeouts,
    pub(crate) headers: HeaderMap,
    /// What must not be shown: the key, and keys in headers of a call's own.
    secrets: Vec<String>,
}

/// Headers that some services take a key in.
const KEY_HEADERS: [&str; 3] = ["authorization", "api-key", "x-api-key"];

/// What it would show beyond the settings is secrets.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl Target {
    pub(crate) fn new(config: Config) -> Target {
        install_tls_provider();
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", config.key()))
            .expect("Config checked that the key can be sent");
        // Marked, so that nothing that prints headers prints this one.
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let agent = concat!("ai-core/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        Target {
            chat: config.endpoint(ChatRequest::PATH),
            embeddings: config.endpoint(EmbeddingRequest::PATH),
            timeouts: config.timeouts.bounded(),
            secrets: vec![config.key().to_owned()],
            config,
            headers,
        }
    }

    /// The same, changed as `options` say.
    pub(crate) fn with(&self, options: &CallOptions) -> Result<Target, Error> {
        let mut target = self.clone();
        target.timeouts.silence = options.silence.unwrap_or(target.timeouts.silence);
        target.timeouts.total = options.total.or(target.timeouts.total);
        target.timeouts = target.timeouts.bounded();
        for (name, value) in &options.headers {
            let bad = || Error::Config(format!("{name:?} with this value is no valid header"));
            let name = HeaderName::try_from(name).map_err(|_| bad())?;
            let mut sent = HeaderValue::try_from(value).map_err(|_| bad())?;
            if KEY_HEADERS.contains(&name.as_str()) {
                let key = value.strip_prefix("Bearer ").unwrap_or(value);
                target.secrets.push(key.trim().to_owned());
            }
            // Marked whatever its name is: there are services with a key header of their own.
            sent.set_sensitive(true);
            target.headers.insert(name, sent);
        }
        Ok(target)
    }

    /// Names a failure of the network. `phase` is what was being waited for.
    pub(crate) fn network_error(&self, phase: Phase, error: &reqwest::Error) -> Error {
        if error.is_builder() {
            return Error::Config(root_cause(error));
        }
        if error.is_connect() {
            let cause = match error.is_timeout() {
                true => format!("no connection within {:?}", self.timeouts.connect),
                false => root_cause(error),
            };
            let hint = if is_out_of_descriptors(error) {
                "; each connection needs one: make fewer calls at once, or raise this process's \
                 limit on open files (ulimit -n)"
            } else {
                ""
            };
            return Error::Connect(format!("{}: {cause}{hint}", self.config.authority()));
        }
        Error::Interrupted {
            phase,
            message: root_cause(error),
        }
    }
}

/// Makes HTTPS work, once for the process. Both clients do this themselves.
///
/// reqwest is built here without a TLS provider of its own, which halves the time of a cold build,
/// and panics where none is installed. Call this before you build a bare `reqwest::Client`.
pub fn install_tls_provider() {
    // An error says that there is one already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The innermost error says what happened ("Connection refused"); those around it only where.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let innermost = std::iter::successors(Some(error), |error| error.source()).last();
    innermost.unwrap_or(error).to_string()
}

/// EMFILE or ENFILE (WSAEMFILE on Windows): std has no `ErrorKind` for it.
fn is_out_of_descriptors(error: &(dyn std::error::Error + 'static)) -> bool {
    let codes: &[i32] = if cfg!(windows) { &[10024] } else { &[23, 24] };
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>()?.raw_os_error())
        .any(|code| codes.contains(&code))
}

/// A whole answer, not yet read.
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) elapsed: Duration,
}

impl Raw {
    pub(crate) fn new(
        status: u16,
        headers: HeaderMap,
        body: Vec<u8>,
        elapsed: Duration,
    ) -> Result<Raw, Error> {
        match check_encoding(&headers) {
            Ok(()) => Ok(Raw {
                status,
                headers,
                body: body.into(),
                elapsed,
            }),
            // A refusal is worth telling even if its words can't be read.
            Err(_) if !(200..300).contains(&status) => Ok(Raw {
                status,
                headers,
                body: Bytes::new(),
                elapsed,
            }),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn decode<T>(
        self,
        decode: impl FnOnce(u16, &HeaderMap, &[u8]) -> Result<T, Error>,
    ) -> Result<Reply<T>, Error> {
        let Raw {
            status,
            headers,
            body,
            elapsed,
        } = self;
        let value = decode(status, &headers, &body)?;
        Ok(Reply {
            value,
            status,
            headers,
            body,
            elapsed,
        })
    }
}

/// Whether the body can be read as it comes. We never offer to accept a compressed one.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => Err(Error::UnsupportedEncoding(
            String::from_utf8_lossy(coding.as_bytes()).into_owned(),
        )),
        _ => Ok(()),
    }
}

/// Adds a piece to a body that must not outgrow `limit` bytes.
pub(crate) fn append(body: &mut Vec<u8>, bytes: &[u8], limit: usize) -> Result<(), Error> {
    if body.len() + bytes.len() > limit {
        return Err(Error::TooLarge { limit });
    }
    body.extend_from_slice(bytes);
    Ok(())
}

/// Tells `tracing` of one call, and keeps the key out of what it tells and of what the caller gets.
///
/// Names are those of OpenTelemetry's conventions for generative AI, so an exporter needs no map.
#[derive(Debug)]
pub(crate) struct Observer {
    span: Span,
    target: Arc<Target>,
    started: Instant,
    began: bool,
    /// An end has been told. If there is none when this is dropped, the caller has left.
    ended: bool,
}

impl Observer {
    pub(crate) fn new(operation: &'static str, model: &str, target: &Arc<Target>) -> Observer {
        let span = tracing::info_span!(
            "gen_ai",
            otel.name = format_args!("{operation} {model}"),
            otel.kind = "client",
            gen_ai.operation.name = operation,
            gen_ai.provider.name = "openai",
            gen_ai.request.model = model,
            server.address = target.config.host(),
            gen_ai.response.model = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            gen_ai.response.finish_reasons = Empty,
            gen_ai.response.time_to_first_chunk = Empty,
            error.type = Empty,
        );
        Observer {
            span,
            target: target.clone(),
            started: Instant::now(),
            began: false,
            ended: false,
        }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// A whole answer has arrived, or failed to.
    pub(crate) fn reply<T: Measured>(
        mut self,
        reply: Result<Reply<T>, Error>,
    ) -> Result<Reply<T>, Error> {
        let reply = reply.map_err(|error| self.error(error))?;
        self.span.record("gen_ai.response.model", reply.model());
        if let Some(usage) = reply.usage() {
            self.usage(usage);
        }
        self.end(reply.finish_reason());
        Ok(reply)
    }

    /// An item of a stream has arrived.
    pub(crate) fn item(
        &mut self,
        item: Result<Event, Error>,
        model: Option<&str>,
    ) -> Result<Event, Error> {
        let event = item.map_err(|error| self.error(error))?;
        if !self.began {
            self.began = true;
            let seconds = self.started.elapsed().as_secs_f64();
            self.span
                .record("gen_ai.response.time_to_first_chunk", seconds);
            self.span.record("gen_ai.response.model", model);
        }
        match &event {
            Event::Usage(usage) => self.usage(*usage),
            Event::End(reason) => self.end(Some(reason)),
            _ => {}
        }
        Ok(event)
    }

    pub(crate) fn error(&mut self, error: Error) -> Error {
        let secrets = self.target.secrets.iter();
        let error = secrets.fold(error, |error, secret| error.without(secret));
        self.ended = true;
        match &error {
            Error::Status(refusal) => self.span.record("error.type", refusal.status),
            other => self.span.record("error.type", other.kind()),
        };
        tracing::warn!(parent: &self.span, %error, "failed");
        error
    }

    fn usage(&self, usage: Usage) {
        self.span
            .record("gen_ai.usage.input_tokens", usage.input_tokens);
        self.span
            .record("gen_ai.usage.output_tokens", usage.output_tokens);
    }

    fn end(&mut self, reason: Option<&FinishReason>) {
        self.ended = true;
        if let Some(reason) = reason {
            self.span
                .record("gen_ai.response.finish_reasons", reason.as_str());
        }
        tracing::info!(parent: &self.span, elapsed = ?self.started.elapsed(), "answered");
    }
}

/// A call whose caller left is told, too: the server may have done the work, and bill it.
impl Drop for Observer {
    fn drop(&mut self) {
        if !self.ended {
            self.span.record("error.type", "cancelled");
            let elapsed = self.started.elapsed();
            tracing::info!(parent: &self.span, ?elapsed, "cancelled; its usage is unknown");
        }
    }
}

/// What a whole answer tells of itself.
pub(crate) trait Measured {
    fn model(&self) -> &str;
    fn usage(&self) -> Option<Usage>;
    fn finish_reason(&self) -> Option<&FinishReason>;
}

impl Measured for ChatResponse {
    fn model(&self) -> &str {
        &self.model
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn finish_reason(&self) -> Option<&FinishReason> {
        self.first().finish_reason.as_ref()
    }
}

impl Measured for EmbeddingResponse {
    fn model(&self) -> &str {
        &self.model
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn finish_reason(&self) -> Option<&FinishReason> {
        None
    }
}
