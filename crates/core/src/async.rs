//! The client that awaits. Diff this file with `sync.rs`: only the waiting differs.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use http::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Request, Response, Url};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::call::{self, Observer, Raw, Reply, Target};
use crate::config::{CallOptions, Config};
use crate::protocol::chat::{ChatRequest, ChatResponse};
use crate::protocol::embedding::{EmbeddingRequest, EmbeddingResponse};
use crate::protocol::stream::{Event, StreamDecoder, is_stream, not_a_stream};
use crate::{Error, Phase, Timeouts};

/// Calls an AI service and awaits its answer. Dropping the future of a call cancels the call.
///
/// A clone is cheap and shares the connections; so do tasks that share one client.
///
/// It needs a tokio runtime with time and IO enabled, as `#[tokio::main]` makes it.
///
/// ```no_run
/// # async fn example() -> Result<(), ai_core::Error> {
/// use ai_core::{AsyncClient, Config};
///
/// let client = AsyncClient::new(Config::from_env()?)?;
/// println!("{}", client.generate_text("Explain quantum computing in simple terms").await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AsyncClient {
    http: Client,
    target: Arc<Target>,
}

impl AsyncClient {
    /// Builds a client with its own pool of connections. Build one, and use it for everything.
    ///
    /// # Errors
    /// [`Error::Config`] if the platform's TLS can't be set up.
    pub fn new(config: Config) -> Result<AsyncClient, Error> {
        let target = Arc::new(Target::new(config));
        Ok(AsyncClient {
            http: build(&target)?,
            target,
        })
    }

    /// This client with other options, which later ones override. It shares the connections.
    ///
    /// # Errors
    /// [`Error::Config`] for a header that can't be sent.
    pub fn with(&self, options: CallOptions) -> Result<AsyncClient, Error> {
        let mut client = self.clone();
        client.target = Arc::new(self.target.with(&options)?);
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
    pub async fn generate_text(&self, prompt: &str) -> Result<String, Error> {
        let request = ChatRequest::new(&self.target.config.model, prompt);
        let reply = self.chat(&request).await?;
        reply
            .value
            .into_finished_text(self.target.config.finish_policy)
    }

    /// Asks for a whole answer.
    ///
    /// # Errors
    /// See [`Error`]. An answer that was cut or filtered is `Ok`: its `finish_reason` tells.
    pub async fn chat(&self, request: &ChatRequest) -> Result<Reply<ChatResponse>, Error> {
        let observer = Observer::new("chat", &request.model, &self.target);
        let answer = self
            .post(&self.target.chat, request.body())
            .instrument(observer.span())
            .await;
        observer.reply(answer.and_then(|raw| raw.decode(ChatResponse::decode)))
    }

    /// Asks for vectors.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn embed(
        &self,
        request: &EmbeddingRequest,
    ) -> Result<Reply<EmbeddingResponse>, Error> {
        let observer = Observer::new("embeddings", &request.model, &self.target);
        let texts = request.input.len();
        let answer = self
            .post(&self.target.embeddings, request.body())
            .instrument(observer.span())
            .await;
        observer.reply(
            answer.and_then(|raw| raw.decode(|s, h, b| EmbeddingResponse::decode(s, h, b, texts))),
        )
    }

    /// Asks for an answer that arrives while it is being written.
    ///
    /// # Errors
    /// See [`Error`]: here those up to the head of the answer, later ones as items of the stream.
    pub async fn chat_stream(&self, request: &ChatRequest) -> Result<ChatStream, Error> {
        let mut observer = Observer::new("chat", &request.model, &self.target);
        match self.open_stream(request).instrument(observer.span()).await {
            Ok(body) => Ok(ChatStream::new(body, observer, &self.target)),
            Err(error) => Err(observer.error(error)),
        }
    }

    async fn open_stream(&self, request: &ChatRequest) -> Result<Body, Error> {
        let body = self.send(&self.target.chat, request.stream_body()).await?;
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
        } = body.read_whole().await?;
        Err(not_a_stream(status, &headers, &body))
    }

    async fn post(&self, url: &Url, body: Result<Vec<u8>, Error>) -> Result<Raw, Error> {
        self.send(url, body).await?.read_whole().await
    }

    /// Sends a request and waits for the head of its answer.
    async fn send(&self, url: &Url, body: Result<Vec<u8>, Error>) -> Result<Body, Error> {
        let limits = Limits::start(self.target.timeouts);
        let mut request = Request::new(Method::POST, url.clone());
        *request.headers_mut() = self.target.headers.clone();
        *request.body_mut() = Some(body?.into());
        match limits.wait(Phase::Head, self.http.execute(request)).await? {
            Ok(response) => Ok(Body::new(response, limits, &self.target)),
            Err(error) => Err(self.target.network_error(Phase::Head, &error)),
        }
    }
}

