//! Where the service is, who we are to it, and how long we wait.

use std::fmt;
use std::time::Duration;

use reqwest::Url;

use crate::Error;
use crate::protocol::stream::FinishPolicy;

/// The chat model where none is named: it is cheap, and accepts a temperature, which models that
/// reason refuse. Providers retire models: look at OpenAI's list of deprecations before you rely on it.
pub const DEFAULT_MODEL: &str = "gpt-4o-mini";

/// The embedding model where none is named.
pub const DEFAULT_EMBEDDING_MODEL: &str = "text-embedding-3-small";

/// OpenAI's own service.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// Everything a client has to know.
///
/// ```
/// use ai_core::Config;
///
/// let config = Config::new("http://127.0.0.1:11434/v1", "ollama")?;
/// assert_eq!(config.base_url(), "http://127.0.0.1:11434/v1");
/// assert!(!format!("{config:?}").contains("ollama"));
/// # Ok::<(), ai_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    base_url: Url,
    api_key: ApiKey,
    /// The chat model of the convenience methods.
    pub model: String,
    /// The embedding model of the lessons.
    pub embedding_model: String,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// What a stream without a finish reason means.
    pub finish_policy: FinishPolicy,
    /// The most bytes one body, or one event of a stream, may have.
    pub max_bytes: usize,
}

impl Config {
    /// A service and a key for it.
    ///
    /// # Errors
    /// [`Error::Config`] for a URL that can't be a base URL, and for a key that can't be sent.
    pub fn new(base_url: &str, api_key: &str) -> Result<Config, Error> {
        Ok(Config {
            base_url: parse_base_url(base_url)?,
            api_key: ApiKey::new(api_key)?,
            model: DEFAULT_MODEL.to_owned(),
            embedding_model: DEFAULT_EMBEDDING_MODEL.to_owned(),
            timeouts: Timeouts::default(),
            finish_policy: FinishPolicy::default(),
            max_bytes: 64 << 20,
        })
    }

    /// Reads the variables the whole ecosystem uses: `OPENAI_API_KEY`, `OPENAI_BASE_URL` and
    /// `OPENAI_MODEL`, and `OPENAI_EMBEDDING_MODEL` of our own. All but the key may be missing.
    ///
    /// # Errors
    /// [`Error::Config`], naming the variable. No IO has happened then.
    pub fn from_env() -> Result<Config, Error> {
        Config::from_lookup(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), from anything that maps names to values. Tests use it: in
    /// edition 2024 a program can't set its own environment without `unsafe`.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, Error> {
        // Set but empty is how shells and container files say "not set".
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let Some(key) = lookup("OPENAI_API_KEY") else {
            return Err(Error::Config(
                "OPENAI_API_KEY is not set: export your key (any word will do for a local server \
                 such as Ollama)"
                    .into(),
            ));
        };
        let base_url = lookup("OPENAI_BASE_URL").unwrap_or_else(|| DEFAULT_BASE_URL.to_owned());
        let mut config = Config::new(&base_url, &key)?;
        if let Some(model) = lookup("OPENAI_MODEL") {
            config.model = model.trim().to_owned();
        }
        if let Some(model) = lookup("OPENAI_EMBEDDING_MODEL") {
            config.embedding_model = model.trim().to_owned();
        }
        Ok(config)
    }

    /// The base URL, without a slash at its end.
    pub fn base_url(&self) -> &str {
        self.base_url.as_str().trim_end_matches('/')
    }

    /// The base URL with `path` behind it.
    pub(crate) fn endpoint(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url
    }

    /// Host and port, for messages.
    pub(crate) fn authority(&self) -> &str {
        self.base_url.authority()
    }

    /// The host alone, for spans.
    pub(crate) fn host(&self) -> &str {
        self.base_url.host_str().unwrap_or_default()
    }

    pub(crate) fn key(&self) -> &str {
        &self.api_key.0
    }

    /// Whether the service is on this machine. A proxy could not reach it, so none is asked:
    /// with `HTTP_PROXY` set, 127.0.0.1 would otherwise be looked for on the proxy's side.
    pub(crate) fn is_local(&self) -> bool {
        match self.base_url.host_str() {
            Some("localhost") => true,
            Some(host) => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                host.parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
            }
            None => false,
        }
    }
}

/// Never quotes the text: it may be the key, when the two variables were mixed up, or have one in it.
fn parse_base_url(text: &str) -> Result<Url, Error> {
    let bad = |why: &str| {
        Error::Config(format!(
            "OPENAI_BASE_URL {why}: it should look like {DEFAULT_BASE_URL} or \
             http://127.0.0.1:11434/v1"
        ))
    };
    let url = Url::parse(text.trim()).map_err(|error| bad(&format!("is no URL ({error})")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad(
            "has a user name or password in it; the key belongs in OPENAI_API_KEY",
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("does not begin with https:// or http:// and a host"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("goes on behind its path, with ? or #"));
    }
    Ok(url)
}

/// A key that shows itself to nobody but the server.
#[derive(Clone)]
struct ApiKey(String);

impl ApiKey {
    fn new(text: &str) -> Result<ApiKey, Error> {
        // A line end that came along from a file is the commonest mistake.
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Config(
                "OPENAI_API_KEY is empty or has characters that no key has, such as spaces, line \
                 ends or curly quotes"
                    .into(),
            ));
        }
        Ok(ApiKey(text.to_owned()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The three limits on waiting. They mean the same in both clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest wait for a connection: 10 s.
    pub connect: Duration,
    /// The longest silence: until the head of the answer has arrived, then until each next piece
    /// of it. 30 s. A model that keeps writing is never cut off by this one.
    pub silence: Duration,
    /// The longest time for the whole call, from the first byte sent to the last received. None.
    ///
    /// [`AsyncClient`](crate::AsyncClient) keeps it exactly. [`SyncClient`](crate::SyncClient)
    /// does so where it is not longer than `silence`; a longer one is checked between two reads,
    /// and so can be overrun by up to `silence`.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            total: None,
        }
    }
}

impl Timeouts {
    /// The same, none longer than a year: `Duration::MAX` is how people write "no limit", and no
    /// clock can add it to the time of day.
    pub(crate) fn bounded(self) -> Timeouts {
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        Timeouts {
            connect: self.connect.min(year),
            silence: self.silence.min(year),
            total: self.total.map(|total| total.min(year)),
        }
    }
}

/// What one call, or one group of calls, does differently. Give it to `with` of a client.
#[derive(Clone, Default)]
pub struct CallOptions {
    pub(crate) silence: Option<Duration>,
    pub(crate) total: Option<Duration>,
    pub(crate) headers: Vec<(String, String)>,
}

impl fmt::Debug for CallOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some services take their key in a header of their own, so no value is shown.
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("CallOptions")
            .field("silence", &self.silence)
            .field("total", &self.total)
            .field("headers", &names)
            .finish()
    }
}

impl CallOptions {
    /// Nothing different yet.
    pub fn new() -> CallOptions {
        CallOptions::default()
    }

    /// Overrides [`Timeouts::silence`].
    pub fn silence(mut self, limit: Duration) -> CallOptions {
        self.silence = Some(limit);
        self
    }

    /// Overrides [`Timeouts::total`].
    pub fn total(mut self, limit: Duration) -> CallOptions {
        self.total = Some(limit);
        self
    }

    /// Sends one more header, in place of an earlier one of the same name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> CallOptions {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Names the operation, so that a server which knows the header does it once although it may
    /// be sent several times. Use one key for all attempts of one operation.
    pub fn idempotency_key(self, key: impl Into<String>) -> CallOptions {
        self.header("idempotency-key", key)
    }
}
