//! `cargo xtask exercises`: every exercise is red as it comes, and green with its solution.
//!
//! First what the files alone tell: their form, whether a solution is the pattern's own code, and
//! whether both workspaces have the same versions. Then what cargo tells: the exercises as they come,
//! and a copy of them, below `target`, in which each solution has taken the place of the task.

pub mod form;

pub mod same;

pub mod locks;

pub mod outcome;

mod builds;

use std::fs;
use std::time::Instant;

use toml::Table;

use crate::tidy::{Tree, told};
use crate::workspace::Workspace;
use crate::{Result, say, spoken, table};

/// Where they are, in folders of chapters: the form of workshop-runner.
const FOLDER: &str = "docs/exercises";

/// The chapter of programs that are whole and wrong: they have no `todo!`.
const CLINIC: &str = "90_";

/// An exercise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exercise {
    /// Its folder from the root: `docs/exercises/02_concurrent/01_lazy`.
    pub dir: String,
    /// Its package: `ex_02_01`.
    pub package: String,
    /// Whether it belongs to the clinic.
    pub is_clinic: bool,
    /// The tests that pass as it comes. All others fail.
    pub green: Vec<String>,
}

impl Exercise {
    /// All of them, in their order. A folder whose name has no number is one too, for the rules.
    pub fn all(tree: &Tree) -> Vec<Exercise> {
        let mut dirs: Vec<(&str, &str)> = Vec::new();
        for (path, _) in tree.files_below(format!("{FOLDER}/")) {
            let mut parts = path[FOLDER.len() + 1..].split('/');
            if let (Some(chapter), Some(name), Some(_)) = (parts.next(), parts.next(), parts.next())
                && !dirs.contains(&(chapter, name))
            {
                dirs.push((chapter, name));
            }
        }
        let exercise = |(chapter, name)| Exercise::new(tree, chapter, name);
        dirs.into_iter().map(exercise).collect()
    }

    fn new(tree: &Tree, chapter: &str, name: &str) -> Exercise {
        let dir = format!("{FOLDER}/{chapter}/{name}");
        let number = |folder: &str| folder.chars().take(2).collect::<String>();
        let manifest: Table = tree
            .files
            .get(&format!("{dir}/Cargo.toml"))
            .and_then(|text| text.parse().ok())
            .unwrap_or_default();
        let green = manifest
            .get("package")
            .and_then(|it| it.get("metadata")?.get("exercise")?.get("green"))
            .and_then(|it| it.as_array());
        let names = green.into_iter().flatten();
        Exercise {
            package: format!("ex_{}_{}", number(chapter), number(name)),
            is_clinic: chapter.starts_with(CLINIC),
            green: names
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect(),
            dir,
        }
    }

    /// Its name without its number: `lazy`.
    pub fn name(&self) -> &str {
        let folder = self.dir.rsplit('/').next().unwrap_or_default();
        folder.split_once('_').map_or(folder, |(_, name)| name)
    }

    /// The path of one of its files.
    pub fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.dir)
    }

    /// The text of one of its files; empty if it is not there, which is another rule's matter.
    pub fn text<'a>(&self, tree: &'a Tree, file: &str) -> &'a str {
        tree.files.get(&self.path(file)).map_or("", String::as_str)
    }
}

