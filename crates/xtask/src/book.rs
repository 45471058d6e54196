//! `cargo xtask book`: checks the book and builds it, in docs/book.
//!
//! mdBook takes an include of nothing for an empty one and a dead link for a link, so the pages are
//! checked before by tidy's rules, and the built pages afterwards: what is right in the source may
//! lead nowhere from where mdBook has put it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::speedups::rules as figures;
use crate::tidy::{Failure, Tree, book, links, told};
use crate::workspace::Workspace;
use crate::{Result, cargo, run as run_command, said, say};

/// The mdBook whose output we have looked at.
const MDBOOK: &str = "0.5.4";

/// Checks and builds.
///
/// # Errors
/// When a page is wrong, each case having been printed by then, or mdBook can't be had or fails.
pub fn run(workspace: &Workspace) -> Result {
    let tree = Tree::read(workspace)?;
    let rules: [fn(&Tree) -> Vec<Failure>; 7] = [
        book::missing,
        book::unlisted,
        book::partless,
        book::minutes,
        links::dead,
        figures::misquoted,
        figures::unlike,
    ];
    let failures: Vec<Failure> = rules.iter().flat_map(|rule| rule(&tree)).collect();
    told("book", &failures)?;
    let mdbook = mdbook(workspace)?;
    run_command(
        Command::new(mdbook)
            .args(["build", "docs"])
            .current_dir(&workspace.root),
    )?;
    let built = workspace.root.join("docs/book");
    for page in pages(&built)? {
        let text = fs::read_to_string(&page)?;
        fs::write(&page, outward(&text, folder_of(&page)))?;
    }
    told("book", &dead(&built)?)?;
    say("the book is built: open docs/book/index.html");
    Ok(())
}

/// mdBook as it is installed, if it is this version; else one of our own below `target`.
fn mdbook(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target.join("tools");
    let own = tools
        .join("bin")
        .join(format!("mdbook{}", std::env::consts::EXE_SUFFIX));
    for program in [PathBuf::from("mdbook"), own.clone()] {
        if version(&program).as_deref() == Some(MDBOOK) {
            return Ok(program);
        }
    }
    say(format_args!(
        "installs mdbook {MDBOOK} in target/tools, once; that takes some minutes"
    ));
    let mut install = cargo();
    install.args(["install", "mdbook", "--locked", "--version", MDBOOK]);
    // Search is all of its features that the book has a use for.
    install.args(["--no-default-features", "--features", "search"]);
    run_command(install.arg("--root").arg(&tools))?;
    Ok(own)
}

/// `mdbook v0.5.4`
fn version(program: &Path) -> Option<String> {
    let said = said(program, &["--version"])?;
    Some(said.strip_prefix("mdbook v")?.to_owned())
}

/// A page whose links to Markdown outside of the book lead there: mdBook makes `.html` of every `.md`.
fn outward(html: &str, folder: &Path) -> String {
    let mut text = html.to_owned();
    for link in targets(html) {
        let Some(stem) = link.strip_suffix(".html") else {
            continue;
        };
        let source = format!("{stem}.md");
        if !folder.join(link).exists() && folder.join(&source).exists() {
            text = text.replace(&format!("\"{link}"), &format!("\"{source}"));
        }
    }
    text
}

/// Links of built pages to files that are not there.
fn dead(built: &Path) -> Result<Vec<Failure>> {
    let mut failures = Vec::new();
    for path in pages(built)? {
        let text = fs::read_to_string(&path)?;
        let page = path.strip_prefix(built).unwrap_or(&path).display();
        for link in targets(&text).filter(|link| !folder_of(&path).join(link).exists()) {
            failures.push(Failure::new(
                format!("docs/book/{page}"),
                format!("its link to {link} leads nowhere"),
                "mend it in the page's source",
            ));
        }
    }
    Ok(failures)
}

/// All but the page for what is not there, which has its links from the root of a server.
fn pages(built: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    let mut folders = vec![built.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "html") && !path.ends_with("404.html")
            {
                pages.push(path);
            }
        }
    }
    Ok(pages)
}

fn folder_of(page: &Path) -> &Path {
    page.parent().unwrap_or(page)
}

/// The files that a page needs or leads to, without parts of them, and what is on the net.
fn targets(html: &str) -> impl Iterator<Item = &str> {
    let values = |name| {
        html.split(name)
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('"')?.0))
    };
    let paths = values(" href=\"").chain(values(" src=\""));
    let paths = paths.map(|link| link.split(['#', '?']).next().unwrap_or_default());
    paths.filter(|path| !path.is_empty() && !path.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_out_of_the_book_leads_to_the_source() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let html = "<a href=\"../../README.html#part\">it</a> <a href=\"../../gone.html\">no</a>";
        let expected = "<a href=\"../../README.md#part\">it</a> <a href=\"../../gone.html\">no</a>";
        assert_eq!(outward(html, folder), expected);
    }

    #[test]
    fn a_link_of_a_built_page_to_nothing_is_found() {
        let folder = std::env::temp_dir().join(format!("xtask-book-{}", std::process::id()));
        fs::create_dir_all(folder.join("patterns")).expect("a temporary folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).expect("the folder is there");
        };
        write("index.html", "<a href=\"patterns/a.html#part\">a</a>");
        write(
            "patterns/a.html",
            "<a href=\"../index.html\">up</a> <img src=\"gone.svg\"> <a href=\"https://docs.rs\">it</a>",
        );
        write("404.html", "<a href=\"/gone.html\">home</a>");
        let found = dead(&folder);
        fs::remove_dir_all(&folder).expect("it is ours");
        let found = found.expect("the pages can be read");
        assert_eq!(found.len(), 1);
        assert!(found[0].wrong.contains("gone.svg"), "{}", found[0]);
    }
}
