//! docs/src/benchmarks.md: the tables and charts between markers; the words around them are ours.
//!
//! ```text
//! <!-- figures: in-flight -->      from here
//! ...
//! <!-- /figures -->                to here it is written by `cargo xtask speedups`
//! ```

use std::collections::BTreeSet;
use std::fmt::Write;

use super::charts;
use super::quote::{PAGE, shown};
use super::results::{Figure, Results, Run, bench_of, by_id};
use super::unit::Unit;
use crate::Result;

const OPEN: &str = "<!-- figures: ";
const CLOSE: &str = "<!-- /figures -->";

/// The page with the tables and charts of these results.
///
/// # Errors
/// When a marker is not closed, or names what is no bench; and when a bench has no marker.
pub fn render(page: &str, results: &Results) -> Result<String> {
    let mut text = String::new();
    let mut missing: BTreeSet<&str> = results.benches.keys().map(String::as_str).collect();
    let mut rest = page;
    while let Some(start) = rest.find(OPEN) {
        let after = &rest[start + OPEN.len()..];
        let (name, after) = after.split_once(" -->").ok_or(not_closed(after))?;
        let (_, after) = after.split_once(CLOSE).ok_or(not_closed(name))?;
        let (before, block) = (&rest[..start], block(name, results)?);
        write!(text, "{before}{OPEN}{name} -->\n\n{block}\n{CLOSE}")?;
        missing.remove(name);
        rest = after;
    }
    if let Some(name) = missing.first() {
        let marker = format!("{OPEN}{name} -->{CLOSE}");
        return Err(format!("{PAGE} has no place for {name}: write `{marker}` in it").into());
    }
    Ok(text + rest)
}

fn not_closed(name: &str) -> String {
    let name = name.lines().next().unwrap_or_default();
    format!("{PAGE}: `{OPEN}{name}` is not closed by `{CLOSE}`")
}

fn block(name: &str, results: &Results) -> Result<String> {
    if name == "machine" {
        return Ok(machine(results));
    }
    let Some(run) = results.benches.get(name) else {
        // A place may wait for its first figures.
        let known = super::set::SET.iter().any(|bench| bench.name == name);
        let wrong = format!("{PAGE}: there is no bench `{name}`");
        return if known {
            Ok(String::new())
        } else {
            Err(wrong.into())
        };
    };
    let mut text = String::new();
    for chart in charts::of(name, results)? {
        writeln!(text, "![{}](charts/{}.svg)\n", chart.title, chart.name)?;
    }
    text += &tables(&results.of(name).collect::<Vec<_>>());
    text += &measured(run);
    Ok(text)
}

fn machine(results: &Results) -> String {
    let machine = &results.machine;
    let versions = results
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    format!(
        "{}, {} cores, {}, {}; {}.\n",
        machine.cpu,
        machine.cores,
        machine.memory,
        machine.os,
        versions.collect::<Vec<_>>().join(", "),
    )
}

fn measured(run: &Run) -> String {
    let busy = run.busy.map_or(String::new(), |busy| {
        let busy = Unit::Share.show(busy);
        format!(", with {busy} of the machine busy with other things just before")
    });
    let accepted = run.accepted.as_ref().map_or(String::new(), |day| {
        format!("; the sources changed since, on {day} in nothing that moves a figure")
    });
    format!(
        "Measured on {}{busy}, by `{}`{accepted}.\n",
        run.date, run.command
    )
}

/// Figures as tables: a row a thing, a column for each that was measured of it. Where the things are
/// numbered, as calls in flight are, what was measured has a table of its own, and the numbers are
/// its columns.
fn tables(figures: &[&Figure]) -> String {
    let numbered = |figure: &Figure| {
        split(&figure.id).is_some_and(|(_, number, _)| number.parse::<f64>().is_ok())
    };
    let (numbered, plain): (Vec<&Figure>, Vec<&Figure>) =
        figures.iter().partition(|it| numbered(it));
    let mut text = table("", &plain, |id| {
        let (thing, name) = id.rsplit_once('/').unwrap_or(("", id));
        (thing.to_owned(), name.to_owned())
    });
    let names: BTreeSet<&str> = numbered
        .iter()
        .filter_map(|it| Some(split(&it.id)?.2))
        .collect();
    for name in names {
        let of_name: Vec<&Figure> = numbered
            .iter()
            .copied()
            .filter(|it| it.id.ends_with(&format!("/{name}")))
            .collect();
        text += &table(name, &of_name, |id| {
            let (thing, number, _) = split(id).unwrap_or((id, "", ""));
            (thing.to_owned(), number.to_owned())
        });
    }
    text
}