fn build(target: &Target) -> Result<Client, Error> {
    let mut builder = Client::builder()
        .connect_timeout(target.timeouts.connect)
        // A redirected POST would lose its body, or take the key to another host.
        .redirect(Policy::none());
    if target.config.is_local() {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| Error::Config(call::root_cause(&error)))
}

/// An answer that arrives while it is being written: a stream of its [`Event`]s.
///
/// The last item is `Ok(Event::End(..))` or an `Err`. Dropping the stream closes the connection,
/// and a server that notices stops the generation.
pub struct ChatStream {
    /// The HTTP status.
    pub status: u16,
    /// All headers, rate limits among them.
    pub headers: HeaderMap,
    events: Pin<Box<dyn Stream<Item = Result<Event, Error>> + Send>>,
}

impl ChatStream {
    fn new(body: Body, observer: Observer, target: &Arc<Target>) -> ChatStream {
        let (status, headers) = (
            body.response.status().as_u16(),
            body.response.headers().clone(),
        );
        let reader = Reader::new(body, observer, target);
        // `unfold` makes a stream of an async fn, so that the loop below reads like its twin. A
        // hand-written `poll_next` would save one box a stream, and nobody could diff it.
        let events = stream::unfold(reader, |mut reader| async {
            let item = reader.next().await?;
            Some((item, reader))
        });
        ChatStream {
            status,
            headers,
            // Fused, since an `unfold` that is asked again after its end panics.
            events: Box::pin(events.fuse()),
        }
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl Stream for ChatStream {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
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

    async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            if let Some(item) = self.decoder.next() {
                if self.decoder.is_done() {
                    // The end is known. The server may hold the connection open; we don't wait.
                    self.body = None;
                }
                return Some(self.observer.item(item, self.decoder.model()));
            }
            match self.body.as_mut()?.read_some().await {
                Ok(bytes) if bytes.is_empty() => self.decoder.end_of_body(),
                Ok(bytes) => self.decoder.push(&bytes),
                Err(error) => self.decoder.fail(error),
            }
        }
    }
}

/// The body of an answer whose head has arrived.
#[derive(Debug)]
struct Body {
    response: Response,
    limits: Limits,
    target: Arc<Target>,
}

impl Body {
    fn new(response: Response, limits: Limits, target: &Arc<Target>) -> Body {
        Body {
            response,
            limits,
            target: target.clone(),
        }
    }

    /// The next piece; empty at the end.
    async fn read_some(&mut self) -> Result<Bytes, Error> {
        // Asked here, too: what has arrived meanwhile is ready at once, however late it is.
        self.limits.check_deadline()?;
        match self.limits.wait(Phase::Body, self.response.chunk()).await? {
            Ok(bytes) => Ok(bytes.unwrap_or_default()),
            Err(error) => Err(self.target.network_error(Phase::Body, &error)),
        }
    }

    /// Reads to the end, and tells all that has come.
    async fn read_whole(mut self) -> Result<Raw, Error> {
        let status = self.response.status();
        let mut body = Vec::new();
        match self.read_into(&mut body).await {
            // A refusal is worth telling even if its words broke off.
            Err(error) if status.is_success() => return Err(error),
            _ => {}
        }
        let headers = std::mem::take(self.response.headers_mut());
        Raw::new(status.as_u16(), headers, body, self.limits.elapsed())
    }

    /// Reads to the end, however long that takes, as long as it keeps coming.
    // Not `Response::bytes`, which waits for the whole body and so could not bound its size.
    async fn read_into(&mut self, body: &mut Vec<u8>) -> Result<(), Error> {
        let max_bytes = self.target.config.max_bytes;
        // What is known to be whole is not asked for its end, which may come later.
        let whole = self.response.content_length();
        while whole != Some(body.len() as u64) {
            match &*self.read_some().await? {
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

    fn check_deadline(&self) -> Result<(), Error> {
        match self.timeouts.total {
            Some(limit) if self.elapsed() >= limit => Err(Error::Deadline { limit }),
            _ => Ok(()),
        }
    }

    /// Waits for `future` as long as both limits allow.
    // Not reqwest's own timeouts: they are settled when a client is built, and don't say which of
    // them it was.
    async fn wait<T>(&self, phase: Phase, future: impl Future<Output = T>) -> Result<T, Error> {
        let Timeouts { silence, total, .. } = self.timeouts;
        let silent = (
            Instant::now() + silence,
            Error::Silent {
                phase,
                limit: silence,
            },
        );
        let (until, error) = match total {
            Some(limit) if self.started + limit < silent.0 => {
                (self.started + limit, Error::Deadline { limit })
            }
            _ => silent,
        };
        timeout_at(until, future).await.map_err(|_| error)
    }
}
