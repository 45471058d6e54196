//! The form of an exercise: what a learner finds in each folder, and nothing left out.

use toml::Table;

use super::Exercise;
use crate::code;
use crate::tidy::{Failure, Tree};

/// The page that lists them all.
const PAGE: &str = "docs/src/exercises.md";

/// What each folder holds.
const FILES: [&str; 7] = [
    "Cargo.toml",
    "README.md",
    "HINTS.md",
    "STRETCH.md",
    "src/lib.rs",
    "tests/check.rs",
    "solution/lib.rs",
];

/// A rule for one exercise.
pub type Rule = fn(&Tree, &Exercise) -> Vec<Failure>;

/// All of them.
pub const RULES: [Rule; 6] = [named, complete, told, hinted, unfinished, listed];

/// Folders and packages that are not called by their numbers: neither `wr` nor a reader finds them.
pub fn named(tree: &Tree, exercise: &Exercise) -> Vec<Failure> {
    let mut failures = Vec::new();
    let is_numbered = |folder: &&str| {
        let mut parts = folder.splitn(2, '_');
        let number = parts.next().unwrap_or_default();
        number.len() == 2
            && number.bytes().all(|it| it.is_ascii_digit())
            && parts.next().is_some_and(|name| !name.is_empty())
    };
    let folders: Vec<&str> = exercise.dir.rsplit('/').take(2).collect();
    if !folders.iter().all(is_numbered) {
        failures.push(Failure::new(
            &exercise.dir,
            "its folder and that of its chapter are not called like `01_name`",
            "rename them",
        ));
    }
    let manifest: Table = exercise
        .text(tree, "Cargo.toml")
        .parse()
        .unwrap_or_default();
    let package = manifest.get("package");
    if package.and_then(|it| it.get("name")?.as_str()) != Some(&*exercise.package) {
        failures.push(Failure::new(
            exercise.path("Cargo.toml"),
            "its package does not have the numbers of its folders",
            format!("call it `{}`", exercise.package),
        ));
    }
    if package
        .and_then(|it| it.get("metadata")?.get("exercise")?.get("green"))
        .is_none()
    {
        failures.push(Failure::new(
            exercise.path("Cargo.toml"),
            "it does not say which tests pass from the start",
            "add `green = [...]` to [package.metadata.exercise]",
        ));
    }
    failures
}

/// Files that are not there.
pub fn complete(tree: &Tree, exercise: &Exercise) -> Vec<Failure> {
    let missing = FILES
        .iter()
        .filter(|file| !tree.files.contains_key(&exercise.path(file)));
    missing
        .map(|file| Failure::new(exercise.path(file), "it is missing", "write it"))
        .collect()
}

/// What a README.md does not say.
pub fn told(tree: &Tree, exercise: &Exercise) -> Vec<Failure> {
    let text = exercise.text(tree, "README.md");
    let command = format!("cargo test -p {}", exercise.package);
    let parts = [
        ("**Goal:**", text.contains("**Goal:**")),
        ("Minutes: a number", minutes(text).is_some()),
        (
            "## What you will see",
            text.contains("\n## What you will see\n"),
        ),
        (&*command, text.contains(&*command)),
    ];
    let missing = parts.iter().filter(|(_, is_there)| !is_there);
    missing
        .map(|(part, _)| {
            Failure::new(
                exercise.path("README.md"),
                format!("it has no `{part}`"),
                "add it",
            )
        })
        .collect()
}

/// The line `Minutes: 10` of a README.md.
pub fn minutes(readme: &str) -> Option<u32> {
    let line = readme
        .lines()
        .find_map(|line| line.strip_prefix("Minutes: "))?;
    line.trim().parse().ok()
}

/// Hints that are not three.
pub fn hinted(tree: &Tree, exercise: &Exercise) -> Vec<Failure> {
    let count = exercise.text(tree, "HINTS.md").matches("<details>").count();
    if count == 3 {
        return Vec::new();
    }
    vec![Failure::new(
        exercise.path("HINTS.md"),
        format!("{count} hints"),
        "make it three `<details>`, each stronger: where to look, what is missing, how to write it",
    )]
}

/// A task without its one TODO, and a solution with one.
pub fn unfinished(tree: &Tree, exercise: &Exercise) -> Vec<Failure> {
    let mut failures = Vec::new();
    // The programs of the clinic are whole, and wrong: the TODO says so, and there is no gap.
    let gaps = usize::from(!exercise.is_clinic);
    for (file, expected) in [("src/lib.rs", (1, gaps)), ("solution/lib.rs", (0, 0))] {
        let text = exercise.text(tree, file);
        let marks = text
            .lines()
            .filter(|line| line.trim_start().starts_with("// TODO"));
        let found = (marks.count(), code::bare(text).matches("todo!").count());
        if found != expected {
            failures.push(Failure::new(
                exercise.path(file),
                format!("{} `// TODO` and {} `todo!`", found.0, found.1),
                format!("make it {} and {}", expected.0, expected.1),
            ));
        }
    }
    failures
}

