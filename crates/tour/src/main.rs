//! `cargo tour`: all patterns, both versions, side by side, offline.
//!
//! The requests are real ones, over real sockets, to a server in this process. What is drawn comes
//! from that server's log.

mod runs;
mod show;
mod stops;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use demo::note;
use stops::Pattern;

/// Runs the patterns in each version and strategy, and compares them.
#[derive(Debug, Parser)]
#[command(name = "cargo tour", bin_name = "cargo tour")]
struct Arguments {
    /// Which patterns to run; all of them where none is named
    pattern: Vec<Pattern>,
    /// Multiply the guide's own seconds by this: 1 is for a projector. Pattern 2 then asks the guide's
    /// three prompts instead of ten
    #[arg(long, value_parser = positive)]
    scale: Option<f64>,
    /// Print one JSON object a line, for programs
    #[arg(long)]
    json: bool,
    /// Choose the offline answers: the same seed gives the same ones each time
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale <= 10.0 => Ok(scale),
        _ => Err("it must be a number above 0 and up to 10, such as 0.1 or 1".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match tour(&arguments) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(error)) => {
            note(format_args!(
                "error: some requests failed, the first of them with: {error}"
            ));
            ExitCode::FAILURE
        }
        // `| head` has seen enough: that is no failure of ours.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Answers why the first request that failed did, if any has.
fn tour(arguments: &Arguments) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let patterns = match arguments.pattern.as_slice() {
        [] => Pattern::value_variants(),
        named => named,
    };
    // Not its address: each run has a server of its own, which is gone when that is over.
    note(format_args!(
        "server: offline mock on 127.0.0.1 (seed {})",
        arguments.seed
    ));
    let started = Instant::now();
    let mut out = anstream::stdout().lock();
    let mut all = Vec::new();
    for pattern in patterns {
        let stop = runs::Stop::new(*pattern, arguments.seed, arguments.scale);
        if !arguments.json {
            show::heading(&mut out, &stop)?;
        }
        for run in stop.runs() {
            let run = run?;
            match arguments.json {
                true => writeln!(out, "{}", serde_json::to_string(&run)?)?,
                false => show::run(&mut out, &run, stop.whole())?,
            }
            out.flush()?;
            all.push(run);
        }
    }
    if !arguments.json {
        show::table(&mut out, &all)?;
        if arguments.pattern.is_empty() {
            show::whole_tour(&mut out, started.elapsed())?;
        }
    }
    Ok(all.into_iter().find_map(|run| run.error))
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
