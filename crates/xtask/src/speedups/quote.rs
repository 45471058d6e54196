//! Figures that a page quotes: each is a link to its place in docs/src/benchmarks.md.
//!
//! ```text
//! Threads are [9.9x](docs/src/benchmarks.md#guide/ten/threads/ratio) faster.
//! Threads are [9.7x to 9.9x][threads] faster.     a range is the figure's spread
//! It costs [at most 1.05x][cost].                 a bound is checked against the spread
//! ```
//!
//! So a reader may follow each number to where it was measured, the bare file stays readable, and
//! the link's text can be compared with the results file. How many decimals there are is up to the
//! page. A comment beside the number would say the same to us and nothing to the reader.

use std::ops::Range;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::results::{Figure, Results};
use super::unit::apart;
use crate::tidy::links::{dir_of, resolve};

/// The page that has a place for each figure.
pub const PAGE: &str = "docs/src/benchmarks.md";

/// A figure that a page quotes.
#[derive(Debug, PartialEq)]
pub struct Quote {
    /// Of the figure.
    pub id: String,
    /// Where the link's text is in the page.
    pub place: Range<usize>,
}

/// All that a page quotes. `page` is its path from the root.
pub fn quotes(page: &str, markdown: &str) -> Vec<Quote> {
    let dir = dir_of(page);
    let mut quotes = Vec::new();
    let mut open: Option<Quote> = None;
    for (event, place) in Parser::new(markdown).into_offset_iter() {
        match (event, &mut open) {
            (Event::Start(Tag::Link { dest_url, .. }), _) => {
                open = figure_of(page, dir, &dest_url).map(|id| Quote { id, place: 0..0 });
            }
            (Event::End(TagEnd::Link), _) => quotes.extend(open.take()),
            // What is inside the link, from the first piece to the last.
            (_, Some(quote)) if quote.place.is_empty() => quote.place = place,
            (_, Some(quote)) => quote.place.end = place.end,
            _ => {}
        }
    }
    quotes
}

/// The id that a link leads to. A fragment without `/` is a heading of the page.
fn figure_of(page: &str, dir: &str, link: &str) -> Option<String> {
    let (path, fragment) = link.split_once('#')?;
    let target = match path {
        "" => page.to_owned(),
        path if path.contains("://") => return None,
        path => resolve(dir, path)?,
    };
    (target == PAGE && fragment.contains('/')).then(|| fragment.to_owned())
}

/// The text with the figure's present numbers in it: the same text if it is true.
///
/// # Errors
/// When it can't be made true by other numbers; the words say why.
pub fn corrected(text: &str, figure: &Figure) -> Result<String, String> {
    let numbers = numbers(text);
    // Of a range the first may be without a unit: `82 to 85 %`.
    let unit = numbers.last().map_or("", |last| last.unit);
    let in_unit = |value| {
        let value = figure.unit.with_name(value, unit);
        value.ok_or_else(|| {
            let (id, shown) = (&figure.id, shown(figure));
            format!("`{text}` is not in the unit of {id}, which is {shown}")
        })
    };
    let (value, low, high) = (
        in_unit(figure.value)?,
        in_unit(figure.low)?,
        in_unit(figure.high)?,
    );
    let written = match numbers.as_slice() {
        // A bound is a claim: who would loosen it has to say so himself.
        [only] if text.starts_with("at most ") => return bound(text, figure, high <= only.value),
        [only] if text.starts_with("at least ") => return bound(text, figure, low >= only.value),
        [only] => vec![apart(&format!("{value:.*}", only.decimals))],
        [first, last] => ends(low, high, first.decimals.max(last.decimals)).to_vec(),
        _ => {
            let ways = "`9.9x`, `9.7x to 9.9x`, `at most 10x` or `at least 9x`";
            return Err(format!("`{text}` has no number, or too many: write {ways}"));
        }
    };
    let mut corrected = String::new();
    let mut done = 0;
    for (number, written) in numbers.iter().zip(written) {
        corrected += &text[done..number.digits.start];
        corrected += &written;
        done = number.digits.end;
    }
    Ok(corrected + &text[done..])
}

/// Both ends of a range with so many decimals, or with one or two more if they tell them apart:
/// `68 to 68 us` would look like a mistake where `67.7 to 68.5 us` was seen.
pub fn ends(low: f64, high: f64, decimals: usize) -> [String; 2] {
    let written = |decimals| [low, high].map(|end| apart(&format!("{end:.decimals$}")));
    (decimals..=decimals + 2)
        .map(written)
        .find(|[low, high]| low != high)
        .unwrap_or_else(|| written(decimals))
}

