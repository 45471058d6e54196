//! Runs one pattern in each of its versions and strategies, and measures it.

use std::error::Error;
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, CallOptions, ChatRequest, Config, SyncClient};
use ai_mock::Mock;
use clap::ValueEnum;
use demo::{Bar, SERVICES, Scene};
use multi_service::Branch;
use serde::{Serialize, Serializer};
use tokio::runtime::Runtime;

/// The patterns, by the names of their packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pattern {
    SingleRequest,
    ConcurrentRequests,
    Streaming,
    MultiService,
    Retry,
}

impl Pattern {
    pub(crate) fn number(self) -> u8 {
        match self {
            Pattern::SingleRequest => 1,
            Pattern::ConcurrentRequests => 2,
            Pattern::Streaming => 4,
            Pattern::MultiService => 5,
            Pattern::Retry => 7,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Pattern::SingleRequest => "single-request",
            Pattern::ConcurrentRequests => "concurrent-requests",
            Pattern::Streaming => "streaming",
            Pattern::MultiService => "multi-service",
            Pattern::Retry => "retry",
        }
    }

    fn scene(self) -> Scene {
        match self {
            Pattern::SingleRequest | Pattern::ConcurrentRequests => Scene::Replies,
            Pattern::Streaming => Scene::Story,
            Pattern::MultiService => Scene::Services,
            Pattern::Retry => Scene::Unreliable,
        }
    }
}

/// What one version did with one strategy.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) pattern: &'static str,
    /// `sync` or `async`.
    pub(crate) version: &'static str,
    pub(crate) strategy: &'static str,
    pub(crate) requests: usize,
    pub(crate) ok: usize,
    pub(crate) failed: usize,
    /// What the server saw: more than was asked for where something was tried again.
    pub(crate) attempts: usize,
    #[serde(rename = "wall_ms", serialize_with = "as_milliseconds")]
    pub(crate) wall: Duration,
    /// How often this run's wall time goes into that of the pattern's first run.
    pub(crate) speedup: f64,
    /// What the speed-up would be if nothing but the server took time.
    pub(crate) ideal: f64,
    /// The most requests the server had at one time, by its own count.
    pub(crate) peak_in_flight: u64,
    /// Where it streams: when the first token had arrived.
    #[serde(rename = "first_token_ms", serialize_with = "as_optional_milliseconds")]
    pub(crate) first_token: Option<Duration>,
    /// Why the first of those that failed did.
    pub(crate) error: Option<String>,
    #[serde(skip)]
    pub(crate) bars: Vec<Bar>,
}

fn as_milliseconds<S: Serializer>(time: &Duration, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_f64((time.as_secs_f64() * 1e6).round() / 1e3)
}

fn as_optional_milliseconds<S: Serializer>(
    time: &Option<Duration>,
    output: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => as_milliseconds(time, output),
        None => output.serialize_none(),
    }
}

/// One stop of the tour: a pattern, with a server and clients of its own.
pub(crate) struct Stop {
    pub(crate) pattern: Pattern,
    scale: f64,
    prompts: Vec<&'static str>,
    mock: Mock,
    sync: SyncClient,
    awaited: AsyncClient,
    runtime: Runtime,
}

/// What a strategy did, before it is compared.
struct Outcome {
    ok: usize,
    failed: usize,
    error: Option<String>,
    first_token: Option<Duration>,
}

impl Outcome {
    fn count<E: Display>(results: impl IntoIterator<Item = Result<(), E>>) -> Outcome {
        let (ok, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        Outcome {
            ok: ok.len(),
            failed: failed.len(),
            error: failed
                .into_iter()
                .find_map(|result| Some(result.err()?.to_string())),
            first_token: None,
        }
    }
}

/// A strategy: its version, its name, whether its requests overlap, and how it is run.
type Strategy = (&'static str, &'static str, bool, fn(&Stop) -> Outcome);

impl Stop {
    /// Starts the server, and builds and warms the clients.
    pub(crate) fn new(
        pattern: Pattern,
        seed: u64,
        scale: Option<f64>,
    ) -> Result<Stop, Box<dyn Error>> {
        let scene = pattern.scene();
        // With the guide's own seconds come the guide's own three prompts.
        let rounds = if scale.is_some() { 1 } else { 4 };
        let prompts = concurrent_requests::PROMPTS.repeat(rounds);
        let prompts = prompts.into_iter().take(10).collect();
        let scale = scale.unwrap_or(scene.default_scale());
        let (config, mock) = scene.start(seed, scale, None)?;
        let runtime = Runtime::new()?;
        let (sync, awaited) = warmed_clients(config, &runtime)?;
        Ok(Stop {
            pattern,
            scale,
            prompts,
            mock,
            sync,
            awaited,
            runtime,
        })
    }

