//! Units: how a figure is shown, and how a quoted one is compared with it.

use serde::{Deserialize, Serialize};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
    /// A part of 1, shown as a percentage.
    Share,
    /// So many times as much, shown as `9.9x`.
    Ratio,
    /// Bytes, shown in KiB, MiB or GiB.
    Bytes,
    /// Dollars.
    Usd,
    /// Things. A number and whatever word follows.
    Count,
}

use Unit::{Bytes, Count, Ms, Ns, Ratio, S, Share, Us, Usd};

/// By how much a figure is multiplied to be written with a name, for every name it may have. The
/// first is its own; bytes are shown with the first that makes them 1 or more.
const NAMES: [(Unit, &str, f64); 17] = [
    (S, "s", 1.0),
    (S, "ms", 1e3),
    (S, "us", 1e6),
    (Ms, "ms", 1.0),
    (Ms, "s", 1e-3),
    (Ms, "us", 1e3),
    (Us, "us", 1.0),
    (Us, "ms", 1e-3),
    (Us, "ns", 1e3),
    (Ns, "ns", 1.0),
    (Ns, "us", 1e-3),
    (Share, "%", 100.0),
    (Ratio, "x", 1.0),
    (Bytes, "GiB", 1.0 / (1 << 30) as f64),
    (Bytes, "MiB", 1.0 / (1 << 20) as f64),
    (Bytes, "KiB", 1.0 / 1024.0),
    (Bytes, "bytes", 1.0),
];

impl Unit {
    /// A value as tables show it: with three digits, `0.305 s`, `98.2 %`, `9.93x`, `24.3 KiB`.
    pub fn show(self, value: f64) -> String {
        let (name, value) = match self {
            Bytes => {
                let fits = NAMES
                    .iter()
                    .find(|(unit, _, factor)| *unit == Bytes && value.abs() * factor >= 1.0);
                fits.map_or(("bytes", value), |(_, name, factor)| {
                    (*name, value * factor)
                })
            }
            Share => ("%", value * 100.0),
            // One with a call that was answered, and one without, may be in the same column.
            S if value.abs() < 1e-3 && value != 0.0 => ("us", value * 1e6),
            Count if value.fract() == 0.0 => return apart(&format!("{value:.0}")),
            Usd => return format!("${value:.4}"),
            _ => {
                let own = NAMES.iter().find(|(unit, _, _)| *unit == self);
                (own.map_or("", |(_, name, _)| name), value)
            }
        };
        format!("{}{}", three_digits(value), spaced(name))
    }

    /// The value as it is written with this name, if the unit has that name.
    pub fn with_name(self, value: f64, name: &str) -> Option<f64> {
        // The text may have either letter for micro.
        let name = if name == "\u{b5}s" { "us" } else { name };
        if matches!(self, Count | Usd) {
            let other = NAMES.iter().any(|(_, known, _)| *known == name);
            return (!other).then_some(value);
        }
        let found = NAMES
            .iter()
            .find(|(unit, known, _)| *unit == self && *known == name);
        found.map(|(_, _, factor)| value * factor)
    }
}

/// ` s`, but `x`.
fn spaced(name: &str) -> String {
    match name {
        "" | "x" => name.to_owned(),
        name => format!(" {name}"),
    }
}

/// With three digits, thousands apart: `9.93`, `0.305`, `10,000`.
fn three_digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    let decimals = (2.0 - magnitude).clamp(0.0, 6.0) as usize;
    apart(&format!("{value:.decimals$}"))
}

/// `10000.5` as `10,000.5`.
pub fn apart(number: &str) -> String {
    let (whole, rest) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut text = String::new();
    let digits = whole.trim_start_matches('-').len();
    for (index, letter) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if left % 3 == 0 && left < digits && letter != '-' {
            text.push(',');
        }
        text.push(letter);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_as_people_write_them() {
        for (unit, value, shown) in [
            (S, 3.0412, "3.04 s"),
            (S, 0.3051, "0.305 s"),
            (S, 0.000_199_2, "199 us"),
            (Us, 17.64, "17.6 us"),
            (Share, 0.9876, "98.8 %"),
            (Share, 1.0, "100 %"),
            (Ratio, 9.934, "9.93x"),
            (Bytes, 24.3 * 1024.0, "24.3 KiB"),
            (Bytes, 123.0 * 1_048_576.0, "123 MiB"),
            (Count, 10_000.0, "10,000"),
            (Count, 1_234_567.0, "1,234,567"),
            (Count, 7.0, "7"),
            (Count, 0.0, "0"),
            (S, 0.0, "0 s"),
        ] {
            assert_eq!(unit.show(value), shown);
        }
    }

    #[test]
    fn a_name_of_another_unit_is_none_of_its() {
        assert_eq!(S.with_name(0.3, "ms"), Some(300.0));
        assert_eq!(Share.with_name(0.5, "%"), Some(50.0));
        assert_eq!(Us.with_name(5.0, "\u{b5}s"), Some(5.0));
        assert_eq!(Count.with_name(5.0, "x"), None);
        assert_eq!(Share.with_name(0.5, "x"), None);
    }
}
