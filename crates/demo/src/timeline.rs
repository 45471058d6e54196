//! Draws when requests ran, one line each, under one scale: what overlaps is seen at a glance.

use std::time::Duration;

/// One request as the server saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
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
            start: entry.arrived,
            first: entry.first_byte.unwrap_or(end),
            end,
        })
    }
}

/// How many bars are drawn; the rest is counted. A room sees the pattern after four.
const SHOWN: usize = 4;

/// One line a bar, `width` characters for the time `whole`: `░` while the server works, `█` while
/// the answer arrives. A reply that comes in one piece is all work, so it is drawn as `█`.
///
/// ```
/// use std::time::Duration;
/// use demo::{Bar, timeline};
///
/// let second = Duration::from_secs;
/// let plain = Bar { start: second(1), first: second(2), end: second(2) };
/// let stream = Bar { start: second(0), first: second(1), end: second(4) };
/// assert_eq!(timeline(&[stream, plain], second(4), 8), ["░░██████", "··██····"]);
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
        [("·", start), ("░", work), ("█", answer), ("·", width - end)]
            .map(|(mark, count)| mark.repeat(count))
            .concat()
    };
    let mut lines: Vec<String> = bars.iter().take(SHOWN).map(draw).collect();
    if bars.len() > SHOWN {
        lines.push(format!("(and {} more)", bars.len() - SHOWN));
    }
    lines
}
