//! Whether both workspaces have the same versions: else what is built for one is built again for the
//! other, and who has fetched for one is not ready for the other.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::Result;
use crate::tidy::Failure;

/// Packages of the exercises' lock file that the root's does not have in that version.
///
/// # Errors
/// When one of the two is no TOML.
pub fn differing(root: &str, exercises: &str) -> Result<Vec<Failure>> {
    let known = packages(root)?;
    let others = packages(exercises)?;
    let mut failures = Vec::new();
    for (name, version) in others.difference(&known) {
        let versions = known.iter().filter(|(it, _)| it == name);
        let versions: Vec<_> = versions.map(|(_, version)| version.as_str()).collect();
        let theirs = match versions[..] {
            [] => "the root has none".to_owned(),
            _ => format!("the root has {}", versions.join(" and ")),
        };
        failures.push(Failure::new(
            "docs/exercises/Cargo.lock",
            format!("{name} {version}, and {theirs}"),
            "copy the root's Cargo.lock there and run `cargo metadata --offline` in that folder",
        ));
    }
    Ok(failures)
}

/// Name and version of all that comes from elsewhere. What has no source is our own.
fn packages(lock: &str) -> Result<BTreeSet<(String, String)>> {
    let lock: Table = lock.parse()?;
    let packages = lock.get("package").and_then(Value::as_array);
    let foreign = packages
        .into_iter()
        .flatten()
        .filter(|it| it.get("source").is_some());
    let text = |package: &Value, field| Some(package.get(field)?.as_str()?.to_owned());
    Ok(foreign
        .filter_map(|it| Some((text(it, "name")?, text(it, "version")?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        let of = |(name, version): &(&str, &str)| {
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"registry\"\n"
            )
        };
        packages.iter().map(of).collect()
    }

    fn wrong(root: &str, exercises: &str) -> Vec<String> {
        let failures = differing(root, exercises).expect("both are sound");
        failures.into_iter().map(|failure| failure.wrong).collect()
    }

    #[test]
    fn a_version_that_the_root_does_not_have_fails() {
        let root = lock(&[("tokio", "1.54.1"), ("rand", "0.9.0"), ("rand", "0.10.4")]);
        let same = lock(&[("tokio", "1.54.1"), ("rand", "0.9.0")]);
        assert_eq!(wrong(&root, &same), [""; 0]);
        let other = lock(&[("tokio", "1.50.0"), ("rand", "0.8.0"), ("serde", "1.0.0")]);
        assert_eq!(
            wrong(&root, &other),
            [
                "rand 0.8.0, and the root has 0.10.4 and 0.9.0",
                "serde 1.0.0, and the root has none",
                "tokio 1.50.0, and the root has 1.54.1",
            ]
        );
    }

    #[test]
    fn our_own_packages_need_not_be_in_both() {
        let own = "[[package]]\nname = \"ex_02_01\"\nversion = \"0.1.0\"\n";
        assert_eq!(wrong(&lock(&[]), own), [""; 0]);
    }

    #[test]
    fn what_is_no_lock_file_is_an_error() {
        assert!(differing("", "<html>").is_err());
    }
}
