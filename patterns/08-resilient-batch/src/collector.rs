//! Where finished jobs are handed in: they are written and counted, and new ones may begin.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::intake::{BadLine, Intake, Taken};
use crate::line::Job;
use crate::order::Order;
use crate::record::Record;
use crate::tally::Tally;
use crate::trace::Done;

/// Takes finished jobs: it writes them, counts them, and lets new ones begin. All workers share it.
pub(crate) struct Collector {
    console: Console,
    state: Mutex<State>,
}

struct State {
    output: Output,
    /// The output is shown where the bar is.
    on_terminal: bool,
    /// What waits for its turn to be written, where order matters. A job without a line is there, too.
    order: Option<Order<Option<Vec<u8>>>>,
    tally: Tally,
    /// One for each job that is not written yet; gone when there is to be no other job.
    places: Option<Receiver<()>>,
    /// Lines that could not be written.
    unwritten: Vec<u8>,
    trouble: Option<io::Error>,
    /// Why no other job is worth a try.
    hopeless: Option<Failure>,
    end_of_input: Option<io::Result<()>>,
}

impl Collector {
    /// A collector for at most so many jobs at one time, and the places that it has for them.
    pub(crate) fn new(
        output: Output,
        console: Console,
        tally: Tally,
        ordered: bool,
        jobs: usize,
    ) -> (Collector, SyncSender<()>) {
        let (taken, places) = sync_channel(jobs);
        let state = State {
            on_terminal: output.is_terminal(),
            output,
            order: ordered.then(Order::default),
            tally,
            places: Some(places),
            unwritten: Vec::new(),
            trouble: None,
            hopeless: None,
            end_of_input: None,
        };
        let state = Mutex::new(state);
        (Collector { console, state }, taken)
    }

    /// Takes what became of a job. `false` if no other job may begin: this one can't be written, or
    /// what has failed would fail for all.
    pub(crate) fn put(&self, number: u64, done: &Done) -> bool {
        let mut state = self.lock();
        state.tally.add_calls(&done.calls);
        match &done.record {
            Some(record) => state.tally.add(record, done.saved),
            None => state.tally.unfinished += 1,
        }
        if state.hopeless.is_none() {
            state.hopeless.clone_from(&done.hopeless);
        }
        let line = done.record.as_ref().map(Record::line);
        let due = match &mut state.order {
            Some(order) => order.put(number, line),
            None => vec![line],
        };
        for line in due {
            state.write(&self.console, line.as_deref());
            self.console.step();
        }
        state.trouble.is_none() && state.hopeless.is_none()
    }

    /// Hears of a line that is no job.
    fn bad(&self, bad: &BadLine) {
        let BadLine { number, wrong } = bad;
        self.lock().tally.bad_lines += 1;
        self.console.note(format_args!("line {number}: {wrong}"));
        self.console.step();
    }

    /// Hears of a job that was done before.
    fn skipped(&self) {
        self.lock().tally.skipped += 1;
        self.console.skip();
    }

