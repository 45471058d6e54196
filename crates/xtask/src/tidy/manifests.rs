//! Who depends on whom, and how the manifests say it.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{Failure, Tree};
use crate::code;
use crate::workspace::Package;

/// The one pattern that composes the others.
const COMPOSES: &str = "patterns/08-";

/// Packages, programs or examples that share a name: `cargo run --bin` could not tell them apart,
/// and one would overwrite the other in the target folder.
pub fn same_name(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut owners: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for package in &tree.packages {
        let targets = package.targets.iter().flat_map(|target| {
            target
                .kind
                .iter()
                .map(move |kind| (kind.as_str(), target.name.as_str()))
        });
        let targets = targets.filter(|(kind, _)| matches!(*kind, "bin" | "example"));
        for named in std::iter::once(("package", package.name.as_str())).chain(targets) {
            if let Some(other) = owners.insert(named, &package.manifest_path) {
                failures.push(Failure::new(
                    &package.manifest_path,
                    format!("{other} has a {} named `{}` too", named.0, named.1),
                    "give it another name, with the package's name in front",
                ));
            }
        }
    }
    failures
}

/// Dependencies that no source names.
///
/// A plain one must be named in src/, tests and comments aside. A dev one may be named anywhere, also
/// in a comment or a README.md: examples in the documentation need it.
pub fn unused(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    for package in &tree.packages {
        let sources = tree.rust(package, "src/").map(|(_, text)| text);
        let library: String = sources
            .map(|text| code::without_comments(&code::without_tests(text)))
            .collect();
        let build: String = tree
            .rust(package, "build.rs")
            .map(|(_, text)| text)
            .collect();
        let all = tree.files_below(format!("{}/", package.dir()));
        let all: String = all
            .filter(|(path, _)| !path.ends_with(".toml"))
            .map(|(_, text)| text)
            .collect();
        for dependency in &package.dependencies {
            let (text, whereabouts, remedy) = match dependency.kind.as_deref() {
                None => (
                    &library,
                    "src/, tests aside",
                    "remove it, or make it a dev-dependency",
                ),
                Some("build") => (&build, "build.rs", "remove it"),
                Some(_) => (&all, "the package", "remove it"),
            };
            if code::position(text, &dependency.ident()).is_none() {
                let wrong = format!("`{}` is not named in {whereabouts}", dependency.name);
                failures.push(Failure::new(&package.manifest_path, wrong, remedy));
            }
        }
    }
    failures
}

/// Patterns that depend on another pattern. Each is understood from its own folder; only the
/// eighth composes them.
pub fn across_patterns(tree: &Tree) -> Vec<Failure> {
    let names: Vec<&str> = tree
        .patterns()
        .map(|pattern| pattern.name.as_str())
        .collect();
    let bound = tree
        .patterns()
        .filter(|pattern| !pattern.dir().starts_with(COMPOSES));
    bound
        .flat_map(|pattern| {
            forbid(
                pattern,
                |name| names.contains(&name),
                "share it through crates/core, or compose them in patterns/08",
            )
        })
        .collect()
}

/// ai-mock depending on ai-core: a bug that both share would hide itself.
pub fn mock_on_core(tree: &Tree) -> Vec<Failure> {
    let mocks = tree
        .packages
        .iter()
        .filter(|package| package.name == "ai-mock");
    mocks
        .flat_map(|mock| {
            forbid(
                mock,
                |name| name == "ai-core",
                "write the mock's own, so that each tests the other",
            )
        })
        .collect()
}

fn forbid(package: &Package, forbidden: impl Fn(&str) -> bool, remedy: &str) -> Vec<Failure> {
    let found = package
        .dependencies
        .iter()
        .filter(|dependency| forbidden(&dependency.name));
    found
        .map(|dependency| {
            Failure::new(
                &package.manifest_path,
                format!("depends on `{}`", dependency.name),
                remedy,
            )
        })
        .collect()
}

/// Members whose lints are their own.
pub fn own_lints(tree: &Tree) -> Vec<Failure> {
    let own = manifests(tree).filter(|(_, manifest)| !inherits(manifest.get("lints")));
    own.map(|(path, _)| {
        Failure::new(
            path,
            "the workspace's lints don't hold here",
            "add `[lints]` with `workspace = true`",
        )
    })
    .collect()
}

/// Dependencies whose version stands in the member and not in the root: two feature sets of one
/// crate are two builds of it.
pub fn own_versions(tree: &Tree) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (path, manifest) in manifests(tree) {
        let targets = manifest.get("target").and_then(Value::as_table);
        let targets = targets
            .into_iter()
            .flat_map(Table::values)
            .filter_map(Value::as_table);
        for table in std::iter::once(&manifest).chain(targets) {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let dependencies = table.get(kind).and_then(Value::as_table);
                let own = dependencies
                    .into_iter()
                    .flatten()
                    .filter(|(_, it)| !inherits(Some(it)));
                failures.extend(own.map(|(name, _)| {
                    Failure::new(
                        path,
                        format!("`{name}` is not taken from [workspace.dependencies]"),
                        format!("move its version there and write `{name}.workspace = true`"),
                    )
                }));
            }
        }
    }
    failures
}

