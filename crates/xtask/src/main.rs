//! `cargo xtask <command>`: see `cargo xtask --help`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::speedups::Options;
use xtask::warn;
use xtask::workspace::Workspace;

/// The chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Runs every test, with a Redis server of its own (installed where it is missing)
    Test,
    /// Does all that CI does: tests, formatting, clippy, peers, exercises, docs, tidy, SDKs, the limit
    Ci,
    /// Measures the twins and the reading paths, and checks the rules of the house
    Tidy,
    /// Runs OpenAI's own SDKs, unmodified, against ai-mock
    Sdk {
        /// Takes the newest SDKs instead of the pinned ones
        #[arg(long)]
        latest: bool,
    },
    /// Measures the quick set of benches; writes docs/results.json, its tables and its charts
    Speedups(Options),
    /// Whether this machine is ready for the workshop, without a network
    Doctor,
    /// Checks the book and builds it in docs/book (installs mdbook where it is missing)
    Book,
    /// Tests the chat page in a Chromium (installed where it is missing)
    Page,
    /// Checks that every exercise is red as it comes, and green with its solution
    Exercises,
    /// Measures a cold build of the tour in relation to that of an empty package with reqwest
    BuildBudget {
        /// How often both are built; the median counts
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        pairs: u32,
    },
}

fn main() -> ExitCode {
    // Without a command, or with an unknown one, clap prints the usage on stderr and exits 2.
    let chore = Arguments::parse().chore;
    let result = Workspace::find().and_then(|workspace| match chore {
        Chore::Test => xtask::test::run(&workspace),
        Chore::Ci => xtask::ci::run(&workspace),
        Chore::Tidy => xtask::tidy::run(&workspace),
        Chore::Sdk { latest } => xtask::sdk::run(&workspace, latest),
        Chore::Doctor => xtask::doctor::run(&workspace),
        Chore::Book => xtask::book::run(&workspace),
        Chore::Page => xtask::page::run(&workspace),
        Chore::Exercises => xtask::exercises::run(&workspace),
        Chore::BuildBudget { pairs } => xtask::build_budget::run(&workspace, pairs),
        Chore::Speedups(options) => xtask::speedups::run(&workspace, &options),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
