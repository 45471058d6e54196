//! A figure, and how it is shown: one line of JSON for programs, a table for people.

use std::fmt::Display;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// The median of some figures, with their quartiles around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// A quarter of the figures is below.
    pub low: f64,
    /// The middle one.
    pub median: f64,
    /// A quarter of the figures is above.
    pub high: f64,
}

impl Spread {
    /// Sorts out some figures, of which there must be one at least.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Spread {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        // Between two figures in proportion: of an even number, none is in the middle.
        let at = |share: f64| {
            let place = (figures.len() - 1) as f64 * share;
            let (below, above) = (figures[place as usize], figures[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Spread {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        }
    }
}

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// A part of a whole, in [0, 1].
    Share,
    /// How many times as much.
    Ratio,
    /// Bytes.
    Bytes,
    /// A number of things; of a median or a mean it need not be whole.
    Count,
    /// Dollars.
    Usd,
}

/// One measured figure. As JSON it is a line of `--json`, which `cargo xtask speedups` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is of, from the general to the special: `in-flight/async/1000/share`.
    pub id: String,
    /// The median, or what was counted.
    pub value: f64,
    /// The lower quartile; the value itself if there is only one.
    pub low: f64,
    /// The upper quartile; the value itself if there is only one.
    pub high: f64,
    /// What all three are measured in.
    pub unit: Unit,
}

impl Figure {
    /// A figure that varies.
    pub fn new(id: impl Into<String>, unit: Unit, spread: Spread) -> Figure {
        Figure {
            id: id.into(),
            value: spread.median,
            low: spread.low,
            high: spread.high,
            unit,
        }
    }

    /// A figure there is one of.
    pub fn one(id: impl Into<String>, unit: Unit, value: f64) -> Figure {
        Figure::new(id, unit, Spread::of([value]))
    }

    /// Its last part, the column: what was measured. The rest is the row: of what.
    fn row_and_column(&self) -> (&str, &str) {
        self.id.rsplit_once('/').unwrap_or(("", &self.id))
    }
}

/// As people read it: `79.0 % ±1%`, if half of the distance between the quartiles is 1 % of it. A
/// difference of which the quartiles don't agree which way it goes is shown with both of them:
/// `-4.00 us (-19.9 to 11.2)`. In proportion to what may be 0 they would say nothing.
impl Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const KIB: f64 = 1024.0;
        const MIB: f64 = KIB * KIB;
        let (factor, before, after) = match self.unit {
            Unit::S if self.value.abs() < 1e-3 && self.value != 0.0 => (1e6, "", " us"),
            Unit::S => (1.0, "", " s"),
            Unit::Ms => (1.0, "", " ms"),
            Unit::Us => (1.0, "", " us"),
            Unit::Share => (100.0, "", " %"),
            Unit::Ratio => (1.0, "", "x"),
            Unit::Bytes if self.value >= MIB => (1.0 / MIB, "", " MiB"),
            Unit::Bytes => (1.0 / KIB, "", " KiB"),
            Unit::Count => (1.0, "", ""),
            Unit::Usd => (1.0, "$", ""),
        };
        let [shown, low, high] =
            [self.value, self.low, self.high].map(|it| number(it * factor, self.unit));
        write!(f, "{before}{shown}{after}")?;
        if self.low < 0.0 && 0.0 < self.high {
            write!(f, " ({low} to {high})")?;
        } else if self.low < self.high && self.value != 0.0 {
            let half = (self.high - self.low) / 2.0;
            write!(f, " ±{:.0}%", 100.0 * half / self.value.abs())?;
        }
        Ok(())
    }
}