/// Exercises that the page of all exercises leaves out, or gives other minutes.
pub fn listed(tree: &Tree, exercise: &Exercise) -> Vec<Failure> {
    let (Some(page), Some(minutes)) = (
        tree.files.get(PAGE),
        minutes(exercise.text(tree, "README.md")),
    ) else {
        return Vec::new();
    };
    let name = format!("`{}`", exercise.package);
    let row = page
        .lines()
        .find(|line| line.starts_with('|') && line.contains(&name));
    let cells = row.map(|row| row.trim().trim_matches('|').rsplit('|').next());
    if cells.flatten().map(str::trim) == Some(&*minutes.to_string()) {
        return Vec::new();
    }
    vec![Failure::new(
        PAGE,
        format!("no row of {name} that ends in its {minutes} minutes"),
        format!("add it, or change {}", exercise.path("README.md")),
    )]
}

#[cfg(test)]
mod tests {
    use super::super::samples::{DIR, check, sound, with};
    use super::*;

    #[test]
    fn what_is_sound_breaks_no_rule() {
        for rule in RULES {
            assert_eq!(check(rule, &sound()), []);
        }
    }

    #[test]
    fn a_folder_without_a_number_or_a_package_with_another_name_fails() {
        let renamed = with("Cargo.toml", |text| text.replace("ex_02_01", "lazy"));
        assert_eq!(check(named, &renamed).len(), 1);
        let mut moved = sound();
        for (path, text) in std::mem::take(&mut moved.files) {
            moved.files.insert(path.replace("01_lazy", "lazy"), text);
        }
        // The package is not called by its numbers either: there are none.
        assert_eq!(check(named, &moved).len(), 2);
    }

    #[test]
    fn a_manifest_that_does_not_say_what_is_green_fails() {
        let silent = with("Cargo.toml", |text| text.replace("green", "read"));
        assert_eq!(check(named, &silent).len(), 1);
    }

    #[test]
    fn each_file_that_is_missing_fails() {
        for file in FILES {
            let mut tree = sound();
            tree.files.remove(&format!("{DIR}/{file}"));
            let found = check(complete, &tree);
            assert_eq!(found.len(), 1, "{file}");
            assert_eq!(found[0].place, format!("{DIR}/{file}"));
        }
    }

    #[test]
    fn each_part_that_a_readme_leaves_out_fails() {
        for (part, other) in [
            ("**Goal:**", "Goal:"),
            ("Minutes: 5", "Minutes: five"),
            ("## What you will see", "## See"),
            ("-p ex_02_01", "-p ex_02_02"),
        ] {
            let tree = with("README.md", |text| text.replace(part, other));
            assert_eq!(check(told, &tree).len(), 1, "{part}");
        }
    }

    #[test]
    fn two_hints_or_four_fail() {
        let two = with("HINTS.md", |text| text.replacen("<details>", "", 1));
        let four = with("HINTS.md", |text| format!("{text}<details>d</details>"));
        assert_eq!(check(hinted, &two).len(), 1);
        assert_eq!(check(hinted, &four).len(), 1);
    }

    #[test]
    fn a_task_without_a_gap_or_with_two_fails() {
        let shipped = |text: &str| with("src/lib.rs", |_| text.to_owned());
        for broken in [
            "fn take() {}\n",
            "fn take() { todo!() }\n",
            "// TODO: take it.\nfn take() {}\n",
            "// TODO: take it.\n// TODO: give it.\nfn take() { todo!() }\n",
            "// TODO: take it.\nfn take() { todo!(); todo!() }\n",
        ] {
            assert_eq!(check(unfinished, &shipped(broken)).len(), 1, "{broken}");
        }
        let spoken_of = "// TODO: take it. No `todo!` is left then.\nfn take() { todo!() }\n";
        assert_eq!(check(unfinished, &shipped(spoken_of)), []);
    }

    #[test]
    fn a_clinics_program_with_a_gap_fails_and_one_without_does_not() {
        let mut tree = sound();
        for (path, text) in std::mem::take(&mut tree.files) {
            tree.files
                .insert(path.replace("02_concurrent", "90_clinic"), text);
        }
        assert_eq!(check(unfinished, &tree).len(), 1);
        let lib = "docs/exercises/90_clinic/01_lazy/src/lib.rs".to_owned();
        let whole = "// TODO: find it.\nfn take() {}\n".to_owned();
        tree.files.insert(lib, whole);
        assert_eq!(check(unfinished, &tree), []);
    }

    #[test]
    fn a_solution_with_a_todo_fails() {
        let tree = with("solution/lib.rs", |text| {
            format!("{text}fn give() {{ todo!() }}\n")
        });
        assert_eq!(check(unfinished, &tree).len(), 1);
    }

    #[test]
    fn an_exercise_that_the_page_leaves_out_or_gives_other_minutes_fails() {
        let page = |row: &str| {
            let mut tree = sound();
            tree.files
                .insert(PAGE.to_owned(), format!("| a | b |\n{row}\n"));
            check(listed, &tree).len()
        };
        assert_eq!(page("| [`ex_02_01` lazy](x) | goal | 5 |"), 0);
        assert_eq!(page("| [`ex_02_01` lazy](x) | goal | 15 |"), 1);
        assert_eq!(page("| [`ex_02_02` lazy](x) | goal | 5 |"), 1);
    }
}
