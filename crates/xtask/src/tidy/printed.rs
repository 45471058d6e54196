//! Code that a README prints from a source file is there as it is printed.
//!
//! ```text
//! From [`backoff.rs`](src/backoff.rs):      the paragraph that names the file
//!
//!     fn next(..)                           the Rust block right after it
//! ```
//!
//! A README prints by hand, for readers of the bare file; so somebody has to see when the source
//! moves on.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::links::resolve;
use super::{Failure, Tree};

/// READMEs that print what is not in the file they name, and patterns that print no decision.
pub fn unlike(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (path, text) in &tree.files {
        let Some(dir) = path.strip_suffix("README.md") else {
            continue;
        };
        for (link, code) in blocks(text) {
            // A link that leads nowhere is the other rule's matter.
            let source = resolve(dir, &link).and_then(|source| tree.files.get(&source));
            if source.is_some_and(|source| !source.contains(&code)) {
                let first = code.lines().next().unwrap_or_default().trim();
                failures.push(Failure::new(
                    path,
                    format!("what it prints from {link} (`{first}`) is not there word for word"),
                    "copy it from the source again",
                ));
            }
        }
    }
    let silent = tree.patterns().filter_map(|pattern| {
        let path = format!("{}/README.md", pattern.dir());
        // Without a README there is no reading path either, and that rule says so.
        let text = tree.files.get(&path)?;
        let silent = !blocks(text)
            .iter()
            .any(|(link, _)| link.starts_with("src/"));
        silent.then(|| {
            Failure::new(
                &path,
                "it prints no decision",
                "write \"From [`x.rs`](src/x.rs):\" and after it the function in a block of Rust",
            )
        })
    });
    failures.into_iter().chain(silent).collect()
}

/// The Rust blocks that follow a paragraph with a link to a Rust file, each with the last such link.
fn blocks(markdown: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut link = None;
    let mut code = None;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) if is_rust(&kind) => code = Some(String::new()),
            Event::End(TagEnd::CodeBlock) => {
                blocks.extend(link.take().zip(code.take()));
            }
            Event::Text(text) => {
                if let Some(code) = &mut code {
                    code.push_str(&text);
                }
            }
            Event::Start(Tag::Link { dest_url, .. }) if dest_url.ends_with(".rs") => {
                link = Some(dest_url.into_string());
            }
            // Whatever else begins here, the link above is no longer right before.
            Event::Start(
                Tag::Paragraph
                | Tag::Heading { .. }
                | Tag::List(_)
                | Tag::Table(_)
                | Tag::CodeBlock(_),
            ) => link = None,
            _ => {}
        }
    }
    blocks
}

fn is_rust(kind: &CodeBlockKind) -> bool {
    matches!(kind, CodeBlockKind::Fenced(info) if info.split([',', ' ']).next() == Some("rust"))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{places, tree};
    use super::*;

    const SOURCE: &str = "//! Decides.\n\nfn next(now: Duration) -> Next {\n    Next::Go\n}\n";

    fn check(readme: &str) -> Vec<Failure> {
        unlike(&tree(&[
            (
                "patterns/07-retry/Cargo.toml",
                "[package]\nname = \"retry\"",
            ),
            ("patterns/07-retry/README.md", readme),
            ("patterns/07-retry/src/backoff.rs", SOURCE),
        ]))
    }

    fn printed(code: &str) -> String {
        format!("From [`backoff.rs`](src/backoff.rs), with `now`:\n\n```rust\n{code}```\n")
    }

    #[test]
    fn what_is_there_word_for_word_passes_and_one_other_letter_fails() {
        let code = "fn next(now: Duration) -> Next {\n    Next::Go\n}\n";
        assert_eq!(check(&printed(code)), []);
        for other in [
            code.replace("Go", "Stop"),
            code.replace("    ", "  "),
            format!("{code}\n"),
        ] {
            let found = check(&printed(&other));
            assert_eq!(places(&found), ["patterns/07-retry/README.md"], "{other}");
            assert!(found[0].wrong.contains("src/backoff.rs"), "{}", found[0]);
        }
    }

    #[test]
    fn other_blocks_are_free() {
        let decision = printed("    Next::Go\n");
        for free in [
            "Run [it](src/backoff.rs):\n\n```sh\ncargo run\n```\n",
            "See [it](src/backoff.rs).\n\nIn Python and in Rust:\n\n```rust\nx\n```\n",
            "See [it](src/backoff.rs).\n\n```python\nx\n```\n\n```rust\nx\n```\n",
            "- [it](src/backoff.rs)\n\n## Rust\n\n```rust\nx\n```\n",
        ] {
            assert_eq!(check(&format!("{free}\n{decision}")), [], "{free}");
        }
    }

    #[test]
    fn a_pattern_that_prints_no_decision_fails() {
        let found = check("# Retry\n\n```rust\nfn f() {}\n```\n");
        assert_eq!(places(&found), ["patterns/07-retry/README.md"]);
        assert!(found[0].wrong.contains("no decision"), "{}", found[0]);
    }
}