    /// What it asks for and what its server does, in a few words.
    pub(crate) fn about(&self) -> String {
        let requests = self.requests();
        let scene = self.pattern.scene().describe(self.scale, None);
        let requests = if requests == 1 {
            "1 request".into()
        } else {
            format!("{requests} requests")
        };
        format!("{requests} · {scene}")
    }

    /// The time scale of its timelines: a little more than the slowest run will take.
    pub(crate) fn whole(&self) -> Duration {
        match self.pattern {
            Pattern::Streaming => Duration::from_secs_f64(21.0 * self.scale),
            Pattern::Retry => Duration::from_secs_f64(5.0 * self.scale),
            _ => self.in_turn().mul_f64(1.01),
        }
    }

    fn requests(&self) -> usize {
        match self.pattern {
            Pattern::SingleRequest | Pattern::Streaming | Pattern::Retry => 1,
            Pattern::ConcurrentRequests => self.prompts.len(),
            Pattern::MultiService => SERVICES.len(),
        }
    }

    /// What the server takes for all requests in turn.
    fn in_turn(&self) -> Duration {
        self.latencies().iter().sum()
    }

    fn latencies(&self) -> Vec<Duration> {
        let latencies = match self.pattern {
            Pattern::MultiService => SERVICES.map(|(_, time)| time).to_vec(),
            _ => vec![Duration::from_secs(3); self.requests()],
        };
        latencies
            .into_iter()
            .map(|time| time.mul_f64(self.scale))
            .collect()
    }

    /// All runs of this pattern, one after another, each made when it is asked for.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run> {
        let mut first_wall = None;
        self.strategies()
            .into_iter()
            .map(move |(version, strategy, overlaps, run)| {
                self.mock.clear_log();
                let started = Instant::now();
                let Outcome {
                    ok,
                    failed,
                    error,
                    first_token,
                } = run(self);
                let wall = started.elapsed();

                // The last byte is logged before it is sent, so nothing is missing from the log now.
                let bars: Vec<_> = self.mock.log().iter().filter_map(Bar::of).collect();
                let slowest = self.latencies().into_iter().max().unwrap_or_default();
                let ideal = self.in_turn().as_secs_f64() / slowest.as_secs_f64();
                let first_wall = *first_wall.get_or_insert(wall);
                Run {
                    pattern: self.pattern.name(),
                    version,
                    strategy,
                    requests: ok + failed,
                    ok,
                    failed,
                    attempts: bars.len(),
                    wall,
                    speedup: first_wall.as_secs_f64() / wall.as_secs_f64(),
                    ideal: if overlaps { ideal } else { 1.0 },
                    peak_in_flight: self.mock.stats().peak_in_flight,
                    first_token,
                    error,
                    bars,
                }
            })
    }

    fn strategies(&self) -> Vec<Strategy> {
        match self.pattern {
            Pattern::SingleRequest => vec![
                ("sync", "one-call", false, |stop| {
                    Outcome::count([single_request::ask(&stop.sync, stop.prompts[0]).map(drop)])
                }),
                ("async", "one-call", false, |stop| {
                    let ask = single_request::ask_async(&stop.awaited, stop.prompts[0]);
                    Outcome::count([stop.runtime.block_on(ask).map(drop)])
                }),
            ],
            Pattern::ConcurrentRequests => vec![
                ("sync", "in-turn", false, |stop| {
                    answered(concurrent_requests::in_turn(&stop.sync, &stop.prompts))
                }),
                ("sync", "threads", true, |stop| {
                    answered(concurrent_requests::at_once(
                        &stop.sync,
                        &stop.prompts,
                        stop.limit(),
                    ))
                }),
                ("async", "in-turn", false, |stop| {
                    let all = concurrent_requests::in_turn_async(&stop.awaited, &stop.prompts);
                    answered(stop.runtime.block_on(all))
                }),
                ("async", "at-once", true, |stop| {
                    let (client, prompts) = (&stop.awaited, &stop.prompts);
                    let all = concurrent_requests::at_once_async(client, prompts, stop.limit());
                    answered(stop.runtime.block_on(all))
                }),
            ],
            Pattern::Streaming => vec![
                ("sync", "stream", false, |stop| {
                    let (client, prompt) = (stop.sync.clone(), "Write a short story");
                    let open = move || streaming::generate_stream(&client, prompt);
                    let never = crossbeam_channel::never();
                    told(streaming::follow(open, &mut std::io::sink(), &never))
                }),
                ("async", "stream", false, |stop| {
                    let open =
                        streaming::generate_stream_async(&stop.awaited, "Write a short story");
                    let mut nowhere = std::io::sink();
                    let story = streaming::follow_async(open, &mut nowhere, std::future::pending());
                    told(stop.runtime.block_on(story))
                }),
            ],
            Pattern::MultiService => vec![
                ("sync", "in-turn", false, |stop| {
                    branches(multi_service::comprehensive_analysis_in_turn(
                        &stop.sync,
                        multi_service::TEXT,
                        stop.limits(),
                    ))
                }),
                ("sync", "threads", true, |stop| {
                    branches(multi_service::comprehensive_analysis(
                        &stop.sync,
                        multi_service::TEXT,
                        stop.limits(),
                    ))
                }),
                ("async", "in-turn", false, |stop| {
                    let (client, text) = (&stop.awaited, multi_service::TEXT);
                    let limits = stop.limits();
                    let all =
                        multi_service::comprehensive_analysis_in_turn_async(client, text, limits);
                    branches(stop.runtime.block_on(all))
                }),
                ("async", "at-once", true, |stop| {
                    let (client, text) = (&stop.awaited, multi_service::TEXT);
                    let all =
                        multi_service::comprehensive_analysis_async(client, text, stop.limits());
                    branches(stop.runtime.block_on(all))
                }),
            ],
            Pattern::Retry => vec![
                ("sync", "retry", false, |stop| {
                    let answer = stop.sync.with(stop.named()).and_then(|client| {
                        retry::generate_text(&client, &stop.policy(), stop.prompts[0], |_| {})
                    });
                    Outcome::count([answer.map(drop)])
                }),
                ("async", "retry", false, |stop| {
                    let answer = stop.awaited.with(stop.named()).and_then(|client| {
                        let (policy, prompt) = (stop.policy(), stop.prompts[0]);
                        let text = retry::generate_text_async(&client, &policy, prompt, |_| {});
                        stop.runtime.block_on(text)
                    });
                    Outcome::count([answer.map(drop)])
                }),
            ],
        }
    }