fn bound(text: &str, figure: &Figure, holds: bool) -> Result<String, String> {
    if holds {
        return Ok(text.to_owned());
    }
    let (id, shown) = (&figure.id, shown(figure));
    Err(format!("`{text}` does not hold: {id} is {shown}"))
}

/// A figure with its spread: `1.03x (1.02 to 1.04)`.
pub fn shown(figure: &Figure) -> String {
    let [value, low, high] = [figure.value, figure.low, figure.high].map(|it| figure.unit.show(it));
    if low == high {
        return value;
    }
    // The unit need not be said three times, unless it is another one.
    let digits = |text: &str| {
        text.trim_end_matches(|letter: char| !letter.is_ascii_digit())
            .len()
    };
    let unit = &value[digits(&value)..];
    let (low, high) = (low.trim_end_matches(unit), high.trim_end_matches(unit));
    format!("{value} ({low} to {high})")
}

/// A number in a text.
#[derive(Debug)]
struct Number<'a> {
    digits: Range<usize>,
    value: f64,
    decimals: usize,
    unit: &'a str,
}

/// The numbers of a text, each with the word after it.
fn numbers(text: &str) -> Vec<Number<'_>> {
    let mut numbers = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(|letter: char| letter.is_ascii_digit()) {
        let start = at + found;
        let rest = &text[start..];
        let inside = |letter: char| letter.is_ascii_digit() || letter == '.' || letter == ',';
        let length = rest.find(|letter| !inside(letter)).unwrap_or(rest.len());
        // A full stop at the end is the sentence's.
        let written = rest[..length].trim_end_matches(['.', ',']);
        let after = rest[written.len()..].trim_start();
        let unit = after
            .split(|letter: char| letter.is_whitespace() || letter == ',')
            .next()
            .unwrap_or_default();
        at = start + length;
        let Ok(value) = written.replace(',', "").parse() else {
            continue;
        };
        numbers.push(Number {
            digits: start..start + written.len(),
            value,
            decimals: written
                .split_once('.')
                .map_or(0, |(_, decimals)| decimals.len()),
            unit: if unit == "to" { "" } else { unit },
        });
    }
    numbers
}

/// A quoted figure that other numbers don't make true.
#[derive(Debug)]
pub struct Mistake {
    /// Of the figure.
    pub id: String,
    /// In words.
    pub why: String,
}

/// The page with every quoted figure as it is now, and what can't be mended so.
pub fn corrected_page(page: &str, markdown: &str, results: &Results) -> (String, Vec<Mistake>) {
    let mut text = String::new();
    let mut wrong = Vec::new();
    let mut done = 0;
    for Quote { id, place } in quotes(page, markdown) {
        let quoted = &markdown[place.clone()];
        let figure = results
            .figure(&id)
            .ok_or_else(|| format!("`{quoted}` quotes {id}, which is no figure"));
        text += &markdown[done..place.start];
        match figure.and_then(|figure| corrected(quoted, figure)) {
            Ok(corrected) => text += &corrected,
            Err(why) => {
                wrong.push(Mistake { id, why });
                text += quoted;
            }
        }
        done = place.end;
    }
    (text + &markdown[done..], wrong)
}

#[cfg(test)]
mod tests {
    use super::super::results::samples::{figure, results};
    use super::super::unit::Unit;
    use super::*;

    fn sample() -> Results {
        results(
            "a",
            vec![
                figure("a/ratio", 9.87, Some((9.71, 9.93)), Unit::Ratio),
                figure("a/share", 0.982, Some((0.962, 0.985)), Unit::Share),
                figure("a/wall", 0.3051, None, Unit::S),
                figure("a/count", 1500.0, None, Unit::Count),
            ],
        )
    }

    fn correct(text: &str, id: &str) -> Result<String, String> {
        corrected(text, sample().figure(id).expect("it is in the sample"))
    }

