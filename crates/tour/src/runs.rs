//! Runs one pattern in each of its versions and strategies, and measures it.

use std::error::Error;
use std::time::{Duration, Instant};

use ai_core::{AsyncClient, CallOptions, ChatRequest, SyncClient};
use ai_mock::{Entry, Mock};
use demo::{Bar, fullest_window};
use serde::{Serialize, Serializer};
use tokio::runtime::Runtime;

use crate::stops::{Outcome, Pattern, Plan, Strategy};

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
    /// Where the server has a limit: how it was used.
    pub(crate) window: Option<Window>,
    /// Why the first of those that failed did.
    pub(crate) error: Option<String>,
    #[serde(skip)]
    pub(crate) bars: Vec<Bar>,
}

/// How a run used the server's rate limit, by the server's log.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Window {
    #[serde(rename = "window_ms", serialize_with = "as_milliseconds")]
    pub(crate) length: Duration,
    /// The requests that any window may have.
    pub(crate) limit: usize,
    /// The most that one had.
    pub(crate) fullest: usize,
    /// The least time in which so many requests may arrive, of the time in which they did.
    pub(crate) share_of_rate: f64,
}

impl Window {
    fn of(log: &[Entry], lab: &Lab) -> Option<Window> {
        let quota = lab.mock.settings().quota?;
        let (length, limit) = (quota.window, quota.requests? as usize);
        let arrivals = || log.iter().map(|entry| entry.arrived);
        let took = arrivals().max()? - arrivals().min()?;
        // The first `limit` may come at once, as many more a window later, and so on.
        let windows = log.len().saturating_sub(1) / limit.max(1);
        let least = length.mul_f64(windows as f64);
        Some(Window {
            length,
            limit,
            fullest: fullest_window(arrivals(), length),
            share_of_rate: least.as_secs_f64() / took.as_secs_f64(),
        })
    }
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

/// One stop of the tour: what is done there, and at which scale.
pub(crate) struct Stop {
    pub(crate) plan: Plan,
    seed: u64,
    scale: f64,
}

impl Stop {
    pub(crate) fn new(pattern: Pattern, seed: u64, scale: Option<f64>) -> Stop {
        let plan = pattern.plan(scale.is_some());
        let scale = scale.unwrap_or(plan.scene.default_scale());
        Stop { plan, seed, scale }
    }

    /// What it asks for and what its server does, in a few words.
    pub(crate) fn about(&self) -> String {
        let latency = self.plan.latency_at(self.scale);
        let scene = self.plan.scene.describe(self.scale, latency);
        match self.plan.replies.len() {
            1 => format!("1 call · {scene}"),
            calls => format!("{calls} calls · {scene}"),
        }
    }

    /// What the guide's seconds are multiplied by.
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// The time that its timelines span.
    pub(crate) fn whole(&self) -> Duration {
        self.plan.whole.mul_f64(self.scale)
    }

    /// All runs, one after another, each made when it is asked for.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Result<Run, Box<dyn Error>>> {
        let mut first_wall = None;
        self.plan.strategies.iter().map(move |strategy| {
            let lab = Lab::start(&self.plan, self.seed, self.scale)?;
            let mut run = self.measure(strategy, &lab);
            let first_wall = *first_wall.get_or_insert(run.wall);
            run.speedup = first_wall.as_secs_f64() / run.wall.as_secs_f64();
            Ok(run)
        })
    }

    fn measure(&self, strategy: &Strategy, lab: &Lab) -> Run {
        let started = Instant::now();
        let Outcome {
            ok,
            failed,
            error,
            first_token,
        } = (strategy.run)(lab);
        let wall = started.elapsed();

        // The last byte is logged before it is sent, so nothing is missing from the log now.
        let log = lab.mock.log();
        let bar = |entry: &Entry| {
            let name = (self.plan.name_of)(entry);
            Some(Bar {
                name,
                ..Bar::of(entry)?
            })
        };
        let bars: Vec<_> = log.iter().filter_map(bar).collect();
        let in_turn: Duration = self.plan.replies.iter().sum();
        let slowest = self.plan.replies.iter().max().copied().unwrap_or(in_turn);
        Run {
            pattern: self.plan.name,
            version: strategy.version,
            strategy: strategy.name,
            requests: ok + failed,
            ok,
            failed,
            attempts: bars.len(),
            wall,
            speedup: 1.0,
            ideal: match strategy.overlaps {
                true => in_turn.as_secs_f64() / slowest.as_secs_f64(),
                false => 1.0,
            },
            peak_in_flight: lab.mock.stats().peak_in_flight,
            first_token,
            window: Window::of(&log, lab),
            error,
            bars,
        }
    }
}

/// A server and clients for one run. None begins with what another has left, such as half a window
/// of a rate limit.
pub(crate) struct Lab {
    pub(crate) sync: SyncClient,
    pub(crate) awaited: AsyncClient,
    pub(crate) runtime: Runtime,
    pub(crate) scale: f64,
    mock: Mock,
}

impl Lab {
    /// Starts the server, and builds and warms the clients.
    fn start(plan: &Plan, seed: u64, scale: f64) -> Result<Lab, Box<dyn Error>> {
        let (config, mock) = plan.scene.start(seed, scale, plan.latency_at(scale))?;
        let lab = Lab {
            sync: SyncClient::new(config.clone())?,
            awaited: AsyncClient::new(config)?,
            runtime: Runtime::new()?,
            scale,
            mock,
        };
        lab.warm_up()?;
        Ok(lab)
    }

    /// Lets each client make one call that is not measured: it opens a connection, and brings code
    /// and memory in.
    fn warm_up(&self) -> Result<(), Box<dyn Error>> {
        // The calls are no part of what the limit allows, nor of what is drawn.
        let settings = self.mock.settings();
        self.mock.set(|settings| {
            settings.quota = None;
            settings.failure_rate.clear();
        });
        let at_once = CallOptions::new().header("x-mock-latency", "0ms");
        let request = ChatRequest::new(&self.sync.config().model, "Are you ready?");
        let awaited = self.awaited.with(at_once.clone())?;
        let warm = [
            self.sync.with(at_once)?.chat(&request),
            self.runtime.block_on(awaited.chat(&request)),
        ];
        for reply in warm {
            reply?;
        }
        self.mock.set(|changed| {
            changed.quota = settings.quota;
            changed.failure_rate = settings.failure_rate;
        });
        self.mock.clear_log();
        Ok(())
    }
}
