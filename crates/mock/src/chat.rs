//! Chat completions: what a request asks for, what it gets, and the same answer as a body and as chunks.

use std::iter;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::answers::{self, Message};
use crate::dice::Dice;
use crate::errors::ApiError;
use crate::http::{json_bytes, json_text};
use crate::models;
use crate::schema;
use crate::scripts::Script;
use crate::settings::Service;
use crate::tokens;

/// A checked request.
#[derive(Debug)]
pub(crate) struct ChatRequest {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) service: Service,
    pub(crate) prompt_tokens: u32,
    max_tokens: Option<u32>,
    include_usage: bool,
    messages: Vec<Message>,
    /// The text that the task is about.
    text: String,
    n: usize,
    stop: Vec<String>,
    tool: Option<Tool>,
    format: Format,
    /// Hash input for the dice: all of the conversation.
    conversation: String,
}

#[derive(Clone, Debug)]
struct Tool {
    name: String,
    parameters: Value,
}

#[derive(Debug)]
enum Format {
    Text,
    JsonObject,
    JsonSchema(Value),
}

impl ChatRequest {
    /// Checks a body as OpenAI does.
    pub(crate) fn parse(body: &Value) -> Result<Self, ApiError> {
        let model = model(body)?;
        let Some(list) = body["messages"].as_array() else {
            return Err(match body.get("messages") {
                None => ApiError::field("messages", "Missing required parameter: 'messages'."),
                Some(_) => ApiError::field(
                    "messages",
                    "Invalid type for 'messages': expected an array of objects.",
                ),
            });
        };
        if list.is_empty() {
            return Err(ApiError::field(
                "messages",
                "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            ));
        }
        let messages: Vec<Message> = list
            .iter()
            .enumerate()
            .map(|(at, one)| message(at, one))
            .collect::<Result<_, _>>()?;

        let stream = boolean(body, "stream")?;
        if !stream
            && body
                .get("stream_options")
                .is_some_and(|options| !options.is_null())
        {
            let why = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(ApiError::field("stream_options", why));
        }
        let include_usage = boolean(&body["stream_options"], "include_usage")?;
        let max_tokens = match whole(body, "max_completion_tokens", 1, u32::MAX)? {
            Some(limit) => Some(limit),
            None => whole(body, "max_tokens", 1, u32::MAX)?,
        };
        let n = whole(body, "n", 1, 128)?.unwrap_or(1) as usize;
        within(body, "temperature", 0.0, 2.0)?;
        within(body, "top_p", 0.0, 1.0)?;

        let (service, text) = answers::task(&messages);
        // Three tokens a message for its frame and three for the answer's, as OpenAI counts them.
        let prompt_tokens = 3 + messages
            .iter()
            .map(|m| 3 + tokens::count(&m.text))
            .sum::<u32>();
        Ok(Self {
            format: format(body, &messages)?,
            tool: tool(body, &messages, &text)?,
            stop: stop(body)?,
            conversation: body["messages"].to_string(),
            model,
            stream,
            service,
            prompt_tokens,
            max_tokens,
            include_usage,
            messages,
            text,
            n,
        })
    }

    /// The most tokens that the answers may have, or `None` if the request sets no limit.
    pub(crate) fn most_tokens(&self) -> Option<u32> {
        Some(self.max_tokens?.saturating_mul(self.n as u32))
    }

    /// The answer. `id` and `created` are those of the reply; nothing else in it depends on when it was asked for.
    pub(crate) fn complete(&self, plan: Plan) -> Completion {
        let choices = (0..self.n).map(|index| self.choice(index, &plan)).collect();
        let mut dice = Dice::new(plan.seed, &["fingerprint", &self.model]);
        Completion {
            model: self.model.clone(),
            fingerprint: format!("fp_{:010x}", dice.roll() & 0xff_ffff_ffff),
            prompt_tokens: self.prompt_tokens,
            choices,
            include_usage: self.include_usage,
            plan,
        }
    }

    fn choice(&self, index: usize, plan: &Plan) -> Choice {
        // The first choice is the same whatever n is.
        let mut dice = Dice::new(
            plan.seed,
            &[
                "answer",
                &self.model,
                &self.conversation,
                &index.to_string(),
            ],
        );
        let mut choice = Choice {
            finish: Some("stop"),
            ..Choice::default()
        };
        match plan.script {
            Script::ToolCalls | Script::ToolCallsOdd => {
                let call = |name: &str, arguments: Value, dice: &mut Dice| ToolCall {
                    id: format!("call_{:016x}", dice.roll()),
                    name: name.to_owned(),
                    arguments: arguments.to_string(),
                };
                choice.tool_calls = vec![
                    call(
                        "get_weather",
                        json!({"city": "Paris", "unit": "celsius"}),
                        &mut dice,
                    ),
                    call("get_time", json!({"zone": "Europe/Paris"}), &mut dice),
                ];
                choice.finish = Some("tool_calls");
                return choice;
            }
            Script::Refusal => {
                choice.refusal = Some("I'm sorry, but I can't help with that request.".to_owned());
                return choice;
            }
            Script::HugeLine => {
                choice.content = Some("x".repeat(4 << 20));
                choice.one_token = true;
                return choice;
            }
            _ => {}
        }
        let mut text = match plan.answer_tokens {
            Some(length) => answers::answer_of_length(&mut dice, &self.text, length),
            None => answers::answer(&mut dice, self.service, &self.text, &self.messages),
        };
        let source = schema::Source {
            text: &self.text,
            answer: &text,
            service: self.service,
        };
        if let Some(tool) = &self.tool {
            let arguments = schema::fill(&tool.parameters, &source).to_string();
            choice.tool_calls = vec![ToolCall {
                id: format!("call_{:016x}", dice.roll()),
                name: tool.name.clone(),
                arguments,
            }];
            choice.finish = Some("tool_calls");
            return choice;
        }
        text = match &self.format {
            Format::Text => text,
            Format::JsonSchema(schema) => schema::fill(schema, &source).to_string(),
            Format::JsonObject => match self.service {
                Service::Sentiment => json!({"sentiment": text}),
                Service::Summary => json!({"summary": text}),
                Service::Entities => json!({"entities": answers::entities(&self.text)}),
                Service::Chat | Service::Embedding => json!({"answer": text}),
            }
            .to_string(),
        };
        if let Some(end) = self.stop.iter().filter_map(|stop| text.find(stop)).min() {
            text.truncate(end);
        }
        let half = (tokens::count(&text) / 2).max(1);
        let (limit, reason, scripted) = match plan.script {
            Script::Length => (Some(half), "length", true),
            Script::ContentFilter => (Some(half), "content_filter", true),
            _ => (self.max_tokens, "length", false),
        };
        let limit = limit.into_iter().chain(self.max_tokens).min();
        if let Some(limit) = limit {
            let kept = answers::cut(&text, limit).len();
            if kept < text.len() || scripted {
                text.truncate(kept);
                choice.finish = Some(reason);
            }
        }
        if plan.script == Script::NoFinish {
            choice.finish = None;
        }
        choice.content = Some(text);
        choice
    }
}

/// What stands for the time at which a token is written until that is known. As long as that time: nanoseconds since
/// the Unix epoch have 19 digits from 2001 to 2286.
pub(crate) const STAMP: &str = "0000000000000000000";

/// What an answer depends on besides the request.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) seed: u64,
    pub(crate) script: Script,
    pub(crate) answer_tokens: Option<u32>,
    /// The texts of a stream's tokens are [stamps](STAMP).
    pub(crate) stamps: bool,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Completion {
    plan: Plan,
    model: String,
    fingerprint: String,
    prompt_tokens: u32,
    choices: Vec<Choice>,
    include_usage: bool,
}

#[derive(Debug, Default)]
struct Choice {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Vec<ToolCall>,
    finish: Option<&'static str>,
    /// The content is one huge token.
    one_token: bool,
}

#[derive(Debug)]
struct ToolCall {
    id: String,
    name: String,
    arguments: String,
}

impl Choice {
    /// The text that streams, and the field of the delta that it streams in.
    fn text(&self) -> (&'static str, &str) {
        match (&self.refusal, &self.content) {
            (Some(refusal), _) => ("refusal", refusal),
            (None, Some(content)) => ("content", content),
            (None, None) => ("content", ""),
        }
    }

    fn tokens(&self) -> u32 {
        let calls: u32 = self
            .tool_calls
            .iter()
            .map(|call| 1 + tokens::count(&call.arguments))
            .sum();
        calls
            + if self.one_token {
                1
            } else {
                tokens::count(self.text().1)
            }
    }
}

/// One event of a stream, before it is framed.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) kind: Kind,
    pub(crate) data: String,
}

/// What an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first delta of a choice: its role.
    Role,
    /// A delta that carries one token.
    Token,
    /// The last delta of a choice: its finish reason.
    Finish,
    /// The closing chunk with the usage.
    Usage,
    /// `[DONE]`.
    Done,
    /// Something that a healthy server would not send.
    Odd,
}