    #[test]
    fn a_number_is_true_at_its_own_precision_and_is_else_corrected() {
        for (text, id, expected) in [
            ("9.9x", "a/ratio", "9.9x"),
            ("10x", "a/ratio", "10x"),
            ("9.8x", "a/ratio", "9.9x"),
            ("98 %", "a/share", "98 %"),
            ("99.0 %", "a/share", "98.2 %"),
            ("0.31 s", "a/wall", "0.31 s"),
            ("300 ms", "a/wall", "305 ms"),
            ("1,400", "a/count", "1,500"),
            ("1,400 calls", "a/count", "1,500 calls"),
            ("96 to 98 %", "a/share", "96 to 98 %"),
            ("9.5x to 9.9x", "a/ratio", "9.7x to 9.9x"),
            ("9 to 11x", "a/ratio", "9.7 to 9.9x"),
            ("0.3 to 0.4 s", "a/wall", "0.3 to 0.3 s"),
        ] {
            assert_eq!(correct(text, id).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_spread_says_the_unit_once_unless_it_changes() {
        for (value, low, high, unit, expected) in [
            (9.87, 9.71, 9.93, Unit::Ratio, "9.87x (9.71 to 9.93)"),
            (0.982, 0.962, 0.985, Unit::Share, "98.2 % (96.2 to 98.5)"),
            (
                2048.0,
                1000.0,
                3072.0,
                Unit::Bytes,
                "2.00 KiB (1,000 bytes to 3.00)",
            ),
            (7.0, 6.0, 8.0, Unit::Count, "7 (6 to 8)"),
            (7.0, 7.0, 7.0, Unit::Count, "7"),
        ] {
            let figure = Figure {
                id: String::new(),
                value,
                low,
                high,
                unit,
            };
            assert_eq!(shown(&figure), expected);
        }
    }

    #[test]
    fn a_bound_holds_for_the_whole_spread_or_is_an_error() {
        for (text, id) in [("at most 10x", "a/ratio"), ("at least 96 %", "a/share")] {
            assert_eq!(correct(text, id).as_deref(), Ok(text));
        }
        for (text, id) in [("at most 9.9x", "a/ratio"), ("at least 97 %", "a/share")] {
            let error = correct(text, id).expect_err(text);
            assert!(error.contains("does not hold"), "{error}");
        }
    }

    #[test]
    fn another_unit_and_no_number_are_errors() {
        assert!(correct("9.9 s", "a/ratio").is_err());
        assert!(correct("at most 9 s", "a/ratio").is_err());
        assert!(correct("much faster", "a/ratio").is_err());
        assert!(correct("1 2 3x", "a/ratio").is_err());
    }

    #[test]
    fn links_of_both_styles_are_found_in_text_and_tables_and_others_are_not() {
        let readme = "[9.9x](docs/src/benchmarks.md#a/ratio), [98 %][s], [all](docs/src/benchmarks.md#top)\n\n\
                      | a |\n|---|\n| [0.31 s](docs/src/benchmarks.md#a/wall) |\n\n\
                      `[9.9x](docs/src/benchmarks.md#a/ratio)` [x](https://example.com/a#b/c)\n\n\
                      [s]: docs/src/benchmarks.md#a/share\n";
        let found = quotes("README.md", readme);
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.id.as_str(), &readme[it.place.clone()]))
            .collect();
        assert_eq!(
            found,
            [
                ("a/ratio", "9.9x"),
                ("a/share", "98 %"),
                ("a/wall", "0.31 s")
            ]
        );
    }

    #[test]
    fn links_are_resolved_from_where_the_page_is() {
        for (page, link) in [
            ("docs/src/benchmarks.md", "#a/b"),
            ("docs/src/choosing.md", "benchmarks.md#a/b"),
            (
                "patterns/07-retry/README.md",
                "../../docs/src/benchmarks.md#a/b",
            ),
        ] {
            assert_eq!(quotes(page, &format!("[1x]({link})")).len(), 1, "{page}");
        }
        assert_eq!(quotes("docs/src/choosing.md", "[1x](#a/b)"), []);
    }

    #[test]
    fn a_page_is_corrected_in_its_numbers_and_nowhere_else() {
        let page =
            "It is [8.0x](benchmarks.md#a/ratio), **[97 %](benchmarks.md#a/share)** of 8.0x.\n";
        let (text, wrong) = corrected_page("docs/src/x.md", page, &sample());
        assert_eq!(
            text,
            page.replacen("8.0x", "9.9x", 1).replace("97 %", "98 %")
        );
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(corrected_page("docs/src/x.md", &text, &sample()).0, text);
        let (same, wrong) =
            corrected_page("docs/src/x.md", "[1x](benchmarks.md#a/gone)", &sample());
        assert_eq!(
            (same.as_str(), wrong.len()),
            ("[1x](benchmarks.md#a/gone)", 1)
        );
    }
}
