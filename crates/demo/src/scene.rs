//! What the offline server does for each lesson: the guide's own seconds, scaled where one would
//! grow old waiting.

use std::io;
use std::time::Duration;

use ai_core::Config;
use ai_mock::{Builder, Failure, Latency, Mock, Quota, Service};

/// How the offline server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Every reply takes the guide's 3 s; at a tenth, unless told otherwise.
    Replies,
    /// As `Replies`, for lessons that keep the replies.
    Cached,
    /// A stream's first token takes 3 s, then 4 come a second; at a tenth, unless told otherwise,
    /// which is a little faster than one reads.
    Story,
    /// The guide's four services with its own times: embedding 0.5 s, sentiment 0.3 s, summary
    /// 0.7 s, entities 0.4 s; not scaled, unless told otherwise.
    Services,
    /// 70 % of all attempts fail with 503, as in the guide. A reply, good or bad, takes 0.5 s; at a
    /// tenth, unless told otherwise.
    Unreliable,
    /// The guide's limit: 60 requests in any minute, and its 3 s a reply; the minute takes 1.5 s,
    /// unless told otherwise.
    Quota,
    /// The same limit, and all that may happen besides: see [`hostile`].
    Hostile,
}

/// A scene, and what `--schedule` prints where the lesson has a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    pub(crate) scene: Scene,
    pub(crate) schedule: Option<fn() -> String>,
}

impl From<Scene> for Stage {
    fn from(scene: Scene) -> Stage {
        Stage {
            scene,
            schedule: None,
        }
    }
}

/// What the guide says a reply takes.
const REPLY: Duration = Duration::from_secs(3);

/// What the guide lets through in a minute, which is scaled with all else.
const QUOTA: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// What the guide says of an unreliable service, and how long its replies take.
const FAILURE_RATE: f64 = 0.7;
const UNRELIABLE_REPLY: Duration = Duration::from_millis(500);

/// How often a hostile server fails, and how.
const FAILURES: [(f64, Failure); 2] = [(0.10, Failure::Status(500)), (0.05, Failure::Reset)];

/// How long it takes: half of its replies are there by the first, all but one in a hundred by the
/// second.
const HOSTILE_REPLY: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(16)];

/// How fast a story is told once it has begun.
const TOKENS_PER_SECOND: f64 = 4.0;

/// What the guide says each of the four services takes.
pub const SERVICES: [(Service, Duration); 4] = [
    (Service::Embedding, Duration::from_millis(500)),
    (Service::Sentiment, Duration::from_millis(300)),
    (Service::Summary, Duration::from_millis(700)),
    (Service::Entities, Duration::from_millis(400)),
];

impl Scene {
    /// How fast the guide's seconds pass unless told otherwise: 0.1 is a tenth.
    pub fn default_scale(self) -> f64 {
        match self {
            Scene::Replies | Scene::Cached | Scene::Story | Scene::Unreliable => 0.1,
            Scene::Services => 1.0,
            Scene::Quota | Scene::Hostile => 0.025,
        }
    }

    /// This scene, for a lesson that has a schedule: `--schedule` prints it, and starts no server.
    pub fn or_schedule(self, schedule: fn() -> String) -> Stage {
        Stage {
            scene: self,
            schedule: Some(schedule),
        }
    }

    /// How long the guide's minute takes.
    pub fn window(self, scale: f64) -> Duration {
        MINUTE.mul_f64(scale)
    }

    /// The scale at which the guide's minute takes so long.
    pub fn scale_for(window: Duration) -> f64 {
        window.div_duration_f64(MINUTE)
    }

