//! What is told while it goes on: a bar on a terminal, and lines on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Tells people how it goes. A clone shows on the same bar.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    bar: ProgressBar,
}

impl Console {
    /// A bar for so many lines, if that is known; none where there is no terminal to show it.
    pub(crate) fn new(total: Option<u64>) -> Console {
        if !io::stderr().is_terminal() {
            let bar = ProgressBar::hidden();
            return Console { bar };
        }
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "[{bar:32}] {pos}/{len}  {rate}  ETA {eta}",
            ),
            None => (
                ProgressBar::no_length(),
                "{spinner} {pos} done  {rate}  {elapsed}",
            ),
        };
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // A bar that can't be drawn is no reason to stop.
            let _ = write!(out, "{:.1}/s", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate).progress_chars("=> "));
        // Or it would stand still while everybody waits for the limit.
        bar.enable_steady_tick(Duration::from_millis(250));
        Console { bar }
    }

    /// A line for people.
    pub(crate) fn note(&self, line: impl Display) {
        self.around(|| demo::note(line));
    }

    /// Does what may write to the terminal. The bar is put aside meanwhile.
    pub(crate) fn around<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// One line more is dealt with.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// One line less is to be dealt with. (It is not "dealt with": a thousand skipped lines in a
    /// millisecond would promise a wrong end.)
    pub(crate) fn skip(&self) {
        self.bar.dec_length(1);
    }

    /// Takes the bar away.
    pub(crate) fn close(&self) {
        self.bar.finish_and_clear();
    }
}
