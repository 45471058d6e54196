//! The files of a batch: where requests come from and where answers go.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, IsTerminal, Seek, Write};
use std::path::Path;

use crate::intake::{Length, read_line};
use crate::line;
use crate::options::Options;
use crate::resume::{Fate, Ids, Resume};

/// Why a batch can't begin.
#[derive(Debug)]
pub enum Refused {
    /// The program was called in a way that makes no sense.
    Usage(String),
    /// A file can't be used.
    Failure(String),
}

/// Where the requests come from.
pub(crate) struct Input {
    /// Their bytes.
    pub lines: Box<dyn BufRead + Send>,
    /// How many lines there are, blank ones aside, if that can be known.
    pub total: Option<u64>,
}

impl Input {
    /// Opens what the options name. Without a name it is what is piped in; and if that is nothing,
    /// the lesson's own lines, but those are never asked of a service that bills them.
    ///
    /// # Errors
    /// When there is nothing to read.
    pub(crate) fn open(options: &Options) -> Result<Input, Refused> {
        match options.input.as_deref() {
            Some(path) if path != Path::new("-") => {
                let failed = |error| Refused::Failure(cannot("read", path, &error));
                let mut file = File::open(path).map_err(failed)?;
                let is_file = file.metadata().map_err(failed)?.is_file();
                // What is no file, such as a pipe, is gone once it is read.
                let total = is_file
                    .then(|| count(&mut file))
                    .transpose()
                    .map_err(failed)?;
                Ok(Input {
                    lines: Box::new(BufReader::new(file)),
                    total,
                })
            }
            Some(_) => Ok(Input::stdin()),
            // A terminal is never waited for: its user does not know that the program waits.
            None if !io::stdin().is_terminal() && is_fed() => Ok(Input::stdin()),
            None if options.live => Err(Refused::Usage(
                "nothing to ask: name a file with --input, or pipe lines in".into(),
            )),
            None => {
                let lines = Cursor::new(line::lesson());
                let total = Some(lines.get_ref().lines().count() as u64);
                let lines = Box::new(lines);
                Ok(Input { lines, total })
            }
        }
    }

    fn stdin() -> Input {
        // Not a lock: that can't go to another thread. Nothing else here reads it.
        Input {
            lines: Box::new(BufReader::new(io::stdin())),
            total: None,
        }
    }
}

/// Whether anything comes by stdin. What is looked at here stays in std's buffer.
fn is_fed() -> bool {
    io::stdin()
        .lock()
        .fill_buf()
        .is_ok_and(|bytes| !bytes.is_empty())
}

/// Counts the lines that are not blank, and goes back to the beginning.
fn count(file: &mut File) -> io::Result<u64> {
    let (mut lines, mut blank, mut reader) = (0, true, BufReader::with_capacity(1 << 16, &*file));
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        for byte in bytes {
            if *byte == b'\n' {
                lines += u64::from(!blank);
                blank = true;
            } else {
                blank &= byte.is_ascii_whitespace();
            }
        }
        let length = bytes.len();
        reader.consume(length);
    }
    file.rewind()?;
    Ok(lines + u64::from(!blank))
}

/// Where the answers go.
pub struct Output {
    to: To,
    name: String,
}

enum To {
    Stdout(io::Stdout),
    /// How much of it is whole lines; none where it can't be cut, as a device can't.
    File(File, Option<u64>),
}

impl Output {
    /// Opens what the options name, repairs it, and tells what is done.
    ///
    /// # Errors
    /// When there are answers, and it was not said to go on with them; and when it can't be written.
    pub fn open(options: &Options) -> Result<(Output, Ids), Refused> {
        let Some(path) = options.output_file() else {
            let (to, name) = (To::Stdout(io::stdout()), "standard output".to_owned());
            return match options.resume {
                true => Err(Refused::Usage(
                    "--resume needs an --output file to go on with".into(),
                )),
                false => Ok((Output { to, name }, Ids::default())),
            };
        };
        if options.resume && fs::metadata(path).is_ok_and(|it| !it.is_file()) {
            let why = format!("--resume: {} is no file", path.display());
            return Err(Refused::Usage(why));
        }
        let failed = |error| Refused::Failure(cannot("write", path, &error));
        let open = || {
            OpenOptions::new()
                // Only if need be: a writer that opens a named pipe to read it, too, is never told that
                // there is no other reader, and what it writes is lost with it.
                .read(options.resume)
                .append(true)
                .create(true)
                .open(path)
        };
        let mut file = open().map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        lock(&file, path)?;
        let mut done = Ids::default();
        if options.resume {
            let resumed = resume(&file, path, options.retry_failed)?;
            if resumed.rewritten {
                let new = open().map_err(failed)?;
                // The old one stays locked until this one is: at no time another run finds both free.
                lock(&new, path)?;
                file = new;
            }
            done = resumed.done;
        } else if metadata.len() > 0 {
            return Err(Refused::Usage(format!(
                "{} is not empty: add --resume to go on with it, or name another file",
                path.display()
            )));
        }
        let length = file.metadata().map_err(failed)?.len();
        let to = To::File(file, metadata.is_file().then_some(length));
        let name = path.display().to_string();
        Ok((Output { to, name }, done))
    }

