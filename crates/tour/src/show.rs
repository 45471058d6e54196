//! What people see: a timeline for each run, and one table at the end.

use std::io::{self, Write};
use std::iter::repeat;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};

use crate::runs::{Run, Stop, Window};

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const SYNC: Style = AnsiColor::Yellow.on_default();
const ASYNC: Style = AnsiColor::Cyan.on_default();

/// The name of a run takes this many columns, what it took comes behind its timeline.
const LABEL: usize = 19;
const FIGURES: usize = 24;

pub(crate) fn heading(out: &mut impl Write, stop: &Stop) -> io::Result<()> {
    let (number, name) = (stop.plan.number, stop.plan.name);
    writeln!(out, "\n{BOLD}{number} {name}{BOLD:#} · {}", stop.about())?;
    // A line of its own: there is no room for it in 80 columns.
    let scale = stop.scale();
    writeln!(out, "  {DIM}the guide's seconds times {scale}{DIM:#}")
}

pub(crate) fn whole_tour(out: &mut impl Write, took: Duration) -> io::Result<()> {
    writeln!(out, "The whole tour took {:.1} s.", took.as_secs_f64())
}

pub(crate) fn run(out: &mut impl Write, run: &Run, whole: Duration) -> io::Result<()> {
    let width = columns().saturating_sub(LABEL + FIGURES).clamp(10, 60);
    let color = if run.version == "sync" { SYNC } else { ASYNC };
    let mut lines = match &run.window {
        Some(window) => window_lines(run, window, whole, width),
        None => demo::timeline(&run.bars, whole, width),
    };
    // The figures are shown even where the server has seen nothing.
    lines.resize(lines.len().max(1), String::new());
    for (line, (label, figures)) in lines.iter().zip(around(run)) {
        match figures.as_str() {
            "" => writeln!(out, "  {label:<17}{color}{}{color:#}", line.trim_end())?,
            figures => writeln!(out, "  {label:<17}{color}{line}{color:#}  {figures}")?,
        }
    }
    Ok(())
}

/// What stands before and behind the lines of a run: its name and its figures, then nothing.
fn around(run: &Run) -> impl Iterator<Item = (String, String)> {
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let wall = seconds(run.wall);
    let (figures, second) = match (&run.window, run.first_token) {
        (Some(window), _) => (
            format!("{wall}, {:.0} % of rate", 100.0 * window.share_of_rate),
            format!("at most {} of {}", window.fullest, window.limit),
        ),
        (None, Some(first)) => (format!("{wall}, first {}", seconds(first)), String::new()),
        // Where a cache answers the rest.
        _ if run.attempts < run.requests => (
            format!("{wall}, {} of {} sent", run.attempts, run.requests),
            String::new(),
        ),
        _ if run.ideal > 1.0 => (format!("{wall}  {:.1}x", run.speedup), String::new()),
        _ => (wall, String::new()),
    };
    let (first, second) = ((label(run), figures), (String::new(), second));
    [first, second]
        .into_iter()
        .chain(repeat(Default::default()))
}

/// How the requests arrived, and how they filled the server's window.
fn window_lines(run: &Run, window: &Window, whole: Duration, width: usize) -> Vec<String> {
    let arrivals: Vec<_> = run.bars.iter().map(|bar| bar.start).collect();
    demo::window_lines(&arrivals, window.length, window.limit, whole, width).to_vec()
}

/// One table of all runs. It fits in 80 columns, as the terminals of most projectors have them.
pub(crate) fn table(out: &mut impl Write, runs: &[Run]) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "pattern", "version", "ok", "wall", "speed-up", "ideal", "share", "peak",
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
            format!("{:.0} %", 100.0 * run.speedup / run.ideal),
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
        "{DIM}speed-up: against the pattern's first run (no yardstick if it lost answers).\n\
         share: of the ideal one. peak: the most requests the server had at one time.\n\
         Timelines: ░ no token yet, █ tokens, or a call answered in one piece.{DIM:#}"
    )?;
    if runs.iter().any(|run| run.window.is_some()) {
        writeln!(
            out,
            "{DIM}With a limit: requests as they arrive, and how full the server's window is\n\
             then (! is over). rate: the least time the limit allows, of the time it took.{DIM:#}"
        )?;
    }
    if runs.iter().any(|run| run.strategy == "threads") {
        writeln!(
            out,
            "{DIM}Threads and async are level here. Async needs less memory a call, can cancel\n\
             one, and allows more at once.{DIM:#}"
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