    /// Writes what is still here, when all workers are gone.
    pub(crate) fn close(&self) -> Closed {
        let mut state = self.lock();
        // The reader, if it waits for a place, hears that there is none.
        state.places = None;
        let rest = state.order.as_mut().map(Order::rest).unwrap_or_default();
        for line in rest {
            state.write(&self.console, line.as_deref());
        }
        state.write(&self.console, None);
        self.console.close();
        let tally = &state.tally;
        Closed {
            summary: tally.to_string(),
            done: tally.done(),
            flawless: tally.failed + tally.bad_lines + tally.unfinished == 0,
            output: state.output.name().to_owned(),
            unwritten: std::mem::take(&mut state.unwritten),
            trouble: state.trouble.take(),
            hopeless: state.hopeless.take(),
            // The reader is gone without a word only if it has panicked.
            end_of_input: state.end_of_input.take(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A line is written or it is not, so nothing is half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes a line and what could not be written before, and gives the job's place to another.
    fn write(&mut self, console: &Console, line: Option<&[u8]>) {
        // It was paid for: after a failure it is kept, and tried again with the next one. But behind
        // half a line that can't be taken back, it would be part of that.
        self.unwritten.extend_from_slice(line.unwrap_or_default());
        let hopeless = self.trouble.is_some() && !self.output.can_be_cut();
        if !self.unwritten.is_empty() && !hopeless {
            let written = match self.on_terminal {
                true => console.around(|| self.output.write(&self.unwritten)),
                false => self.output.write(&self.unwritten),
            };
            match written {
                Ok(()) => self.unwritten.clear(),
                Err(error) => self.trouble = Some(error),
            }
        }
        if let Some(places) = &self.places {
            // At the end of the run no job has taken one.
            let _ = places.try_recv();
        }
    }
}

/// How a batch ended.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The figures.
    pub(crate) summary: String,
    /// How many jobs are done, those of former runs included.
    pub(crate) done: u64,
    /// Every line has an answer.
    pub(crate) flawless: bool,
    /// What the output is called.
    pub(crate) output: String,
    /// Lines that could not be written.
    pub(crate) unwritten: Vec<u8>,
    /// Why not.
    pub(crate) trouble: Option<io::Error>,
    /// Why no other job was worth a try.
    pub(crate) hopeless: Option<Failure>,
    /// How the input ended, if it was read to its end.
    pub(crate) end_of_input: Option<io::Result<()>>,
}

/// Reads jobs as long as there are places for them, and hands them out.
///
/// To be run in a thread of its own: a pipe may be silent for hours, and nothing else shall wait for
/// it.
pub(crate) fn read(
    intake: &mut Intake<impl io::BufRead>,
    places: &SyncSender<()>,
    collector: &Collector,
    mut hand_out: impl FnMut(Job) -> bool,
) {
    // The place first: what is not read needs no memory.
    while places.send(()).is_ok() {
        let job = loop {
            match intake.next() {
                Some(Ok(Taken::Job(job))) => break job,
                Some(Ok(Taken::Bad(bad))) => collector.bad(&bad),
                Some(Ok(Taken::Skipped)) => collector.skipped(),
                Some(Err(error)) => return collector.lock().end_of_input = Some(Err(error)),
                None => return collector.lock().end_of_input = Some(Ok(())),
            }
        };
        if !hand_out(job) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::sync::mpsc::channel;
    use std::{fs, thread};

    use ai_core::{ChatResponse, Error};
    use caching::Cached;
    use clap::Parser;

    use super::*;
    use crate::line::Defaults;
    use crate::options::Options;
    use crate::resume::Ids;

    const LINES: u64 = 50_000;
    const JOBS: u64 = 28;

    /// Makes each line when it is asked for, and looks how many are not written yet.
    struct Watched {
        line: Vec<u8>,
        made: u64,
        put: Arc<AtomicU64>,
        most: Arc<AtomicU64>,
    }

    impl io::Read for Watched {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            unreachable!("it is read by lines")
        }
    }

    impl io::BufRead for Watched {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            if self.line.is_empty() && self.made < LINES {
                self.made += 1;
                self.line = b"{\"prompt\": \"x\"}\n".to_vec();
                self.most
                    .fetch_max(self.made - self.put.load(SeqCst), SeqCst);
            }
            Ok(&self.line)
        }

        fn consume(&mut self, length: usize) {
            self.line.drain(..length);
        }
    }

    fn done(job: &Job) -> Done {
        // An answer can't be made here, and for a place it makes no difference.
        let error: Result<Cached<ChatResponse>, _> = Err(Failure::Call(Error::Truncated));
        Done::new(job, "m", error, Vec::new(), Default::default())
    }

    /// A collector whose output is a file of this name.
    fn collector(name: &str, ordered: bool) -> (Collector, SyncSender<()>, PathBuf) {
        let name = format!("resilient-batch-collector-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let flags = ["", "--output", path.to_str().expect("the name is UTF-8")];
        let options = Options::try_parse_from(flags).expect("good arguments");
        let (output, _) = Output::open(&options).expect("it can be written");
        let tally = Tally::new((60, Default::default()));
        let console = Console::new(None);
        let (collector, places) = Collector::new(output, console, tally, ordered, JOBS as usize);
        (collector, places, path)
    }

    /// Runs all lines through a collector. Each hundredth job is handed in only when `held` others have
    /// been. Returns the most jobs there were at one time, and the lines of the output.
    fn run(ordered: bool, held: usize) -> (u64, String) {
        let (collector, places, path) = collector(&ordered.to_string(), ordered);
        let (put, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let input = Watched {
            line: Vec::new(),
            made: 0,
            put: put.clone(),
            most: most.clone(),
        };
        let mut intake = Intake::new(input, Defaults::default(), Ids::default());
        let (send, taken) = channel();
        thread::scope(|scope| {
            let collector = &collector;
            scope.spawn(move || {
                read(&mut intake, &places, collector, |job| {
                    send.send(job).is_ok()
                })
            });
            let (mut finished, mut in_order) = (BTreeSet::new(), 0);
            let mut finish = |job: &Job| {
                finished.insert(job.number);
                while finished.contains(&in_order) {
                    in_order += 1;
                }
                // First counted, then written: so it is never less than is written.
                let written = if ordered {
                    in_order
                } else {
                    finished.len() as u64
                };
                put.store(written, SeqCst);
                assert!(collector.put(job.number, &done(job)));
            };
            let mut late: Vec<(Job, usize)> = Vec::new();
            for job in taken {
                if job.number % 100 == 0 && job.number + JOBS < LINES {
                    late.push((job, held));
                    continue;
                }
                finish(&job);
                for (_, held) in &mut late {
                    *held -= 1;
                }
                late.retain(|(job, held)| {
                    let due = *held == 0;
                    if due {
                        finish(job);
                    }
                    !due
                });
            }
        });
        let closed = collector.close();
        assert!(closed.trouble.is_none() && matches!(closed.end_of_input, Some(Ok(()))));
        assert_eq!(closed.done, LINES);
        let text = fs::read_to_string(&path).expect("it is there");
        fs::remove_file(&path).expect("it is ours");
        (most.load(SeqCst), text)
    }

    #[test]
    fn no_more_is_read_than_there_are_places_for() {
        let (most, text) = run(false, 20);
        // The places, and the one line that is being read.
        assert!(most <= JOBS + 1, "{most}");
        assert_eq!(text.lines().count() as u64, LINES);
    }

    #[test]
    fn where_order_matters_what_waits_to_be_written_has_a_place_too() {
        // With all places taken by what waits for one, one more would never come.
        let (most, text) = run(true, JOBS as usize - 1);
        assert!(most <= JOBS + 1, "{most}");
        let in_order = |(number, line): (usize, &str)| {
            line.starts_with(&format!("{{\"custom_id\":\"line-{}\"", number + 1))
        };
        assert!(text.lines().enumerate().all(in_order));
        assert_eq!(text.lines().count() as u64, LINES);
    }

    #[test]
    fn what_waits_for_one_that_never_comes_is_written_at_the_end() {
        let (collector, _places, path) = collector("rest", true);
        let input = "{\"prompt\": \"x\"}\n".repeat(3);
        let intake = Intake::new(input.as_bytes(), Defaults::default(), Ids::default());
        for taken in intake.skip(1) {
            let Ok(Taken::Job(job)) = taken else {
                panic!("{taken:?}")
            };
            assert!(collector.put(job.number, &done(&job)));
        }
        let written = || fs::read_to_string(&path).expect("it is there");
        assert_eq!(written(), "");
        collector.close();
        assert_eq!(written().lines().count(), 2);
        fs::remove_file(&path).expect("it is ours");
    }
}
