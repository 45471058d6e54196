//! The book: what a page includes, leads to, and how long it says that it takes.
//!
//! mdBook takes an include of nothing for an empty one, and a dead link for a link.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::links::{dir_of, links, resolve};
use super::{Failure, Tree};

/// Where the book's pages are.
pub const PAGES: &str = "docs/src/";

const SUMMARY: &str = "docs/src/SUMMARY.md";

/// The page with the agendas, and the folder whose pages have minutes.
const AGENDA: &str = "docs/src/workshop/running.md";

/// Includes of files or anchors that are not there.
pub fn missing(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (page, text) in pages(tree) {
        for include in includes(text) {
            let (file, anchor) = include.split_once(':').unwrap_or((include, ""));
            let dir = dir_of(page);
            let code = resolve(dir, file).and_then(|path| tree.files.get(&path));
            let wrong = match code {
                None => format!("it includes {file}, which is not there"),
                Some(code) if !anchor.is_empty() && !has_anchor(code, anchor) => {
                    format!("it includes {file}:{anchor}, and that file has no such anchor")
                }
                Some(_) => continue,
            };
            let remedy = "name what is there: mdBook would show nothing in its place";
            failures.push(Failure::new(page, wrong, remedy));
        }
    }
    failures
}

/// What stands in `{{#include ...}}`, and in its sisters such as `rustdoc_include`.
fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{#").skip(1).filter_map(|rest| {
        let (inside, _) = rest.split_once("}}")?;
        let (kind, path) = inside.trim().split_once(char::is_whitespace)?;
        kind.ends_with("include").then_some(path.trim())
    })
}

/// Both ends are there. Line numbers are no anchors: nobody would notice when they are others'.
fn has_anchor(code: &str, anchor: &str) -> bool {
    let marked = |mark: &str| {
        code.lines().any(|line| {
            let after = line.split_once(mark).map(|(_, after)| after.trim());
            after == Some(anchor)
        })
    };
    marked("ANCHOR:") && marked("ANCHOR_END:")
}

/// Pages that the summary does not list: mdBook would leave them out.
pub fn unlisted(tree: &Tree) -> Vec<Failure> {
    let Some(summary) = tree.files.get(SUMMARY) else {
        return Vec::new();
    };
    let listed: BTreeSet<_> = links(summary)
        .filter_map(|link| resolve(PAGES, &link))
        .collect();
    pages(tree)
        .filter(|(page, _)| *page != SUMMARY && !listed.contains(*page))
        .map(|(page, _)| Failure::new(page, "SUMMARY.md does not list it", "list it"))
        .collect()
}

/// Links to a part of a page that has no such part.
pub fn partless(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (page, text) in pages(tree) {
        let dir = dir_of(page);
        for link in links(text).filter(|link| !link.contains("://")) {
            let Some((path, part)) = link.split_once('#') else {
                continue;
            };
            let target = match path {
                "" => Some(page.to_owned()),
                path => resolve(dir, path),
            };
            let target = target.filter(|target| target.ends_with(".md"));
            let Some(text) = target.and_then(|target| tree.files.get(&target)) else {
                // A file that is not there is told of by another rule, and others have lines.
                continue;
            };
            if !parts(text).contains(part) {
                let wrong = format!("its link to {link} leads to no part of that page");
                failures.push(Failure::new(page, wrong, "name a heading of it"));
            }
        }
    }
    failures
}

/// The headings of a page as mdBook and GitHub name them, and the places it marks itself.
fn parts(markdown: &str) -> BTreeSet<String> {
    let marked = markdown.split("<a id=\"").skip(1);
    let mut parts: BTreeSet<String> = marked
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    let mut heading: Option<String> = None;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let words = heading.take().unwrap_or_default().to_lowercase();
                let kept = words
                    .chars()
                    .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
                parts.insert(kept.map(|it| if it == ' ' { '-' } else { it }).collect());
            }
            _ => {}
        }
    }
    parts
}

/// Minutes that don't add up: of the parts of a module, and of the modules in an agenda.
pub fn minutes(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    let folder = tree.files_below("docs/src/workshop/".to_owned());
    for (page, text) in folder.filter(|(page, _)| *page != AGENDA) {
        let Some(all) = stated(text) else {
            let remedy = "begin it with `<!-- minutes: 30 -->`";
            failures.push(Failure::new(page, "it does not say its minutes", remedy));
            continue;
        };
        let sum: u64 = rows(text).iter().map(|(_, minutes)| minutes).sum();
        if sum != all {
            let wrong = format!("it says {all} minutes, and its parts add up to {sum}");
            failures.push(Failure::new(page, wrong, "change the one or the other"));
        }
    }
    let Some(text) = tree.files.get(AGENDA) else {
        return failures;
    };
    for agenda in text.split("<!-- agenda: ").skip(1) {
        let whole = agenda.split_once(" -->").and_then(|it| it.0.parse().ok());
        let rows = rows(agenda);
        let sum: u64 = rows.iter().map(|(_, minutes)| minutes).sum();
        if whole != Some(sum) {
            let wrong = format!("an agenda of {whole:?} minutes adds up to {sum}");
            failures.push(Failure::new(AGENDA, wrong, "make it fit"));
        }
        for (link, minutes) in &rows {
            let path = resolve("docs/src/workshop", link.as_deref().unwrap_or_default());
            let page = path.and_then(|path| tree.files.get(&path));
            let said = page.and_then(|text| stated(text));
            if said.is_some_and(|said| said != *minutes) {
                let wrong = format!("it gives {link:?} {minutes} minutes, and that page {said:?}");
                failures.push(Failure::new(AGENDA, wrong, "make them agree"));
            }
        }
    }
    failures
}

