//! What cargo knows of this workspace, by `cargo metadata`: it reads the manifests as cargo does.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Result, cargo};

/// The workspace and its members.
#[derive(Debug, Deserialize)]
pub struct Workspace {
    /// The folder of the root Cargo.toml.
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    /// Where cargo builds; what we make goes there too.
    #[serde(rename = "target_directory")]
    pub target: PathBuf,
    /// The members.
    pub packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug, Clone, Deserialize)]
pub struct Package {
    /// As `cargo -p` wants it.
    pub name: String,
    /// Its Cargo.toml, relative to the workspace's root, with `/` on every system.
    pub manifest_path: String,
    /// Of all kinds.
    pub dependencies: Vec<Dependency>,
    /// Libraries, programs, examples, tests, benches.
    pub targets: Vec<Target>,
}

/// What a package depends on.
#[derive(Debug, Clone, Deserialize)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// The name it is given here, if another.
    pub rename: Option<String>,
    /// None for a plain one, else `dev` or `build`.
    pub kind: Option<String>,
}

/// Something that cargo builds.
#[derive(Debug, Clone, Deserialize)]
pub struct Target {
    /// As `cargo run --bin` or `--example` wants it.
    pub name: String,
    /// `bin`, `example`, `lib`, `test`, ...
    pub kind: Vec<String>,
}

impl Workspace {
    /// Asks cargo. It resolves nothing, so it works offline and leaves the lock file alone.
    ///
    /// # Errors
    /// When a manifest is wrong; cargo's own words say where.
    pub fn find() -> Result<Workspace> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            return Err(reason.trim().trim_start_matches("error: ").into());
        }
        let mut workspace: Workspace = serde_json::from_slice(&output.stdout)?;
        for package in &mut workspace.packages {
            package.manifest_path = relative(&workspace.root, Path::new(&package.manifest_path));
        }
        Ok(workspace)
    }
}

impl Package {
    /// Its folder, relative to the root: `patterns/07-retry`.
    pub fn dir(&self) -> &str {
        self.manifest_path
            .trim_end_matches("Cargo.toml")
            .trim_end_matches('/')
    }

    /// Whether it is one of the patterns.
    pub fn is_pattern(&self) -> bool {
        self.manifest_path.starts_with("patterns/")
    }
}

impl Dependency {
    /// The name that code uses: `ai_core` for `ai-core`.
    pub fn ident(&self) -> String {
        self.rename.as_ref().unwrap_or(&self.name).replace('-', "_")
    }
}

/// A path below the root, with `/` on every system.
pub fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_this_very_package() {
        let workspace = Workspace::find().expect("the manifests are sound");
        let own = workspace
            .packages
            .iter()
            .find(|package| package.name == "xtask");
        assert_eq!(own.map(Package::dir), Some("crates/xtask"));
    }
}
