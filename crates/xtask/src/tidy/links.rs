//! Markdown: links that lead nowhere, and dependencies that nobody explains.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use toml::{Table, Value};

use super::{Failure, Tree};

/// Where each dependency has a line that says why it is here.
const ARCHITECTURE: &str = "docs/src/architecture.md";

/// Links of a page to files that are not there.
pub fn dead(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (path, text) in &tree.files {
        if !path.ends_with(".md") {
            continue;
        }
        let dir = dir_of(path);
        for link in links(text).filter(|link| is_relative(link)) {
            let there = resolve(dir, &link).is_some_and(|target| {
                tree.files.contains_key(&target)
                    || tree.files_below(format!("{target}/")).next().is_some()
            });
            // The root's folder itself is there, whatever it holds.
            if !there && resolve(dir, &link).as_deref() != Some("") {
                failures.push(Failure::new(
                    path,
                    format!("its link to {link} leads nowhere"),
                    "mend the link or remove it",
                ));
            }
        }
    }
    failures
}

/// External dependencies without a line in docs/src/architecture.md, where that file exists.
pub fn unexplained(tree: &Tree) -> Vec<Failure> {
    let (Some(manifest), Some(text)) = (tree.files.get("Cargo.toml"), tree.files.get(ARCHITECTURE))
    else {
        return Vec::new();
    };
    let manifest: Table = manifest.parse().unwrap_or_default();
    let dependencies = manifest
        .get("workspace")
        .and_then(|it| it.get("dependencies"))
        .and_then(Value::as_table);
    let external = dependencies
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.get("path").is_none());
    let missing = external.filter(|(name, _)| !text.contains(&format!("`{name}`")));
    missing
        .map(|(name, _)| {
            Failure::new(
                ARCHITECTURE,
                format!("no line on the dependency `{name}`"),
                "say why it is here, or do without it",
            )
        })
        .collect()
}

/// The links in the first list after the words, wherever these stand: in a heading, in bold, in a
/// sentence.
pub fn in_list_after(markdown: &str, words: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut said = String::new();
    let mut depth = 0;
    for event in Parser::new(markdown) {
        match event {
            Event::Text(text) => said.push_str(&text.to_lowercase()),
            Event::Start(Tag::List(_)) if depth > 0 || said.contains(words) => depth += 1,
            Event::End(TagEnd::List(_)) if depth == 1 => break,
            Event::End(TagEnd::List(_)) if depth > 1 => depth -= 1,
            Event::Start(Tag::Link { dest_url, .. }) if depth > 0 => {
                links.push(dest_url.into_string())
            }
            _ => {}
        }
    }
    links
}

/// The folder that a file is in; "" for one of the root.
pub fn dir_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// What a relative link in a file of `dir` leads to, from the root; none if it leaves the root.
pub fn resolve(dir: &str, link: &str) -> Option<String> {
    let path = link.split(['#', '?']).next().unwrap_or_default();
    let mut parts = Vec::new();
    for part in dir.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Every link and image of a page, each once.
pub fn links(markdown: &str) -> impl Iterator<Item = String> {
    let links = Parser::new(markdown).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    });
    links.collect::<BTreeSet<_>>().into_iter()
}

fn is_relative(link: &str) -> bool {
    !link.starts_with('#') && !link.contains("://") && !link.starts_with("mailto:")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{places, tree};
    use super::*;

    #[test]
    fn a_link_to_nothing_fails() {
        let check = |link: &str| {
            let page = format!("See [it]({link}).");
            dead(&tree(&[
                ("patterns/07-retry/README.md", &page),
                ("patterns/07-retry/src/lib.rs", ""),
                ("LICENSE-MIT", ""),
            ]))
            .len()
        };
        for dead in [
            "src/gone.rs",
            "../../LICENSE",
            "../../../LICENSE-MIT",
            "sr",
            "gone.md#part",
        ] {
            assert_eq!(check(dead), 1, "{dead}");
        }
        for sound in [
            "src/lib.rs",
            "src/lib.rs#L3",
            "src",
            "src/",
            "../../LICENSE-MIT",
            "../..",
            "#part",
            "https://docs.rs/gone",
        ] {
            assert_eq!(check(sound), 0, "{sound}");
        }
    }

    #[test]
    fn reference_links_and_images_are_links_and_code_is_not() {
        let check = |page| places(&dead(&tree(&[("README.md", page)]))).len();
        assert_eq!(check("[it][1]\n\n[1]: gone.md"), 1);
        assert_eq!(check("![bars](gone.svg)"), 1);
        assert_eq!(check("`[it](gone.md)`\n\n```text\n[it](gone.md)\n```\n"), 0);
    }

    #[test]
    fn only_the_list_after_the_words_counts() {
        let page = "- [a](a.rs)\n\nRead in this order:\n\n1. [b](b.rs)\n   - [c](c.rs)\n2. [d](d.rs)\n\n- [e](e.rs)\n";
        assert_eq!(
            in_list_after(page, "read in this order"),
            ["b.rs", "c.rs", "d.rs"]
        );
    }

    #[test]
    fn a_dependency_without_a_line_fails_once_there_is_a_page() {
        let manifest = "[workspace.dependencies]\nserde = \"1\"\ntokio = \"1\"\ndemo = { path = \"crates/demo\" }";
        let page = (ARCHITECTURE, "- `serde`: JSON.");
        assert_eq!(unexplained(&tree(&[("Cargo.toml", manifest)])), []);
        let found = unexplained(&tree(&[("Cargo.toml", manifest), page]));
        assert_eq!(found.len(), 1);
        assert!(found[0].wrong.contains("`tokio`"));
    }
}
