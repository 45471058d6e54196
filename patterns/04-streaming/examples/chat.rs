//! A chat page that shows a model's answer while it is written: a relay between any browser and the
//! model. `cargo run -p streaming --example chat` prints its address, `--live` asks a real service.
//!
//! The page ([`chat.html`](chat.html), with no build step) posts its conversation and gets the answer
//! as server-sent events: `text` for each piece, and one `end` that says how it ended. The relay keeps
//! nothing between two questions, so any number of tabs can't get into each other's way.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::ops::ControlFlow::{Break, Continue};
use std::process::ExitCode;

use ai_core::{AsyncClient, ChatRequest, Config, Error, Message};
use ai_mock::{Latency, Mock};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::map_request;
use axum::response::Html;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use clap::Parser;
use demo::Scene;
use futures::future::ready;
use futures::{Stream, StreamExt, TryFutureExt, stream};
use serde::{Deserialize, Serialize};
use streaming::{Recorder, Story};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What the page sends: all that was said in its tab, and the new question at the end.
#[derive(Deserialize)]
pub(crate) struct Conversation {
    messages: Vec<Message>,
}

/// Serves the page and answers its questions, for ever.
pub(crate) async fn serve(listener: TcpListener, client: AsyncClient) -> io::Result<()> {
    let page = || async { Html(include_str!("chat.html")) };
    let port = listener.local_addr()?.port();
    let app = Router::new()
        .route("/", get(page))
        .route("/chat", post(chat))
        .layer(map_request(move |request| ready(only_ours(request, port))));
    // A small write would wait for the acknowledgement of the one before it, and so would a token.
    let listener = listener.tap_io(|connection| connection.set_nodelay(true).unwrap_or(()));
    axum::serve(listener, app.with_state(client)).await
}

/// Lets a request pass that asks for this machine by name. A foreign site can make its own name lead here
/// (DNS rebinding). For the browser its page and this server are then one site, and it may post; but the
/// name in `Host` is still the site's own.
fn only_ours(request: Request, port: u16) -> Result<Request, (StatusCode, &'static str)> {
    let host = request.headers().get(HOST);
    let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let ours = host.is_some_and(|host| {
        let local = matches!(host.host(), "127.0.0.1" | "localhost" | "[::1]");
        // A browser leaves out the port that is its scheme's own.
        local && host.port_u16().unwrap_or(80) == port
    });
    let refusal = (StatusCode::FORBIDDEN, "this page has another address\n");
    ours.then_some(request).ok_or(refusal)
}

/// `Json` takes nothing that isn't declared as JSON. A foreign site can't send that here without asking
/// the browser, which asks us, and we don't answer. Nor does a name of its own help it: see [`only_ours`].
/// So it can't spend your money.
async fn chat(
    State(client): State<AsyncClient>,
    Json(Conversation { messages }): Json<Conversation>,
) -> Sse<impl Stream<Item = Result<Event, axum::Error>>> {
    let model = client.config().model.clone();
    let request = ChatRequest {
        model,
        messages,
        ..ChatRequest::default()
    };
    // The comment it sends now and then tells proxies that a model which thinks is no dead one.
    Sse::new(relay(client, request)).keep_alive(KeepAlive::default())
}

/// The events of one answer.
///
/// axum drops them when the page is closed or its reader presses stop, also while they are waited for.
/// The stream of the model is inside, so it is dropped as well: its connection closes, and a server that
/// notices stops writing. There is nothing to cancel by hand, and nothing that could be forgotten.
fn relay(
    client: AsyncClient,
    request: ChatRequest,
) -> impl Stream<Item = Result<Event, axum::Error>> {
    let started = Instant::now();
    // Opened as part of the stream: an error before the first token is told like any later one, and
    // a page that is closed before it ends that wait, too.
    let open = async move { client.chat_stream(&request).await };
    let answer = (open.try_flatten_stream().boxed(), Recorder::default());
    stream::unfold(Some(answer), move |answer| async move {
        let (mut items, mut recorder) = answer?;
        loop {
            let item = items.next().await.unwrap_or(Err(Error::Truncated));
            match recorder.take(item, started.elapsed()) {
                // What is taken down without being shown, such as the usage.
                Continue(text) if text.is_empty() => {}
                Continue(text) => return Some((event("text", text), Some((items, recorder)))),
                Break(ending) => {
                    let story = ending.map(|ending| recorder.finish(ending));
                    return Some((event("end", End::of(story)), None));
                }
            }
        }
    })
}

