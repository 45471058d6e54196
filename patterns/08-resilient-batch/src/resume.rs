//! What of an output is done already: pure, and shared by both versions.

use std::collections::HashSet;

use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use crate::record::Written;

/// A set of names in 16 bytes each, however long they are: a million of them take about 35 MB.
///
/// Two names of a billion would be taken for one with a probability of 1 : 10²⁰.
#[derive(Debug, Default)]
pub struct Ids(HashSet<u128>);

impl Ids {
    /// Adds a name; `false` if it is there already.
    pub fn insert(&mut self, id: &str) -> bool {
        self.0.insert(hash(id))
    }

    /// Whether a name is there.
    pub fn contains(&self, id: &str) -> bool {
        self.0.contains(&hash(id))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn hash(id: &str) -> u128 {
    let digest = Sha256::digest(id);
    let (half, _) = digest.split_first_chunk().expect("SHA-256 has 32 bytes");
    u128::from_le_bytes(*half)
}

/// What to do with a line of an output that is gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Keep,
    /// It is done, and only its end is missing.
    End,
    /// It was being written when the program was stopped, or it failed and shall be tried again.
    Drop,
}

/// Reads an output line by line, the end of each line included.
#[derive(Debug, Default)]
pub struct Resume {
    /// What is done.
    pub done: Ids,
    /// How many of those have no answer.
    pub failed: u64,
    retry_failed: bool,
    lines: u64,
}

impl Resume {
    /// Nothing read yet. With `retry_failed` what failed is not done.
    pub fn new(retry_failed: bool) -> Resume {
        Resume {
            retry_failed,
            ..Resume::default()
        }
    }

    /// Decides about the next line. Only the last one may lack its end.
    ///
    /// # Errors
    /// When it is none of ours. Then nothing may be changed: this is some other file.
    pub fn line(&mut self, line: &[u8]) -> Result<Fate, String> {
        self.lines += 1;
        let whole = line.ends_with(b"\n");
        match Written::read(line) {
            Some(written) if written.failed && self.retry_failed => Ok(Fate::Drop),
            Some(written) => {
                self.done.insert(&written.custom_id);
                self.failed += u64::from(written.failed);
                Ok(if whole { Fate::Keep } else { Fate::End })
            }
            None if !whole && is_half_of_ours(line) => Ok(Fate::Drop),
            None => Err(format!(
                "line {} is no line of a batch's output",
                self.lines
            )),
        }
    }
}

/// Half a line begins as all of ours do, and is JSON that ends too early. A whole request that lacks
/// its line end begins so, too, and is a user's own.
fn is_half_of_ours(line: &[u8]) -> bool {
    const START: &[u8] = br#"{"custom_id":""#;
    let length = line.len().min(START.len());
    // To serde half a number is wrong, and not too short. So the line is cut before it.
    let of_number = |byte: &u8| b"+-.eE0123456789".contains(byte);
    let rest = line.iter().rev().take_while(|byte| of_number(byte)).count();
    let json = serde_json::from_slice::<IgnoredAny>(&line[..line.len() - rest]);
    line[..length] == START[..length] && json.is_err_and(|error| error.is_eof())
}
