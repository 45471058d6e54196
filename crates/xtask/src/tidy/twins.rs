//! The distance of the twins: how much of `sync.rs` and `async.rs` differs, and of their halves that
//! stand in files of their own, such as `limiter_sync.rs` and `limiter_async.rs`.
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

/// Where the distance is shown but not limited, each with its reason.
#[rustfmt::skip] // A row each.
const UNLIMITED: [(&str, &str); 4] = [
    ("patterns/02-", "the difference is the lesson"),
    ("patterns/05-", "the difference is the lesson"),
    ("patterns/06-caching/src/stores/", "what others wrote differs: the two clients of Redis"),
    ("patterns/08-resilient-batch/src/alarm_", "nothing but the waiting itself"),
];

/// A blocking file and the awaiting one beside it.
#[derive(Debug)]
pub struct Twins {
    /// The blocking one.
    pub sync: String,
    /// The awaiting one.
    pub r#async: String,
    /// Lines of code in both.
    pub lines: usize,
    /// Of these, the lines that the other does not have.
    pub changed: usize,
}

impl Twins {
    /// The package's folder, or for halves what both names begin with.
    fn name(&self) -> &str {
        let name = self.sync.trim_end_matches("sync.rs");
        name.strip_suffix("/src/")
            .unwrap_or(name.trim_end_matches(['_', '/']))
    }

    /// Changed lines in per cent of all, rounded up: 40.1 is above 40.
    pub fn distance(&self) -> usize {
        (self.changed * 100).div_ceil(self.lines.max(1))
    }

    /// The largest distance allowed, if any.
    pub fn limit(&self) -> Option<usize> {
        let mut unlimited = UNLIMITED.iter();
        let limited = unlimited.all(|(path, _)| !self.sync.starts_with(path));
        limited.then_some(LIMIT)
    }
}

/// Measures every pair. What it compares (no comments, no blank lines) stays in `folder`, for those
/// who want to see the difference themselves.
///
/// # Errors
/// When git is not installed.
pub fn measure(tree: &Tree, folder: &Path) -> Result<Vec<Twins>> {
    let sources = tree
        .packages
        .iter()
        .flat_map(|package| tree.rust(package, "src/"));
    let mut pairs = Vec::new();
    for (sync, blocking) in sources.filter(|(path, _)| !path.contains("/src/bin/")) {
        let Some(r#async) = sibling(sync, "sync.rs", "async.rs") else {
            continue;
        };
        let Some(awaiting) = tree.files.get(&r#async) else {
            continue;
        };
        let mut lines = 0;
        for (path, text) in [(sync, blocking), (&r#async, awaiting)] {
            let text = code::without_comments(text);
            let code = code::lines(&text);
            lines += code.len();
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, code.join("\n") + "\n")?;
        }
        // The definition is git's, so that anybody can count again with the same command. The
        // algorithm is named because people set another one in their own configuration.
        let output = Command::new("git")
            .args(["diff", "--no-index", "--numstat", "--diff-algorithm=myers"])
            .args([sync, &r#async])
            .current_dir(folder)
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
            sync: sync.to_owned(),
            r#async,
            lines,
            changed,
        });
    }
    pairs.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(pairs)
}

/// The path of the twin: `a/limiter_async.rs` for `a/limiter_sync.rs`, but none for `a/resync.rs`.
fn sibling(path: &str, ending: &str, other: &str) -> Option<String> {
    let beginning = path.strip_suffix(ending)?;
    beginning
        .ends_with(['/', '_'])
        .then(|| format!("{beginning}{other}"))
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
            pair.name().to_owned(),
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
            &pair.r#async,
            format!(
                "{} % of the twins' lines differ, {LIMIT} % may",
                pair.distance()
            ),
            format!(
                "give both the same names and the same order; see `git diff --no-index {} {}`",
                pair.sync, pair.r#async
            ),
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
            sync: format!("{dir}/src/sync.rs"),
            r#async: format!("{dir}/src/async.rs"),
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
    fn where_there_is_a_reason_the_distance_is_shown_and_not_limited() {
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
    fn halves_in_files_of_their_own_are_measured_too_and_programs_are_not() {
        let folder = std::env::temp_dir().join(format!("xtask-halves-{}", std::process::id()));
        let tree = tree(&[
            ("patterns/03-a/Cargo.toml", "[package]\nname = \"a\""),
            ("patterns/03-a/src/sync.rs", "a\n"),
            ("patterns/03-a/src/async.rs", "a\n"),
            ("patterns/03-a/src/limiter_sync.rs", "a\n"),
            ("patterns/03-a/src/limiter_async.rs", "b\n"),
            ("patterns/03-a/src/resync.rs", "a\n"),
            ("patterns/03-a/src/reasync.rs", "a\n"),
            ("patterns/03-a/src/stores/redis_sync.rs", "a\n"),
            ("patterns/03-a/src/bin/sync.rs", "a\n"),
            ("patterns/03-a/src/bin/async.rs", "b\n"),
        ]);
        let pairs = measure(&tree, &folder).expect("git is here");
        fs::remove_dir_all(&folder).expect("we made it");
        let names: Vec<_> = pairs
            .iter()
            .map(|pair| (pair.name(), pair.distance()))
            .collect();
        assert_eq!(
            names,
            [("patterns/03-a", 0), ("patterns/03-a/src/limiter", 100)]
        );
        assert_eq!(
            places(&too_far(&pairs)),
            ["patterns/03-a/src/limiter_async.rs"]
        );
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
