//! One request: checked, held for its latency, answered.
//!
//! All of it is one future. Wherever that future is dropped, the slot it holds is freed and the log told.

use std::io;
use std::iter;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::WriteHalf;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chat::{self, ChatRequest, STAMP};
use crate::dice::Dice;
use crate::embeddings;
use crate::errors::ApiError;
use crate::failure::Failure;
use crate::headers::{self, Overrides};
use crate::http::{Head, Request};
use crate::latency::{LONGEST, Latency};
use crate::log::{Entry, Ticket};
use crate::models;
use crate::quota::Budget;
use crate::scripts::{self, Script, Step};
use crate::server::{Current, End, Shared, json_head};
use crate::settings::Service;

/// One request being worked on.
pub(crate) struct Work {
    shared: Arc<Shared>,
    current: Arc<Current>,
    request: Request,
    /// The body as JSON, if it is.
    body: Option<Value>,
    item: String,
    ticket: Ticket,
    arrived: Instant,
}

/// What a request wants, after all checks.
struct Job {
    wanted: Wanted,
    script: Script,
    latency: Latency,
    failure: Option<Failure>,
    gate: Option<Arc<Semaphore>>,
    answer_tokens: Option<u32>,
}

enum Wanted {
    Chat(Box<ChatRequest>),
    /// A body that needs no model.
    Body(Vec<u8>),
}

/// A refusal, with the headers that belong to it.
struct Refused {
    error: ApiError,
    headers: Vec<(&'static str, String)>,
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            headers: vec![],
        }
    }
}

