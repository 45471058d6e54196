//! A chat call with nothing between it and reqwest: the request as JSON, the answer decoded into the
//! same fields as ours, the status looked at, and a limit on silence. What our clients are compared
//! with.

use std::time::Duration;

use ai_core::install_tls_provider;
use serde::{Deserialize, Serialize};

/// What is asked.
pub const PROMPT: &str = "Explain quantum computing in simple terms";

const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

/// What is sent.
#[derive(Debug, Serialize)]
pub struct BareRequest<'a> {
    model: &'a str,
    messages: [RequestMessage<'a>; 1],
    temperature: f64,
}

#[derive(Debug, Serialize)]
struct RequestMessage<'a> {
    role: &'a str,
    content: &'a str,
}

/// [`PROMPT`], to the default model.
pub const BARE_REQUEST: BareRequest<'static> = BareRequest {
    model: ai_core::DEFAULT_MODEL,
    messages: [RequestMessage {
        role: "user",
        content: PROMPT,
    }],
    temperature: 0.7,
};

/// What is decoded of the answer.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
pub struct BareAnswer {
    id: String,
    model: String,
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Choice {
    index: i64,
    message: Message,
    finish_reason: String,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Message {
    role: String,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding them is the work to compare")]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl BareAnswer {
    /// How long the text is, in bytes.
    pub fn length(&self) -> usize {
        let content = &self.choices[0].message.content;
        content.as_ref().expect("the mock writes a text").len()
    }
}

fn url(base_url: &str) -> String {
    install_tls_provider();
    format!("{base_url}/chat/completions")
}

/// `reqwest::Client` and nothing more.
#[derive(Debug, Clone)]
pub struct Bare {
    http: reqwest::Client,
    url: String,
}

impl Bare {
    /// For the server at this address.
    ///
    /// # Panics
    /// When no client can be built.
    pub fn new(base_url: &str) -> Bare {
        let url = url(base_url);
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .no_proxy()
            .build()
            .expect("a client can be built");
        Bare { http, url }
    }

    /// Asks for [`PROMPT`] and returns how long the text is, in bytes.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ask(&self) -> usize {
        let request = self.http.post(&self.url).bearer_auth("sk-bench");
        let response = request.json(&BARE_REQUEST).send().await;
        let response = response.and_then(reqwest::Response::error_for_status);
        let response = response
            .expect("the mock answers")
            .json::<BareAnswer>()
            .await;
        response.expect("the answer is as expected").length()
    }
}

/// `reqwest::blocking::Client` and nothing more.
#[derive(Debug, Clone)]
pub struct BareBlocking {
    http: reqwest::blocking::Client,
    url: String,
}

impl BareBlocking {
    /// For the server at this address.
    ///
    /// # Panics
    /// When no client can be built.
    pub fn new(base_url: &str) -> BareBlocking {
        let url = url(base_url);
        let http = reqwest::blocking::Client::builder()
            .connect_timeout(CONNECT)
            // In this version it is a limit on silence.
            .timeout(SILENCE)
            .no_proxy()
            .build()
            .expect("a client can be built");
        BareBlocking { http, url }
    }

    /// Asks for [`PROMPT`] and returns how long the text is, in bytes.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask(&self) -> usize {
        let request = self.http.post(&self.url).bearer_auth("sk-bench");
        let response = request.json(&BARE_REQUEST).send();
        let response = response.and_then(reqwest::blocking::Response::error_for_status);
        let response = response.expect("the mock answers").json::<BareAnswer>();
        response.expect("the answer is as expected").length()
    }
}
