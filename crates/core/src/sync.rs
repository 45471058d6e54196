//! The client that blocks. Diff this file with `async.rs`: only the waiting differs.

use std::io::Read;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use http::HeaderMap;
use reqwest::blocking::{Client, Request, Response};
use reqwest::redirect::Policy;
use reqwest::{Method, Url};
use tokio::runtime::Handle;
use tokio::task::coop;

use crate::call::{self, Observer, Raw, Reply, Target};
use crate::config::{CallOptions, Config};
use crate::protocol::chat::{ChatRequest, ChatResponse};
use crate::protocol::embedding::{EmbeddingRequest, EmbeddingResponse};
use crate::protocol::stream::{Event, StreamDecoder, is_stream, not_a_stream};
use crate::{Error, Phase, Timeouts};

/// Calls an AI service and blocks until it has answered.
///
/// A clone is cheap and shares the connections; so do threads that share one client.
///
/// It must not be used in an async task, whose thread it would block for everybody: there it
/// answers [`Error::Config`]. In `spawn_blocking` it works.
///
/// ```no_run
/// use ai_core::{Config, SyncClient};
///
/// let client = SyncClient::new(Config::from_env()?)?;
/// println!("{}", client.generate_text("Explain quantum computing in simple terms")?);
/// # Ok::<(), ai_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SyncClient {
    http: Client,
    target: Arc<Target>,
}

impl SyncClient {
    /// Builds a client with its own pool of connections. Build one, and use it for everything.
    ///
    /// # Errors
    /// [`Error::Config`] if the platform's TLS can't be set up.
    pub fn new(config: Config) -> Result<SyncClient, Error> {
        let target = Arc::new(Target::new(config));
        Ok(SyncClient {
            http: build(&target)?,
            target,
        })
    }

    /// This client with other options, which later ones override. It shares the connections.
    ///
    /// Except for another [`silence`](CallOptions::silence): reqwest's blocking client has one for
    /// all of its calls, so a client with connections of its own is built. Keep it for further use.
    ///
    /// # Errors
    /// [`Error::Config`] for a header that can't be sent.
    pub fn with(&self, options: CallOptions) -> Result<SyncClient, Error> {
        let mut client = self.clone();
        client.target = Arc::new(self.target.with(&options)?);
        if client.target.timeouts.silence != self.target.timeouts.silence {
            client.http = build(&client.target)?;
        }
        Ok(client)
    }

    /// The settings this client was built with.
    pub fn config(&self) -> &Config {
        &self.target.config
    }

    /// The limits that hold for its calls: those of the settings, as [`with`](Self::with) has
    /// changed them.
    pub fn timeouts(&self) -> Timeouts {
        self.target.timeouts
    }

    /// Asks the default model one thing and returns its text.
    ///
    /// # Errors
    /// Those of [`chat`](Self::chat), and [`Error::Unfinished`] when the model did not come to its
    /// own end: a text that was cut off is not what was asked for.
    pub fn generate_text(&self, prompt: &str) -> Result<String, Error> {
        let request = ChatRequest::new(&self.target.config.model, prompt);
        let reply = self.chat(&request)?;
        reply
            .value
            .into_finished_text(self.target.config.finish_policy)
    }

    /// Asks for a whole answer.
    ///
    /// # Errors
    /// See [`Error`]. An answer that was cut or filtered is `Ok`: its `finish_reason` tells.
    pub fn chat(&self, request: &ChatRequest) -> Result<Reply<ChatResponse>, Error> {
        let observer = Observer::new("chat", &request.model, &self.target);
        let answer = self.post(&self.target.chat, request.body());
        observer.reply(answer.and_then(|raw| raw.decode(ChatResponse::decode)))
    }