/// What `<!-- minutes: 30 -->` says.
fn stated(text: &str) -> Option<u64> {
    let after = text.split_once("<!-- minutes: ")?.1;
    after.split_once(" -->")?.0.parse().ok()
}

/// The first table whose last column is minutes: the link in each of its rows, and the number.
fn rows(markdown: &str) -> Vec<(Option<String>, u64)> {
    let table = markdown
        .lines()
        .skip_while(|line| !is_header(line))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    table
        .filter_map(|line| {
            let cell = line.trim_end_matches('|').rsplit('|').next()?;
            Some((links(line).next(), cell.trim().parse().ok()?))
        })
        .collect()
}

fn is_header(line: &str) -> bool {
    let cell = line.trim_end().trim_end_matches('|').rsplit('|').next();
    line.starts_with('|') && cell.is_some_and(|cell| cell.trim() == "minutes")
}

fn pages(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let files = tree.files_below(PAGES.to_owned());
    files.filter(|(path, _)| path.ends_with(".md"))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{places, tree};
    use super::*;

    const PAGE: &str = "docs/src/patterns/page.md";

    #[test]
    fn an_include_of_a_missing_file_or_anchor_fails() {
        let code = "// ANCHOR: send\nfn send() {}\n// ANCHOR_END: send\n// ANCHOR: open\n";
        let check = |include: &str| {
            let page = format!("```rust,ignore\n{{{{#include {include}}}}}\n```\n");
            missing(&tree(&[(PAGE, &page), ("patterns/a/src/sync.rs", code)])).len()
        };
        for broken in [
            "../../../patterns/a/src/gone.rs",
            "../../../patterns/a/src/sync.rs:gone",
            "../../../patterns/a/src/sync.rs:sen",
            "../../../patterns/a/src/sync.rs:open",
            "../../../patterns/a/src/sync.rs:3",
            "../../../../../up.rs",
        ] {
            assert_eq!(check(broken), 1, "{broken}");
        }
        for sound in [
            "../../../patterns/a/src/sync.rs",
            "../../../patterns/a/src/sync.rs:send",
        ] {
            assert_eq!(check(sound), 0, "{sound}");
        }
    }

    #[test]
    fn a_page_that_the_summary_leaves_out_fails() {
        let summary = (SUMMARY, "- [Page](patterns/page.md)\n");
        assert_eq!(unlisted(&tree(&[summary, (PAGE, "")])), []);
        let found = unlisted(&tree(&[summary, (PAGE, ""), ("docs/src/other.md", "")]));
        assert_eq!(places(&found), ["docs/src/other.md"]);
    }

    #[test]
    fn a_link_to_a_part_that_is_none_fails() {
        let other = "# The `whole` answer, at last\n\n<a id=\"guide/a\"></a>\n";
        let check = |link: &str| {
            let page = format!("# Here\n\nSee [it]({link}).");
            partless(&tree(&[(PAGE, &page), ("docs/src/other.md", other)])).len()
        };
        for broken in ["../other.md#gone", "#gone", "../other.md#guide/b"] {
            assert_eq!(check(broken), 1, "{broken}");
        }
        for sound in [
            "../other.md#the-whole-answer-at-last",
            "../other.md#guide/a",
            "#here",
            "https://example.com/#any",
            "sync.rs#L3",
        ] {
            assert_eq!(check(sound), 0, "{sound}");
        }
    }

    #[test]
    fn minutes_that_do_not_add_up_fail() {
        let module = "docs/src/workshop/single.md";
        let of = |head: &str, a: u64, b: u64| {
            format!("{head}\n\n| what | minutes |\n|---|---:|\n| talk | {a} |\n| do | {b} |\n")
        };
        let check =
            |agenda: &str, page: &str| minutes(&tree(&[(AGENDA, agenda), (module, page)])).len();
        let agenda = |whole: u64, minutes: u64| {
            format!(
                "<!-- agenda: {whole} -->\n\n| part | minutes |\n|---|---|\n| [one](single.md) | {minutes} |\n| break | 10 |\n"
            )
        };
        let sound = of("<!-- minutes: 15 -->", 5, 10);
        assert_eq!(check(&agenda(25, 15), &sound), 0);
        assert_eq!(check(&agenda(30, 15), &sound), 1);
        assert_eq!(check(&agenda(30, 20), &sound), 1);
        assert_eq!(
            check(&agenda(25, 15), &of("<!-- minutes: 15 -->", 5, 11)),
            1
        );
        assert_eq!(check(&agenda(25, 15), &of("", 5, 10)), 1);
    }
}
