//! The same chat call by everybody who is compared, and what the programs in `src/bin` share.
//!
//! All of them ask for [`PROMPT`], with the same model and temperature, decode the answer, and keep
//! their connections. What one does beside that, and another does not, its type says.

use std::thread;
use std::time::Duration;

use ai_core::{AsyncClient, ChatRequest, Config, SyncClient};
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequestArgs,
};
pub use benches::turns;
use benches::{BARE_REQUEST, Bare, BareAnswer, PROMPT};
use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

const KEY: &str = "sk-bench";
const TEMPERATURE: f64 = 0.7;
const CONNECT: Duration = Duration::from_secs(10);

/// A client that awaits, as the others have to be to be compared with it.
pub trait Contestant {
    /// As it is called in figures.
    const NAME: &str;

    /// Builds it, for the server at this address.
    ///
    /// # Panics
    /// When it can't be built.
    fn new(base_url: &str) -> Self;

    /// Asks for [`PROMPT`] and returns how long the text is, in bytes, or what went wrong.
    fn ask(&self) -> impl Future<Output = Result<usize, String>>;
}

/// Ours. Beside what the others do, it bounds the answer's size, takes its own silence limit for the
/// head and for each piece, tells `tracing`, and keeps the headers and the body for the caller.
impl Contestant for AsyncClient {
    const NAME: &str = "ours";

    fn new(base_url: &str) -> AsyncClient {
        let config = Config::new(base_url, KEY).expect("the mock's URL is valid");
        AsyncClient::new(config).expect("a client can be built")
    }

    async fn ask(&self) -> Result<usize, String> {
        let request = ChatRequest::new(&self.config().model, PROMPT).temperature(TEMPERATURE);
        let reply = self.chat(&request).await;
        Ok(reply.map_err(|error| error.to_string())?.text().len())
    }
}

/// reqwest with serde, and a limit on silence. It panics where others tell an error.
impl Contestant for Bare {
    const NAME: &str = "reqwest";

    fn new(base_url: &str) -> Bare {
        Bare::new(base_url)
    }

    async fn ask(&self) -> Result<usize, String> {
        Ok(Bare::ask(self).await)
    }
}

/// hyper with serde: the floor of HTTP in Rust, since reqwest stands on it. It has no limit on
/// silence, no redirects, no proxies and no TLS, and its URL is parsed once.
#[derive(Debug)]
pub struct Hyper {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    url: hyper::Uri,
}

impl Contestant for Hyper {
    const NAME: &str = "hyper";

    fn new(base_url: &str) -> Hyper {
        let mut connector = HttpConnector::new();
        // As reqwest does.
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let url = format!("{base_url}/chat/completions");
        Hyper {
            http: hyper_util::client::legacy::Client::builder(TokioExecutor::new())
                // Without a timer the idle limit, which reqwest has as well, would not hold.
                .pool_timer(TokioTimer::new())
                .build(connector),
            url: url.parse().expect("the mock's URL is valid"),
        }
    }

    async fn ask(&self) -> Result<usize, String> {
        let body = serde_json::to_vec(&BARE_REQUEST).expect("it has no map");
        let request = Request::post(self.url.clone())
            .header(AUTHORIZATION, format!("Bearer {KEY}"))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "*/*")
            .body(Full::from(body))
            .expect("it is made of constants");
        let response = self.http.request(request).await;
        let response = response.map_err(|error| error.to_string())?;
        if !response.status().is_success() {
            return Err(response.status().to_string());
        }
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        let answer = serde_json::from_slice::<BareAnswer>(&body);
        Ok(answer.map_err(|error| error.to_string())?.length())
    }
}

/// async-openai, which is built on reqwest, as its documentation shows it. It knows many more fields
/// of request and answer, and would ask again after a 429 or a 5xx. It has no limit on silence.
#[derive(Debug)]
pub struct AsyncOpenAi(async_openai::Client<OpenAIConfig>);

impl Contestant for AsyncOpenAi {
    const NAME: &str = "async-openai";

    fn new(base_url: &str) -> AsyncOpenAi {
        ai_core::install_tls_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .no_proxy()
            .build()
            .expect("a client can be built");
        let config = OpenAIConfig::new()
            .with_api_base(base_url)
            .with_api_key(KEY);
        AsyncOpenAi(async_openai::Client::build(http, config))
    }

    async fn ask(&self) -> Result<usize, String> {
        let message = ChatCompletionRequestUserMessageArgs::default()
            .content(PROMPT)
            .build()
            .expect("nothing is missing");
        let request = CreateChatCompletionRequestArgs::default()
            .model(ai_core::DEFAULT_MODEL)
            .messages([message.into()])
            .temperature(TEMPERATURE as f32)
            .build()
            .expect("nothing is missing");
        let response = self.0.chat().create(request).await;
        let response = response.map_err(|error| error.to_string())?;
        let text = response.choices[0].message.content.as_deref();
        Ok(text.unwrap_or_default().len())
    }
}

/// Asks for [`PROMPT`] by our client that blocks and returns how long the text is, in bytes.
///
/// # Panics
/// When there is no answer.
pub fn ask(client: &SyncClient) -> usize {
    let request = ChatRequest::new(&client.config().model, PROMPT).temperature(TEMPERATURE);
    let reply = client.chat(&request);
    reply.expect("the mock answers").text().len()
}

/// So many calls, of which `in_flight` are always on their way.
///
/// # Panics
/// When one has no answer.
pub async fn at_once(client: &impl Contestant, calls: usize, in_flight: usize) {
    let workers = (0..in_flight).map(|worker| async move {
        for _ in (worker..calls).step_by(in_flight) {
            let length = client.ask().await.expect("the mock answers");
            assert!(length > 0, "every answer has a text");
        }
    });
    join_all(workers).await;
}

/// As [`at_once`], with a thread for each call that is on its way.
///
/// # Panics
/// When one has no answer.
pub fn on_threads(ask: impl Fn() -> usize + Sync, calls: usize, in_flight: usize) {
    let ask = &ask;
    thread::scope(|scope| {
        for worker in 0..in_flight {
            scope.spawn(move || {
                for _ in (worker..calls).step_by(in_flight) {
                    assert!(ask() > 0, "every answer has a text");
                }
            });
        }
    });
}

/// Says on stderr which targets were missed: each is what was measured, and whether it is as it
/// should be. Whether all were met.
pub fn all_met(targets: &[(String, bool)]) -> bool {
    for (target, _) in targets.iter().filter(|(_, met)| !met) {
        eprintln!("error: missed: {target}");
    }
    targets.iter().all(|(_, met)| *met)
}
