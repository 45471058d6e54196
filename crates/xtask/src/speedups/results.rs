//! The results file: what was measured, when, on what machine, and from which sources.
//!
//! It is the one place where a measured number is written by a program. Tables, charts and quoted
//! figures are made from it, and tidy compares them with it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::unit::Unit;
use crate::Result;

/// Where it is, from the root.
pub const PATH: &str = "docs/results.json";

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What made it.
    pub command: String,
    /// On what.
    pub machine: Machine,
    /// Of the compiler, and of the crates that the figures depend on, by their names.
    pub versions: BTreeMap<String, String>,
    /// How each bench was run, by its name.
    pub benches: BTreeMap<String, Run>,
    /// In the order of their ids.
    pub figures: Vec<Figure>,
    /// What the charts over time are drawn from, in the order of their ids.
    pub series: Vec<Series>,
}

/// What a reader has to know of a machine to compare it with his own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The model, as the system calls it.
    pub cpu: String,
    /// As many threads as run at one time.
    pub cores: usize,
    /// In GiB, rounded.
    pub memory: String,
    /// The system and its version.
    pub os: String,
}

/// One run of a bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The day: `25 Nov 2026`, UTC.
    pub date: String,
    /// As one types it, to run just this.
    pub command: String,
    /// The share of the machine that was busy with other things just before, where it tells.
    pub busy: Option<f64>,
    /// SHA-256 of the code it depends on, by file or folder.
    pub sources: BTreeMap<String, String>,
    /// The day on which somebody said that later changes of the sources can't have moved a figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

/// A measured number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// `in-flight/async/1000/share`: the bench first, what was measured last.
    pub id: String,
    /// The median, or what was counted.
    pub value: f64,
    /// The lower end of its spread; the value itself if there is only one.
    pub low: f64,
    /// The upper end, likewise.
    pub high: f64,
    /// Of all three.
    pub unit: Unit,
}

/// How something went over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// As a figure's.
    pub id: String,
    /// Seconds, and what there was then.
    pub points: Vec<(f64, f64)>,
}

/// What a bench prints, a line each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Most of them.
    Figure(Figure),
    /// A few.
    Series(Series),
}

impl Results {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not what [`Results::to_json`] writes.
    pub fn parse(text: &str) -> Result<Results> {
        let read = serde_json::from_str(text);
        read.map_err(|error| format!("{PATH}: {error}; run `cargo xtask speedups`").into())
    }

    /// The file's text. A figure is a line, so that a diff shows which have moved.
    ///
    /// # Errors
    /// None that a number read from JSON can cause.
    pub fn to_json(&self) -> Result<String> {
        let mut text = String::from("{\n");
        for (name, value) in [
            ("command", serde_json::to_string(&self.command)?),
            ("machine", serde_json::to_string_pretty(&self.machine)?),
            ("versions", serde_json::to_string_pretty(&self.versions)?),
            ("benches", serde_json::to_string_pretty(&self.benches)?),
            ("figures", lines(&self.figures)?),
            ("series", lines(&self.series)?),
        ] {
            let end = if name == "series" { "\n}" } else { "," };
            writeln!(text, "  \"{name}\": {}{end}", value.replace('\n', "\n  "))?;
        }
        Ok(text)
    }

    /// Finds a figure.
    pub fn figure(&self, id: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.id == id)
    }

    /// Just a figure's value.
    pub fn value(&self, id: &str) -> Option<f64> {
        self.figure(id).map(|figure| figure.value)
    }

    /// The points of a series.
    pub fn points(&self, id: &str) -> Option<&[(f64, f64)]> {
        let series = self.series.iter().find(|series| series.id == id);
        series.map(|series| series.points.as_slice())
    }

    /// The figures of a bench.
    pub fn of<'a>(&'a self, bench: &'a str) -> impl Iterator<Item = &'a Figure> {
        let figures = self.figures.iter();
        figures.filter(move |figure| bench_of(&figure.id) == bench)
    }

    /// Puts a bench's new run in the place of its last.
    ///
    /// # Errors
    /// When an id is not the bench's own or comes twice, a number is none, or there is no line.
    pub fn replace(&mut self, bench: &str, run: Run, lines: Vec<Line>) -> Result {
        if lines.is_empty() {
            return Err(format!("{bench} printed no figure").into());
        }
        self.figures.retain(|figure| bench_of(&figure.id) != bench);
        self.series.retain(|series| bench_of(&series.id) != bench);
        for line in lines {
            let (id, known) = match &line {
                Line::Figure(figure) => (&figure.id, self.figure(&figure.id).is_some()),
                Line::Series(series) => (&series.id, self.points(&series.id).is_some()),
            };
            if bench_of(id) != bench || known {
                let wrong = if known {
                    "twice"
                } else {
                    "under another's name"
                };
                return Err(format!("{bench} printed {id} {wrong}").into());
            }
            match line {
                Line::Figure(figure) => self.figures.push(figure.rounded()),
                Line::Series(series) => self.series.push(series),
            }
        }
        self.figures.sort_by(|a, b| by_id(&a.id, &b.id));
        self.series.sort_by(|a, b| by_id(&a.id, &b.id));
        self.benches.insert(bench.to_owned(), run);
        Ok(())
    }
}

