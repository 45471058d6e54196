//! A run of the program, but for the waiting: how it begins and how it ends.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use caching::Trouble;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::collector::{Closed, Collector, read};
use crate::console::Console;
use crate::files::{Input, Output, Refused};
use crate::intake::Intake;
use crate::line::{Defaults, Job};
use crate::options::Options;
use crate::rules::Rules;
use crate::server::Server;
use crate::tally::Tally;

/// A run of the program, ready to begin.
pub struct Batch {
    pub(crate) options: Options,
    pub(crate) server: Server,
    pub(crate) collector: Arc<Collector>,
    /// What is still to be read, until the reader has it.
    unread: Option<Unread>,
    pub(crate) console: Console,
    /// How many jobs are looked after at one time.
    pub(crate) at_once: usize,
    interrupted: Arc<AtomicBool>,
    total: Option<u64>,
}

struct Unread {
    intake: Intake<Box<dyn io::BufRead + Send>>,
    places: SyncSender<()>,
}

/// The most jobs looked after at one time, whatever the user says: each place takes memory.
const MOST_JOBS: usize = 100_000;

impl Batch {
    /// Reads the arguments, finds the server and opens the files.
    ///
    /// # Errors
    /// The exit code, when it has been said why.
    pub fn open() -> Result<Batch, ExitCode> {
        let options = Options::parse();
        demo::show_spans();
        let server = Server::find(&options)?;
        // The output last: a user without a key, or with nothing to ask, finds it as it was.
        let opened = Input::open(&options).and_then(|input| Ok((input, Output::open(&options)?)));
        let (input, (output, done)) = opened.map_err(|refused| match refused {
            Refused::Usage(why) => Options::command()
                .error(ErrorKind::ValueValidation, why)
                .exit(),
            Refused::Failure(why) => demo::fail(&*Box::<dyn std::error::Error>::from(why)),
        })?;
        demo::note(format_args!("server: {}", server.describe(&options)));
        let defaults = Defaults {
            model: server.config.model.clone(),
            max_tokens: options.max_tokens.get(),
        };
        let console = Console::new(input.total);
        let tally = Tally::new((options.rpm.get(), options.window()));
        let at_once = options.jobs_at_once().min(MOST_JOBS);
        // What looks after a job may be a thread: there is none for jobs that never come.
        let at_once = input.total.map_or(at_once, |total| {
            at_once.min(usize::try_from(total).unwrap_or(usize::MAX).max(1))
        });
        let (collector, places) =
            Collector::new(output, console.clone(), tally, options.ordered, at_once);
        let intake = Intake::new(input.lines, defaults, done);
        Ok(Batch {
            unread: Some(Unread { intake, places }),
            at_once,
            total: input.total,
            collector: Arc::new(collector),
            console,
            interrupted: Arc::default(),
            options,
            server,
        })
    }

