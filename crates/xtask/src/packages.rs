//! Programs that the chores need and that are not Rust's: found, or installed by the package manager
//! that is here.

use std::env::{self, consts::EXE_SUFFIX};
use std::ffi::OsStr;
use std::fs::Metadata;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, run, warn};

/// What to install, by the name each manager has for it (several are parted by spaces).
pub struct Package {
    /// Debian's and Ubuntu's.
    pub apt_get: &'static str,
    /// Fedora's.
    pub dnf: &'static str,
    /// macOS's.
    pub brew: &'static str,
    /// The service that Debian's package starts, and nobody has asked for.
    pub service: Option<&'static str>,
}

/// A package manager, and how it installs what its name is put behind.
struct Manager {
    program: &'static str,
    needs_root: bool,
    commands: &'static [&'static str],
    name: fn(&Package) -> &'static str,
}

/// In this order, because a Linux machine may have brew beside its own.
const MANAGERS: [Manager; 3] = [
    Manager {
        program: "apt-get",
        needs_root: true,
        // The lists are old or empty on many a machine. And without the variable some ask which
        // services they shall restart.
        commands: &[
            "apt-get update",
            "env DEBIAN_FRONTEND=noninteractive apt-get install --yes",
        ],
        name: |package| package.apt_get,
    },
    Manager {
        program: "dnf",
        needs_root: true,
        commands: &["dnf install --assumeyes"],
        name: |package| package.dnf,
    },
    Manager {
        program: "brew",
        needs_root: false,
        commands: &["brew install"],
        name: |package| package.brew,
    },
];

/// Installs a package, with the rights that are there; asks nobody for a password.
///
/// # Errors
/// When no manager is here that we may use, or one of its commands fails. The program may be there
/// all the same: look for it.
pub fn install(package: &Package) -> Result {
    let is_here = |program: &str| find(program).is_some();
    let systemd = is_booted_by_systemd();
    let commands = commands(package, is_here, is_root(), sudo_works(), systemd)
        .ok_or("no package manager that we could use is here")?;
    let mut outcome = Ok(());
    for command in &commands {
        let mut words = command.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        if let Err(error) = run(command.args(words)) {
            warn(format_args!("{error}"));
            outcome = Err(error);
        }
    }
    outcome
}

/// The commands that install a package, or none where nothing here can.
fn commands(
    package: &Package,
    is_here: impl Fn(&str) -> bool,
    root: bool,
    sudo: bool,
    systemd: bool,
) -> Option<Vec<String>> {
    let manager = MANAGERS.iter().find(|manager| {
        let allowed = match manager.needs_root {
            true => root || sudo,
            // brew refuses to run as root.
            false => !root,
        };
        allowed && is_here(manager.program)
    })?;
    let before = match manager.needs_root && !root {
        // Not without `-n`: CI has nobody to type a password.
        true => "sudo -n ",
        false => "",
    };
    let mut commands: Vec<_> = manager.commands.iter().map(ToString::to_string).collect();
    if let Some(install) = commands.last_mut() {
        *install = format!("{install} {}", (manager.name)(package));
    }
    // In a container the service can't start, and there is nobody to ask for its end.
    if let (Some(service), true) = (package.service, manager.program == "apt-get" && systemd) {
        commands.push(format!("systemctl disable --now {service}"));
    }
    Some(commands.iter().map(|it| format!("{before}{it}")).collect())
}

/// As `man sd_booted` says.
fn is_booted_by_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether it needs no password.
fn sudo_works() -> bool {
    let output = Command::new("sudo").args(["-n", "true"]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Where a program is, by PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    find_on(&env::var_os("PATH")?, program)
}

fn find_on(path: &OsStr, program: &str) -> Option<PathBuf> {
    let name = format!("{program}{EXE_SUFFIX}");
    let found = env::split_paths(path)
        .map(|folder| folder.join(&name))
        .find(|file| is_program(file))?;
    // PATH may hold relative folders, and each test runs in the folder of its package.
    std::path::absolute(found).ok()
}

/// Whether it is a file that can be run: on Unix somebody must have allowed that, and a shell looks on
/// where nobody has.
fn is_program(file: &Path) -> bool {
    #[cfg(unix)]
    let allowed = |data: &Metadata| data.permissions().mode() & 0o111 != 0;
    #[cfg(not(unix))]
    let allowed = |_: &Metadata| true;
    let data = file.metadata();
    data.is_ok_and(|data| data.is_file() && allowed(&data))
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is installed with which rights is in tests/redis.rs, where the programs are played.

    const PACKAGE: Package = Package {
        apt_get: "redis-server",
        dnf: "redis",
        brew: "redis",
        service: Some("redis-server"),
    };

    #[test]
    fn the_service_that_comes_with_debians_package_is_stopped() {
        let stop = |manager: &str, systemd| {
            let is_here = |program: &str| program == manager;
            let commands = commands(&PACKAGE, is_here, false, true, systemd);
            commands.and_then(|commands| commands.last().cloned())
        };
        let stopped = stop("apt-get", true).expect("apt-get can");
        assert_eq!(stopped, "sudo -n systemctl disable --now redis-server");
        assert!(
            !stop("apt-get", false)
                .expect("it can")
                .contains("systemctl")
        );
        assert!(!stop("dnf", true).expect("it can").contains("systemctl"));
    }

    // Elsewhere a program's name has an ending, which this file has not.
    #[cfg(unix)]
    #[test]
    fn a_program_is_where_path_says_and_its_place_is_absolute() {
        let path =
            env::join_paths(["no-such-folder", "src", "tests"]).expect("no colon is in them");
        let here = find_on(&path, "fake.sh").expect("it is there");
        assert!(here.is_absolute() && here.ends_with("tests/fake.sh"));
        assert_eq!(find_on(&path, "redis-server"), None);
        assert_eq!(find_on(&path, "packages.rs"), None, "it can't be run");
    }
}