impl Completion {
    /// Tokens of the answer, over all its choices.
    pub(crate) fn completion_tokens(&self) -> u32 {
        self.choices.iter().map(Choice::tokens).sum()
    }

    fn usage(&self) -> Usage {
        let completion_tokens = self.completion_tokens();
        Usage {
            prompt_tokens: self.prompt_tokens,
            completion_tokens,
            total_tokens: self.prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: PromptDetails::default(),
            completion_tokens_details: CompletionDetails::default(),
        }
    }

    /// The body of a plain reply.
    pub(crate) fn body(&self) -> Vec<u8> {
        let choices = self
            .choices
            .iter()
            .enumerate()
            .map(|(index, choice)| BodyChoice {
                index,
                message: BodyMessage {
                    role: "assistant",
                    content: choice
                        .content
                        .as_deref()
                        .filter(|_| self.plan.script != Script::NullContent),
                    refusal: choice.refusal.as_deref(),
                    tool_calls: choice.tool_calls.iter().map(BodyCall::from).collect(),
                    annotations: [],
                },
                logprobs: None,
                finish_reason: choice.finish,
            });
        json_bytes(&Body {
            id: &self.plan.id,
            object: "chat.completion",
            created: self.plan.created,
            model: &self.model,
            choices: if self.plan.script == Script::EmptyChoices {
                vec![]
            } else {
                choices.collect()
            },
            usage: (self.plan.script != Script::NoUsage).then(|| self.usage()),
            service_tier: "default",
            system_fingerprint: &self.fingerprint,
        })
    }