    /// Asks for vectors.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn embed(&self, request: &EmbeddingRequest) -> Result<Reply<EmbeddingResponse>, Error> {
        let observer = Observer::new("embeddings", &request.model, &self.target);
        let texts = request.input.len();
        let answer = self.post(&self.target.embeddings, request.body());
        observer.reply(
            answer.and_then(|raw| raw.decode(|s, h, b| EmbeddingResponse::decode(s, h, b, texts))),
        )
    }

    /// Asks for an answer that arrives while it is being written.
    ///
    /// # Errors
    /// See [`Error`]: here those up to the head of the answer, later ones as items of the stream.
    pub fn chat_stream(&self, request: &ChatRequest) -> Result<ChatStream, Error> {
        let mut observer = Observer::new("chat", &request.model, &self.target);
        match self.open_stream(request) {
            Ok(body) => Ok(ChatStream::new(body, observer, &self.target)),
            Err(error) => Err(observer.error(error)),
        }
    }

    fn open_stream(&self, request: &ChatRequest) -> Result<Body, Error> {
        let body = self.send(&self.target.chat, request.stream_body())?;
        let (status, headers) = (body.response.status(), body.response.headers());
        if status.is_success() && is_stream(headers) {
            call::check_encoding(headers)?;
            return Ok(body);
        }
        let Raw {
            status,
            headers,
            body,
            ..
        } = body.read_whole()?;
        Err(not_a_stream(status, &headers, &body))
    }

    fn post(&self, url: &Url, body: Result<Vec<u8>, Error>) -> Result<Raw, Error> {
        self.send(url, body)?.read_whole()
    }

    /// Sends a request and waits for the head of its answer.
    fn send(&self, url: &Url, body: Result<Vec<u8>, Error>) -> Result<Body, Error> {
        refuse_in_async_task()?;
        let limits = Limits::start(self.target.timeouts);
        let mut request = Request::new(Method::POST, url.clone());
        *request.headers_mut() = self.target.headers.clone();
        *request.body_mut() = Some(body?.into());
        // What reqwest's client is told is a limit on silence; what a call is told, on all of it. To
        // tell it `None` would cost three allocations.
        if let Some(total) = limits.exact_total() {
            *request.timeout_mut() = Some(total);
        }
        match self.http.execute(request) {
            Ok(response) => Ok(Body::new(response, limits, &self.target)),
            Err(error) => Err(limits.name(Phase::Head, &error, limits.started, &self.target)),
        }
    }
}

fn build(target: &Target) -> Result<Client, Error> {
    refuse_in_async_task()?;
    let mut builder = Client::builder()
        .connect_timeout(target.timeouts.connect)
        .timeout(target.timeouts.silence)
        // A redirected POST would lose its body, or take the key to another host.
        .redirect(Policy::none());
    if target.config.is_local() {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| Error::Config(call::root_cause(&error)))
}

/// An answer that arrives while it is being written: an iterator over its [`Event`]s.
///
/// The last item is `Ok(Event::End(..))` or an `Err`. Dropping the stream closes the connection,
/// and a server that notices stops the generation.
#[derive(Debug)]
pub struct ChatStream {
    /// The HTTP status.
    pub status: u16,
    /// All headers, rate limits among them.
    pub headers: HeaderMap,
    reader: Reader,
}

impl ChatStream {
    fn new(body: Body, observer: Observer, target: &Arc<Target>) -> ChatStream {
        let (status, headers) = (
            body.response.status().as_u16(),
            body.response.headers().clone(),
        );
        ChatStream {
            status,
            headers,
            reader: Reader::new(body, observer, target),
        }
    }
}

impl Iterator for ChatStream {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        self.reader.next()
    }
}

#[derive(Debug)]
struct Reader {
    body: Option<Body>,
    decoder: StreamDecoder,
    observer: Observer,
}

impl Reader {
    fn new(body: Body, observer: Observer, target: &Arc<Target>) -> Reader {
        let decoder = StreamDecoder::new(target.config.max_bytes, target.config.finish_policy);
        Reader {
            body: Some(body),
            decoder,
            observer,
        }
    }

    fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            if let Some(item) = self.decoder.next() {
                if self.decoder.is_done() {
                    // The end is known. The server may hold the connection open; we don't wait.
                    self.body = None;
                }
                return Some(self.observer.item(item, self.decoder.model()));
            }
            match self.body.as_mut()?.read_some() {
                Ok([]) => self.decoder.end_of_body(),
                Ok(bytes) => self.decoder.push(bytes),
                Err(error) => self.decoder.fail(error),
            }
        }
    }
}

/// The body of an answer whose head has arrived.
#[derive(Debug)]
struct Body {
    response: Response,
    buffer: Box<[u8]>,
    limits: Limits,
    target: Arc<Target>,
}

impl Body {
    fn new(response: Response, limits: Limits, target: &Arc<Target>) -> Body {
        // A stream does not tell its length; an answer is often shorter.
        let most = response.content_length().unwrap_or(u64::MAX);
        Body {
            response,
            buffer: vec![0; most.min(8 << 10) as usize].into(),
            limits,
            target: target.clone(),
        }
    }

