//! What a line of the input asks for: pure, and shared by both versions.

use ai_core::ChatRequest;
use rate_limited_batch::MAX_TOKENS;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One piece of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its place among the jobs of this run, from 0.
    pub number: u64,
    /// Its name in the output: `custom_id`, or `line-7`.
    pub id: String,
    /// What is asked, and of which model.
    pub request: ChatRequest,
    /// The most tokens it should cost.
    pub tokens: u64,
}

/// What a line leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The model of a line that names none.
    pub model: String,
    /// The most tokens of the answer to a bare prompt.
    pub max_tokens: u32,
}

/// The longest line, in bytes. Images in a request are large; a file without line ends is larger.
pub const LONGEST_LINE: usize = 16 << 20;

impl Job {
    /// Reads a line: `{"prompt": "..."}`, or a request of OpenAI's Batch API.
    ///
    /// # Errors
    /// What is wrong with it, in words that go on from "line 7: ".
    pub fn parse(line: &[u8], line_number: u64, defaults: &Defaults) -> Result<Job, String> {
        let text = std::str::from_utf8(line).map_err(|error| {
            let at = error.valid_up_to();
            format!("not UTF-8 from byte {at} on; save the file as UTF-8")
        })?;
        let line: Line = serde_json::from_str(text).map_err(|error| no_job(&error, text))?;
        let id = line.custom_id.unwrap_or(format!("line-{line_number}"));
        if id.is_empty() {
            return Err("custom_id is empty; leave it out, or give it a name".into());
        }
        let request = match (line.prompt, line.body) {
            (Some(prompt), None) if line.method.is_none() && line.url.is_none() => {
                ChatRequest::new(&defaults.model, prompt).max_tokens(defaults.max_tokens)
            }
            (None, Some(body)) => {
                let is = |field: Option<String>, right: &str| field.is_none_or(|it| it == right);
                if !is(line.method, "POST") || !is(line.url, URL) {
                    return Err(format!("only POST {URL} is known here"));
                }
                request(body, defaults)?
            }
            _ => return Err(EITHER.into()),
        };
        Ok(Job {
            number: 0,
            id,
            tokens: most_tokens(&request, defaults.max_tokens),
            request,
        })
    }
}

const URL: &str = "/v1/chat/completions";
const EITHER: &str = r#"expected {"prompt": "..."} or {"method", "url", "body"}, one of the two"#;

#[derive(Deserialize)]
// A field that would be overlooked is a mistake: `temperature` beside `prompt` belongs in a `body`.
#[serde(deny_unknown_fields)]
struct Line {
    custom_id: Option<String>,
    prompt: Option<String>,
    method: Option<String>,
    url: Option<String>,
    body: Option<Map<String, Value>>,
}

fn no_job(error: &serde_json::Error, text: &str) -> String {
    if error.is_data() && text.trim_start().starts_with('{') {
        format!("{}; {EITHER}", without_place(error))
    } else if error.is_data() {
        format!("no JSON object; {EITHER}")
    } else {
        format!("no JSON: {}", without_place(error))
    }
}

/// serde counts lines, too, and to it each of ours is the first.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let column = format!(" at column {}", error.column());
    match text.strip_suffix(&place) {
        Some(words) if error.is_data() => words.to_owned(),
        Some(words) => format!("{words}{column}"),
        None => text,
    }
}

/// The request in a body, sent as it is except for what the API allows and [`ChatRequest`] has in
/// one form only.
fn request(mut body: Map<String, Value>, defaults: &Defaults) -> Result<ChatRequest, String> {
    if body.get("stream") == Some(&Value::Bool(true)) {
        return Err("stream is true; an answer in a file comes in one piece".into());
    }
    body.remove("stream");
    // For the API null is the same as not there.
    body.retain(|_, value| !value.is_null());
    if let Some(Value::String(stop)) = body.get("stop") {
        body["stop"] = Value::from(vec![stop.clone()]);
    }
    body.entry("model").or_insert(Value::from(&*defaults.model));
    let request: ChatRequest =
        serde_json::from_value(Value::Object(body)).map_err(|error| format!("body: {error}"))?;
    if request.model.is_empty() || request.messages.is_empty() {
        return Err("body: model or messages are empty".into());
    }
    Ok(request)
}

/// The most tokens that an image is taken for: what a large one takes of gpt-4o. A server cuts it
/// into tiles, so its bytes tell nothing.
const IMAGE: u64 = 1445;

/// The most tokens that a request can cost: those of all it says, tools and history included, and
/// those its answer may have.
///
/// A token is one byte at least, and the few that a server adds for each message are fewer than the
/// JSON around it has. So a request's bytes are an upper bound of its prompt, in any language, where
/// four letters a token are a guess. It is several times too high; the limiter gives the rest back as
/// soon as the answer tells what was used.
///
/// Two things are assumed and not known: an [`IMAGE`], and that an answer without a limit of its own
/// keeps to the default one.
fn most_tokens(request: &ChatRequest, max_tokens: u32) -> u64 {
    let body = serde_json::to_value(request).expect("it was JSON before");
    let messages = body["messages"].as_array().into_iter().flatten();
    let parts = messages.filter_map(|message| message["content"].as_array());
    let images = parts
        .flatten()
        .filter_map(|part| part["image_url"]["url"].as_str());
    let bytes = body.to_string().len() as u64;
    let prompt = images.fold(bytes, |sum, url| sum - url.len() as u64 + IMAGE);
    let newer = request.extra.get("max_completion_tokens");
    let answer = newer
        .and_then(Value::as_u64)
        .or(request.max_tokens.map(u64::from))
        .unwrap_or(max_tokens.into());
    let answers = u64::from(request.n.unwrap_or(1));
    prompt.saturating_add(answer.saturating_mul(answers))
}

/// The lesson's own lines, for a user who gives none.
pub fn lesson() -> String {
    let line =
        |n| format!("{{\"custom_id\": \"topic-{n}\", \"prompt\": \"Summarize topic {n}\"}}\n");
    (1..=200).map(line).collect()
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            model: ai_core::DEFAULT_MODEL.to_owned(),
            max_tokens: MAX_TOKENS,
        }
    }
}