    /// The events of a stream, made one by one as they are sent: ten thousand streams must fit in memory.
    pub(crate) fn chunks(self) -> impl Iterator<Item = Chunk> + Send {
        let with_usage = match self.plan.script {
            Script::NoUsage | Script::UsageWithChoices => false,
            Script::UsageNoChoices => true,
            _ => self.include_usage,
        };
        let this = Arc::new(self);
        // The text before and after the choices is the same in every chunk, so it is written once.
        let before = format!(
            r#"{{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"service_tier":"default","system_fingerprint":"{}","choices":"#,
            this.plan.id,
            this.plan.created,
            json!(this.model),
            this.fingerprint,
        );
        let after = if with_usage { r#","usage":null}"# } else { "}" };
        let chunk = {
            let before = before.clone();
            move |kind, index: usize, delta: &str, finish: Option<&str>| {
                let finish = json!(finish);
                let choice = format!(
                    r#"[{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]"#
                );
                Chunk {
                    kind,
                    data: format!("{before}{choice}{after}"),
                }
            }
        };
        let indexes = 0..this.choices.len();

        let roles = {
            let (this, chunk) = (this.clone(), chunk.clone());
            indexes.clone().map(move |index| {
                let content = if this.choices[index].tool_calls.is_empty() {
                    json!("")
                } else {
                    Value::Null
                };
                let delta = format!(r#"{{"role":"assistant","content":{content},"refusal":null}}"#);
                chunk(Kind::Role, index, &delta, None)
            })
        };
        let texts = {
            let (this, chunk) = (this.clone(), chunk.clone());
            let mut sent = vec![0; this.choices.len()];
            let mut turn = 0;
            // The choices take turns, as they do when a model samples them together.
            iter::from_fn(move || {
                for _ in 0..sent.len() {
                    let index = turn;
                    turn = (turn + 1) % sent.len();
                    let choice = &this.choices[index];
                    let (field, text) = choice.text();
                    let rest = &text[sent[index]..];
                    let token = if choice.one_token {
                        rest
                    } else {
                        tokens::first(rest)
                    };
                    if !token.is_empty() {
                        sent[index] += token.len();
                        let token = if this.plan.stamps { STAMP } else { token };
                        return Some(chunk(
                            Kind::Token,
                            index,
                            &format!(r#"{{"{field}":{}}}"#, json!(token)),
                            None,
                        ));
                    }
                }
                None
            })
        };
        let calls = {
            let (this, chunk) = (this.clone(), chunk.clone());
            indexes.clone().flat_map(move |index| {
                let chunk = chunk.clone();
                let deltas =
                    this.choices[index].call_deltas(this.plan.script == Script::ToolCallsOdd);
                deltas
                    .into_iter()
                    .map(move |delta| chunk(Kind::Token, index, &delta.to_string(), None))
            })
        };
        let finishes = {
            let this = this.clone();
            indexes.map(move |index| {
                let mut last = chunk(Kind::Finish, index, "{}", this.choices[index].finish);
                if this.plan.script == Script::UsageWithChoices {
                    last.data.truncate(last.data.len() - after.len());
                    last.data
                        .push_str(&format!(r#","usage":{}}}"#, json_text(&this.usage())));
                }
                last
            })
        };
        let usage = with_usage.then(|| Chunk {
            kind: Kind::Usage,
            data: format!(r#"{before}[],"usage":{}}}"#, json_text(&this.usage())),
        });
        let done = Chunk {
            kind: Kind::Done,
            data: "[DONE]".to_owned(),
        };
        roles
            .chain(texts)
            .chain(calls)
            .chain(finishes)
            .chain(usage)
            .chain(iter::once(done))
    }
}

/// A plain reply; `json!` would do, but sorts the fields, and learners compare them with OpenAI's pages.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<BodyChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    service_tier: &'static str,
    system_fingerprint: &'a str,
}

#[derive(Serialize)]
struct BodyChoice<'a> {
    index: usize,
    message: BodyMessage<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct BodyMessage<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<BodyCall<'a>>,
    annotations: [(); 0],
}

#[derive(Serialize)]
struct BodyCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: BodyFunction<'a>,
}

#[derive(Serialize)]
struct BodyFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> From<&'a ToolCall> for BodyCall<'a> {
    fn from(call: &'a ToolCall) -> Self {
        let function = BodyFunction {
            name: &call.name,
            arguments: &call.arguments,
        };
        Self {
            id: &call.id,
            r#type: "function",
            function,
        }
    }
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Default, Serialize)]
struct PromptDetails {
    cached_tokens: u32,
    audio_tokens: u32,
}

#[derive(Default, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u32,
    audio_tokens: u32,
    accepted_prediction_tokens: u32,
    rejected_prediction_tokens: u32,
}

impl Choice {
    /// The deltas of the tool calls: the calls open and then take turns, each piece marked with its call's index.
    fn call_deltas(&self, odd: bool) -> Vec<Value> {
        let mut deltas = Vec::new();
        for (index, call) in self.tool_calls.iter().enumerate() {
            let mut open = json!({"index": index, "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": ""}});
            // Some servers leave the index out; a new id then means a new call.
            if odd && let Some(fields) = open.as_object_mut() {
                fields.remove("index");
            }
            deltas.push((index, 0, open));
            for (turn, piece) in tokens::split(&call.arguments).enumerate() {
                let mut next = json!({"index": index, "function": {"arguments": piece}});
                if odd && let Some(fields) = next.as_object_mut() {
                    // The id comes again with each piece, and is all that tells whose piece it is.
                    fields.remove("index");
                    fields.insert("id".to_owned(), json!(call.id));
                }
                deltas.push((index, turn + 1, next));
            }
        }
        deltas.sort_by_key(|(index, turn, _)| (*turn, *index));
        deltas
            .into_iter()
            .map(|(_, _, call)| json!({"tool_calls": [call]}))
            .collect()
    }
}

