//! `cargo xtask tidy`: the rules of the house that neither rustc nor clippy knows.
//!
//! The repository is read once into a [`Tree`]; each rule is a pure function over it, so that its
//! tests can show it a bad sample: a rule that can't fail is none.

pub mod twins;

pub mod reading;

pub mod purity;

pub mod sources;

pub mod manifests;

pub mod links;

pub mod book;

pub mod printed;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::speedups::rules as figures;
use crate::workspace::{Package, Workspace, relative};
use crate::{Result, say, warn};

/// The repository, as the rules see it.
#[derive(Debug, Default)]
pub struct Tree {
    /// The members of the workspace.
    pub packages: Vec<Package>,
    /// Every file's text by its path from the root. What no rule reads is there with an empty
    /// text, for links may lead to it.
    pub files: BTreeMap<String, String>,
}

/// Something that is against a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The file, and its line where there is one.
    pub place: String,
    /// What is wrong with it.
    pub wrong: String,
    /// What to do about it.
    pub remedy: String,
}

impl Failure {
    /// Says what is wrong.
    pub fn new(
        place: impl fmt::Display,
        wrong: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Failure {
            place: place.to_string(),
            wrong: wrong.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.wrong, self.remedy)
    }
}

/// Prints the tables and checks all rules.
///
/// # Errors
/// When something is against a rule. Each case has been printed on stderr by then.
pub fn run(workspace: &Workspace) -> Result {
    let tree = Tree::read(workspace)?;
    let twins = twins::measure(&tree, &workspace.target.join("tidy"))?;
    say(twins::table(&twins));
    say(reading::table(&tree));

    let rules: [fn(&Tree) -> Vec<Failure>; 21] = [
        twins::alone,
        reading::too_long,
        reading::long_files,
        purity::impure,
        sources::forbidden,
        manifests::same_name,
        manifests::unused,
        manifests::across_patterns,
        manifests::mock_on_core,
        manifests::own_lints,
        manifests::own_versions,
        links::dead,
        links::unexplained,
        printed::unlike,
        book::missing,
        book::unlisted,
        book::partless,
        book::minutes,
        figures::misquoted,
        figures::unlike,
        figures::stale,
    ];
    let failures = rules.iter().flat_map(|rule| rule(&tree));
    let failures: Vec<Failure> = twins::too_far(&twins).into_iter().chain(failures).collect();
    told("tidy", &failures)?;
    say(format_args!("tidy: {} rules hold", rules.len() + 1));
    Ok(())
}

/// Prints each failure on stderr.
///
/// # Errors
/// When there is one. The error says how many a chore has found.
pub fn told(chore: &str, failures: &[Failure]) -> Result {
    for failure in failures {
        warn(failure);
    }
    match failures.len() {
        0 => Ok(()),
        count => Err(format!("{chore}: {count} to mend, listed above").into()),
    }
}

impl Tree {
    /// Reads all files but what is built or git's own.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn read(workspace: &Workspace) -> Result<Tree> {
        let mut files = BTreeMap::new();
        read_folder(workspace, &workspace.root, &mut files)?;
        Ok(Tree {
            packages: workspace.packages.clone(),
            files,
        })
    }

    /// The Rust files of a package below one of its folders: `src`, `tests`, or "" for all.
    pub fn rust<'a>(
        &'a self,
        package: &Package,
        folder: &str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let below = format!("{}/{folder}", package.dir());
        self.files_below(below)
            .filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The files whose path begins like this.
    pub fn files_below(&self, beginning: String) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.range(beginning.clone()..);
        files
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .take_while(move |(path, _)| path.starts_with(&beginning))
    }

    /// The patterns, in the order of their numbers.
    pub fn patterns(&self) -> impl Iterator<Item = &Package> {
        let mut patterns: Vec<_> = self.packages.iter().filter(|it| it.is_pattern()).collect();
        patterns.sort_by_key(|package| package.dir());
        patterns.into_iter()
    }
}

fn read_folder(
    workspace: &Workspace,
    folder: &Path,
    files: &mut BTreeMap<String, String>,
) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            // Also the `target` of a workspace of its own, such as the exercises.
            if name != ".git"
                && name != "target"
                && name != "node_modules"
                && path != workspace.target
            {
                read_folder(workspace, &path, files)?;
            }
            continue;
        }
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs" | "md" | "toml" | "json" | "svg") => {
                fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?
            }
            _ => String::new(),
        };
        files.insert(relative(&workspace.root, &path), text);
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod samples {
    //! Small trees that break one rule each.

    use serde_json::json;

    use super::*;

    /// A tree of files, with a package for each Cargo.toml.
    ///
    /// It reads a manifest as `cargo metadata` does, as far as the rules need it.
    pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
        let manifests = files
            .iter()
            .filter(|(path, _)| path.ends_with("/Cargo.toml"));
        let packages = manifests.map(|(path, text)| package(path, text)).collect();
        let files = files
            .iter()
            .map(|(path, text)| (path.to_string(), text.to_string()))
            .collect();
        Tree { packages, files }
    }

    fn package(path: &str, text: &str) -> Package {
        let manifest: serde_json::Value = toml::from_str(text).expect("a sample is sound");
        let dependencies = |heading: &str, kind: Option<&str>| {
            let table = manifest[heading].as_object().cloned().unwrap_or_default();
            let listed = table
                .keys()
                .map(|name| json!({ "name": name, "kind": kind }));
            listed.collect::<Vec<_>>()
        };
        let targets = |kind: &str| {
            let tables = manifest[kind].as_array().cloned().unwrap_or_default();
            let listed = tables
                .iter()
                .map(|it| json!({ "name": it["name"], "kind": [kind] }));
            listed.collect::<Vec<_>>()
        };
        let dependencies = [
            dependencies("dependencies", None),
            dependencies("dev-dependencies", Some("dev")),
        ];
        let targets = [targets("bin"), targets("example")];
        let package = json!({
            "name": manifest["package"]["name"],
            "manifest_path": path,
            "dependencies": dependencies.concat(),
            "targets": targets.concat(),
        });
        serde_json::from_value(package).expect("it is what cargo metadata prints")
    }

    /// The places of the failures, for short assertions.
    pub(crate) fn places(failures: &[Failure]) -> Vec<&str> {
        failures
            .iter()
            .map(|failure| failure.place.as_str())
            .collect()
    }

    #[test]
    fn a_failure_names_the_place_the_wrong_and_the_remedy() {
        let failure = Failure::new("a.rs:3", "`todo!`", "write it");
        assert_eq!(failure.to_string(), "a.rs:3: `todo!`; write it");
    }
}
