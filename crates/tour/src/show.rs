//! What people see: a timeline for each run, and one table at the end.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};

use crate::runs::{Run, Stop};

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const SYNC: Style = AnsiColor::Yellow.on_default();
const ASYNC: Style = AnsiColor::Cyan.on_default();

/// The name of a run takes this many columns, what it took comes behind its timeline.
const LABEL: usize = 18;
const FIGURES: usize = 24;

pub(crate) fn heading(out: &mut impl Write, stop: &Stop) -> io::Result<()> {
    let (number, name) = (stop.pattern.number(), stop.pattern.name());
    writeln!(out, "\n{BOLD}{number} {name}{BOLD:#} · {}", stop.about())
}

pub(crate) fn run(out: &mut impl Write, run: &Run, whole: Duration) -> io::Result<()> {
    let width = columns().saturating_sub(LABEL + FIGURES).clamp(10, 60);
    let color = if run.version == "sync" { SYNC } else { ASYNC };
    let mut lines = demo::timeline(&run.bars, whole, width).into_iter();
    let first = lines.next().unwrap_or_default();
    let figures = match run.first_token {
        Some(first) => format!(
            "{:.2} s, first {:.2} s",
            run.wall.as_secs_f64(),
            first.as_secs_f64()
        ),
        None if run.ideal > 1.0 => format!("{:.2} s  {:.1}x", run.wall.as_secs_f64(), run.speedup),
        None => format!("{:.2} s", run.wall.as_secs_f64()),
    };
    writeln!(
        out,
        "  {:<16}{color}{first}{color:#}  {figures}",
        label(run)
    )?;
    for line in lines {
        writeln!(out, "  {:<16}{color}{line}{color:#}", "")?;
    }
    Ok(())
}

/// One table of all runs. It fits in 80 columns, as the terminals of most projectors have them.
pub(crate) fn table(out: &mut impl Write, runs: &[Run]) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "pattern", "version", "ok", "wall", "speed-up", "ideal", "of ideal", "peak",
    ]);
    let mut last = "";
    for run in runs {
        let pattern = if run.pattern == last { "" } else { run.pattern };
        last = run.pattern;
        table.add_row([
            pattern.to_owned(),
            label(run),
            format!("{}/{}", run.ok, run.requests),
            format!("{:.3} s", run.wall.as_secs_f64()),
            format!("{:.2}x", run.speedup),
            format!("{:.2}x", run.ideal),
            format!("{:.1} %", 100.0 * run.speedup / run.ideal),
            run.peak_in_flight.to_string(),
        ]);
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((u16::from(place > 0), 0));
        if place > 1 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(out, "\n{table}")?;
    writeln!(
        out,
        "{DIM}speed-up: against the pattern's first run. peak: the most requests the server\n\
         had at one time.{DIM:#}"
    )?;
    if runs.iter().any(|run| run.strategy == "threads") {
        writeln!(
            out,
            "{DIM}Threads and async are level here: what async adds is memory, cancellation and\n\
             count.{DIM:#}"
        )?;
    }
    Ok(())
}

/// Version and strategy: "async at once".
fn label(run: &Run) -> String {
    format!("{:<5} {}", run.version, run.strategy.replace('-', " "))
}

/// The width of the terminal; 80 where there is none, or where it does not say.
fn columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0))
}
