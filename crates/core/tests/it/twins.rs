//! Runs one call through both clients, so that one table tests them both.

use ai_core::{
    AsyncClient, CallOptions, ChatRequest, Config, EmbeddingRequest, Error, Event, SyncClient,
    Transcript,
};
use ai_mock::Mock;
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};

use crate::stream::{Item, show};

/// One of the three things a client can be asked for.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Chat(ChatRequest),
    Stream(ChatRequest),
    Embed(EmbeddingRequest),
}

impl Call {
    pub(crate) fn chat(prompt: &str) -> Call {
        Call::Chat(ChatRequest::new("gpt-4o-mini", prompt))
    }

    pub(crate) fn stream(prompt: &str) -> Call {
        Call::Stream(ChatRequest::new("gpt-4o-mini", prompt))
    }

    pub(crate) fn embed(text: &str) -> Call {
        Call::Embed(EmbeddingRequest::new("text-embedding-3-small", [text]))
    }
}

/// What a call gave, in lines that are equal for both clients: no times, no request ids.
pub(crate) type Outcome = Vec<String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twin {
    Sync,
    Async,
}

impl Twin {
    pub(crate) const BOTH: [Twin; 2] = [Twin::Sync, Twin::Async];
}

/// Both clients, built once: in a debug build it takes a tenth of a second to read the system's
/// certificates.
#[derive(Debug)]
pub(crate) struct Twins {
    pub(crate) sync: SyncClient,
    pub(crate) asynchronous: AsyncClient,
    pub(crate) runtime: Runtime,
}

impl Twins {
    pub(crate) fn new(config: Config) -> Twins {
        Twins {
            sync: SyncClient::new(config.clone()).expect("the client can be built"),
            asynchronous: AsyncClient::new(config).expect("the client can be built"),
            runtime: runtime(),
        }
    }

    /// Both clients of a server on this machine.
    pub(crate) fn of(base_url: &str) -> Twins {
        Twins::new(Config::new(base_url, KEY).expect("a good URL"))
    }

    /// Makes a call.
    pub(crate) fn outcome(&self, twin: Twin, options: &CallOptions, call: &Call) -> Outcome {
        let outcome = self.call(twin, options, call);
        outcome.unwrap_or_else(|error| vec![facts(&error)])
    }

    /// The error of a call that fails, be it before or after the head.
    pub(crate) fn error(&self, twin: Twin, options: &CallOptions, call: &Call) -> Error {
        let result: Result<(), Error> = match (twin, call) {
            (Twin::Sync, Call::Stream(request)) => self
                .sync
                .with(options.clone())
                .and_then(|client| client.chat_stream(request))
                .and_then(|mut stream| stream.try_for_each(|item| item.map(drop))),
            (Twin::Async, Call::Stream(request)) => self.runtime.block_on(async {
                let client = self.asynchronous.with(options.clone())?;
                let items: Vec<_> = client.chat_stream(request).await?.collect().await;
                items.into_iter().try_for_each(|item| item.map(drop))
            }),
            _ => self.call(twin, options, call).map(drop),
        };
        result.expect_err("the call should have failed")
    }

    /// Makes a call; a stream that fails after its head is `Ok`, as its items tell.
    pub(crate) fn call(
        &self,
        twin: Twin,
        options: &CallOptions,
        call: &Call,
    ) -> Result<Outcome, Error> {
        match twin {
            Twin::Sync => sync_call(&self.sync.with(options.clone())?, call),
            Twin::Async => {
                let client = self.asynchronous.with(options.clone())?;
                self.runtime.block_on(async_call(&client, call))
            }
        }
    }
}

/// A mock whose answers are always these four tokens: "The easiest way into".
pub(crate) fn mock() -> Mock {
    let mock = Mock::builder().seed(7).answer_tokens(4);
    mock.start().expect("the mock can be started")
}

/// The key of all tests.
pub(crate) const KEY: &str = "sk-test-4f3c2b1a9d8e7f60";

pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be had")
}