    /// Starts the server with the guide's seconds times `scale`, and makes the settings to call it.
    /// A `latency` given by hand holds for everything.
    ///
    /// # Errors
    /// Those of binding a port on 127.0.0.1.
    pub fn start(
        self,
        seed: u64,
        scale: f64,
        latency: Option<Latency>,
    ) -> io::Result<(Config, Mock)> {
        let scaled = |time: Duration| Latency::Fixed(time.mul_f64(scale));
        let quota = Quota {
            requests: Some(QUOTA),
            tokens: None,
            window: self.window(scale),
        };
        let mut mock = Mock::builder().seed(seed);
        mock = match self {
            Scene::Replies | Scene::Cached => mock.latency(scaled(REPLY)),
            Scene::Story => mock
                .first_token(scaled(REPLY))
                .tokens_per_second(TOKENS_PER_SECOND / scale),
            Scene::Services => mock,
            Scene::Quota => mock.latency(scaled(REPLY)).quota(quota),
            Scene::Hostile => hostile(mock, scale).quota(quota),
            Scene::Unreliable => mock
                .latency(scaled(UNRELIABLE_REPLY))
                .failure_rate(FAILURE_RATE, Failure::Status(503)),
        };
        for (service, time) in SERVICES {
            let own = (self == Scene::Services).then(|| scaled(time));
            if let Some(latency) = latency.or(own) {
                mock = mock.service_latency(service, latency);
            }
        }
        if let Some(latency) = latency {
            mock = mock.latency(latency).first_token(latency);
        }
        let mock = mock.start()?;
        let config = Config::new(&mock.base_url(), "offline").map_err(io::Error::other)?;
        Ok((config, mock))
    }

    /// What `start` with the same arguments makes, in a few words.
    pub fn describe(self, scale: f64, latency: Option<Latency>) -> String {
        let scaled = match scale {
            1.0 => String::new(),
            0.1 => " at a tenth".to_owned(),
            scale => format!(" times {scale}"),
        };
        match (latency, self) {
            (_, Scene::Quota) => {
                let reply = latency.map_or(spoken(REPLY.mul_f64(scale)), |time| time.to_string());
                let window = spoken(self.window(scale));
                format!("{QUOTA} requests in any {window}, {reply} a reply")
            }
            (_, Scene::Hostile) => {
                let window = spoken(self.window(scale));
                format!("{QUOTA} in any {window}, {}", failures())
            }
            (Some(latency), _) => format!("{latency} a reply"),
            (None, Scene::Replies | Scene::Cached) => {
                let reply = spoken(REPLY.mul_f64(scale));
                format!("{reply} a reply: the guide's 3 s{scaled}")
            }
            (None, Scene::Story) => {
                let (first, pace) = (spoken(REPLY.mul_f64(scale)), TOKENS_PER_SECOND / scale);
                format!("first token after {first}, then {pace} a second")
            }
            (None, Scene::Unreliable) => format!(
                "{} a reply, {:.0} % of attempts fail",
                spoken(UNRELIABLE_REPLY.mul_f64(scale)),
                100.0 * FAILURE_RATE
            ),
            (None, Scene::Services) => format!("the guide's 0.5, 0.3, 0.7 and 0.4 s{scaled}"),
        }
    }
}

/// Makes a server hostile: one call in ten fails, one in twenty breaks off, and of its replies one in a
/// hundred takes eight times as long as most do. The limit is the caller's.
pub fn hostile(mock: Builder, scale: f64) -> Builder {
    let [p50, p99] = HOSTILE_REPLY.map(|time| time.mul_f64(scale));
    let mock = mock.latency(Latency::LogNormal { p50, p99 });
    FAILURES.into_iter().fold(mock, |mock, (rate, failure)| {
        mock.failure_rate(rate, failure)
    })
}

/// How often a hostile server fails, for people: `10 % 500s, 5 % resets`.
pub fn failures() -> String {
    let spoken = FAILURES.map(|(rate, failure)| format!("{:.0} % {failure}s", 100.0 * rate));
    spoken.join(", ")
}

/// A time as people write it: 300 ms, 3 s.
fn spoken(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{} s", time.as_secs_f64())
    }
}