impl Work {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        request: Request,
        connection: u64,
        new_connection: bool,
    ) -> Self {
        let body = serde_json::from_slice(&request.body).ok();
        let item = request
            .header("x-mock-item")
            .or_else(|| request.header("idempotency-key"));
        let item = item.map_or_else(
            || {
                let body = String::from_utf8_lossy(&request.body);
                format!("body-{:016x}", Dice::new(0, &[&request.path, &body]).roll())
            },
            str::to_owned,
        );
        let shown = body
            .clone()
            .unwrap_or_else(|| match request.body.is_empty() {
                true => Value::Null,
                false => Value::String(String::from_utf8_lossy(&request.body).into_owned()),
            });
        let entry = Entry {
            item: item.clone(),
            connection,
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), headers::without_secret(name, value)))
                .collect(),
            body: shown,
            arrived: shared.log.now(),
            script: Script::Normal.name(),
            ..Entry::default()
        };
        Self {
            current: shared.current(),
            ticket: shared.log.open(entry, new_connection),
            shared: shared.clone(),
            request,
            body,
            item,
            arrived: Instant::now(),
        }
    }

    /// Answers the request. Dropping the future at any point is how a client's leaving is handled.
    pub(crate) async fn run(mut self, write: &mut WriteHalf<'_>) -> io::Result<End> {
        let job = match self.check() {
            Ok(job) => job,
            // A refusal costs a real server nothing, so it comes at once.
            Err(Refused { error, headers }) => {
                self.fault(error.code.unwrap_or(error.kind).to_owned());
                let mut head = self.head(error.status);
                head.headers.extend(headers);
                let plan = scripts::plain(Script::Normal, head, error.body(), 0);
                return self.play(write, plan.into_iter(), None).await;
            }
        };
        self.ticket.note(|entry| entry.script = job.script.name());
        // What we spent on checking is part of the latency; the wait for a slot comes before it.
        let (_slot, start) = match &self.current.slots {
            // A semaphore that is never closed always gives its permit in the end.
            Some(slots) => (slots.clone().acquire_owned().await.ok(), Instant::now()),
            None => (None, self.arrived),
        };
        let attempt = self.ticket.attempt.to_string();
        let mut dice = Dice::new(
            self.current.settings.seed,
            &["latency", &self.item, &attempt],
        );
        let latency = job.latency.draw(&mut dice);
        if !latency.is_zero() {
            sleep_until(start + latency).await;
        }
        let (plan, streams) = self.reply(&job);
        let gate = match job.gate {
            Some(gate) if !streams => {
                pass(&gate).await;
                None
            }
            gate => gate,
        };
        self.play(write, plan, gate).await
    }

    /// What the request wants, or why it is refused, in the order in which OpenAI looks.
    fn check(&mut self) -> Result<Job, Refused> {
        let path = self
            .request
            .path
            .strip_prefix("/v1")
            .unwrap_or(&self.request.path);
        let method = self.request.method.as_str();
        let model = path.strip_prefix("/models/");
        let allowed = match path {
            "/chat/completions" | "/embeddings" => "POST",
            _ if path == "/models" || model.is_some() => "GET",
            _ => {
                let message = format!("Invalid URL ({method} {})", self.request.path);
                return Err(ApiError::new(404, "invalid_request_error", None, message).into());
            }
        };
        if method != allowed {
            let message = format!("Not allowed to {method} on {}.", self.request.path);
            let error = ApiError::new(
                405,
                "invalid_request_error",
                Some("method_not_supported"),
                message,
            );
            return Err(Refused {
                error,
                headers: vec![("allow", allowed.to_owned())],
            });
        }
        self.check_key()?;
        let own = Overrides::read(&self.request)?;

        let settings = &self.current.settings;
        let gate = own.gate.as_ref().or(settings.gate.as_ref());
        let gate = gate.map(|name| self.shared.gate(name));
        let answer_tokens = own.tokens.or(settings.answer_tokens);
        if allowed == "GET" {
            let body = model.map_or_else(|| Ok(models::list()), models::one)?;
            // Looking a model up costs a server nothing, so it is spared latency, failures and quota.
            let latency = own.latency.unwrap_or_default();
            return Ok(Job {
                wanted: Wanted::Body(body),
                script: own.script.unwrap_or(settings.script),
                latency,
                failure: None,
                gate,
                answer_tokens,
            });
        }

        let body = self.body.as_ref().filter(|body| body.is_object());
        let body = body
            .ok_or_else(|| ApiError::invalid("The body of your request is not a JSON object."))?;
        let (wanted, service, streams, prompt_tokens) = if path == "/embeddings" {
            let (body, tokens) = embeddings::reply(body)?;
            (Wanted::Body(body), Service::Embedding, false, tokens)
        } else {
            let chat = ChatRequest::parse(body)?;
            let (service, stream, tokens) = (chat.service, chat.stream, chat.prompt_tokens);
            (Wanted::Chat(Box::new(chat)), service, stream, tokens)
        };
        let job = Job {
            wanted,
            script: own.script.unwrap_or_else(|| settings.script_of(service)),
            latency: own
                .latency
                .unwrap_or_else(|| settings.latency_of(service, streams)),
            failure: match own.fail {
                Some(first) => first.hits(self.ticket.attempt).then_some(first.failure),
                None => settings.failure_of(&self.item, self.ticket.attempt),
            },
            gate,
            answer_tokens,
        };
        self.ticket
            .note(|entry| entry.prompt_tokens = prompt_tokens);
        self.take_quota(prompt_tokens, &job)?;
        Ok(job)
    }

    fn check_key(&self) -> Result<(), ApiError> {
        let unauthorized = |message: &str| {
            ApiError::new(
                401,
                "invalid_request_error",
                Some("invalid_api_key"),
                message,
            )
        };
        let header = self.request.header("authorization").unwrap_or_default();
        let (scheme, key) = header.split_once(' ').unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("bearer") || key.trim().is_empty() {
            return Err(unauthorized(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using \
                 Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            ));
        }
        match &self.current.settings.api_key {
            // The key is not repeated in the message, as it would end up in the logs of clients.
            Some(right) if right != key.trim() => Err(unauthorized("Incorrect API key provided.")),
            _ => Ok(()),
        }
    }

    /// Takes the prompt's tokens and those the answer may have: what was asked for at most, else what it will be.
    fn take_quota(&self, prompt_tokens: u32, job: &Job) -> Result<(), Refused> {
        let Some(quota) = self.current.settings.quota else {
            return Ok(());
        };
        let answer = match &job.wanted {
            Wanted::Chat(chat) => chat
                .most_tokens()
                .unwrap_or_else(|| chat.complete(self.plan(job)).completion_tokens()),
            Wanted::Body(_) => 0,
        };
        let tokens = prompt_tokens.saturating_add(answer);
        let refused = match self
            .shared
            .window()
            .take(quota, self.shared.log.now(), tokens)
        {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        let (kind, limit) = match refused.budget {
            Budget::Requests => ("requests", quota.requests),
            Budget::Tokens => ("tokens", quota.tokens),
        };
        let limit = limit.unwrap_or_default();
        let code = Some("rate_limit_exceeded");
        let Some(wait) = refused.retry_after else {
            let message = format!(
                "Request too large: it needs {tokens} tokens and the limit is {limit} {kind}."
            );
            return Err(ApiError::new(429, kind, code, message).into());
        };
        // Rounded up both times: who comes back at the time named is let in.
        let ms = wait.as_nanos().div_ceil(1_000_000);
        let message = format!(
            "Rate limit reached: {limit} {kind} in {:?}. Please try again in {ms}ms.",
            quota.window
        );
        Err(Refused {
            error: ApiError::new(429, kind, code, message),
            headers: vec![
                ("retry-after", ms.div_ceil(1000).to_string()),
                ("retry-after-ms", ms.to_string()),
            ],
        })
    }

    /// The plan of the reply, and whether it streams tokens.
    fn reply(&mut self, job: &Job) -> (Box<dyn Iterator<Item = Step> + Send>, bool) {
        let mut script = job.script;
        let (head, body, tokens) = if let Some(failure) = job.failure {
            self.fault(failure.to_string());
            let Failure::Status(status) = failure else {
                return (Box::new(iter::once(Step::Reset)), false);
            };
            script = Script::Normal;
            let mut head = self.head(status);
            if status == 429 {
                head.set("retry-after", "1");
                head.set("retry-after-ms", "1000");
            }
            (head, ApiError::of_status(status).body(), 0)
        } else if let Some((own, body)) = scripts::fixed_reply(script) {
            let mut head = self.head(own.status);
            for (name, value) in own.headers {
                head.set(name, value);
            }
            (head, body, 0)
        } else {
            let head = self.head(200);
            match &job.wanted {
                Wanted::Chat(chat) => {
                    let completion = chat.complete(self.plan(job));
                    if chat.stream {
                        let plan = scripts::stream(script, head, completion.chunks());
                        return (plan, true);
                    }
                    (head, completion.body(), completion.completion_tokens())
                }
                Wanted::Body(body) => (head, body.clone(), 0),
            }
        };
        (
            Box::new(scripts::plain(script, head, body, tokens).into_iter()),
            false,
        )
    }

    fn plan(&self, job: &Job) -> chat::Plan {
        let created = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        chat::Plan {
            id: format!("chatcmpl-{:016x}", self.name().roll()),
            created,
            seed: self.current.settings.seed,
            script: job.script,
            answer_tokens: job.answer_tokens,
            stamps: self.current.settings.stamp_tokens,
        }
    }

    /// Dice that no other request has.
    fn name(&self) -> Dice {
        Dice::new(
            self.current.settings.seed,
            &["name", &self.ticket.id().to_string()],
        )
    }

    fn head(&self, status: u16) -> Head {
        let mut head = json_head(status);
        head.set(
            "x-request-id",
            format!("req_{:016x}{:016x}", self.name().roll(), self.ticket.id()),
        );
        head.set("openai-version", "2020-10-01");
        head.set(
            "openai-processing-ms",
            self.arrived.elapsed().as_millis().to_string(),
        );
        if !self.request.keep_alive {
            head.set("connection", "close");
        }
        if let Some(quota) = self.current.settings.quota {
            let mut window = self.shared.window();
            let now = self.shared.log.now();
            if let Some(left) = window.left(quota, now, Budget::Requests) {
                head.set("x-ratelimit-limit-requests", left.limit.to_string());
                head.set("x-ratelimit-remaining-requests", left.remaining.to_string());
                head.set("x-ratelimit-reset-requests", reset_time(left.reset));
            }
            if let Some(left) = window.left(quota, now, Budget::Tokens) {
                head.set("x-ratelimit-limit-tokens", left.limit.to_string());
                head.set("x-ratelimit-remaining-tokens", left.remaining.to_string());
                head.set("x-ratelimit-reset-tokens", reset_time(left.reset));
            }
        }
        head
    }

    fn fault(&mut self, fault: String) {
        self.ticket.note(|entry| entry.fault = Some(fault));
    }

    /// Carries out a plan. What is logged before a step and what after it is settled in [`log`](crate::log).
    async fn play(
        &mut self,
        write: &mut WriteHalf<'_>,
        plan: impl Iterator<Item = Step>,
        gate: Option<Arc<Semaphore>>,
    ) -> io::Result<End> {
        const LONGEST_HOLD: Duration = Duration::from_secs(60);
        let pace = self
            .current
            .settings
            .tokens_per_second
            .filter(|pace| *pace > 0.0);
        let per_write = self.current.settings.tokens_per_write;
        let per_write = per_write.map_or(1, NonZeroU32::get);
        let start = Instant::now();
        let mut tokens = 0;
        // Tokens that wait for others to leave with.
        let mut held = Vec::new();
        for step in plan {
            if !matches!(step, Step::Token(_)) {
                self.send(write, &mut held).await?;
            }
            match step {
                Step::Status(status) => self.ticket.head(status),
                Step::Send(bytes) => write.write_all(&bytes).await?,
                Step::Token(bytes) => {
                    if let Some(gate) = &gate {
                        pass(gate).await;
                    }
                    if let Some(pace) = pace {
                        // Counted from the start, so that late timers don't add up.
                        let due = Duration::try_from_secs_f64(f64::from(tokens) / pace);
                        sleep_until(start + due.unwrap_or(LONGEST).min(LONGEST)).await;
                    }
                    tokens += 1;
                    held.push(bytes);
                    if held.len() as u32 == per_write {
                        self.send(write, &mut held).await?;
                    }
                }
                Step::Count(n) => self.ticket.tokens(n),
                Step::Pause(time) => sleep(time).await,
                Step::Last => self.ticket.finish(),
                Step::Hold => sleep(LONGEST_HOLD).await,
                Step::Reset => {
                    self.ticket.finish();
                    return Ok(End::Reset);
                }
                Step::Close => {
                    self.ticket.finish();
                    return Ok(End::Close);
                }
            }
        }
        self.send(write, &mut held).await?;
        self.ticket.finish();
        Ok(End::Next)
    }

    /// Sends tokens, in one write.
    async fn send(&mut self, write: &mut WriteHalf<'_>, tokens: &mut Vec<Bytes>) -> io::Result<()> {
        if self.current.settings.stamp_tokens {
            tokens.iter_mut().for_each(stamp);
        }
        match &tokens[..] {
            [] => return Ok(()),
            [token] => write.write_all(token).await?,
            tokens => write.write_all(&tokens.concat()).await?,
        }
        self.ticket.tokens(tokens.len() as u32);
        tokens.clear();
        Ok(())
    }
}