/// The name of the model, refused if it is missing or can't exist.
pub(crate) fn model(body: &Value) -> Result<String, ApiError> {
    let name = match &body["model"] {
        Value::Null => "",
        Value::String(name) => name,
        _ => {
            return Err(ApiError::field(
                "model",
                "Invalid type for 'model': expected a string.",
            ));
        }
    };
    if name.is_empty() {
        return Err(ApiError::invalid("you must provide a model parameter"));
    }
    models::check(name)?;
    Ok(name.to_owned())
}

fn message(at: usize, message: &Value) -> Result<Message, ApiError> {
    let bad = |field: &str, why: &str| {
        let param = format!("messages[{at}]{field}");
        ApiError::field(&param, format!("Invalid '{param}': {why}"))
    };
    if !message.is_object() {
        return Err(bad("", "expected an object."));
    }
    let role = message["role"]
        .as_str()
        .ok_or_else(|| bad(".role", "expected a string."))?;
    if ![
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "function",
    ]
    .contains(&role)
    {
        return Err(bad(
            ".role",
            "expected 'system', 'developer', 'user', 'assistant' or 'tool'.",
        ));
    }
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Null if role == "assistant" => {
            message["tool_calls"]
                .as_array()
                .map_or_else(String::new, |calls| {
                    calls
                        .iter()
                        .filter_map(|call| call["function"]["arguments"].as_str())
                        .collect::<Vec<_>>()
                        .join("\n")
                })
        }
        _ => return Err(bad(".content", "expected a string or an array of parts.")),
    };
    Ok(Message {
        role: role.to_owned(),
        text,
    })
}

