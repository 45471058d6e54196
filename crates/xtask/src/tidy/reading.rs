//! The reading size: what a learner has to read to understand a pattern.
//!
//! It is the list under "Read in this order" in the pattern's README, and the code lines of the
//! Rust files it links to: no comments, no blank lines, no tests.

use super::links::{self, resolve};
use super::{Failure, Tree};
use crate::workspace::Package;
use crate::{code, table};

/// The most code lines on a reading path.
const MAX_LINES: usize = 300;

/// The most source files on a reading path.
const MAX_FILES: usize = 4;

/// Files of which every line counts: the folder and the file's beginning, and its most lines.
const FILES: [(&str, usize); 2] = [("/src/bin/", 25), ("/examples/as_written.rs", 60)];

/// The words above the list.
const HEADING: &str = "read in this order";

/// The source files on a pattern's reading path with their code lines.
pub fn path(tree: &Tree, pattern: &Package) -> Vec<(String, usize)> {
    let readme = tree.files.get(&format!("{}/README.md", pattern.dir()));
    let links = readme
        .map(|text| links::in_list_after(text, HEADING))
        .unwrap_or_default();
    let mut files = Vec::new();
    for path in links.iter().filter_map(|link| resolve(pattern.dir(), link)) {
        // A link that leads nowhere is the other rule's matter.
        let Some(text) = tree.files.get(&path).filter(|_| path.ends_with(".rs")) else {
            continue;
        };
        if !files.iter().any(|(known, _)| *known == path) {
            let lines = code::lines(&code::without_comments(&code::without_tests(text))).len();
            files.push((path, lines));
        }
    }
    files
}

/// The patterns' reading sizes as a table.
pub fn table(tree: &Tree) -> String {
    let rows = tree.patterns().map(|pattern| {
        let files = path(tree, pattern);
        let lines: usize = files.iter().map(|(_, lines)| lines).sum();
        vec![
            pattern.dir().to_owned(),
            files.len().to_string(),
            lines.to_string(),
        ]
    });
    table::render(&["reading path", "files", "code lines"], rows)
}

/// Reading paths that are too long, or that are not there.
pub fn too_long(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    for pattern in tree.patterns() {
        let readme = format!("{}/README.md", pattern.dir());
        let files = path(tree, pattern);
        let lines: usize = files.iter().map(|(_, lines)| lines).sum();
        if files.is_empty() {
            failures.push(Failure::new(
                &readme,
                "no reading path",
                "add a heading \"Read in this order\" and a list of links to the source files",
            ));
        }
        if files.len() > MAX_FILES {
            failures.push(Failure::new(
                &readme,
                format!(
                    "the reading path has {} source files, {MAX_FILES} may be",
                    files.len()
                ),
                "name only what the lesson needs",
            ));
        }
        if lines > MAX_LINES {
            let sizes: Vec<_> = files
                .iter()
                .map(|(path, lines)| format!("{path} {lines}"))
                .collect();
            failures.push(Failure::new(
                &readme,
                format!("the reading path has {lines} code lines, {MAX_LINES} may be"),
                format!(
                    "move what is no part of the lesson to a file beside it ({})",
                    sizes.join(", ")
                ),
            ));
        }
    }
    failures
}

/// Programs and `as_written.rs` that are too long. Here every line counts, comments too.
pub fn long_files(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    for pattern in tree.patterns() {
        for (path, text) in tree.rust(pattern, "") {
            let limit = FILES
                .iter()
                .find(|(part, _)| path[pattern.dir().len()..].starts_with(part));
            let lines = text.lines().count();
            match limit {
                Some((_, limit)) if lines > *limit => failures.push(Failure::new(
                    path,
                    format!("{lines} lines, {limit} may be"),
                    "move what can be moved to the library or to crates/demo",
                )),
                _ => {}
            }
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::super::samples::{places, tree};
    use super::*;

    const MANIFEST: (&str, &str) = (
        "patterns/07-retry/Cargo.toml",
        "[package]\nname = \"retry\"",
    );

    fn pattern(readme: &str, files: &[(&str, &str)]) -> Tree {
        let readme = ("patterns/07-retry/README.md", readme);
        tree(&[&[MANIFEST, readme], files].concat())
    }

    #[test]
    fn comments_blank_lines_and_tests_are_not_counted() {
        let source =
            "//! Retry.\n\nfn a() {} // why\n\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n";
        let readme = "## Read in this order\n\n1. [backoff](src/backoff.rs), again [here](src/backoff.rs)\n2. [the page](README.md)";
        let tree = pattern(readme, &[("patterns/07-retry/src/backoff.rs", source)]);
        let expected = vec![("patterns/07-retry/src/backoff.rs".to_owned(), 1)];
        assert_eq!(path(&tree, &tree.packages[0]), expected);
        assert_eq!(too_long(&tree), []);
    }

    #[test]
    fn a_path_above_300_lines_fails_and_one_of_300_passes() {
        let readme = "**Read in this order**\n\n- [a](src/a.rs)";
        for (lines, failures) in [(300, 0), (301, 1)] {
            let tree = pattern(
                readme,
                &[("patterns/07-retry/src/a.rs", &"x;\n".repeat(lines))],
            );
            assert_eq!(too_long(&tree).len(), failures, "{lines} lines");
        }
    }

    #[test]
    fn a_path_of_five_files_fails() {
        let names = ["a", "b", "c", "d", "e"];
        let list: String = names
            .iter()
            .map(|name| format!("- [{name}](src/{name}.rs)\n"))
            .collect();
        let paths: Vec<_> = names
            .iter()
            .map(|name| format!("patterns/07-retry/src/{name}.rs"))
            .collect();
        let files: Vec<_> = paths.iter().map(|path| (path.as_str(), "x;\n")).collect();
        let tree = pattern(&format!("# Read in this order\n\n{list}"), &files);
        assert!(too_long(&tree)[0].wrong.contains("5 source files"));
    }

    #[test]
    fn a_readme_without_a_reading_path_fails() {
        let tree = pattern(
            "# Retry\n\n- [a](src/a.rs)",
            &[("patterns/07-retry/src/a.rs", "x;\n")],
        );
        assert_eq!(places(&too_long(&tree)), ["patterns/07-retry/README.md"]);
    }

    #[test]
    fn programs_and_as_written_have_their_own_limits() {
        let (bin, example) = (
            "patterns/07-retry/src/bin/sync.rs",
            "patterns/07-retry/examples/as_written.rs",
        );
        let at_limit = [(bin, "//\n".repeat(25)), (example, "//\n".repeat(60))];
        let above = [(bin, "//\n".repeat(26)), (example, "//\n".repeat(61))];
        let check = |files: &[(&str, String); 2]| {
            long_files(&pattern(
                "",
                &files.each_ref().map(|(path, text)| (*path, text.as_str())),
            ))
        };
        assert_eq!(check(&at_limit), []);
        assert_eq!(places(&check(&above)), [example, bin]);
    }
}
