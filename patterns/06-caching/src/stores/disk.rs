//! Answers in a file: redb, which survives restarts and crashes, and needs no server.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::Store;
use crate::key::Key;
use crate::trouble::Trouble;

/// Key to end and value. The end is in milliseconds since 1970: another process, later, must
/// understand it.
const ANSWERS: TableDefinition<'_, &[u8], (u64, &[u8])> = TableDefinition::new("answers");

/// The same keys by their ends, so that what is over can be found without reading all.
const ENDS: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("ends");

/// How many that are over go with each one that comes: more than one, so that the file stops
/// growing, and not many, so that nobody waits.
const SWEPT: usize = 8;

/// How much of the file redb keeps in memory. By default it is a gigabyte, and the system keeps what is
/// often read as well.
const IN_MEMORY: usize = 4 << 20;

pub(crate) struct Disk {
    path: PathBuf,
    /// Opened when first needed, and again after each trouble. Whoever uses it reads; whoever opens or
    /// closes it writes, and so waits for all others: a file that one thread still had open would be
    /// another process's to the next.
    database: RwLock<Option<Database>>,
}

impl Disk {
    pub(crate) fn new(path: PathBuf) -> Disk {
        Disk {
            path,
            database: RwLock::new(None),
        }
    }

    /// Does something with the open file, and names it in what goes wrong.
    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, Trouble> {
        // redb trusts its file, and may panic where something else has changed it. A damaged cache
        // is no reason for a call to fail.
        let done = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let database = self.database.read();
                if let Some(database) = &*database.unwrap_or_else(PoisonError::into_inner) {
                    return work(database);
                }
                self.open()?;
            }
        }));
        let why = match done {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(redb::Error::DatabaseAlreadyOpen)) => {
                "another process uses it, or another cache of this one".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it is damaged: remove it".to_owned(),
        };
        // Once a disk was full, redb refuses everything until its file is opened anew.
        self.close();
        Err(Trouble::unavailable(format!(
            "{}: {why}",
            self.path.display()
        )))
    }

    fn open(&self) -> Result<(), redb::Error> {
        let mut database = self.database();
        if database.is_none() {
            *database = Some(open(&self.path)?);
        }
        Ok(())
    }

    /// Lets go of the file, which may panic as well.
    fn close(&self) {
        let mut database = self.database();
        let _ = catch_unwind(AssertUnwindSafe(|| *database = None));
    }

    fn database(&self) -> RwLockWriteGuard<'_, Option<Database>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

fn open(path: &Path) -> Result<Database, redb::Error> {
    // What a crash leaves of a file that was being made is no database, and never becomes one. So it
    // is made under a name that nobody else uses, and is whole once it has its own.
    if !path.exists() {
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{:016x}.new", rand::random::<u64>()));
        let new = Path::new(&new);
        let named = create(new).and_then(|whole| {
            drop(whole);
            name(new, path).map_err(redb::Error::Io)
        });
        // It has its own name now, or is of no use.
        let _ = fs::remove_file(new);
        named?;
    }
    create(path)
}

/// Gives a file its name, unless another process has given that to its own: then that one is used.
///
/// Not by `rename`, which would take the place of a file that is open already. Its owner would not be
/// told, and all it has put there would be gone with it.
fn name(new: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(new, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Some file systems, such as exFAT, have no links. There two first starts at the same moment
        // must not happen.
        Err(_) => fs::rename(new, path),
        Ok(()) => Ok(()),
    }
}

fn create(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::builder().set_cache_size(IN_MEMORY).create(path)?;
    // Reading a table that is not there is an error, so both are made at once.
    let change = database.begin_write()?;
    change.open_table(ANSWERS)?;
    change.open_table(ENDS)?;
    change.commit()?;
    Ok(database)
}

impl Store for Disk {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, Trouble> {
        self.with(|database| {
            let answers = database.begin_read()?.open_table(ANSWERS)?;
            let found = answers.get(&key.as_bytes()[..])?;
            Ok(found.and_then(|found| {
                let (end, bytes) = found.value();
                (now() < end).then(|| Bytes::copy_from_slice(bytes))
            }))
        })
    }

    fn put(&self, key: &Key, value: Bytes, lifetime: Duration) -> Result<(), Trouble> {
        let key = &key.as_bytes()[..];
        let end = now().saturating_add(milliseconds(lifetime));
        self.with(|database| {
            let change = database.begin_write()?;
            {
                let mut answers = change.open_table(ANSWERS)?;
                let mut ends = change.open_table(ENDS)?;
                let before = answers.insert(key, (end, &value[..]))?;
                let before = before.map(|before| before.value().0);
                if let Some(before) = before {
                    ends.remove((before, key))?;
                }
                ends.insert((end, key), ())?;
                for _ in 0..SWEPT {
                    let first = ends.first()?.map(|(first, _)| {
                        let (end, key) = first.value();
                        (end, key.to_vec())
                    });
                    let Some((end, key)) = first.filter(|(end, _)| *end <= now()) else {
                        break;
                    };
                    answers.remove(&key[..])?;
                    ends.remove((end, &key[..]))?;
                }
            }
            // It waits until the disk has it: it was paid for, and a crash must not lose it.
            change.commit()?;
            Ok(())
        })
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    milliseconds(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
