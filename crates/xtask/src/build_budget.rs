//! `cargo xtask build-budget`: how long a cold build of the tour takes, relative to that of an empty
//! package which can do no more than call an API over HTTPS.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::workspace::Workspace;
use crate::{Result, cargo, run as run_command, say, spoken};

/// How many times as long it may take.
const LIMIT: f64 = 2.5;

/// What a program needs at least to talk to an AI service.
const PACKAGE: &str = "[package]
name = \"bare\"
edition = \"2024\"

[dependencies]
reqwest.workspace = true
rustls.workspace = true
tokio.workspace = true

";

/// Builds both, one after the other, each time into a new folder, and prints each pair and the median.
///
/// In pairs, because a machine is not as fast at one time as at another.
///
/// # Errors
/// When a build fails, or the median is above the limit.
pub fn run(workspace: &Workspace, pairs: u32) -> Result {
    let folder = workspace.target.join("build-budget");
    let bare = folder.join("bare");
    fs::create_dir_all(bare.join("src"))?;
    fs::write(bare.join("src/main.rs"), "fn main() {}\n")?;
    let root = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    fs::write(bare.join("Cargo.toml"), manifest(&root))?;
    // The same versions: cargo takes from it what it needs, and leaves out the rest.
    fs::copy(workspace.root.join("Cargo.lock"), bare.join("Cargo.lock"))?;
    // What has to be downloaded is so before anything is measured.
    let mut fetch = cargo();
    run_command(
        fetch
            .args(["fetch", "--locked"])
            .current_dir(&workspace.root),
    )?;
    run_command(cargo().arg("fetch").current_dir(&bare))?;

    let mut ratios = Vec::new();
    for pair in 1..=pairs {
        let fresh = folder.join("target");
        let tour = cold_build(&workspace.root, "tour", &fresh)?;
        let least = cold_build(&bare, "bare", &fresh)?;
        let ratio = tour.div_duration_f64(least);
        let (tour, least) = (spoken(tour), spoken(least));
        say(format_args!(
            "pair {pair}: the tour {tour}, the empty package {least}: {ratio:.2}x"
        ));
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    say(format_args!("median: {median:.2}x, {LIMIT}x allowed"));
    match median > LIMIT {
        true => Err(format!("a cold build of the tour takes {median:.2} times as long").into()),
        false => Ok(()),
    }
}

/// The manifest of the empty package: a workspace with the features and profiles of ours, but without
/// our members.
fn manifest(root: &str) -> String {
    let members = ["members", "default-members", "exclude"];
    let of_ours = |line: &&str| !members.iter().any(|key| line.starts_with(key));
    let kept: Vec<_> = root.lines().filter(of_ours).collect();
    format!("{PACKAGE}{}\n", kept.join("\n"))
}

/// How long a package takes to build where nothing has been built before.
fn cold_build(place: &Path, package: &str, target: &Path) -> Result<Duration> {
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    let mut build = cargo();
    build.args(["build", "--locked", "--package", package]);
    build.arg("--target-dir").arg(target).current_dir(place);
    let start = Instant::now();
    run_command(&mut build)?;
    let took = start.elapsed();
    fs::remove_dir_all(target)?;
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_package_has_our_features_and_profiles_and_none_of_our_members() {
        let ours = include_str!("../../../Cargo.toml");
        let bare: toml::Table = manifest(ours).parse().expect("it is TOML");
        let ours: toml::Table = ours.parse().expect("it is TOML");
        let dependencies = |manifest: &toml::Table| manifest["workspace"]["dependencies"].clone();
        assert_eq!(dependencies(&bare), dependencies(&ours));
        assert_eq!(bare["profile"], ours["profile"]);
        let workspace = bare["workspace"].as_table().expect("it is a table");
        assert!(!workspace.contains_key("members") && !workspace.contains_key("exclude"));
    }
}