fn sync_call(client: &SyncClient, call: &Call) -> Result<Outcome, Error> {
    Ok(match call {
        Call::Chat(request) => show_chat(&client.chat(request)?.value),
        Call::Embed(request) => show_embedding(&client.embed(request)?.value),
        Call::Stream(request) => show_stream(&client.chat_stream(request)?.collect::<Vec<_>>()),
    })
}

async fn async_call(client: &AsyncClient, call: &Call) -> Result<Outcome, Error> {
    Ok(match call {
        Call::Chat(request) => show_chat(&client.chat(request).await?.value),
        Call::Embed(request) => show_embedding(&client.embed(request).await?.value),
        Call::Stream(request) => {
            let stream = client.chat_stream(request).await?;
            show_stream(&stream.collect::<Vec<_>>().await)
        }
    })
}

fn show_chat(answer: &ai_core::ChatResponse) -> Outcome {
    let choices = answer.choices.iter();
    let mut lines: Vec<_> = choices
        .map(|choice| {
            let reason = choice
                .finish_reason
                .as_ref()
                .map_or("-", |reason| reason.as_str());
            match choice.message.text() {
                text if text.len() > LONG_TEXT => {
                    format!("answer of {} bytes {reason}", text.len())
                }
                text => format!("answer {text:?} {reason}"),
            }
        })
        .collect();
    let calls = answer
        .choices
        .iter()
        .flat_map(|choice| &choice.message.tool_calls);
    lines.extend(
        calls.map(|call| format!("call {} {}", call.function.name, call.function.arguments)),
    );
    lines.push(match answer.usage {
        Some(usage) => format!("usage {} {}", usage.input_tokens, usage.output_tokens),
        None => "usage unknown".to_owned(),
    });
    lines
}

fn show_embedding(answer: &ai_core::EmbeddingResponse) -> Outcome {
    // Length and first number will do: the vectors of real models have 1536.
    let show = |vector: &Vec<f32>| format!("vector {} {:?}", vector.len(), vector.first());
    answer.embeddings.iter().map(show).collect()
}

/// A line for each text, usage and end; one for a whole refusal, and for each whole tool call.
fn show_stream(items: &[Item]) -> Outcome {
    let mut transcript = Transcript::default();
    items
        .iter()
        .flatten()
        .for_each(|event| transcript.push(event));
    let mut lines = Vec::new();
    for item in items {
        match item {
            Ok(Event::Text(text)) if text.len() > LONG_TEXT => {
                lines.push(format!("text of {} bytes", text.len()))
            }
            Ok(Event::Refusal(_) | Event::ToolCall(_)) => {}
            Ok(_) => lines.push(show(item)),
            Err(error) => lines.push(facts(error)),
        }
    }
    let mut whole = Vec::new();
    if !transcript.refusal.is_empty() {
        whole.push(format!("refusal {:?}", transcript.refusal));
    }
    for (index, call) in transcript
        .tool_calls()
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        whole.push(format!(
            "call {index} {} {}",
            call.function.name, call.function.arguments
        ));
    }
    whole.extend(lines);
    whole
}

const LONG_TEXT: usize = 1 << 10;

/// All that a caller can act on, in one line.
pub(crate) fn facts(error: &Error) -> String {
    let mut line = format!("error {}", error.kind());
    match error {
        Error::Silent { phase, .. } | Error::Interrupted { phase, .. } => {
            line += &format!(" {phase:?}").to_lowercase();
        }
        _ => {}
    }
    if error.is_retryable() {
        line += " retryable";
    }
    if error.maybe_billed() {
        line += " billed?";
    }
    if let Some(refusal) = error.refusal() {
        let status = refusal
            .status
            .map_or("-".to_owned(), |status| status.to_string());
        let code = refusal.code.as_deref().unwrap_or("-");
        let wait = error
            .retry_after()
            .map(|wait| format!(" after {wait:?}"))
            .unwrap_or_default();
        line += &format!(" {status} {code}{wait}: {}", refusal.message);
    }
    line
}