/// The members' manifests. Cargo has read them before us, so they are sound.
fn manifests(tree: &Tree) -> impl Iterator<Item = (&str, Table)> {
    tree.packages.iter().filter_map(|package| {
        let text = tree.files.get(&package.manifest_path)?;
        Some((package.manifest_path.as_str(), text.parse().ok()?))
    })
}

fn inherits(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{places, tree};
    use super::*;

    const RETRY: (&str, &str) = (
        "patterns/07-retry/Cargo.toml",
        "[package]\nname = \"retry\"",
    );

    #[test]
    fn two_programs_two_examples_or_two_packages_of_one_name_fail() {
        for target in [
            "[[bin]]\nname = \"sync\"",
            "[[example]]\nname = \"as_written\"",
        ] {
            let (a, b) = (
                format!("[package]\nname = \"a\"\n{target}"),
                format!("[package]\nname = \"b\"\n{target}"),
            );
            let found = same_name(&tree(&[
                ("crates/a/Cargo.toml", &a),
                ("crates/b/Cargo.toml", &b),
            ]));
            assert_eq!(places(&found), ["crates/b/Cargo.toml"], "{target}");
        }
        let found = same_name(&tree(&[RETRY, ("crates/retry/Cargo.toml", RETRY.1)]));
        assert_eq!(places(&found), ["crates/retry/Cargo.toml"]);
    }

    #[test]
    fn a_program_may_be_named_like_its_package() {
        let manifest = "[package]\nname = \"xtask\"\n[[bin]]\nname = \"xtask\"";
        assert_eq!(
            same_name(&tree(&[("crates/xtask/Cargo.toml", manifest)])),
            []
        );
    }

    #[test]
    fn a_dependency_that_no_source_names_fails() {
        let manifest = "[package]\nname = \"a\"\n[dependencies]\nai-core.workspace = true\n[dev-dependencies]\ntokio.workspace = true";
        let check = |lib, test| {
            unused(&tree(&[
                ("crates/a/Cargo.toml", manifest),
                ("crates/a/src/lib.rs", lib),
                ("crates/a/tests/it.rs", test),
            ]))
            .len()
        };
        assert_eq!(check("use ai_core::Config;", "use tokio::spawn;"), 0);
        assert_eq!(check("/// tokio::spawn\nuse ai_core::Config;", ""), 0);
        assert_eq!(
            check("// ai_core\n", "use tokio::spawn; use ai_core::Config;"),
            1
        );
        assert_eq!(check("use ai_cores::Config;", "use tokios::spawn;"), 2);
    }

    #[test]
    fn a_pattern_on_another_fails_but_for_the_eighth() {
        let manifest = "[package]\nname = \"b\"\n[dev-dependencies]\nretry.workspace = true";
        let check = |path| across_patterns(&tree(&[RETRY, (path, manifest)])).len();
        assert_eq!(check("patterns/06-caching/Cargo.toml"), 1);
        assert_eq!(check("patterns/08-resilient-batch/Cargo.toml"), 0);
        assert_eq!(check("crates/tour/Cargo.toml"), 0);
    }

    #[test]
    fn the_mock_on_core_fails_even_for_its_tests() {
        let manifest =
            "[package]\nname = \"ai-mock\"\n[dev-dependencies]\nai-core.workspace = true";
        let found = mock_on_core(&tree(&[("crates/mock/Cargo.toml", manifest)]));
        assert_eq!(places(&found), ["crates/mock/Cargo.toml"]);
    }

    #[test]
    fn lints_that_are_not_the_workspaces_fail() {
        let check = |lints| {
            own_lints(&tree(&[(
                "crates/a/Cargo.toml",
                &format!("[package]\nname = \"a\"\n{lints}"),
            )]))
            .len()
        };
        assert_eq!(check("[lints]\nworkspace = true"), 0);
        assert_eq!(check(""), 1);
        assert_eq!(check("[lints.rust]\nunsafe_code = \"allow\""), 1);
    }

    #[test]
    fn a_version_of_its_own_fails_wherever_it_stands() {
        let check = |line| {
            own_versions(&tree(&[(
                "crates/a/Cargo.toml",
                &format!("[package]\nname = \"a\"\n{line}"),
            )]))
            .len()
        };
        assert_eq!(check("[dependencies]\nserde.workspace = true"), 0);
        assert_eq!(check("[dependencies]\nserde = \"1\""), 1);
        assert_eq!(
            check("[dev-dependencies]\nserde = { path = \"../serde\" }"),
            1
        );
        assert_eq!(
            check("[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\""),
            1
        );
    }
}
