//! `cargo xtask ci`: all that CI does, in parts that one can run by hand.
//!
//! Every part runs, also after one has failed: who waited for the first wants to know of the rest.

use std::io::{IsTerminal, stdin};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::workspace::Workspace;
use crate::{Result, cargo, say, shown, spoken, table, warn};

/// A part of CI.
struct Part {
    name: &'static str,
    /// Its budget, on two cores and a cold build. Generous: it catches what hangs or has grown
    /// beyond reason, not what is slow today.
    minutes: u64,
    /// What cargo is told.
    arguments: &'static [&'static str],
}

/// In this order, because a reader's first question is whether the tests pass.
#[rustfmt::skip] // A row each, as in the summary.
const PARTS: [Part; 12] = [
    Part { name: "test", minutes: 12, arguments: &["xtask", "test"] },
    Part { name: "fmt", minutes: 1, arguments: &["fmt", "--all", "--check"] },
    Part { name: "clippy", minutes: 5, arguments: &["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"] },
    Part { name: "peers-fmt", minutes: 1, arguments: &["fmt", "--manifest-path", "benches/peers/Cargo.toml", "--check"] },
    // In the same target folder: most of what it needs has been built by then.
    Part { name: "peers", minutes: 4, arguments: &["clippy", "--manifest-path", "benches/peers/Cargo.toml", "--target-dir", "target", "--all-targets", "--locked", "--", "-D", "warnings"] },
    Part { name: "exercises", minutes: 4, arguments: &["xtask", "exercises"] },
    Part { name: "doc", minutes: 2, arguments: &["doc", "--workspace", "--no-deps", "--locked", "--config", "build.rustdocflags=['-Dwarnings']"] },
    Part { name: "tidy", minutes: 1, arguments: &["xtask", "tidy"] },
    Part { name: "sdk", minutes: 3, arguments: &["xtask", "sdk"] },
    Part { name: "page", minutes: 3, arguments: &["xtask", "page"] },
    // No default member, so no part of the first.
    Part { name: "benches", minutes: 2, arguments: &["test", "-p", "benches", "--lib", "--locked"] },
    Part { name: "limit", minutes: 2, arguments: &["run", "-p", "benches", "--bin", "rate-limit", "--locked", "--", "--short", "--check"] },
];

/// How a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// It passed or was ended by us, but took longer than its budget.
    Overran,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "ok",
            Outcome::Failed => "failed",
            Outcome::Overran => "overran its budget",
        }
    }
}

/// Runs all parts and prints a summary.
///
/// # Errors
/// When a part fails or overruns its budget; the error names it.
pub fn run(workspace: &Workspace) -> Result {
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for part in &PARTS {
        let mut command = cargo();
        command.args(part.arguments);
        warn(format_args!(
            "\n== {}: {} (budget {} min)",
            part.name,
            shown(&command),
            part.minutes
        ));
        let budget = Duration::from_secs(part.minutes * 60);
        let (outcome, time) = timed(command.current_dir(&workspace.root), budget)?;
        warn(format_args!(
            "== {}: {} in {}",
            part.name,
            outcome.word(),
            spoken(time)
        ));
        rows.push(vec![
            part.name.into(),
            outcome.word().into(),
            spoken(time),
            format!("{} min", part.minutes),
        ]);
        if outcome != Outcome::Passed {
            failed.push(format!("{} {}", part.name, outcome.word()));
        }
    }
    let summary = table::render(&["part", "result", "time", "budget"], rows);
    say(format_args!("\n{summary}"));
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("ci: {}", failed.join(", ")).into())
}

/// Runs a command and says how it ended and how long it took.
fn timed(command: &mut Command, budget: Duration) -> Result<(Outcome, Duration)> {
    // At a terminal a person decides how long to wait, and Ctrl-C must reach what they started; so
    // only where nobody watches does the part get a process group of its own, to be ended with all
    // that it has started.
    let watched = stdin().is_terminal();
    #[cfg(unix)]
    if !watched {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }
    let start = Instant::now();
    let mut child = command.spawn()?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if !watched && start.elapsed() > budget {
            end(&mut child)?;
        }
        sleep(Duration::from_millis(20));
    };
    let time = start.elapsed();
    let outcome = match status.success() {
        _ if time > budget => Outcome::Overran,
        true => Outcome::Passed,
        false => Outcome::Failed,
    };
    Ok((outcome, time))
}

/// Ends a child that leads a process group, and the group with it: cargo alone would leave the
/// test that hangs behind, and CI would wait for its output.
fn end(child: &mut Child) -> Result {
    if cfg!(unix) {
        // The shell's own `kill`: small images have no program of that name.
        let kill = format!("kill -KILL -{}", child.id());
        Command::new("sh").args(["-c", &kill]).status()?;
    }
    child.kill()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn the_budgets_add_up_to_forty_minutes_at_most() {
        assert!(PARTS.iter().map(|part| part.minutes).sum::<u64>() <= 40);
    }

    #[cfg(unix)]
    #[test]
    fn what_an_overrunning_part_has_started_ends_with_it() {
        use std::io::Read;
        use std::os::unix::process::CommandExt;

        // The grandchild holds the pipe open, so it is at its end only when both are gone.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo started; wait"]);
        let mut child = command
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("sh is here");
        let mut stdout = child.stdout.take().expect("it is piped");
        let mut line = [0; 8];
        stdout
            .read_exact(&mut line)
            .expect("it says that it has started");
        end(&mut child).expect("it runs");
        stdout.read_to_end(&mut Vec::new()).expect("the pipe ends");
        assert!(!child.wait().expect("it is ours").success());
    }

    fn outcome(argument: &str, budget: Duration) -> Outcome {
        let mut command = cargo();
        command
            .arg(argument)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        timed(&mut command, budget).expect("cargo starts").0
    }

    #[test]
    fn a_part_that_fails_and_one_that_passes_are_told_apart() {
        let budget = Duration::from_secs(600);
        assert_eq!(outcome("--version", budget), Outcome::Passed);
        assert_eq!(outcome("no-such-command", budget), Outcome::Failed);
    }

    #[test]
    fn a_part_over_its_budget_fails_though_it_passed() {
        assert_eq!(outcome("--version", Duration::ZERO), Outcome::Overran);
    }
}
