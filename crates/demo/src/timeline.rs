//! Draws when requests ran, one line each, under one scale: what overlaps is seen at a glance.

use std::time::Duration;

/// One request as the server saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// What it was for; empty where all were for the same.
    pub name: &'static str,
    /// When it arrived.
    pub start: Duration,
    /// When the first byte of the answer went out.
    pub first: Duration,
    /// When the last one did.
    pub end: Duration,
}

impl Bar {
    /// The bar of an entry in the mock's log; `None` for one that is not finished.
    pub fn of(entry: &ai_mock::Entry) -> Option<Bar> {
        let end = entry.last_byte?;
        Some(Bar {
            name: "",
            start: entry.arrived,
            first: entry.first_byte.unwrap_or(end),
            end,
        })
    }
}

/// How many bars are drawn; the rest is counted. A room sees the pattern after four.
const SHOWN: usize = 4;

/// One line a bar, `width` characters for the time `whole`: `░` while the server works, `█` while
/// the answer arrives. A reply that comes in one piece is all work, so it is drawn as `█`. Behind the
/// bars stand their names, where they have any.
///
/// ```
/// use std::time::Duration;
/// use demo::{Bar, timeline};
///
/// let second = Duration::from_secs;
/// let plain = Bar { name: "", start: second(1), first: second(2), end: second(2) };
/// let stream = Bar { start: second(0), first: second(1), end: second(4), ..plain };
/// assert_eq!(timeline(&[stream, plain], second(4), 8), ["░░██████", "··██····"]);
/// let named = Bar { name: "summary", ..plain };
/// assert_eq!(timeline(&[named], second(4), 8), ["██······ summary"]);
/// ```
pub fn timeline(bars: &[Bar], whole: Duration, width: usize) -> Vec<String> {
    let mut bars = bars.to_vec();
    bars.sort_by_key(|bar| (bar.start, bar.end));
    let Some(begin) = bars.first().map(|bar| bar.start) else {
        return Vec::new();
    };
    let column = |time: Duration| {
        let share = (time - begin).as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
        ((share * width as f64).round() as usize).min(width)
    };
    let longest_name = bars.iter().map(|bar| bar.name.len()).max().unwrap_or(0);
    let draw = |bar: &Bar| {
        // Something that happened is seen, however short it was.
        let start = column(bar.start).min(width.saturating_sub(1));
        let end = column(bar.end).clamp((start + 1).min(width), width);
        let first = column(bar.first).clamp(start, end);
        let (work, answer) = if first == end {
            (0, end - start)
        } else {
            (first - start, end - first)
        };
        let line = [("·", start), ("░", work), ("█", answer), ("·", width - end)]
            .map(|(mark, count)| mark.repeat(count))
            .concat();
        match longest_name {
            0 => line,
            // All are as wide as the widest, so that what is written behind them is aligned.
            longest => format!("{line} {:<longest$}", bar.name),
        }
    };
    let mut lines: Vec<String> = bars.iter().take(SHOWN).map(draw).collect();
    if bars.len() > SHOWN {
        lines.push(format!("(and {} more)", bars.len() - SHOWN));
    }
    lines
}

/// Two lines about a rate limit, `width` characters for the time `whole`: how many requests arrive,
/// and how full that makes a window that holds `limit` of them, `!` where it is too full.
///
/// ```
/// use std::time::Duration;
/// use demo::window_lines;
///
/// let arrivals = [0, 0, 1, 3].map(Duration::from_secs);
/// let second = Duration::from_secs;
/// assert_eq!(window_lines(&arrivals, second(2), 2, second(4), 4), ["█▄·▄", "█!▄▄"]);
/// ```
pub fn window_lines(
    arrivals: &[Duration],
    window: Duration,
    limit: usize,
    whole: Duration,
    width: usize,
) -> [String; 2] {
    let mut arrivals = arrivals.to_vec();
    arrivals.sort_unstable();
    let begin = arrivals.first().copied().unwrap_or_default();
    let before = |end: Duration| arrivals.partition_point(|arrival| *arrival < end);
    let columns: Vec<_> = (0..width)
        .map(|column| {
            let edge = |column: usize| begin + whole.mul_f64(column as f64 / width as f64);
            let (start, end) = (edge(column), edge(column + 1));
            let (first, after) = (before(start), before(end));
            // A window is at its fullest when a request has just arrived; where none has, at first.
            let fill = |moment: Duration, arrived: usize| {
                let begun = moment.checked_sub(window);
                let gone = |begun| arrivals.partition_point(|arrival| *arrival <= begun);
                arrived - begun.map_or(0, gone)
            };
            let after_each = (first..after).map(|index| fill(arrivals[index], index + 1));
            let fullest = after_each.fold(fill(start, first), usize::max);
            (after - first, fullest)
        })
        .collect();
    let most = columns.iter().map(|(arrived, _)| *arrived).max();
    let arrived = |(arrived, _): &(usize, usize)| height(*arrived, most.unwrap_or(0));
    let filled = |(_, fullest): &(usize, usize)| height(*fullest, limit);
    [
        columns.iter().map(arrived).collect(),
        columns.iter().map(filled).collect(),
    ]
}

/// A mark as high as this part of the whole.
fn height(part: usize, whole: usize) -> char {
    match part {
        0 => '·',
        part if part > whole => '!',
        part => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][(part * 8).div_ceil(whole) - 1],
    }
}
