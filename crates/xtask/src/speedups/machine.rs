//! What the figures were measured on.

use std::collections::BTreeMap;
use std::fs;
use std::thread::{available_parallelism, sleep};
use std::time::{Duration, SystemTime};

use toml::{Table, Value};

use super::results::Machine;
use crate::said;

/// The crates whose versions move figures.
const CRATES: [&str; 11] = [
    "async-openai",
    "backon",
    "eventsource-stream",
    "governor",
    "hyper",
    "moka",
    "reqwest",
    "rustls",
    "serde_json",
    "sse-stream",
    "tokio",
];

impl Machine {
    /// This one. What the system does not tell is `unknown`.
    pub fn this() -> Machine {
        let unknown = || "unknown".to_owned();
        let cpu = line_of("/proc/cpuinfo", "model name")
            .or_else(|| said("sysctl", &["-n", "machdep.cpu.brand_string"]));
        let kib = line_of("/proc/meminfo", "MemTotal")
            .and_then(|it| it.trim_end_matches(" kB").parse::<f64>().ok());
        let bytes = || said("sysctl", &["-n", "hw.memsize"]).and_then(|it| it.parse::<f64>().ok());
        let gib = kib
            .map(|kib| kib * 1024.0)
            .or_else(bytes)
            .map(|bytes| bytes / (1u64 << 30) as f64);
        Machine {
            cpu: cpu.unwrap_or_else(unknown),
            cores: available_parallelism().map_or(0, usize::from),
            memory: gib.map_or_else(unknown, |gib| format!("{gib:.0} GiB")),
            os: said("uname", &["-sr"])
                .map_or_else(|| std::env::consts::OS.to_owned(), |os| release(&os)),
        }
    }
}

/// The system without what the builder of its kernel has added: `Linux 6.8.0` of `Linux 6.8.0-47-generic`.
/// The next build of the same kernel is no other machine, or all figures would be measured again for each.
fn release(os: &str) -> String {
    let release = os.split_once('-').map_or(os, |(release, _)| release);
    release.to_owned()
}

/// The compiler's version, and those in these Cargo.lock files of the crates that matter; of a crate
/// that is in several, the last one's.
pub(super) fn versions(locks: &[impl AsRef<str>]) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for lock in locks {
        let lock: Table = lock.as_ref().parse().unwrap_or_default();
        let packages = lock.get("package").and_then(Value::as_array);
        versions.extend(packages.into_iter().flatten().filter_map(|package| {
            let name = package.get("name")?.as_str()?;
            let version = package.get("version")?.as_str()?;
            CRATES
                .contains(&name)
                .then(|| (name.to_owned(), version.to_owned()))
        }));
    }
    // `rustc 1.95.0 (59807616e 2026-04-14)`
    let rustc = said("rustc", &["--version"]);
    let rustc = rustc.and_then(|said| said.split(' ').nth(1).map(str::to_owned));
    versions.extend(rustc.map(|version| ("rustc".to_owned(), version)));
    versions
}

/// The share of the machine that is busy with other things, by looking on for a second.
///
/// Not the system's load: that is an average over a minute, in which our own last bench ran.
pub(super) fn busy() -> Option<f64> {
    let before = ticks()?;
    sleep(Duration::from_secs(1));
    let after = ticks()?;
    let [idle, all] = [0, 1].map(|at| after[at].saturating_sub(before[at]) as f64);
    let busy = 1.0 - idle / all.max(1.0);
    // To the per cent: a second has no more ticks than that.
    Some((busy * 100.0).round() / 100.0)
}

/// Idle and in all, since the machine started: `cpu  user nice system idle iowait ...`.
fn ticks() -> Option<[u64; 2]> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .map_while(|it| it.parse().ok())
        .collect();
    Some([ticks.get(3)? + ticks.get(4)?, ticks.iter().take(8).sum()])
}

/// The day, in UTC: `25 Nov 2026`.
pub(super) fn today() -> String {
    // `Wed, 25 Nov 2026 23:30:36 GMT`
    httpdate::fmt_http_date(SystemTime::now())[5..16].to_owned()
}

/// The value of a `name : value` line.
fn line_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file_and_of_the_compiler() {
        let lock = "[[package]]\nname = \"tokio\"\nversion = \"1.54.0\"\n[[package]]\nname = \"other\"\nversion = \"1.0.0\"\n";
        let versions = versions(&[lock]);
        let names: Vec<&str> = versions.keys().map(String::as_str).collect();
        assert_eq!(names, ["rustc", "tokio"]);
        assert_eq!(versions["tokio"], "1.54.0");
        assert!(versions["rustc"].starts_with("1."), "{versions:?}");
    }

    #[test]
    fn the_next_build_of_a_kernel_is_no_other_system_but_the_next_release_is() {
        assert_eq!(release("Linux 6.8.0-47-generic"), "Linux 6.8.0");
        assert_eq!(release("Darwin 24.1.0"), "Darwin 24.1.0");
    }

    #[test]
    fn a_day_is_a_day() {
        let today = today();
        assert_eq!(today.split(' ').count(), 3, "{today}");
    }
}
