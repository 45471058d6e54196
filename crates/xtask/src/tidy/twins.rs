//! The distance of the twins: how much of `sync.rs` and `async.rs` differs.
//!
//! A reader learns the difference of waiting and awaiting by diffing the two, so nothing else may
//! differ much.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Failure, Tree};
use crate::{Result, code, table};

/// The largest distance in per cent.
const LIMIT: usize = 40;

/// Where the difference itself is the lesson, so that it is shown but not limited.
const LESSONS: [&str; 2] = ["patterns/02-", "patterns/05-"];

/// A blocking file and the awaiting one beside it.
#[derive(Debug)]
pub struct Twins {
    /// The package's folder.
    pub dir: String,
    /// Lines of code in both.
    pub lines: usize,
    /// Of these, the lines that the other does not have.
    pub changed: usize,
}

impl Twins {
    /// Changed lines in per cent of all, rounded up: 40.1 is above 40.
    pub fn distance(&self) -> usize {
        (self.changed * 100).div_ceil(self.lines.max(1))
    }

    /// The largest distance allowed, if any.
    pub fn limit(&self) -> Option<usize> {
        let free = LESSONS.iter().any(|lesson| self.dir.starts_with(lesson));
        (!free).then_some(LIMIT)
    }
}

/// Measures every pair. What it compares (no comments, no blank lines) stays in `folder`, for those
/// who want to see the difference themselves.
///
/// # Errors
/// When git is not installed.
pub fn measure(tree: &Tree, folder: &Path) -> Result<Vec<Twins>> {
    let mut pairs = Vec::new();
    for package in &tree.packages {
        let dir = package.dir();
        let text = |name: &str| tree.files.get(&format!("{dir}/src/{name}"));
        let (Some(sync), Some(r#async)) = (text("sync.rs"), text("async.rs")) else {
            continue;
        };
        let folder = folder.join(dir);
        fs::create_dir_all(&folder)?;
        let mut lines = 0;
        for (name, text) in [("sync.rs", sync), ("async.rs", r#async)] {
            let text = code::without_comments(text);
            let code = code::lines(&text);
            lines += code.len();
            fs::write(folder.join(name), code.join("\n") + "\n")?;
        }
        // The definition is git's, so that anybody can count again with the same command. The
        // algorithm is named because people set another one in their own configuration.
        let output = Command::new("git")
            .args(["diff", "--no-index", "--numstat", "--diff-algorithm=myers"])
            .args(["sync.rs", "async.rs"])
            .current_dir(&folder)
            .output()
            .map_err(|error| {
                format!("git could not be started ({error}): install it, tidy diffs with it")
            })?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let changed = match output.status.code() {
            // Equal files: it prints nothing, as it does when it fails.
            Some(0) => 0,
            _ => changed_lines(&printed).ok_or_else(|| {
                let reason = String::from_utf8_lossy(&output.stderr);
                format!("git diff failed: {}", reason.trim())
            })?,
        };
        pairs.push(Twins {
            dir: dir.to_owned(),
            lines,
            changed,
        });
    }
    pairs.sort_by(|one, other| one.dir.cmp(&other.dir));
    Ok(pairs)
}

/// Added and deleted lines of one line of `git diff --numstat`.
fn changed_lines(numstat: &str) -> Option<usize> {
    let mut fields = numstat.split('\t');
    let added: usize = fields.next()?.parse().ok()?;
    let deleted: usize = fields.next()?.parse().ok()?;
    Some(added + deleted)
}

/// The pairs as a table.
pub fn table(pairs: &[Twins]) -> String {
    let rows = pairs.iter().map(|pair| {
        let limit = pair
            .limit()
            .map_or("-".into(), |limit| format!("{limit} %"));
        vec![
            pair.dir.clone(),
            pair.lines.to_string(),
            pair.changed.to_string(),
            format!("{} %", pair.distance()),
            limit,
        ]
    });
    table::render(&["twins", "lines", "changed", "distance", "limit"], rows)
}

/// Twins that differ by more than their limit.
pub fn too_far(pairs: &[Twins]) -> Vec<Failure> {
    let far = pairs
        .iter()
        .filter(|pair| pair.limit().is_some_and(|limit| pair.distance() > limit));
    far.map(|pair| {
        Failure::new(
            format!("{}/src/async.rs", pair.dir),
            format!("{} % of the twins' lines differ, {LIMIT} % may", pair.distance()),
            format!("give both the same names and the same order; see `git diff --no-index {0}/src/sync.rs {0}/src/async.rs`", pair.dir),
        )
    })
    .collect()
}

/// A `sync.rs` without an `async.rs`, or the other way round.
pub fn alone(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    for package in &tree.packages {
        for (one, other) in [("sync.rs", "async.rs"), ("async.rs", "sync.rs")] {
            let path = |name| format!("{}/src/{name}", package.dir());
            if tree.files.contains_key(&path(one)) && !tree.files.contains_key(&path(other)) {
                failures.push(Failure::new(
                    path(one),
                    format!("there is no {other} beside it"),
                    "write its twin",
                ));
            }
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::super::samples::{places, tree};
    use super::*;

    fn twins(dir: &str, lines: usize, changed: usize) -> Twins {
        Twins {
            dir: dir.into(),
            lines,
            changed,
        }
    }

    #[test]
    fn twins_above_the_limit_fail_and_those_at_it_pass() {
        let pairs = [
            twins("crates/core", 1000, 400),
            twins("patterns/01-a", 1000, 401),
        ];
        assert_eq!(places(&too_far(&pairs)), ["patterns/01-a/src/async.rs"]);
    }

    #[test]
    fn where_the_difference_is_the_lesson_it_is_shown_and_not_limited() {
        let pairs = [
            twins("patterns/02-concurrent-requests", 100, 90),
            twins("patterns/05-b", 9, 9),
        ];
        assert_eq!(too_far(&pairs), []);
        assert!(table(&pairs).contains("90 %"), "{}", table(&pairs));
    }

    #[test]
    fn added_and_deleted_lines_both_count() {
        assert_eq!(changed_lines("3\t4\tsync.rs => async.rs\n"), Some(7));
        assert_eq!(changed_lines("error: no such file"), None);
    }

    #[test]
    fn comments_and_blank_lines_are_no_distance() {
        let folder = std::env::temp_dir().join(format!("xtask-twins-{}", std::process::id()));
        let sample = |sync, r#async| {
            let manifest = "[package]\nname = \"a\"";
            tree(&[
                ("crates/a/Cargo.toml", manifest),
                ("crates/a/src/sync.rs", sync),
                ("crates/a/src/async.rs", r#async),
            ])
        };
        let measured = |sync, r#async| {
            let pairs = measure(&sample(sync, r#async), &folder).expect("git is here");
            (pairs[0].lines, pairs[0].changed)
        };
        let same = measured(
            "// Blocks.\nfn f() {}\n",
            "/// Awaits.\n\nfn f() {} // here\n",
        );
        let other = measured("fn f() {}\nfn g() {}\n", "async fn f() {}\nfn g() {}\n");
        fs::remove_dir_all(&folder).expect("we made it");
        assert_eq!((same, other), ((2, 0), (4, 2)));
    }

    #[test]
    fn a_lone_twin_fails() {
        let tree = tree(&[
            ("crates/a/Cargo.toml", "[package]\nname = \"a\""),
            ("crates/a/src/async.rs", ""),
        ]);
        assert_eq!(places(&alone(&tree)), ["crates/a/src/async.rs"]);
    }
}
