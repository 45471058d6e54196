//! What the runnable lessons share, so that a lesson's `main` is its lesson and nothing else:
//! arguments, a server to talk to, and the way results and failures are shown.
//!
//! Results go to standard output, everything about them to standard error. Exit code 0 is success,
//! 1 failure, 2 a mistake in how the program was called, 130 that the user stopped it.

mod scene;
mod timeline;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use ai_core::{CallOptions, Config};
use ai_mock::{Latency, Mock};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde::Serialize;

pub use scene::{SERVICES, Scene, Stage, failures, hostile};
pub use timeline::{Bar, timeline, window_lines};

/// What a lesson's body answers. An error is shown as one line, and the exit code is 1.
pub type Outcome = Result<(), Box<dyn Error>>;

/// Runs one pattern, offline unless --live is given
#[derive(Debug, Parser)]
struct Arguments {
    /// What to ask. Without it: what is piped in, else the lesson's own words
    prompt: Vec<String>,
    /// Talk to a real service: OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL. It may cost money
    #[arg(long)]
    live: bool,
    /// The model to ask
    #[arg(long)]
    model: Option<String>,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
    /// How long the offline server takes: 300ms, 100ms..300ms or lognormal:50ms,400ms
    #[arg(long, conflicts_with = "live")]
    latency: Option<Latency>,
    /// How long a minute of the offline server's rate limit takes, for lessons that have one [default: 1.5s]
    #[arg(long, value_parser = ai_mock::parse::window, conflicts_with = "live")]
    window: Option<Duration>,
    /// Where answers are kept, for lessons with a cache: memory, disk[:FILE] or redis://HOST [default: memory]
    #[arg(long)]
    cache: Option<String>,
    /// How long they are kept [default: 60m]
    #[arg(long, value_parser = ttl)]
    ttl: Option<Duration>,
    /// Choose the offline answers: the same seed gives the same ones each time
    #[arg(long, default_value_t = 7, conflicts_with = "live")]
    seed: u64,
    /// Print the true schedule of the pauses and end, for lessons that have one
    #[arg(long, conflicts_with_all = ["prompt", "live", "json"])]
    schedule: bool,
}

/// Runs a lesson that blocks: reads the arguments, starts the server, calls `lesson`.
pub fn run(stage: impl Into<Stage>, lesson: impl FnOnce(&Session) -> Outcome) -> ExitCode {
    match Session::start(stage.into()) {
        Ok(session) => exit_code(lesson(&session)),
        Err(code) => code,
    }
}

/// Runs a lesson that awaits.
pub async fn run_async(
    stage: impl Into<Stage>,
    lesson: impl AsyncFnOnce(&Session) -> Outcome,
) -> ExitCode {
    match Session::start(stage.into()) {
        Ok(session) => exit_code(lesson(&session).await),
        Err(code) => code,
    }
}

/// One run of one lesson.
#[derive(Debug)]
pub struct Session {
    /// Where to call, and how.
    pub config: Config,
    /// Whether the result is wanted as JSON.
    pub json: bool,
    /// How long the window of the rate limit is.
    pub window: Duration,
    /// How long a cache keeps answers, where that was told.
    pub ttl: Option<Duration>,
    cache: String,
    words: Vec<String>,
    /// The offline server; it stops when the session is dropped.
    mock: Option<Mock>,
}