    /// What holds for all of its jobs.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            policy: self.options.policy(),
            breaker: self.options.breaker(),
            fallback: self.options.fallback_model.clone(),
            deadline: self.options.deadline,
            scope: self.server.scope(&self.options),
            named: self.server.is_offline(),
        }
    }

    /// How the cache says that its store is in trouble.
    pub(crate) fn warn(&self) -> impl Fn(&Trouble) + Send + Sync + 'static {
        let console = self.console.clone();
        move |trouble| console.note(trouble)
    }

    /// Begins to read, in a thread of its own, and to listen for Ctrl-C. What it returns stops the run:
    /// no other job begins, and the layers, by `stop`, let go of the jobs that wait.
    ///
    /// # Errors
    /// The exit code, when it has been said why.
    pub(crate) fn begin(
        &mut self,
        hand_out: impl FnMut(Job) -> bool + Send + 'static,
        stop: impl Fn() + Clone + Send + 'static,
    ) -> Result<impl Fn() + Clone + Send + 'static, ExitCode> {
        let unread = self.unread.take().expect("a batch begins once");
        let Unread { mut intake, places } = unread;
        let hatch = Arc::new(Mutex::new(Some(hand_out)));
        let closing = Arc::downgrade(&hatch);
        let stop = move || {
            stop();
            // A worker that waits for a job hears that there is none, though the reader may be waiting
            // for a line that never comes.
            if let Some(hatch) = closing.upgrade() {
                lock(&hatch).take();
            }
        };
        self.on_ctrl_c(stop.clone())
            .map_err(|error| demo::fail(&error))?;
        let collector = self.collector.clone();
        thread::spawn(move || {
            let hand_out = |job| lock(&hatch).as_mut().is_some_and(|hand_out| hand_out(job));
            read(&mut intake, &places, &collector, hand_out);
        });
        Ok(stop)
    }

    /// Calls `stop` at the first Ctrl-C, and ends the program at the second.
    fn on_ctrl_c(&self, stop: impl Fn() + Clone + Send + 'static) -> Result<(), ctrlc::Error> {
        let (interrupted, console) = (self.interrupted.clone(), self.console.clone());
        ctrlc::set_handler(move || {
            if interrupted.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            let (console, stop) = (console.clone(), stop.clone());
            // In a thread of its own: the note waits for a line that is being written just now, maybe
            // to a reader that has paused, and a second Ctrl-C must be heard meanwhile.
            thread::spawn(move || {
                let goes_on = "what is under way is finished first (Ctrl-C again ends at once)";
                console.note(format_args!("stopping: {goes_on}"));
                stop();
            });
        })
    }

    /// Ends the run, when all workers are gone.
    pub(crate) fn close(self) -> ExitCode {
        let Closed {
            summary,
            done,
            flawless,
            output,
            unwritten,
            trouble,
            hopeless,
            end_of_input,
        } = self.collector.close();
        let interrupted = self.interrupted.load(Ordering::Relaxed);
        if let Some(error) = trouble {
            // `| head` has seen enough: that is no failure of ours. Unless Ctrl-C has ended the reader,
            // too: then it had not seen enough.
            if error.kind() == io::ErrorKind::BrokenPipe && !interrupted {
                return ExitCode::SUCCESS;
            }
            demo::note(format_args!("error: cannot write to {output}: {error}"));
            if !unwritten.is_empty() {
                demo::note("these answers were paid for and could not be written there:");
                demo::note(String::from_utf8_lossy(unwritten.trim_ascii_end()));
            }
            demo::note(summary);
            demo::note(self.how_to_go_on());
            return match interrupted {
                true => ExitCode::from(130),
                false => ExitCode::FAILURE,
            };
        }
        demo::note(summary);
        if interrupted {
            let of = self
                .total
                .map_or(String::new(), |total| format!(" of {total}"));
            demo::note(format_args!(
                "stopped, {done}{of} done; {}",
                self.how_to_go_on()
            ));
            return ExitCode::from(130);
        }
        if let Some(failure) = hopeless {
            demo::note(format_args!("error: {failure}"));
            demo::note(format_args!(
                "this is so for all lines, so no other was tried; {}",
                self.how_to_go_on()
            ));
            return ExitCode::FAILURE;
        }
        match end_of_input {
            Some(Ok(())) if flawless => ExitCode::SUCCESS,
            Some(Ok(())) => ExitCode::FAILURE,
            Some(Err(error)) => {
                demo::note(format_args!("error: the input broke off: {error}"));
                ExitCode::FAILURE
            }
            None => {
                demo::note("error: the input was not read to its end");
                ExitCode::FAILURE
            }
        }
    }

    fn how_to_go_on(&self) -> String {
        let how = match (self.options.output_file(), self.options.resume) {
            (None, _) => return "to be able to go on, name an --output file".to_owned(),
            (Some(_), false) => "to go on: the same command with --resume",
            (Some(_), true) => "to go on: the same command again",
        };
        // What was paid for is written all the same, and nothing can be put between two lines later.
        let order = match self.options.ordered {
            true => " (the lines that are missing will come last)",
            false => "",
        };
        format!("{how}{order}")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