impl Figure {
    /// With four digits: more would only be noise, and a longer diff.
    fn rounded(mut self) -> Figure {
        if self.unit != Unit::Count {
            for number in [&mut self.value, &mut self.low, &mut self.high] {
                *number = four_digits(*number);
            }
        }
        self
    }
}

fn four_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// A line each, in an array.
fn lines<T: Serialize>(values: &[T]) -> Result<String> {
    if values.is_empty() {
        return Ok("[]".to_owned());
    }
    let values: std::result::Result<Vec<_>, _> = values.iter().map(serde_json::to_string).collect();
    Ok(format!("[\n  {}\n]", values?.join(",\n  ")))
}

/// The first part of an id; the first two of `peers/clients/...`.
pub fn bench_of(id: &str) -> &str {
    let parts = if id.starts_with("peers/") { 2 } else { 1 };
    let end = id.match_indices('/').nth(parts - 1);
    end.map_or(id, |(end, _)| &id[..end])
}

/// Part by part, numbers as numbers: 10 after 3, and before 100.
pub fn by_id(a: &str, b: &str) -> Ordering {
    let part = |part: &'_ str| (part.parse::<f64>().ok(), part.to_owned());
    let (a, b) = (a.split('/').map(part), b.split('/').map(part));
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
pub(crate) mod samples {
    //! A results file as small as the tests need it.

    use super::*;

    pub(crate) fn figure(id: &str, value: f64, spread: Option<(f64, f64)>, unit: Unit) -> Line {
        Line::Figure(Figure {
            id: id.to_owned(),
            value,
            low: spread.map_or(value, |(low, _)| low),
            high: spread.map_or(value, |(_, high)| high),
            unit,
        })
    }

    pub(crate) fn run() -> Run {
        Run {
            date: "25 Nov 2026".to_owned(),
            command: "cargo run".to_owned(),
            busy: Some(0.02),
            sources: BTreeMap::new(),
            accepted: None,
        }
    }

    pub(crate) fn results(bench: &str, lines: Vec<Line>) -> Results {
        let mut results = Results::default();
        let replaced = results.replace(bench, run(), lines);
        replaced.expect("a sample is sound");
        results
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{figure, results, run};
    use super::*;

    fn sample() -> Results {
        results(
            "in-flight",
            vec![
                figure("in-flight/async/100/share", 0.987_654, None, Unit::Share),
                figure(
                    "in-flight/async/10/share",
                    0.99,
                    Some((0.98, 1.0)),
                    Unit::Share,
                ),
                Line::Series(Series {
                    id: "in-flight/over-time".to_owned(),
                    points: vec![(0.0, 1.0), (0.5, 2.0)],
                }),
            ],
        )
    }

    #[test]
    fn a_bench_of_the_peers_has_two_parts_in_its_name() {
        assert_eq!(bench_of("guide/a/wall"), "guide");
        assert_eq!(bench_of("peers/clients/async/ours/cpu"), "peers/clients");
        assert_eq!(bench_of("guide"), "guide");
    }

    #[test]
    fn what_is_written_is_read_again_and_each_figure_has_its_line() {
        let sample = sample();
        let text = sample.to_json().expect("all are numbers");
        assert_eq!(Results::parse(&text).expect("it is JSON"), sample);
        let figures = text.lines().filter(|line| line.contains("\"id\":"));
        assert_eq!(figures.count(), 3, "{text}");
    }

    #[test]
    fn ids_are_sorted_as_people_count_and_values_have_four_digits() {
        let sample = sample();
        let ids: Vec<&str> = sample.figures.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(
            ids,
            ["in-flight/async/10/share", "in-flight/async/100/share"]
        );
        assert_eq!(sample.value("in-flight/async/100/share"), Some(0.9877));
    }

    #[test]
    fn a_new_run_takes_the_place_of_the_last_and_of_no_other() {
        let mut sample = sample();
        let other = vec![figure("guide/ten/ratio", 9.9, None, Unit::Ratio)];
        sample.replace("guide", run(), other).expect("it is sound");
        let again = vec![figure("in-flight/async/10/share", 0.5, None, Unit::Share)];
        sample
            .replace("in-flight", run(), again)
            .expect("it is sound");
        assert_eq!(sample.value("guide/ten/ratio"), Some(9.9));
        assert_eq!(sample.value("in-flight/async/10/share"), Some(0.5));
        assert_eq!((sample.figures.len(), sample.series.len()), (2, 0));
    }

    #[test]
    fn nothing_an_id_of_another_bench_and_an_id_twice_are_refused() {
        let own = figure("guide/a", 1.0, None, Unit::S);
        for (lines, word) in [
            (vec![], "no figure"),
            (vec![figure("guided/a", 1.0, None, Unit::S)], "another's"),
            (vec![own.clone(), own], "twice"),
        ] {
            let error = Results::default().replace("guide", run(), lines);
            let error = error.expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_named_with_what_to_do() {
        let error = Results::parse("{}").expect_err("it is empty").to_string();
        assert!(error.contains(PATH) && error.contains("cargo xtask speedups"));
    }
}
