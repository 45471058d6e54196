//! Whether a solution is the pattern's own code, where it says so.
//!
//! A line `//! The same as patterns/07-retry/src/backoff.rs: fn after` names the file and the function;
//! in the solution it stands between `// ANCHOR: after` and `// ANCHOR_END: after`. Who changes the
//! pattern then learns of the exercise. Compared is the text with its comments, from the word `fn` to the
//! closing brace; spaces and line ends are not, since the same code may be indented otherwise.

use super::Exercise;
use crate::code;
use crate::tidy::{Failure, Tree};

const SAME: &str = "//! The same as ";

/// Functions that are not what the solution says, and anchors of which it says nothing.
pub fn differing(tree: &Tree, exercise: &Exercise) -> Vec<Failure> {
    let place = exercise.path("solution/lib.rs");
    let solution = exercise.text(tree, "solution/lib.rs");
    let mut failures = Vec::new();
    let mut named = Vec::new();
    for line in solution.lines() {
        let Some(claim) = line.strip_prefix(SAME) else {
            continue;
        };
        let Some((file, name)) = claim.trim().split_once(": fn ") else {
            failures.push(Failure::new(
                &place,
                format!("`{claim}` is no file and function"),
                "write it like `patterns/07-retry/src/backoff.rs: fn after`",
            ));
            continue;
        };
        named.push(name);
        let theirs = tree.files.get(file).map(|text| functions(text, name));
        let ours = anchored(solution, name).map(|text| functions(text, name));
        let wrong = match (theirs, ours) {
            (None, _) => format!("{file} is not there"),
            (Some(theirs), _) if theirs.is_empty() => format!("{file} has no `fn {name}`"),
            (_, None) => format!("no text between `ANCHOR: {name}` and `ANCHOR_END: {name}`"),
            // A name may stand in several `impl`s of the file.
            (Some(theirs), Some(ours)) if !ours.iter().any(|it| theirs.contains(it)) => {
                format!("its `fn {name}` is not that of {file}")
            }
            _ => continue,
        };
        failures.push(Failure::new(&place, wrong, "make them the same again"));
    }
    let anchors = solution
        .lines()
        .filter_map(|line| line.trim().strip_prefix("// ANCHOR: "));
    for anchor in anchors.filter(|anchor| !named.contains(anchor)) {
        failures.push(Failure::new(
            &place,
            format!("nothing says whose text `{anchor}` is"),
            format!("add `{SAME}FILE: fn {anchor}` at its top, or remove the anchor"),
        ));
    }
    failures
}

/// What stands between two anchors of this name.
fn anchored<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, from) = text.split_once(&format!("// ANCHOR: {name}\n"))?;
    let (inside, _) = from.split_once(&format!("// ANCHOR_END: {name}\n"))?;
    Some(inside)
}

/// All functions of this name, without what stands before `fn`, each on one line.
fn functions(text: &str, name: &str) -> Vec<String> {
    let bare = code::bare(text);
    let begins = format!("fn {name}");
    let mut found = Vec::new();
    for (at, _) in bare.match_indices(&begins) {
        let rest = &bare[at..];
        let is_whole_name = rest[begins.len()..].starts_with(['(', '<']);
        if let Some(end) = body_end(rest).filter(|_| is_whole_name) {
            let words: Vec<_> = text[at..at + end].split_whitespace().collect();
            found.push(words.join(" "));
        }
    }
    found
}

/// Where the first pair of braces ends.
fn body_end(bare: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, letter) in bare.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at + 1),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::samples::{check, sound, with};
    use super::*;

    fn wrong(tree: &Tree) -> usize {
        check(differing, tree).len()
    }

    #[test]
    fn the_same_function_passes_however_it_is_indented_and_whoever_may_see_it() {
        assert_eq!(check(differing, &sound()), []);
    }

    #[test]
    fn another_word_or_another_comment_fails() {
        for other in ["later()", "/* soon */ now()", "now();"] {
            let tree = with("solution/lib.rs", |text| text.replace("now()", other));
            assert_eq!(wrong(&tree), 1, "{other}");
        }
    }

    #[test]
    fn a_file_a_function_or_an_anchor_that_is_not_there_fails() {
        for (word, other) in [
            ("patterns/a", "patterns/b"),
            ("// ANCHOR_END: take", ""),
            ("lib.rs: fn", "lib.rs, fn"),
        ] {
            let tree = with("solution/lib.rs", |text| text.replacen(word, other, 1));
            assert!(wrong(&tree) >= 1, "{word}");
        }
        let mut renamed = sound();
        let pattern = "patterns/a/src/lib.rs".to_owned();
        renamed.files.insert(
            pattern,
            "fn take_all() { now() }\n// fn take() { now() }\n".to_owned(),
        );
        assert_eq!(wrong(&renamed), 1);
    }

    #[test]
    fn an_anchor_that_nothing_is_said_of_fails() {
        let tree = with("solution/lib.rs", |text| {
            format!("{text}// ANCHOR: give\nfn give() {{}}\n// ANCHOR_END: give\n")
        });
        assert_eq!(wrong(&tree), 1);
    }

    #[test]
    fn one_of_several_functions_of_the_name_is_enough() {
        let mut tree = sound();
        let pattern = "impl A { fn take() {} }\nimpl B { fn take() { now() } }\n".to_owned();
        tree.files
            .insert("patterns/a/src/lib.rs".to_owned(), pattern);
        assert_eq!(wrong(&tree), 0);
    }
}