/// With as many digits as such a figure can mean.
fn number(value: f64, unit: Unit) -> String {
    let digits = match value.abs() {
        _ if value == 0.0 || unit == Unit::Count && value.fract() == 0.0 => 0,
        _ if unit == Unit::Usd => 4,
        size if unit == Unit::Ratio && size < 0.01 => 6,
        _ if unit == Unit::Ratio => 3,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// Where figures go as they are found: with `--json` a line each, else a table.
#[derive(Debug)]
pub struct Output {
    json: bool,
    /// The table under way: its columns, and how wide they are.
    columns: Vec<(String, usize)>,
}

/// How wide the names of the rows are, at least.
const NAMES: usize = 48;

impl Output {
    /// To stdout.
    pub fn new(json: bool) -> Output {
        let columns = Vec::new();
        Output { json, columns }
    }

    /// What the next table is about. People see it, programs don't.
    pub fn title(&mut self, title: impl Display) {
        self.columns.clear();
        if !self.json {
            line(format_args!("\n{title}"));
        }
    }

    /// Some figures of one thing: their ids differ in the last part only.
    pub fn row(&mut self, figures: &[Figure]) {
        if self.json {
            for figure in figures {
                // It can't fail: a figure has no map whose keys could be something else than text.
                line(serde_json::to_string(figure).expect("a figure is JSON"));
            }
            return;
        }
        let texts: Vec<_> = figures.iter().map(Figure::to_string).collect();
        let names = figures.iter().map(|figure| figure.row_and_column().1);
        if !names.clone().eq(self.columns.iter().map(|(name, _)| name)) {
            // Later rows are about as wide as the first one. Not measured beforehand: a row is
            // shown as soon as it is known, since the next may take a minute.
            let widths = names.clone().zip(&texts);
            let widths = widths.map(|(name, text)| (name.to_owned(), name.len().max(text.len())));
            self.columns = widths.collect();
            self.cells("", names);
        }
        let name = figures.first().map_or("", |first| first.row_and_column().0);
        self.cells(name, texts.iter().map(String::as_str));
    }

    fn cells<'a>(&self, name: &str, cells: impl Iterator<Item = &'a str>) {
        let mut text = format!("{name:<NAMES$}");
        for (cell, (_, width)) in cells.zip(&self.columns) {
            text += &format!("  {cell:>width$}");
        }
        line(text);
    }
}

/// Prints a line. Ends the program if nobody reads any more, as `| head` does.
fn line(text: impl Display) {
    if writeln!(io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_between_the_quartiles() {
        let spread = Spread::of([5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
        assert_eq!(Spread::of([1.0, 2.0]).median, 1.5);
        assert_eq!(Spread::of([7.0]).high, 7.0);
    }

    #[test]
    fn a_figure_is_one_line_of_json() {
        let spread = Spread {
            low: 0.75,
            median: 0.79,
            high: 0.85,
        };
        let figure = Figure::new("in-flight/async/1000/share", Unit::Share, spread);
        let json = serde_json::to_string(&figure).expect("a figure is JSON");
        let expected = r#"{"id":"in-flight/async/1000/share","value":0.79,"low":0.75,"high":0.85,"unit":"share"}"#;
        assert_eq!(json, expected);
        let back: Figure = serde_json::from_str(&json).expect("it is a figure");
        assert_eq!(back, figure);
    }

    #[test]
    fn people_see_a_figure_with_the_digits_that_mean_something() {
        let one = |unit, value| Figure::one("a/b", unit, value).to_string();
        assert_eq!(one(Unit::Share, 0.7912), "79.1 %");
        assert_eq!(one(Unit::Bytes, 28.0 * 1024.0), "28.0 KiB");
        assert_eq!(one(Unit::Bytes, 142.0 * 1024.0 * 1024.0), "142 MiB");
        assert_eq!(one(Unit::Count, 10_000.0), "10000");
        assert_eq!(one(Unit::Usd, 0.5), "$0.5000");
        assert_eq!(one(Unit::S, 3.0134), "3.01 s");
        assert_eq!(one(Unit::S, 0.000_199_2), "199 us");
        assert_eq!(one(Unit::S, 0.0), "0 s");
        assert_eq!(one(Unit::Ratio, 0.9876), "0.988x");
        assert_eq!(one(Unit::Ratio, 0.000_124), "0.000124x");
        let varies = Figure::new("a/b", Unit::Ms, Spread::of([18.0, 20.0, 24.0]));
        assert_eq!(varies.to_string(), "20.0 ms ±8%");
        let differs = Figure::new("a/b", Unit::Us, Spread::of([-20.0, -4.0, 11.0]));
        assert_eq!(differs.to_string(), "-4.00 us (-12.0 to 3.50)");
    }
}