/// `in-flight/async`, `1000` and `share`.
fn split(id: &str) -> Option<(&str, &str, &str)> {
    let (rest, name) = id.rsplit_once('/')?;
    let (thing, number) = rest.rsplit_once('/')?;
    Some((thing, number, name))
}

/// A table. `place` says in which row and column a figure is. Each is where a link to it leads.
fn table(corner: &str, figures: &[&Figure], place: impl Fn(&str) -> (String, String)) -> String {
    let places: Vec<_> = figures.iter().map(|figure| place(&figure.id)).collect();
    let sorted = |mut names: Vec<String>| {
        names.sort_by(|a, b| by_id(a, b));
        names.dedup();
        names
    };
    let rows = sorted(places.iter().map(|(row, _)| row.clone()).collect());
    let columns = sorted(places.iter().map(|(_, column)| column.clone()).collect());
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("| {corner} | {} |\n|---|", columns.join(" | "));
    text += &"---:|".repeat(columns.len());
    text.push('\n');
    for row in &rows {
        // Without the bench, which the heading above says.
        let bench = bench_of(row);
        let label = row[bench.len()..].trim_start_matches('/').replace('/', " ");
        text += &format!("| {label} |");
        for column in &columns {
            let here = places.iter().position(|(r, c)| r == row && c == column);
            let cell = here.map(|at| figures[at]);
            let cell = cell.map_or(String::new(), |it| {
                format!("<a id=\"{}\"></a>{}", it.id, shown(it))
            });
            text += &format!(" {cell} |");
        }
        text.push('\n');
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::results::samples::{figure, results};
    use super::*;

    fn sample() -> Results {
        results(
            "guide",
            vec![
                figure("guide/four/sync/at-once", 0.7, None, Unit::S),
                figure(
                    "guide/four/sync/speedup",
                    2.7,
                    Some((2.69, 2.71)),
                    Unit::Ratio,
                ),
                figure("guide/curve/async/100/share", 0.9, None, Unit::Share),
                figure("guide/curve/async/10/share", 0.99, None, Unit::Share),
            ],
        )
    }

    #[test]
    fn what_stands_between_the_markers_is_replaced_and_nothing_else() {
        let page =
            "# Title\n\nWords.\n\n<!-- figures: guide -->\nold\n<!-- /figures -->\n\nMore.\n";
        let text = render(page, &sample()).expect("it has its place");
        assert_eq!(
            text,
            "# Title\n\nWords.\n\n<!-- figures: guide -->\n\n\
             |  | at-once | speedup |\n|---|---:|---:|\n\
             | four sync | <a id=\"guide/four/sync/at-once\"></a>0.700 s | <a id=\"guide/four/sync/speedup\"></a>2.70x (2.69 to 2.71) |\n\n\
             | share | 10 | 100 |\n|---|---:|---:|\n\
             | curve async | <a id=\"guide/curve/async/10/share\"></a>99.0 % | <a id=\"guide/curve/async/100/share\"></a>90.0 % |\n\n\
             Measured on 25 Nov 2026, with 2.00 % of the machine busy with other things just before, by `cargo run`.\n\n<!-- /figures -->\n\nMore.\n"
        );
        assert_eq!(render(&text, &sample()).expect("it has its place"), text);
    }

    #[test]
    fn a_marker_that_is_missing_open_or_unknown_is_named() {
        for (page, word) in [
            ("# Title\n", "no place for guide"),
            ("<!-- figures: guide -->\n", "not closed"),
            ("<!-- figures: giude --><!-- /figures -->", "`giude`"),
        ] {
            let error = render(page, &sample()).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_place_may_wait_for_its_first_figures() {
        let page =
            "<!-- figures: overhead --><!-- /figures --><!-- figures: guide --><!-- /figures -->";
        assert!(render(page, &sample()).is_ok());
    }
}