/// In JSON, because a line end in the text would be one in the event.
fn event(name: &str, data: impl Serialize) -> Result<Event, axum::Error> {
    Event::default().event(name).json_data(data)
}

/// The last event of an answer. A page that doesn't get it knows that the relay itself has gone.
#[derive(Serialize)]
struct End {
    whole: bool,
    /// The figures of a whole answer; of any other what went wrong.
    words: String,
}

impl End {
    fn of(story: Result<Story, Error>) -> End {
        let (whole, words) = match story {
            Ok(story) if story.ending.success().is_ok() => (true, story.summary()),
            Ok(story) => (false, story.ending.to_string()),
            Err(error) => (false, error.to_string()),
        };
        End { whole, words }
    }
}

/// A chat page on 127.0.0.1, in front of the offline server unless --live is given
#[derive(Debug, Parser)]
struct Arguments {
    /// The port of the page [default: any that is free]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Talk to a real service: OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL. It may cost money
    #[arg(long)]
    live: bool,
    /// The model to ask
    #[arg(long)]
    model: Option<String>,
    /// How long the offline server takes to begin: 300ms, 100ms..300ms or lognormal:50ms,400ms
    #[arg(long, conflicts_with = "live")]
    latency: Option<Latency>,
    /// Choose the offline answers: the same seed gives the same ones each time
    #[arg(long, default_value_t = 7, conflicts_with = "live")]
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    run(Arguments::parse())
        .await
        .err()
        .unwrap_or(ExitCode::SUCCESS)
}

/// Serves until Ctrl-C, or says what is wrong.
async fn run(arguments: Arguments) -> Result<(), ExitCode> {
    demo::show_spans();
    // The offline server stops when it is dropped: it is held to the end.
    let (mut config, _mock) = find_server(&arguments)?;
    config.model = arguments.model.unwrap_or(config.model);
    let client = AsyncClient::new(config).map_err(|error| demo::fail(&error))?;

    let port = arguments.port;
    let listening = async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok((listener.local_addr()?, listener))
    };
    let (address, listener) = listening.await.map_err(|error: io::Error| {
        let words = format!("cannot listen on 127.0.0.1:{port}: {error}");
        demo::fail(&io::Error::other(words))
    })?;
    // The program that has started it may read no further. The page is served all the same.
    let _ = writeln!(io::stdout(), "http://{address}/");
    serve(listener, client)
        .await
        .map_err(|error| demo::fail(&error))
}

/// The offline server, or with `--live` a real one.
fn find_server(arguments: &Arguments) -> Result<(Config, Option<Mock>), ExitCode> {
    let &Arguments {
        live,
        latency,
        seed,
        ..
    } = arguments;
    if live {
        let config = demo::live_config()?;
        let model = arguments.model.as_ref().unwrap_or(&config.model);
        let url = config.base_url();
        demo::note(format_args!(
            "server: {url}, model {model} (live: it may be billed)"
        ));
        return Ok((config, None));
    }
    let scale = Scene::Story.default_scale();
    let started = Scene::Story.start(seed, scale, latency);
    let (config, mock) = started.map_err(|error| demo::fail(&error))?;
    let about = Scene::Story.describe(scale, latency);
    let address = mock.addr();
    demo::note(format_args!(
        "server: offline mock on {address} (seed {seed}, {about})"
    ));
    Ok((config, Some(mock)))
}
