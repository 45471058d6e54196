//! `cargo run --bin pitfall -- 10`: runs both halves of a pair, and shows what each of them did.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::RangedU64ValueParser;

use pitfalls::PITFALLS;

/// Runs a common mistake beside its cure, offline, and shows what each of them did
#[derive(Debug, Parser)]
#[command(name = "pitfall", arg_required_else_help = true)]
struct Arguments {
    /// Which pitfall to run
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=PITFALLS.len() as u64))]
    number: Option<usize>,
    /// List all of them
    #[arg(long, conflicts_with = "number")]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let shown = match arguments.number {
        Some(number) => run(number),
        None => list(),
    };
    match shown {
        // `| head` has seen enough: that is no failure of ours.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => demo::fail(&error),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for pitfall in PITFALLS {
        writeln!(out, "{:2}  {}", pitfall.number, pitfall.title)?;
    }
    Ok(())
}

fn run(number: usize) -> io::Result<()> {
    let pitfall = &PITFALLS[number - 1];
    let mut out = io::stdout().lock();
    writeln!(out, "{}. {}\n", pitfall.number, pitfall.title)?;
    // Some pairs take seconds, and whoever waits should know for what.
    out.flush()?;
    writeln!(out, "{}\n\n{}", pitfall.run(), pitfall.lesson)
}