    /// As many at once as there are prompts: here the limit is not the lesson.
    fn limit(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.prompts.len()).unwrap_or(NonZeroUsize::MIN)
    }

    /// The name of the work, by which the same attempts fail in both versions.
    fn named(&self) -> CallOptions {
        CallOptions::new().header("x-mock-item", "unreliable")
    }

    /// The guide's pauses, scaled. Without jitter, so that the versions can be compared, and with
    /// enough attempts for any seed.
    fn policy(&self) -> retry::Policy {
        retry::Policy {
            max_attempts: 50,
            base_delay: Duration::from_secs(1).mul_f64(self.scale),
            max_delay: Duration::from_secs(4).mul_f64(self.scale),
            jitter: retry::Jitter::None,
            ..retry::Policy::default()
        }
    }

    /// Wide enough for any scale: nothing is to time out here.
    fn limits(&self) -> multi_service::Limits {
        let (branch, total) = (Duration::from_secs(60), Duration::from_secs(120));
        multi_service::Limits { branch, total }
    }
}

fn answered(items: Vec<concurrent_requests::Item>) -> Outcome {
    Outcome::count(items.into_iter().map(|item| item.result.map(drop)))
}

fn told(story: Result<streaming::Story, ai_core::Error>) -> Outcome {
    let first_token = story.as_ref().ok().and_then(|story| story.pace.first_token);
    let whole = match story {
        Ok(story) => story.ending.success().map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Outcome {
        first_token,
        ..Outcome::count([whole])
    }
}

fn branches(analysis: multi_service::Analysis) -> Outcome {
    fn ended<T>(branch: &Branch<T>) -> Result<(), String> {
        match branch {
            Branch::Ok(_) => Ok(()),
            Branch::Failed(error) => Err(error.to_string()),
            Branch::TimedOut(limit) => Err(limit.to_string()),
        }
    }
    Outcome::count([
        ended(&analysis.embedding),
        ended(&analysis.sentiment),
        ended(&analysis.summary),
        ended(&analysis.entities),
    ])
}

/// Builds the clients, and lets each make one call that is not measured: it opens a connection, and
/// brings code and memory in.
fn warmed_clients(
    config: Config,
    runtime: &Runtime,
) -> Result<(SyncClient, AsyncClient), Box<dyn Error>> {
    let sync = SyncClient::new(config.clone())?;
    let awaited = AsyncClient::new(config)?;
    let at_once = CallOptions::new().header("x-mock-latency", "0ms");
    let request = ChatRequest::new(&sync.config().model, "Are you ready?");
    let warm = [
        sync.with(at_once.clone())?.chat(&request),
        runtime.block_on(awaited.with(at_once)?.chat(&request)),
    ];
    for reply in warm {
        match reply {
            // A refusal warms just as well: the server of pattern 7 refuses most.
            Ok(_) | Err(ai_core::Error::Status(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((sync, awaited))
}