fn stop(body: &Value) -> Result<Vec<String>, ApiError> {
    let bad = || {
        ApiError::field(
            "stop",
            "Invalid 'stop': expected a string or an array of at most 4 strings.",
        )
    };
    match &body["stop"] {
        Value::Null => Ok(vec![]),
        Value::String(stop) if !stop.is_empty() => Ok(vec![stop.clone()]),
        Value::Array(all) if all.len() <= 4 => all
            .iter()
            .map(|stop| {
                stop.as_str()
                    .filter(|stop| !stop.is_empty())
                    .map(str::to_owned)
                    .ok_or_else(bad)
            })
            .collect(),
        _ => Err(bad()),
    }
}

/// The tool that is called, if one is: the one named, else the one whose name and description share most words
/// with the text. After a tool's result the answer is text, so an agent's loop comes to its end.
fn tool(body: &Value, messages: &[Message], text: &str) -> Result<Option<Tool>, ApiError> {
    let list = match &body["tools"] {
        Value::Null => return Ok(None),
        Value::Array(list) if !list.is_empty() => list,
        _ => {
            return Err(ApiError::field(
                "tools",
                "Invalid 'tools': expected an array of at least one tool.",
            ));
        }
    };
    let mut tools = Vec::new();
    for (at, tool) in list.iter().enumerate() {
        let function = &tool["function"];
        let Some(name) = function["name"].as_str().filter(|name| !name.is_empty()) else {
            let param = format!("tools[{at}].function.name");
            return Err(ApiError::field(
                &param,
                format!("Missing required parameter: '{param}'."),
            ));
        };
        let about = format!(
            "{name} {}",
            function["description"].as_str().unwrap_or_default()
        )
        .to_lowercase();
        let parameters = match &function["parameters"] {
            Value::Null => json!({"type": "object", "properties": {}}),
            parameters => parameters.clone(),
        };
        tools.push((
            about,
            Tool {
                name: name.to_owned(),
                parameters,
            },
        ));
    }
    let answered = messages.last().is_some_and(|last| last.role == "tool");
    match &body["tool_choice"] {
        Value::Null => {}
        Value::String(choice) if choice == "none" => return Ok(None),
        Value::String(choice) if choice == "auto" || choice == "required" => {}
        Value::Object(choice) if choice.get("type") == Some(&json!("function")) => {
            let wanted = choice
                .get("function")
                .and_then(|f| f["name"].as_str())
                .unwrap_or_default();
            let found = tools.iter().find(|(_, tool)| tool.name == wanted);
            let found = found.ok_or_else(|| {
                ApiError::field(
                    "tool_choice",
                    format!("Tool choice '{wanted}' not found in 'tools' parameter."),
                )
            })?;
            return Ok(Some(found.1.clone()));
        }
        _ => {
            let why = "Invalid 'tool_choice': expected 'none', 'auto', 'required' or an object that names a function.";
            return Err(ApiError::field("tool_choice", why));
        }
    }
    if answered && body["tool_choice"] != "required" {
        return Ok(None);
    }
    let text = text.to_lowercase();
    let shared = |about: &str| {
        let words = about
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.len() > 3);
        words.filter(|word| text.contains(word)).count()
    };
    // The last of several maxima wins in max_by_key, hence the way back to front.
    Ok(tools
        .into_iter()
        .rev()
        .max_by_key(|(about, _)| shared(about))
        .map(|(_, tool)| tool))
}

