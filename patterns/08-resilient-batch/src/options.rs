//! What the user asks for on the command line.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ai_mock::parse;
use caching::{Place, TTL};
use clap::Parser;
use rate_limited_batch::{BATCH_SIZE, Limits, MAX_TOKENS, REQUESTS_PER_MINUTE};
use retry::Policy;

use crate::breakers;

/// Answers a file of requests, one a line, and survives what happens meanwhile. Offline unless
/// --live is given
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// The requests: {"prompt": "..."} or lines of OpenAI's Batch API; - is stdin [default: what is
    /// piped in, or else the lesson's own 200 lines]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Where the answers go, one a line; - is stdout
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Go on with an output: what it has is not asked again
    #[arg(long)]
    pub resume: bool,
    /// With --resume: ask every line again that failed, whatever the reason
    #[arg(long, requires = "resume")]
    pub retry_failed: bool,
    /// Write the answers in the order of the input, not as they come. With --resume, those that are
    /// missing come last
    #[arg(long)]
    pub ordered: bool,
    /// The most requests in any minute
    #[arg(long, value_name = "N", default_value_t = NonZeroU32::new(REQUESTS_PER_MINUTE).expect("60 is not 0"))]
    pub rpm: NonZeroU32,
    /// The most tokens in any minute. A request reserves its bytes and its longest answer [default: no
    /// limit]
    #[arg(long, value_name = "N")]
    pub tpm: Option<NonZeroU32>,
    /// How long the offline server's minute takes
    #[arg(long, value_name = "TIME", default_value = "1.5s", value_parser = parse::window, conflicts_with = "live")]
    pub window: Duration,
    /// The most requests under way at one time
    #[arg(long, value_name = "N", default_value_t = BATCH_SIZE)]
    pub concurrency: NonZeroUsize,
    /// Where answers are kept, so that none is paid for twice: memory, disk, disk:FILE or redis://HOST
    #[arg(long, value_name = "PLACE", default_value = "memory", value_parser = Place::from_str)]
    pub cache: Place,
    /// How long they are kept [default: 60m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub ttl: Option<Duration>,
    /// The most attempts for each model, the first one included
    #[arg(long, value_name = "N", default_value_t = NonZeroU32::new(3).expect("3 is not 0"))]
    pub max_attempts: NonZeroU32,
    /// The model to ask when another one is given up on
    #[arg(long, value_name = "MODEL")]
    pub fallback_model: Option<String>,
    /// The most time for one line, waiting included [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub deadline: Option<Duration>,
    /// Ask once more beside a call that has no answer for this long, and take the first answer [default:
    /// never]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub hedge: Option<Duration>,
    /// The model of lines that name none
    #[arg(long)]
    pub model: Option<String>,
    /// The longest answer to a bare prompt, in tokens
    #[arg(long, value_name = "N", default_value_t = NonZeroU32::new(MAX_TOKENS).expect("512 is not 0"))]
    pub max_tokens: NonZeroU32,
    /// Talk to a real service: OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL. It may cost money
    #[arg(long)]
    pub live: bool,
    /// Choose the offline answers and faults: the same seed gives the same ones each time
    #[arg(long, default_value_t = 7, conflicts_with = "live")]
    pub seed: u64,
}

/// More than nothing: a limit of no time at all is a mistake.
fn time(text: &str) -> Result<Duration, String> {
    let time = parse::duration(text)?;
    match time.is_zero() {
        true => Err("it must be longer than 0".to_owned()),
        false => Ok(time),
    }
}

const MINUTE: Duration = Duration::from_secs(60);

impl Options {
    /// The file of the answers, if it is not stdout.
    pub fn output_file(&self) -> Option<&Path> {
        Some(&*self.output).filter(|path| *path != Path::new("-"))
    }

    /// How long the minute of the limit takes.
    pub fn window(&self) -> Duration {
        if self.live { MINUTE } else { self.window }
    }

    /// The limits the server is said to have.
    pub fn limits(&self) -> Limits {
        Limits {
            tokens: self.tpm.map(|tokens| u64::from(tokens.get())),
            concurrency: self.concurrency,
            ..Limits::new(self.rpm.get(), self.window())
        }
    }

    /// How many jobs are looked after at one time: those under way, and as many that wait for their
    /// turn or between two attempts, so that there is always one that can go.
    pub fn jobs_at_once(&self) -> usize {
        self.concurrency.get().saturating_mul(2).saturating_add(8)
    }

    /// When to try again. Pauses are scaled as the minute is.
    pub fn policy(&self) -> Policy {
        let policy = Policy::default();
        Policy {
            max_attempts: self.max_attempts.get(),
            base_delay: self.scaled(policy.base_delay),
            max_delay: self.scaled(policy.max_delay),
            ..policy
        }
    }

    /// When to stop asking a model that fails.
    pub fn breaker(&self) -> breakers::Rules {
        let rules = breakers::Rules::default();
        breakers::Rules {
            cool_down: self.scaled(rules.cool_down),
            ..rules
        }
    }

    /// How long answers are kept.
    pub fn ttl(&self) -> Duration {
        self.ttl.unwrap_or(TTL)
    }

    fn scaled(&self, time: Duration) -> Duration {
        time.mul_f64(self.window().div_duration_f64(MINUTE))
    }
}