/// Takes one permit for good; a gate that was opened lets everybody through.
async fn pass(gate: &Semaphore) {
    if let Ok(permit) = gate.acquire().await {
        permit.forget();
    }
}

/// Puts the time into the place that a token keeps for it. A token that a script has cut up or zipped has no such
/// place, and goes as it is.
fn stamp(token: &mut Bytes) {
    let place = STAMP.as_bytes();
    let mut at = token.windows(place.len());
    let Some(at) = at.position(|window| window == place) else {
        return;
    };
    let mut bytes = token.to_vec();
    // Asked for last: what we do before it is no part of the token's way.
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let stamp = format!("{:019}", now.as_nanos());
    bytes[at..at + place.len()].copy_from_slice(stamp.as_bytes());
    *token = bytes.into();
}

/// A time as OpenAI writes it in its reset headers: `12ms`, `1.5s`, `6m0s`.
fn reset_time(time: Duration) -> String {
    let ms = time.as_nanos().div_ceil(1_000_000);
    let (minutes, rest) = (ms / 60_000, ms % 60_000);
    match (minutes, rest) {
        (0, ms @ 0..1000) => format!("{ms}ms"),
        (0, ms) => format!("{}s", ms as f64 / 1000.0),
        (minutes, ms) => format!("{minutes}m{}s", ms as f64 / 1000.0),
    }
}