    /// The next piece; empty at the end.
    fn read_some(&mut self) -> Result<&[u8], Error> {
        refuse_in_async_task()?;
        self.limits.check_deadline()?;
        let since = Instant::now();
        match self.response.read(&mut self.buffer) {
            Ok(count) => Ok(&self.buffer[..count]),
            Err(error) => Err(self.limits.name_io(&error, since, &self.target)),
        }
    }

    /// Reads to the end, and tells all that has come.
    fn read_whole(mut self) -> Result<Raw, Error> {
        let status = self.response.status();
        let mut body = Vec::new();
        match self.read_into(&mut body) {
            // A refusal is worth telling even if its words broke off.
            Err(error) if status.is_success() => return Err(error),
            _ => {}
        }
        let headers = std::mem::take(self.response.headers_mut());
        Raw::new(status.as_u16(), headers, body, self.limits.elapsed())
    }

    /// Reads to the end, however long that takes, as long as it keeps coming.
    // Not `Response::bytes`, which takes the limit on silence for one on the whole body.
    fn read_into(&mut self, body: &mut Vec<u8>) -> Result<(), Error> {
        let max_bytes = self.target.config.max_bytes;
        // What is known to be whole is not asked for its end, which may come later.
        let whole = self.response.content_length();
        while whole != Some(body.len() as u64) {
            match self.read_some()? {
                [] => break,
                bytes => call::append(body, bytes, max_bytes)?,
            }
        }
        Ok(())
    }
}

/// The limits of one call, and how long it has been going on.
#[derive(Debug)]
struct Limits {
    started: Instant,
    timeouts: Timeouts,
}

impl Limits {
    fn start(timeouts: Timeouts) -> Limits {
        Limits {
            started: Instant::now(),
            timeouts,
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The limit on the whole call where reqwest can keep it. It has one timer a call, so a total
    /// that is longer than the silence allowed is ours to check.
    fn exact_total(&self) -> Option<Duration> {
        self.timeouts
            .total
            .filter(|total| *total <= self.timeouts.silence)
    }

    fn check_deadline(&self) -> Result<(), Error> {
        match self.timeouts.total {
            Some(limit) if self.elapsed() >= limit => Err(Error::Deadline { limit }),
            _ => Ok(()),
        }
    }

    /// Names why a wait that began at `since` has failed.
    fn name(&self, phase: Phase, error: &reqwest::Error, since: Instant, target: &Target) -> Error {
        let (waited, limit, ours) = match self.exact_total() {
            Some(limit) => (self.elapsed(), limit, Error::Deadline { limit }),
            None => {
                let limit = self.timeouts.silence;
                (since.elapsed(), limit, Error::Silent { phase, limit })
            }
        };
        // The system has timeouts of its own, for peers that are gone, and they look the same.
        if error.is_timeout() && !error.is_connect() && waited >= limit {
            ours
        } else {
            target.network_error(phase, error)
        }
    }

    fn name_io(&self, error: &std::io::Error, since: Instant, target: &Target) -> Error {
        let inner = error.get_ref();
        match inner.and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
            Some(error) => self.name(Phase::Body, error, since, target),
            None => Error::Interrupted {
                phase: Phase::Body,
                message: call::root_cause(error),
            },
        }
    }
}

/// Fails in an async task, where blocking would stop every other task of the thread. (reqwest
/// panics there in debug builds, and in release builds blocks.)
///
/// `Handle::try_current` alone can't tell: it is `Ok` in `spawn_blocking`, too, where blocking is
/// right. But a runtime gives a budget to what it polls, to make it yield, and gives none to
/// blocking code. So: if the budget can be used up, this is a task. (One in `task::unconstrained`
/// has none, and is not recognised.)
fn refuse_in_async_task() -> Result<(), Error> {
    if Handle::try_current().is_err() {
        return Ok(());
    }
    let mut nothing_to_wake = Context::from_waker(Waker::noop());
    // A budget is 128 units; where there is none, each of these is ready at once.
    for _ in 0..=u8::MAX {
        if pin!(coop::consume_budget())
            .poll(&mut nothing_to_wake)
            .is_pending()
        {
            return Err(Error::Config(
                "SyncClient blocks its thread and must not be used in an async task: use \
                 AsyncClient there, or tokio::task::spawn_blocking"
                    .into(),
            ));
        }
    }
    Ok(())
}