    /// Writes whole lines with one call. If that fails, nothing of them is left behind in a file; what
    /// a pipe has taken it keeps.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.to {
            To::Stdout(stdout) => stdout.write_all(lines).and_then(|()| stdout.flush()),
            To::File(file, whole) => {
                let written = file.write_all(lines);
                *whole = whole.and_then(|length| match written {
                    Ok(()) => Some(length + lines.len() as u64),
                    // Half a line would be one with the next. If this fails, too, there must be no
                    // next one: `--resume` mends the last line only.
                    Err(_) => file.set_len(length).ok().map(|()| length),
                });
                written
            }
        }
    }

    /// Whether half a line can be taken back.
    pub(crate) fn can_be_cut(&self) -> bool {
        matches!(self.to, To::File(_, Some(_)))
    }

    /// Whether people see it on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        match &self.to {
            To::Stdout(stdout) => stdout.is_terminal(),
            To::File(file, _) => file.is_terminal(),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Keeps others out until the program ends, however it does: two that go on with the same file would
/// each take the other's lines for half ones, or write to what the other has replaced.
fn lock(file: &File, path: &Path) -> Result<(), Refused> {
    // Not every file system knows locks, and no device does.
    let locked = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    if !locked && is_still(file, path) {
        return Ok(());
    }
    let path = path.display();
    let why = format!("{path} is being written by another run; wait for that, or end it");
    Err(Refused::Failure(why))
}

/// Whether this is the file of that name, and not one that another run has replaced after it was opened
/// here and before it was locked.
#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => id(ours) == id(theirs),
        _ => false,
    }
}

/// Elsewhere std can't tell two files apart.
#[cfg(not(unix))]
fn is_still(_: &File, _: &Path) -> bool {
    true
}

/// An output that can be gone on with.
struct Resumed {
    done: Ids,
    /// It is another file of the same name now.
    rewritten: bool,
}

/// Makes the output one of whole lines, without those that are to be done again.
fn resume(file: &File, path: &Path, retry_failed: bool) -> Result<Resumed, Refused> {
    let failed = |error| Refused::Failure(cannot("go on with", path, &error));
    let mut plan = Resume::new(retry_failed);
    // First it is only read: if it is not ours, it stays as it is.
    let (mut kept, mut last) = (0, Fate::Keep);
    let mut gap = false;
    for_each_line(file, |line| {
        gap |= last == Fate::Drop;
        last = plan.line(line)?;
        if last != Fate::Drop && !gap {
            kept += line.len() as u64;
        }
        Ok(())
    })
    .map_err(|error| match error {
        Unread::Foreign(wrong) => Refused::Usage(format!(
            "--resume: {} is something else ({wrong}); nothing was changed",
            path.display()
        )),
        Unread::Io(error) => failed(error),
    })?;
    if plan.failed > 0 {
        demo::note(format_args!(
            "{}: {} of its lines failed, and stay so; --retry-failed asks them again",
            path.display(),
            plan.failed
        ));
    }
    match last {
        // Not in place: a run that is stopped in between would lose what was behind the gap.
        _ if gap => rewrite(file, path),
        Fate::Keep => Ok(()),
        Fate::End => (&*file).write_all(b"\n"),
        Fate::Drop => file.set_len(kept),
    }
    .map_err(failed)?;
    Ok(Resumed {
        done: plan.done,
        rewritten: gap,
    })
}

/// Writes what is to be kept to a file beside it, and puts that in its place.
fn rewrite(file: &File, path: &Path) -> io::Result<()> {
    // A link stays a link: what it leads to is replaced.
    let path = path.canonicalize()?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".rewritten");
    let beside = path.with_file_name(name);
    let done = copy(file, &beside).and_then(|()| fs::rename(&beside, &path));
    if done.is_err() {
        // The disk may be full, and this is half a file, of no use.
        let _ = fs::remove_file(&beside);
    }
    done
}

/// Copies the lines that are to be kept.
fn copy(file: &File, to: &Path) -> io::Result<()> {
    let new = File::create(to)?;
    // First, or all could read meanwhile what only some may.
    new.set_permissions(file.metadata()?.permissions())?;
    let mut new = BufWriter::new(new);
    let mut plan = Resume::new(true);
    let copied = for_each_line(file, |line| {
        if plan.line(line)? != Fate::Drop {
            new.write_all(line.trim_ascii_end())?;
            new.write_all(b"\n")?;
        }
        Ok(())
    });
    copied.map_err(|error| match error {
        Unread::Io(error) => error,
        Unread::Foreign(wrong) => io::Error::other(wrong),
    })?;
    let new = new.into_inner().map_err(io::IntoInnerError::into_error)?;
    // On the disk before it has the name, or a power cut could leave an empty file of that name.
    new.sync_all()
}

/// Why an output can't be gone on with.
enum Unread {
    Foreign(String),
    Io(io::Error),
}

impl From<String> for Unread {
    fn from(wrong: String) -> Unread {
        Unread::Foreign(wrong)
    }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Unread {
        Unread::Io(error)
    }
}

fn for_each_line(
    mut file: &File,
    mut each: impl FnMut(&[u8]) -> Result<(), Unread>,
) -> Result<(), Unread> {
    // The longest answer a client takes, and its frame.
    const LONGEST: usize = 80 << 20;
    file.rewind()?;
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    loop {
        match read_line(&mut reader, &mut line, LONGEST)? {
            Length::Nothing => return Ok(()),
            Length::TooLong => return Err(Unread::Foreign("it has a line without end".into())),
            Length::Fits => each(&line)?,
        }
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_before_it_was_locked_is_not_gone_on_with() {
        let name = format!("resilient-batch-files-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let new = path.with_extension("new");
        let ours = File::create(&path).expect("it can be written");
        // Another run rewrites it, and is done.
        File::create(&new).expect("it can be written");
        fs::rename(&new, &path).expect("it can be renamed");
        assert!(matches!(lock(&ours, &path), Err(Refused::Failure(_))));
        let current = File::open(&path).expect("it is there");
        assert!(lock(&current, &path).is_ok());
        fs::remove_file(&path).expect("it is ours");
    }
}
