//! How the charts are drawn: a frame with the title above, bars, curves with their legend.
//!
//! Text and axes are a grey that has the same contrast (4.3 to 1) on white and on GitHub's black,
//! and the ground is transparent. Not `@media (prefers-color-scheme)`: that is the system's choice,
//! and the page around the picture may have another. Colours are those of Okabe and Ito, which
//! the colour-blind tell apart, and curves of few points have a mark of their own as well.

use plotters::coord::Shift;
use plotters::coord::ranged1d::SegmentedCoord;
use plotters::coord::types::{RangedCoordf64, RangedCoordusize};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::unit::apart;
use crate::Result;

/// A picture.
#[derive(Debug)]
pub struct Chart {
    /// Its name in docs/src/charts, without `.svg`.
    pub name: &'static str,
    /// What was found, for those who can't see it too.
    pub title: String,
    /// The file's text.
    pub svg: String,
}

pub(super) const GREY: RGBColor = RGBColor(0x79, 0x79, 0x79);
pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
pub(super) const VERMILION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
pub(super) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
pub(super) const PURPLE: RGBColor = RGBColor(0xcc, 0x79, 0xa7);

const WIDTH: u32 = 800;

/// Draws below the title, and makes the file.
pub(super) fn picture(
    name: &'static str,
    title: String,
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> Result,
) -> Result<Chart> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let mut top = 14;
        for line in lines_of(&title) {
            area.draw(&Text::new(line, (14, top), text(20)))?;
            top += 26;
        }
        draw(&area.margin(top + 8, 8, 8, 16))?;
        area.present()?;
    }
    // For who hears the page instead of seeing it, and in a browser the text below the pointer.
    let start = svg.find('>').ok_or("plotters wrote no SVG")? + 1;
    svg.insert_str(start, &format!("\n<title>{title}</title>"));
    Ok(Chart { name, title, svg })
}

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A title is one line, or two of about the same length.
fn lines_of(title: &str) -> Vec<String> {
    const LONGEST: usize = 84;
    if title.len() <= LONGEST {
        return vec![title.to_owned()];
    }
    let middle = title.len() / 2;
    let spaces = title.match_indices(' ').map(|(at, _)| at);
    let nearest = spaces.min_by_key(|at| at.abs_diff(middle));
    let (first, second) = title.split_at(nearest.unwrap_or(middle));
    vec![first.to_owned(), second.trim_start().to_owned()]
}

pub(super) fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&GREY)
}

/// One of a few things that are compared.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) shown: String,
    pub(super) color: RGBColor,
}

/// What lies, so that its name can be read: an axis below, and a row for each name, the first on top.
fn lying<'a>(
    area: &Area<'a>,
    axis: &str,
    end: f64,
    labels: &[&str],
    number: impl Fn(&f64) -> String,
) -> Result<ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Rows>>> {
    let last = labels.len() - 1;
    let mut chart = ChartBuilder::on(area)
        .x_label_area_size(44)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..end, (0..last).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .axis_style(GREY)
        .bold_line_style(GREY.mix(0.35))
        .light_line_style(TRANSPARENT)
        .label_style(text(13))
        .axis_desc_style(text(14))
        .x_desc(axis)
        .x_label_formatter(&number)
        .y_labels(labels.len())
        .y_label_formatter(&|place| match place {
            // The axis counts from below.
            SegmentValue::CenterOf(at) => labels.get(last - at).copied().unwrap_or("").to_owned(),
            _ => String::new(),
        })
        .draw()?;
    Ok(chart)
}

type Rows = SegmentedCoord<RangedCoordusize>;

/// Bars, the first on top.
pub(super) fn bars_in(area: &Area<'_>, axis: &str, bars: &[Bar]) -> Result {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    // A letter takes about so much of the width.
    let letters = bars
        .iter()
        .map(|bar| bar.shown.len())
        .max()
        .unwrap_or_default();
    let room = 0.03 + 0.013 * letters as f64;
    let labels: Vec<&str> = bars.iter().map(|bar| bar.label.as_str()).collect();
    // Where two stand one above the other.
    let area = area.margin(10, 0, 0, 0);
    // The numbers stand behind the bars.
    let mut chart = lying(&area, axis, most / (1.0 - room), &labels, |value| {
        apart(&format!("{value}"))
    })?;
    for (at, bar) in bars.iter().rev().enumerate() {
        let mut shape = Rectangle::new(
            [
                (0.0, SegmentValue::Exact(at)),
                (bar.value, SegmentValue::Exact(at + 1)),
            ],
            bar.color.filled(),
        );
        shape.set_margin(5, 5, 0, 0);
        chart.draw_series([shape])?;
        let style = text(14).pos(Pos::new(HPos::Left, VPos::Center));
        let end = (bar.value + most * 0.01, SegmentValue::CenterOf(at));
        chart.draw_series([Text::new(bar.shown.clone(), end, style)])?;
    }
    Ok(())
}

/// A time something took, and when that was.
pub(super) struct Span {
    pub(super) label: &'static str,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) color: RGBColor,
}

/// When each was, the first on top.
pub(super) fn spans_in(area: &Area<'_>, axis: &str, spans: &[Span]) -> Result {
    let most = spans.iter().map(|span| span.end).fold(0.0, f64::max);
    let labels: Vec<&str> = spans.iter().map(|span| span.label).collect();
    // How long each took stands behind it.
    let mut chart = lying(area, axis, most * 1.08, &labels, |time| {
        format!("{time:.1}")
    })?;
    for (at, span) in spans.iter().rev().enumerate() {
        let mut shape = Rectangle::new(
            [
                (span.start, SegmentValue::Exact(at)),
                (span.end, SegmentValue::Exact(at + 1)),
            ],
            span.color.filled(),
        );
        shape.set_margin(3, 3, 0, 0);
        chart.draw_series([shape])?;
        let style = text(13).pos(Pos::new(HPos::Left, VPos::Center));
        let end = (span.end + most * 0.01, SegmentValue::CenterOf(at));
        let took = format!("{:.1} s", span.end - span.start);
        chart.draw_series([Text::new(took, end, style)])?;
    }
    Ok(())
}

/// A curve.
pub(super) struct Curve {
    pub(super) label: &'static str,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) color: RGBColor,
    pub(super) mark: Mark,
}

/// How the points of a curve look.
pub(super) enum Mark {
    Disc,
    Ring,
    Square,
}

impl Mark {
    pub(super) fn draw<'a, X, Y>(
        &self,
        chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
        point: (f64, f64),
        color: RGBColor,
    ) -> Result
    where
        X: Ranged<ValueType = f64>,
        Y: Ranged<ValueType = f64>,
    {
        match self {
            Mark::Disc => chart.draw_series([Circle::new(point, 4, color.filled())])?,
            Mark::Ring => chart.draw_series([Circle::new(point, 7, color.stroke_width(2))])?,
            Mark::Square => {
                chart
                    .draw_series([EmptyElement::at(point)
                        + Rectangle::new([(-4, -4), (4, 4)], color.filled())])?
            }
        };
        Ok(())
    }
}

pub(super) fn legend<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    position: SeriesLabelPosition,
) -> Result
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(position)
        .margin(14)
        .label_font(text(14))
        .border_style(TRANSPARENT)
        .background_style(TRANSPARENT)
        .draw()?;
    Ok(())
}
