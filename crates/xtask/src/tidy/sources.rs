//! Words that no source file of ours holds.

use super::{Failure, Tree};
use crate::code;

/// The word in code, and what to do instead.
const WORDS: [(&str, &str); 5] = [
    ("todo!", "write what is missing, or leave it out"),
    ("unimplemented!", "write what is missing, or leave it out"),
    ("#[ignore]", IGNORED),
    ("#[ignore =", IGNORED),
    (
        "#[should_panic",
        "assert on what is returned, or catch the panic and assert on its words",
    ),
];

/// The attributes of a doc example that keep it from being tested.
const EXAMPLES: [&str; 2] = ["ignore", "should_panic"];

const IGNORED: &str = "make it a test that always runs, or remove it";

/// The one ignored test there may be, and where. It checks nothing: cargo shows its reason, and so says
/// that a plain `cargo test` has tested nothing against Redis.
const NOTICE: (&str, &str) = (
    "patterns/06-caching/tests/twins.rs",
    "#[ignore = \"nothing was tested against Redis: run cargo xtask test\"]",
);

/// Sources that hold a forbidden word.
pub fn forbidden(tree: &Tree) -> Vec<Failure> {
    let sources = tree
        .packages
        .iter()
        .flat_map(|package| tree.rust(package, ""));
    sources
        .flat_map(|(path, text)| {
            in_code(path, text)
                .into_iter()
                .chain(in_examples(path, text))
        })
        .collect()
}

fn in_code(path: &str, text: &str) -> Vec<Failure> {
    let text = match path == NOTICE.0 {
        true => text.replacen(NOTICE.1, "", 1),
        false => text.to_owned(),
    };
    let code = code::bare(&text);
    let found = WORDS
        .iter()
        .filter_map(|(word, remedy)| Some((word, remedy, code::line_of(&code, word)?)));
    found
        .map(|(word, remedy, line)| {
            Failure::new(format!("{path}:{line}"), format!("`{word}`"), *remedy)
        })
        .collect()
}

fn in_examples(path: &str, text: &str) -> Vec<Failure> {
    let lines = text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim_start();
        let doc = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))?;
        let attributes = doc.trim().strip_prefix("```")?;
        let word = EXAMPLES
            .iter()
            .find(|word| attributes.split(',').any(|attribute| attribute == **word))?;
        Some(Failure::new(
            format!("{path}:{}", index + 1),
            format!("a doc example marked `{word}`"),
            "use `no_run` or `text`",
        ))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{places, tree};
    use super::*;

    #[test]
    fn every_word_fails_with_its_line() {
        for (word, _) in WORDS {
            let found = in_code("a.rs", &format!("fn f() {{}}\n{word}\n"));
            assert_eq!(places(&found), ["a.rs:2"], "{word}");
        }
    }

    #[test]
    fn one_notice_may_be_ignored_and_only_where_it_belongs() {
        let (path, notice) = NOTICE;
        let test = format!("{notice}\nfn redis() {{}}\n");
        assert_eq!(in_code(path, &test), []);
        assert_eq!(places(&in_code("a.rs", &test)), ["a.rs:1"]);
        let twice = in_code(path, &test.repeat(2));
        assert_eq!(places(&twice), [format!("{path}:3")]);
        let other = in_code(path, "#[ignore = \"it is slow\"]\n");
        assert_eq!(places(&other), [format!("{path}:1")]);
    }

    #[test]
    fn a_doc_example_that_does_not_run_fails() {
        for word in EXAMPLES {
            assert_eq!(
                in_examples("a.rs", &format!("/// ```rust,{word}\n")).len(),
                1,
                "{word}"
            );
        }
        assert_eq!(in_examples("a.rs", "/// ```no_run\n/// ```text\n"), []);
    }

    #[test]
    fn what_is_only_spoken_of_is_free() {
        assert_eq!(
            in_code("a.rs", "// no `todo!` here\nfn f() { \"#[ignore]\" }\n"),
            []
        );
    }

    #[test]
    fn only_members_are_checked_for_the_exercises_are_unfinished_by_design() {
        let tree = tree(&[
            ("crates/a/Cargo.toml", "[package]\nname = \"a\""),
            ("crates/a/tests/it.rs", "todo!()"),
            ("docs/exercises/01/src/lib.rs", "todo!()"),
        ]);
        assert_eq!(places(&forbidden(&tree)), ["crates/a/tests/it.rs:1"]);
    }
}
