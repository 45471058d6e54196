//! Tidy's rules about figures: what is written is what was measured, and from these sources.

use super::quote;
use super::results::{PATH, Results};
use super::set::SET;
use super::{made, sources};
use crate::tidy::{Failure, Tree};

/// Quoted figures that differ from the results file, or quote what is not in it.
pub fn misquoted(tree: &Tree) -> Vec<Failure> {
    let results = read(tree).unwrap_or_default();
    let mut failures = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| path.ends_with(".md")) {
        let (corrected, mistakes) = quote::corrected_page(path, text, &results);
        failures.extend(
            mistakes
                .into_iter()
                .map(|it| Failure::new(path, it.why, "write what the figure says")),
        );
        // Line by line, to name it: a correction changes no line's number.
        let lines = text.lines().zip(corrected.lines()).enumerate();
        for (index, (wrong, right)) in lines.filter(|(_, (is, should))| is != should) {
            failures.push(Failure::new(
                format!("{path}:{}", index + 1),
                format!("it quotes other figures than {PATH}: `{}`", wrong.trim()),
                format!(
                    "run `cargo xtask speedups --no-run`, which makes it `{}`",
                    right.trim()
                ),
            ));
        }
    }
    failures
}

/// A results file, page or chart that was changed without the others.
pub fn unlike(tree: &Tree) -> Vec<Failure> {
    let remedy = "run `cargo xtask speedups --no-run`";
    let Some(text) = tree.files.get(PATH) else {
        return Vec::new();
    };
    let made = Results::parse(text).and_then(|results| made(&results, tree));
    let made = match made {
        Ok(made) => made,
        Err(error) => return vec![Failure::new(PATH, error.to_string(), remedy)],
    };
    let other = made
        .iter()
        .filter(|(path, text)| tree.files.get(*path) != Some(*text));
    other
        .map(|(path, _)| Failure::new(path, format!("it is not what {PATH} makes"), remedy))
        .collect()
}

/// Figures that were measured from other sources than there are, or than count by now.
pub fn stale(tree: &Tree) -> Vec<Failure> {
    let Some(results) = read(tree) else {
        return Vec::new();
    };
    let mut failures = Vec::new();
    for (name, run) in &results.benches {
        let changed = run
            .sources
            .iter()
            .filter(|(source, digest)| sources::digest(tree, source).as_ref() != Some(digest));
        let changed = changed.map(|(source, _)| source.as_str());
        let bench = SET.iter().find(|bench| bench.name == name);
        let listed = bench.map_or(&[][..], |bench| bench.sources);
        // One that is not there has no code to have changed: a test of the set misses it.
        let added = listed.iter().copied().filter(|source| {
            !run.sources.contains_key(*source) && sources::digest(tree, source).is_some()
        });
        let changed: Vec<&str> = changed.chain(added).collect();
        if !changed.is_empty() {
            failures.push(Failure::new(
                PATH,
                format!(
                    "the figures of {name} were measured before {} changed, or counted",
                    changed.join(", ")
                ),
                format!(
                    "run `cargo xtask speedups --only {name}` on a quiet machine, or with `--accept {name}` \
                     if the change can't move them"
                ),
            ));
        }
    }
    failures
}

fn read(tree: &Tree) -> Option<Results> {
    Results::parse(tree.files.get(PATH)?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::quote::PAGE;
    use super::super::results::samples::{figure, results};
    use super::super::unit::Unit;
    use super::*;
    use crate::tidy::samples::{places, tree};

    const CODE: (&str, &str) = ("core/src/a.rs", "fn f() {}\n");

    fn sample() -> Results {
        let ratio = figure("guide/a/ratio", 9.87, None, Unit::Ratio);
        let mut results = results("guide", vec![ratio]);
        let digest = sources::digest(&tree(&[CODE]), "core/src").expect("it is there");
        let run = results.benches.get_mut("guide").expect("it was run");
        run.sources = BTreeMap::from([("core/src".to_owned(), digest)]);
        results
    }

    /// A tree with the results, the page they make, and these files.
    fn with(files: &[(&str, &str)]) -> Tree {
        let results = sample();
        let json = results.to_json().expect("all are numbers");
        let marker = "<!-- figures: guide --><!-- /figures -->\n";
        let page = super::super::page::render(marker, &results).expect("it has its place");
        let own = [(PATH, json.as_str()), (PAGE, page.as_str()), CODE];
        tree(&[&own[..], files].concat())
    }

    #[test]
    fn what_was_measured_and_is_quoted_so_passes() {
        let tree = with(&[(
            "README.md",
            "[9.9x](docs/src/benchmarks.md#guide/a/ratio)\n",
        )]);
        assert_eq!([misquoted(&tree), unlike(&tree), stale(&tree)].concat(), []);
    }

    #[test]
    fn without_results_only_a_quote_fails() {
        let quote = (
            "README.md",
            "[9.9x](docs/src/benchmarks.md#guide/a/ratio)\n",
        );
        let tree = tree(&[quote]);
        assert_eq!(places(&misquoted(&tree)), ["README.md"]);
        assert_eq!([unlike(&tree), stale(&tree)].concat(), []);
    }

    #[test]
    fn another_number_fails_with_its_line_and_the_right_one() {
        let tree = with(&[(
            "README.md",
            "# A\n\n[8.8x](docs/src/benchmarks.md#guide/a/ratio)\n",
        )]);
        let found = misquoted(&tree);
        assert_eq!(places(&found), ["README.md:3"]);
        assert!(found[0].to_string().contains("9.9x"), "{}", found[0]);
    }

    #[test]
    fn a_page_changed_by_hand_fails() {
        let mut tree = with(&[]);
        let page = tree.files.get_mut(PAGE).expect("it is there");
        *page = page.replace("9.87x", "19.87x");
        assert_eq!(places(&unlike(&tree)), [PAGE]);
        tree.files.remove(PAGE);
        assert_eq!(places(&unlike(&tree)), [PATH]);
    }

    #[test]
    fn results_that_are_no_results_fail() {
        let found = unlike(&tree(&[(PATH, "{}")]));
        assert_eq!(places(&found), [PATH]);
    }

    #[test]
    fn a_changed_source_fails_with_both_ways_out() {
        let mut tree = with(&[]);
        tree.files
            .insert(CODE.0.to_owned(), "fn f() { g() }\n".to_owned());
        let found = stale(&tree);
        assert_eq!(places(&found), [PATH]);
        let said = found[0].to_string();
        for words in ["core/src", "--only guide", "--accept guide"] {
            assert!(said.contains(words), "{said}");
        }
        tree.files
            .insert(CODE.0.to_owned(), format!("// Why.\n{}", CODE.1));
        assert_eq!(stale(&tree), []);
    }

    #[test]
    fn a_source_that_was_listed_after_the_run_fails() {
        let guide = "benches/src/bin/guide.rs";
        let found = stale(&with(&[(guide, "fn main() {}\n")]));
        assert_eq!(places(&found), [PATH]);
        assert!(found[0].to_string().contains(guide), "{}", found[0]);
    }
}