/// Checks all of it.
///
/// # Errors
/// When something is wrong. Each case has been printed on stderr by then.
pub fn run(workspace: &Workspace) -> Result {
    let start = Instant::now();
    let tree = Tree::read(workspace)?;
    let exercises = Exercise::all(&tree);
    let lock = |folder: &str| fs::read_to_string(workspace.root.join(folder).join("Cargo.lock"));
    let mut failures = locks::differing(&lock("")?, &lock(FOLDER)?)?;
    for exercise in &exercises {
        for rule in form::RULES {
            failures.extend(rule(&tree, exercise));
        }
        failures.extend(same::differing(&tree, exercise));
    }
    told("exercises", &failures)?;

    builds::formatted(workspace, &exercises)?;
    let folder = workspace.root.join(FOLDER);
    let shipped = builds::tested(workspace, &folder, &exercises)?;
    let copy = builds::solved(workspace, &tree, &exercises)?;
    let solved = builds::tested(workspace, &copy, &exercises)?;

    let mut failures = Vec::new();
    let mut rows = Vec::new();
    for ((exercise, shipped), solved) in exercises.iter().zip(shipped).zip(solved) {
        failures.extend(outcome::as_it_comes(exercise, &shipped));
        failures.extend(outcome::with_its_solution(exercise, &solved));
        rows.push(vec![
            format!("{} {}", exercise.package, exercise.name()),
            form::minutes(exercise.text(&tree, "README.md"))
                .map_or(String::new(), |it| it.to_string()),
            shipped.counts(),
            solved.counts(),
        ]);
    }
    say(table::render(
        &["exercise", "minutes", "as it comes", "with its solution"],
        rows,
    ));
    told("exercises", &failures)?;
    builds::clippy(workspace, &copy)?;
    say(format_args!(
        "exercises: all {} are red as they come and green with their solutions, in {}",
        exercises.len(),
        spoken(start.elapsed())
    ));
    Ok(())
}

#[cfg(test)]
pub(crate) mod samples {
    //! One sound exercise, to be broken in one place by each test.

    use super::*;
    use crate::tidy::Failure;

    pub(crate) const DIR: &str = "docs/exercises/02_concurrent/01_lazy";

    const FILES: [(&str, &str); 7] = [
        (
            "Cargo.toml",
            "[package]\nname = \"ex_02_01\"\n[package.metadata.exercise]\ngreen = [\"it_starts\"]\n",
        ),
        (
            "README.md",
            "# 02.01\n\n**Goal:** see.\n\nMinutes: 5\n\n## What you will see\n\nIt.\n\n`cargo test -p ex_02_01`\n",
        ),
        (
            "HINTS.md",
            "<details>a</details>\n<details>b</details>\n<details>c</details>\n",
        ),
        ("STRETCH.md", "- More.\n"),
        (
            "src/lib.rs",
            "fn take() {\n    // TODO: take it.\n    todo!(\"take\")\n}\n",
        ),
        ("tests/check.rs", "#[test]\nfn it_starts() {}\n"),
        (
            "solution/lib.rs",
            "//! The same as patterns/a/src/lib.rs: fn take\n// ANCHOR: take\nfn take() { now() }\n// ANCHOR_END: take\n",
        ),
    ];

    /// The sound exercise.
    pub(crate) fn sound() -> Tree {
        let mut tree = Tree::default();
        for (file, text) in FILES {
            tree.files.insert(format!("{DIR}/{file}"), text.to_owned());
        }
        let pattern = "/// Takes it.\npub(crate) fn take() {\n    now()\n}\n";
        tree.files
            .insert("patterns/a/src/lib.rs".to_owned(), pattern.to_owned());
        tree
    }

    /// The sound exercise with another text in one of its files.
    pub(crate) fn with(file: &str, change: impl FnOnce(&str) -> String) -> Tree {
        let mut tree = sound();
        let text = tree
            .files
            .get_mut(&format!("{DIR}/{file}"))
            .expect("the sample has it");
        *text = change(text);
        tree
    }

    /// What a rule says of the only exercise of a tree.
    pub(crate) fn check(
        rule: impl Fn(&Tree, &Exercise) -> Vec<Failure>,
        tree: &Tree,
    ) -> Vec<Failure> {
        let exercises = Exercise::all(tree);
        assert_eq!(exercises.len(), 1, "{exercises:?}");
        rule(tree, &exercises[0])
    }

    #[test]
    fn an_exercise_is_known_by_its_folder() {
        let exercises = Exercise::all(&sound());
        let lazy = Exercise {
            dir: DIR.to_owned(),
            package: "ex_02_01".to_owned(),
            is_clinic: false,
            green: vec!["it_starts".to_owned()],
        };
        assert_eq!(exercises, [lazy]);
    }

    #[test]
    fn files_of_the_workspace_itself_are_no_exercise() {
        let mut tree = sound();
        for file in ["Cargo.toml", ".cargo/config.toml", "README.md"] {
            tree.files.insert(format!("{FOLDER}/{file}"), String::new());
        }
        assert_eq!(Exercise::all(&tree).len(), 1);
    }
}