fn format(body: &Value, messages: &[Message]) -> Result<Format, ApiError> {
    let format = &body["response_format"];
    if format.is_null() {
        return Ok(Format::Text);
    }
    match format["type"].as_str() {
        Some("text") => Ok(Format::Text),
        Some("json_object")
            if messages
                .iter()
                .any(|m| m.text.to_lowercase().contains("json")) =>
        {
            Ok(Format::JsonObject)
        }
        Some("json_object") => Err(ApiError::field(
            "messages",
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        )),
        Some("json_schema") => {
            let schema = &format["json_schema"];
            if !schema["name"].is_string() {
                let param = "response_format.json_schema.name";
                return Err(ApiError::field(
                    param,
                    format!("Missing required parameter: '{param}'."),
                ));
            }
            Ok(Format::JsonSchema(schema["schema"].clone()))
        }
        _ => {
            let why =
                "Invalid 'response_format.type': expected 'text', 'json_object' or 'json_schema'.";
            Err(ApiError::field("response_format.type", why))
        }
    }
}

fn boolean(body: &Value, name: &str) -> Result<bool, ApiError> {
    match &body[name] {
        Value::Null => Ok(false),
        Value::Bool(value) => Ok(*value),
        _ => Err(ApiError::field(
            name,
            format!("Invalid type for '{name}': expected a boolean."),
        )),
    }
}

fn whole(body: &Value, name: &str, least: u32, most: u32) -> Result<Option<u32>, ApiError> {
    let value = &body[name];
    if value.is_null() {
        return Ok(None);
    }
    let number = value
        .as_u64()
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| (least..=most).contains(n));
    let why = format!("Invalid '{name}': expected a whole number from {least} to {most}.");
    number.map(Some).ok_or_else(|| ApiError::field(name, why))
}

fn within(body: &Value, name: &str, low: f64, high: f64) -> Result<(), ApiError> {
    let value = &body[name];
    if value.is_null() || value.as_f64().is_some_and(|n| (low..=high).contains(&n)) {
        return Ok(());
    }
    Err(ApiError::field(
        name,
        format!("Invalid '{name}': expected a number from {low} to {high}."),
    ))
}