impl Session {
    /// Reads the arguments and starts the server; or gives the exit code, where that is all.
    fn start(Stage { scene, schedule }: Stage) -> Result<Session, ExitCode> {
        let arguments = Arguments::parse();
        if arguments.window.is_some() && scene != Scene::Quota {
            let why = "--window is for lessons with a rate limit";
            misused(ErrorKind::ArgumentConflict, why);
        }
        if (arguments.cache.is_some() || arguments.ttl.is_some()) && scene != Scene::Cached {
            let why = "--cache and --ttl are for lessons with a cache";
            misused(ErrorKind::ArgumentConflict, why);
        }
        if arguments.schedule {
            let why = "--schedule is for lessons with a schedule of pauses";
            let table = schedule.unwrap_or_else(|| misused(ErrorKind::ArgumentConflict, why));
            let printed = io::stdout().write_all(table().as_bytes());
            return Err(exit_code(printed.map_err(Into::into)));
        }
        let scale = match arguments.window {
            Some(window) => Scene::scale_for(window),
            None if arguments.live => 1.0,
            None => scene.default_scale(),
        };
        show_spans();
        let (mut config, mock) = if arguments.live {
            (live_config()?, None)
        } else {
            let started = scene.start(arguments.seed, scale, arguments.latency);
            let (config, mock) = started.map_err(|e| fail(&e))?;
            (config, Some(mock))
        };
        config.model = arguments.model.unwrap_or(config.model);
        match &mock {
            Some(mock) => {
                let about = scene.describe(scale, arguments.latency);
                let (address, seed) = (mock.addr(), arguments.seed);
                note(format_args!(
                    "server: offline mock on {address} (seed {seed}, {about})"
                ));
            }
            None => note(format_args!(
                "server: {}, model {} (live: it may be billed)",
                config.base_url(),
                config.model
            )),
        }
        let words = match arguments.prompt {
            words if words.is_empty() => piped_lines().map_err(|e| fail(&e))?,
            words => words,
        };
        Ok(Session {
            config,
            json: arguments.json,
            window: scene.window(scale),
            cache: arguments.cache.unwrap_or_else(|| "memory".to_owned()),
            ttl: arguments.ttl,
            words,
            mock,
        })
    }

    /// Where a cache keeps its answers: in memory, unless told otherwise. What can't be read as a
    /// place ends the program, as all mistakes in its arguments do.
    pub fn cache<P: FromStr<Err: Display>>(&self) -> P {
        let misused = |why| misused(ErrorKind::ValueValidation, &format!("--cache: {why}"));
        self.cache.parse().unwrap_or_else(misused)
    }

    /// What to ask: the words on the command line or piped in, else `default`.
    pub fn prompt(&self, default: &str) -> String {
        if self.words.is_empty() {
            default.to_owned()
        } else {
            self.words.join(" ")
        }
    }

    /// What to ask, several times: one prompt an argument, or one a line piped in, else `default`.
    pub fn prompts(&self, default: &[&str]) -> Vec<String> {
        if self.words.is_empty() {
            default.iter().map(|&prompt| prompt.to_owned()).collect()
        } else {
            self.words.clone()
        }
    }

    /// Prints a result to standard output: for people, or as one line of JSON.
    ///
    /// # Errors
    /// Those of writing to it.
    pub fn show(&self, result: &(impl Display + Serialize)) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(result)?)
        } else {
            writeln!(out, "{result}")
        }
    }

    /// Where a result is shown piece by piece: standard output, or nowhere if it is wanted as JSON.
    pub fn out(&self) -> Box<dyn Write> {
        match self.json {
            true => Box::new(io::sink()),
            false => Box::new(io::stdout()),
        }
    }

    /// Ends what was shown piece by piece: ends its line, or shows all of it as JSON.
    ///
    /// # Errors
    /// Those of writing to standard output.
    pub fn close(&self, result: &impl Serialize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", serde_json::to_string(result)?),
            false => writeln!(out),
        }
    }

    /// Names a piece of work to the offline server, so that its same attempts fail each time. With
    /// `--live` these are no options: real services are not sent what only the mock knows.
    pub fn named(&self, work: &str) -> CallOptions {
        match self.mock {
            Some(_) => CallOptions::new().header("x-mock-item", work),
            None => CallOptions::new(),
        }
    }

    /// A name for the service that is the same in the next run, as a cache wants it: the offline server
    /// has another port each time, and gives the same answers for the same seed.
    pub fn service(&self) -> String {
        match &self.mock {
            Some(mock) => format!("offline mock, seed {}", mock.settings().seed),
            None => self.config.base_url().to_owned(),
        }
    }

    /// The offline server, for lessons that look into its log; `None` with `--live`.
    pub fn mock(&self) -> Option<&Mock> {
        self.mock.as_ref()
    }
}

