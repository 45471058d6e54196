//! What our client costs over bare reqwest: CPU a chat call, 64 in flight, no latency.
//! `cargo run --release -p benches --bin overhead`

use std::time::Duration;

use ai_core::{AsyncClient, ChatRequest, Config};
use benches::{MockProcess, Spread, in_pairs, serve_if_asked};
use futures::future::join_all;
use serde::{Deserialize, Serialize};

const IN_FLIGHT: usize = 64;
const CALLS: usize = 32_000;
const PAIRS: usize = 15;
const PROMPT: &str = "Explain quantum computing in simple terms";

fn main() {
    serve_if_asked(|mock| mock);
    let mock = MockProcess::start().expect("this program can start itself");
    let config = Config::new(&mock.base_url, "sk-bench").expect("the mock's URL is valid");
    let ours = AsyncClient::new(config).expect("a client can be built");
    let peer = Bare::new(&mock.base_url);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    };
    // A connection lives on the runtime that opened it, so each contestant keeps one of its own.
    let (our_runtime, peer_runtime) =
        (runtime().expect("a runtime"), runtime().expect("a runtime"));

    let costs = in_pairs(
        PAIRS,
        || our_runtime.block_on(at_once(async || ask(&ours).await)),
        || peer_runtime.block_on(at_once(async || peer.ask().await)),
    );

    let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6 / CALLS as f64;
    let ours = Spread::of(costs.iter().map(|(ours, _)| micros(ours.cpu)).collect());
    let peer = Spread::of(costs.iter().map(|(_, peer)| micros(peer.cpu)).collect());
    let ratios = costs
        .iter()
        .map(|(ours, peer)| ours.cpu.as_secs_f64() / peer.cpu.as_secs_f64());
    println!(
        "CPU a chat call, {IN_FLIGHT} in flight, {PAIRS} pairs of {CALLS} calls; median (quartiles)"
    );
    println!("  bare reqwest  {peer} us");
    println!("  AsyncClient   {ours} us");
    println!("  ratio         {}", Spread::of(ratios.collect()));
}

/// `CALLS` calls, of which `IN_FLIGHT` are always on their way.
async fn at_once(call: impl AsyncFn() -> usize) {
    let workers = (0..IN_FLIGHT).map(|_| async {
        for _ in 0..CALLS / IN_FLIGHT {
            assert!(call().await > 0, "every answer has a text");
        }
    });
    join_all(workers).await;
}

async fn ask(client: &AsyncClient) -> usize {
    let request = ChatRequest::new(&client.config().model, PROMPT).temperature(0.7);
    client
        .chat(&request)
        .await
        .expect("the mock answers")
        .text()
        .len()
}

/// The same work with nothing between: the request as JSON, the answer decoded into the same
/// fields, the status looked at, and a limit on silence.
struct Bare {
    http: reqwest::Client,
    url: String,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: [RequestMessage<'a>; 1],
    temperature: f64,
}

#[derive(Serialize)]
struct RequestMessage<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Response {
    id: String,
    model: String,
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Choice {
    message: Message,
    finish_reason: String,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Message {
    role: String,
    content: String,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Bare {
    fn new(base_url: &str) -> Bare {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .expect("a client can be built");
        Bare {
            http,
            url: format!("{base_url}/chat/completions"),
        }
    }

    async fn ask(&self) -> usize {
        let request = Request {
            model: ai_core::DEFAULT_MODEL,
            messages: [RequestMessage {
                role: "user",
                content: PROMPT,
            }],
            temperature: 0.7,
        };
        let response = self
            .http
            .post(&self.url)
            .bearer_auth("sk-bench")
            .json(&request)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .expect("the mock answers");
        let response: Response = response.json().await.expect("the answer is as expected");
        response.choices[0].message.content.len()
    }
}
