//! Reads the input one line at a time: it decides from bytes, wherever they come from.

use std::io::{self, BufRead, Read};

use crate::line::{Defaults, Job, LONGEST_LINE};
use crate::resume::Ids;

/// What a line turned out to be.
#[derive(Debug, PartialEq)]
pub enum Taken {
    /// Work.
    Job(Job),
    /// A mistake. The others are done all the same.
    Bad(BadLine),
    /// It was done before.
    Skipped,
}

/// A line that can't be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Which one, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub wrong: String,
}

/// The lines of an input, blank ones left out. It never reads ahead by more than a buffer, and of
/// what is past it keeps 16 bytes a line.
#[derive(Debug)]
pub struct Intake<R> {
    input: R,
    line: Vec<u8>,
    lines: u64,
    jobs: u64,
    defaults: Defaults,
    seen: Ids,
    done: Ids,
}

impl<R: BufRead> Intake<R> {
    /// Reads from `input` what is not in `done`.
    pub fn new(input: R, defaults: Defaults, done: Ids) -> Intake<R> {
        Intake {
            input,
            line: Vec::new(),
            lines: 0,
            jobs: 0,
            defaults,
            seen: Ids::default(),
            done,
        }
    }

    fn take(&mut self) -> Taken {
        let bad = |wrong| {
            let number = self.lines;
            Taken::Bad(BadLine { number, wrong })
        };
        let mut job = match Job::parse(&self.line, self.lines, &self.defaults) {
            Ok(job) => job,
            Err(wrong) => return bad(wrong),
        };
        if !self.seen.insert(&job.id) {
            return bad(format!("custom_id {:?} was there before", job.id));
        }
        if self.done.contains(&job.id) {
            return Taken::Skipped;
        }
        job.number = self.jobs;
        self.jobs += 1;
        Taken::Job(job)
    }
}

impl<R: BufRead> Iterator for Intake<R> {
    type Item = io::Result<Taken>;

    fn next(&mut self) -> Option<io::Result<Taken>> {
        loop {
            self.lines += 1;
            match read_line(&mut self.input, &mut self.line, LONGEST_LINE) {
                Ok(Length::Nothing) => return None,
                Ok(Length::TooLong) => {
                    let wrong = format!("longer than {} MiB", LONGEST_LINE >> 20);
                    let number = self.lines;
                    return Some(Ok(Taken::Bad(BadLine { number, wrong })));
                }
                Ok(Length::Fits) => {}
                Err(error) => return Some(Err(error)),
            }
            // Some editors mark a file as UTF-8 by this, which JSON does not know.
            if self.lines == 1 && self.line.starts_with(b"\xEF\xBB\xBF") {
                self.line.drain(..3);
            }
            if !self.line.trim_ascii().is_empty() {
                return Some(Ok(self.take()));
            }
        }
    }
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// A line, its end included. The last one may have none.
    Fits,
    /// A line longer than the limit, of which only the beginning was kept.
    TooLong,
    /// The input is at its end.
    Nothing,
}

/// Reads a line of at most `limit` bytes into `line`, in place of what was there.
///
/// # Errors
/// Those of the input.
pub(crate) fn read_line(
    input: &mut impl BufRead,
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<Length> {
    line.clear();
    // One byte more: a line that is longer is seen by it.
    let most = limit as u64 + 1;
    Read::take(&mut *input, most).read_until(b'\n', line)?;
    if line.len() <= limit || line.ends_with(b"\n") {
        return Ok(match line.len() {
            0 => Length::Nothing,
            _ => Length::Fits,
        });
    }
    // `read_until` would keep the rest in memory, and a file without line ends may be all rest.
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = buffer.len();
        input.consume(end.map_or(length, |end| end + 1));
        if end.is_some() || length == 0 {
            return Ok(Length::TooLong);
        }
    }
}
