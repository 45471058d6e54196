//! Readers of the values of flags and settings that have no type of their own.
//!
//! The others (a [`Latency`](crate::Latency), a [`Script`](crate::Script), ...) are read with [`str::parse`].

use std::time::Duration;

use crate::failure::Failure;
use crate::latency::LONGEST;

/// Reads `300ms`, `0.3s` or `1m`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let seconds = match &text[unit..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("{text:?} is no time; write 300ms, 0.3s or 1m")),
    };
    let time = text[..unit]
        .parse::<f64>()
        .ok()
        .and_then(|n| Duration::try_from_secs_f64(n * seconds).ok());
    time.filter(|t| *t <= LONGEST)
        .ok_or_else(|| format!("{text:?} is no time from 0 to a day; write 300ms, 0.3s or 1m"))
}

/// Writes a time so that [`duration`] reads it back.
pub(crate) fn show(time: Duration) -> String {
    format!("{}ms", time.as_secs_f64() * 1000.0)
}

/// Reads `0.1`, `0.1x503`, `0.1xreset` or several of them, as in `0.1x500,0.05xreset`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn failure_rate(text: &str) -> Result<Vec<(f64, Failure)>, String> {
    let kind = |kind: &str| {
        let (rate, failure) = kind.split_once('x').unwrap_or((kind, "503"));
        let rate = rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
        let rate: f64 = rate.ok_or_else(|| {
            format!("{kind:?}: write a share from 0 to 1, like 0.1, 0.1x503 or 0.1xreset")
        })?;
        Ok((rate, failure.parse()?))
    };
    let kinds: Vec<_> = text.split(',').map(kind).collect::<Result<_, String>>()?;
    // 0.1 ten times is a little more than 1 in binary fractions.
    if kinds.iter().map(|(rate, _)| rate).sum::<f64>() > 1.0 + 1e-9 {
        return Err(format!("{text:?}: more than all attempts would fail"));
    }
    Ok(kinds)
}

/// Writes shares of failures so that [`failure_rate`] reads them back; none if there are none.
pub(crate) fn show_failure_rate(kinds: &[(f64, Failure)]) -> Option<String> {
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(rate, failure)| format!("{rate}x{failure}"))
        .collect();
    (!kinds.is_empty()).then(|| kinds.join(","))
}

/// Reads a pace of more than zero tokens a second.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn pace(text: &str) -> Result<f64, String> {
    let pace = text
        .parse()
        .ok()
        .filter(|pace: &f64| pace.is_finite() && *pace > 0.0);
    pace.ok_or_else(|| format!("{text:?} is no pace; write a number of tokens above 0, like 50"))
}

/// Reads a number of slots of at least one.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn slots(text: &str) -> Result<usize, String> {
    let slots = text
        .parse()
        .ok()
        .filter(|slots| (1..=1_000_000).contains(slots));
    slots.ok_or_else(|| {
        format!("{text:?} is no number of slots; write a whole number from 1 to 1000000")
    })
}

/// Reads a quota window, which may not be empty.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn window(text: &str) -> Result<Duration, String> {
    let window = duration(text)?;
    if window.is_zero() {
        Err("a window must be longer than 0".to_owned())
    } else {
        Ok(window)
    }
}