/// Prints a line about the run to standard error, if anybody reads that.
///
/// Not `eprintln!`: it panics once nobody does (`2>&1 | head -1`), and what is under way would be
/// lost. In one piece, so that lines of several threads don't mix.
pub fn note(line: impl Display) {
    // There is nobody left to tell that nobody is left.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The most requests in any window of this length. Of what a server's log says, this is the truth
/// about a limiter: its own count may be wrong in the same way as its decisions.
pub fn fullest_window(arrivals: impl IntoIterator<Item = Duration>, length: Duration) -> usize {
    let mut arrivals: Vec<_> = arrivals.into_iter().collect();
    arrivals.sort_unstable();
    // Half open: what arrives exactly one window later is in the next.
    let from = |first: usize| {
        let end = arrivals[first] + length;
        arrivals.partition_point(|arrival| *arrival < end) - first
    };
    (0..arrivals.len()).map(from).max().unwrap_or(0)
}

/// Reads how long a cache keeps answers.
fn ttl(text: &str) -> Result<Duration, String> {
    match ai_mock::parse::duration(text)? {
        Duration::ZERO => Err("answers are kept for longer than 0: write 30s or 60m".to_owned()),
        ttl => Ok(ttl),
    }
}

/// The real service's settings. A key that is missing is a mistake in calling the program; a key or
/// a URL that is no good is a failure.
///
/// # Errors
/// The exit code, when it has been said why.
pub fn live_config() -> Result<Config, ExitCode> {
    Config::from_env().map_err(|error| {
        let code = fail(&error);
        let has_key = std::env::var("OPENAI_API_KEY").is_ok_and(|key| !key.trim().is_empty());
        if has_key { code } else { ExitCode::from(2) }
    })
}

/// The lines piped in. A terminal is never waited for: whoever sits there does not know that.
fn piped_lines() -> io::Result<Vec<String>> {
    let mut text = String::new();
    if !io::stdin().is_terminal() {
        io::stdin().read_to_string(&mut text)?;
    }
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Ends the program as clap does when it finds a mistake in the arguments by itself.
fn misused(kind: ErrorKind, why: &str) -> ! {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default();
    // Without its name the usage would be that of this library.
    let mut command = Arguments::command().bin_name(program.to_string_lossy().into_owned());
    command.error(kind, why).exit()
}

fn exit_code(outcome: Outcome) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        // `| head` has seen enough: that is no failure of ours.
        Some(io::ErrorKind::BrokenPipe) => ExitCode::SUCCESS,
        // 128 + SIGINT, as a shell reports of every program that Ctrl-C ended. A loop in a script
        // sees by it that it shall end, too.
        Some(io::ErrorKind::Interrupted) => ExitCode::from(130),
        _ => fail(&*error),
    }
}

/// Says what went wrong, in one line.
pub fn fail(error: &dyn Error) -> ExitCode {
    note(format_args!("error: {error}"));
    ExitCode::FAILURE
}

/// With `RUST_LOG=info` each call shows its span, on standard error.
pub fn show_spans() {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::prelude::*;

    let Ok(text) = std::env::var("RUST_LOG") else {
        return;
    };
    // `Targets` understands `info` and `ai_core=debug,hyper=off`. `EnvFilter` understands more, and
    // costs every reader the build of a regex engine.
    match text.parse::<Targets>() {
        Ok(filter) => {
            let lines = tracing_subscriber::fmt::layer()
                .with_writer(io::stderr)
                // It would report a failed write with `eprintln!`: see `note`.
                .log_internal_errors(false)
                .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
            tracing_subscriber::registry()
                .with(lines.with_filter(filter))
                .init();
        }
        Err(error) => note(format_args!("RUST_LOG={text:?} is not understood: {error}")),
    }
}
