//! Decide, then wait: the files that decide do no IO, read no clock and draw no random number.

use super::{Failure, Tree};
use crate::code;

/// What a deciding file must not say, and what to do instead.
///
/// They are matched as words, without `std::` where it may be left out, so that
/// `use std::{fs, net}` does not slip through.
const WORDS: [(&str, &str); 15] = [
    ("Instant::now", NOW),
    ("SystemTime::now", NOW),
    ("thread::", WAIT),
    ("std::thread", WAIT),
    ("tokio", WAIT),
    ("reqwest", DRIVER),
    ("net::", DRIVER),
    ("std::net", DRIVER),
    ("rand", "take `random` as an argument"),
    ("fs::", DRIVER),
    ("std::fs", DRIVER),
    ("env::", DRIVER),
    ("std::env", DRIVER),
    ("println!", DRIVER),
    ("print!", DRIVER),
];

const NOW: &str = "take `now` as an argument";
const WAIT: &str = "return how long to wait and let sync.rs and async.rs do it";
const DRIVER: &str = "leave it to sync.rs and async.rs, or to core's clients";

/// Files of a pattern that are no decision: the drivers and what holds the crate together.
const DRIVERS: [&str; 4] = ["src/lib.rs", "src/sync.rs", "src/async.rs", "src/bin/"];

/// Other files of a pattern that may do IO, or folders of such, each with its reason.
#[rustfmt::skip] // A row each.
const ALLOWED: &[(&str, &str)] = &[
    ("patterns/03-rate-limited-batch/src/limiter_sync.rs", HALF),
    ("patterns/03-rate-limited-batch/src/limiter_async.rs", HALF),
    ("patterns/04-streaming/src/reader.rs", "the thread that reads for sync.rs"),
    ("patterns/06-caching/src/shared.rs", "half of both drivers: it gives the decisions their `now` and `random`"),
    ("patterns/06-caching/src/stores/", "disk and Redis are IO, and they stand beside the lesson"),
    ("patterns/07-retry/src/schedule.rs", "it stands beside the lesson, and draws with a seed what the decision makes of chance"),
    ("patterns/08-resilient-batch/src/alarm_sync.rs", HALF),
    ("patterns/08-resilient-batch/src/alarm_async.rs", HALF),
    ("patterns/08-resilient-batch/src/run.rs", "the program itself, in either version"),
    ("patterns/08-resilient-batch/src/batch.rs", "it starts the thread that reads, and hears Ctrl-C"),
    ("patterns/08-resilient-batch/src/files.rs", "it opens, repairs and replaces the output"),
    ("patterns/08-resilient-batch/src/server.rs", "it starts the offline server, or reads how to reach a live one"),
];

const HALF: &str = "it waits: half of a driver";

/// Deciding files that do more than decide.
pub fn impure(tree: &Tree) -> Vec<Failure> {
    impure_but(tree, ALLOWED)
}

fn impure_but(tree: &Tree, allowed: &[(&str, &str)]) -> Vec<Failure> {
    let patterns = tree.patterns().flat_map(|pattern| {
        let below = format!("{}/", pattern.dir());
        tree.rust(pattern, "src/").filter(move |(path, _)| {
            let inside = path.strip_prefix(&below).unwrap_or(path);
            !DRIVERS.iter().any(|driver| inside.starts_with(driver))
        })
    });
    let deciding = tree
        .files_below("crates/core/src/protocol/".into())
        .chain(patterns);
    let bound =
        deciding.filter(|(path, _)| !allowed.iter().any(|(allowed, _)| path.starts_with(allowed)));
    bound
        .flat_map(|(path, text)| impurities(path, text))
        .collect()
}

/// What is impure in one file, tests aside.
fn impurities(path: &str, text: &str) -> Vec<Failure> {
    let code = code::bare(&code::without_tests(text));
    let found = WORDS
        .iter()
        .filter_map(|(word, remedy)| Some((word, remedy, code::line_of(&code, word)?)));
    found
        .map(|(word, remedy, line)| {
            let wrong = format!("`{word}` in a file that only decides");
            Failure::new(format!("{path}:{line}"), wrong, *remedy)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{places, tree};
    use super::*;

    const MANIFEST: (&str, &str) = (
        "patterns/07-retry/Cargo.toml",
        "[package]\nname = \"retry\"",
    );

    #[test]
    fn every_word_fails_in_a_deciding_file() {
        for (word, _) in WORDS {
            let source = format!("fn f() {{\n    {word}(0);\n}}\n");
            let found = impurities("a.rs", &source);
            assert!(
                found.iter().any(|failure| failure.place == "a.rs:2"),
                "{word}: {found:?}"
            );
        }
    }

    #[test]
    fn a_grouped_import_does_not_slip_through() {
        let found = impurities(
            "a.rs",
            "use std::{fs, thread};\nfn f() {\n    fs::read(\"a\");\n}\n",
        );
        assert_eq!(places(&found), ["a.rs:3"]);
    }

    #[test]
    fn comments_strings_tests_and_other_words_are_free() {
        let source = "\
/// Not `Instant::now`: `now` is an argument.
fn operand(random: f64) -> &'static str { \"tokio::\" }
#[cfg(test)]
mod tests { fn t() { std::thread::sleep(ms); } }
";
        assert_eq!(impurities("a.rs", source), []);
    }

    #[test]
    fn deciding_files_are_checked_and_drivers_are_not() {
        let bad = "fn f() { Instant::now(); }\n";
        let tree = tree(&[
            MANIFEST,
            ("patterns/07-retry/src/lib.rs", bad),
            ("patterns/07-retry/src/sync.rs", bad),
            ("patterns/07-retry/src/async.rs", bad),
            ("patterns/07-retry/src/bin/sync.rs", bad),
            ("patterns/07-retry/tests/twins.rs", bad),
            ("patterns/07-retry/src/backoff.rs", bad),
            ("crates/core/src/config.rs", bad),
            ("crates/core/src/protocol/sse.rs", bad),
        ]);
        let expected = [
            "crates/core/src/protocol/sse.rs:1",
            "patterns/07-retry/src/backoff.rs:1",
        ];
        assert_eq!(places(&impure(&tree)), expected);

        for allowed in ["patterns/07-retry/src/backoff.rs", "patterns/07-retry/src/"] {
            let allowed = [(allowed, "a reason")];
            assert_eq!(places(&impure_but(&tree, &allowed)), expected[..1]);
        }
    }
}
