//! What this process takes of the machine.

/// Lets this process, and those it starts, open as many files as the system allows, and returns how
/// many that is. A connection is one at each of its ends.
pub fn raise_open_files() -> u64 {
    // Where the limit can't be asked for, it is not the one that will be hit.
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX)
}

/// The memory this process has in RAM, in bytes.
pub fn resident() -> u64 {
    memory_stats::memory_stats().map_or(0, |stats| stats.physical_mem as u64)
}

/// The most memory this process has had in RAM, in bytes. `None` where the system does not tell.
// Not `ru_maxrss` of getrusage, which counts what the process was before it became this program.
pub fn peak_resident() -> Option<u64> {
    status("VmHWM:").map(|kib| kib * 1024)
}

/// The threads of this process now. `None` where the system does not tell.
pub fn threads() -> Option<u64> {
    status("Threads:")
}

/// How often a thread of this process gave up a CPU so far, of its own accord (it waited) or not
/// (another's turn). `None` where the system does not tell.
// Not /proc/self/status, which counts those of the first thread only.
pub fn context_switches() -> Option<u64> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        let both = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        u64::try_from(both).ok()
    }
    #[cfg(not(unix))]
    None
}

/// A number in what Linux tells of this process.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
