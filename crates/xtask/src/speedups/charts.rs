//! The charts that are drawn from the results file, and what each has found.
//!
//! A title states the finding, with the figures in it, so it can't say what was not measured.

use plotters::prelude::*;

use super::draw::{
    BLUE, Bar, Chart, Curve, GREEN, GREY, Mark, PURPLE, Span, VERMILION, bars_in, legend, picture,
    spans_in, text,
};
use super::quote::{self, ends};
use super::results::Results;
use super::unit::Unit;
use crate::Result;

type Draw = fn(&Results) -> Option<Result<Chart>>;

/// Each with the bench it belongs to. A chart whose figures are not there yet is left out.
const CHARTS: [(&str, Draw); 9] = [
    ("guide", four_corners),
    ("guide", timelines),
    ("in-flight", in_flight),
    ("in-flight", price),
    ("overhead", clients),
    ("window-over-time", window),
    ("retry", contention),
    ("resilient-batch", layers),
    ("resilient-batch", outage),
];

/// The charts of a bench.
///
/// # Errors
/// When a figure is beyond what can be drawn.
pub fn of(bench: &str, results: &Results) -> Result<Vec<Chart>> {
    let own = CHARTS.iter().filter(|(owner, _)| *owner == bench);
    own.filter_map(|(_, draw)| draw(results)).collect()
}

/// A case of a comparison: what it is called in ids, what in the chart, and its colour.
type Case = (&'static str, &'static str, RGBColor);

/// A bar for the figure of this id, in another unit by `factor`.
fn bar(results: &Results, id: &str, label: &str, color: RGBColor, factor: f64) -> Option<Bar> {
    let figure = results.figure(id)?;
    Some(Bar {
        label: label.to_owned(),
        value: figure.value * factor,
        shown: quote::shown(figure),
        color,
    })
}

/// A bar for each case, of what was measured of all.
fn bars(results: &Results, of: &str, cases: &[Case], what: &str, factor: f64) -> Option<Vec<Bar>> {
    let bars = cases.iter().map(|(case, label, color)| {
        bar(
            results,
            &format!("{of}/{case}/{what}"),
            label,
            *color,
            factor,
        )
    });
    bars.collect()
}

fn four_corners(results: &Results) -> Option<Result<Chart>> {
    let speedup = |version: &str| {
        let id = format!("guide/concurrent-requests/{version}/speedup");
        Some(Unit::Ratio.show(results.value(&id)?))
    };
    let bar = |label: &str, version: &str, order: &str, color| {
        let id = format!("guide/concurrent-requests/{version}/{order}");
        bar(results, &id, label, color, 1.0)
    };
    let bars = [
        bar("blocking, in turn", "sync", "in-turn", BLUE)?,
        bar("async, in turn", "async", "in-turn", VERMILION)?,
        bar("blocking, at once (threads)", "sync", "at-once", BLUE)?,
        bar("async, at once", "async", "at-once", VERMILION)?,
    ];
    let title = format!(
        "Three requests of 3 s at once are {} as fast as in turn with threads, {} with async",
        speedup("sync")?,
        speedup("async")?,
    );
    Some(picture("four-corners", title, 300, |area| {
        bars_in(area, "seconds until the last answer", &bars)
    }))
}

fn timelines(results: &Results) -> Option<Result<Chart>> {
    const WAYS: [(&str, &str, RGBColor); 4] = [
        ("blocking, in turn", "sync/in-turn", BLUE),
        ("async, in turn", "async/in-turn", VERMILION),
        ("blocking, at once (threads)", "sync/at-once", BLUE),
        ("async, at once", "async/at-once", VERMILION),
    ];
    let mut spans = Vec::new();
    for (label, way, color) in WAYS {
        let points = results.points(&format!("guide/multi-service/{way}/timeline"))?;
        spans.extend(points.iter().enumerate().map(|(at, (start, end))| Span {
            // The way is named once, beside the first of its services.
            label: if at == 0 { label } else { "" },
            start: *start,
            end: *end,
            color,
        }));
    }
    let wall = |way: &str| {
        let seconds = results.value(&format!("guide/multi-service/{way}"))?;
        Some(Unit::S.show(seconds))
    };
    let title = format!(
        "In turn four services take the sum of their times, {}; at once as long as the slowest, {}",
        wall("async/in-turn")?,
        wall("async/at-once")?,
    );
    Some(picture("timelines", title, 420, |area| {
        spans_in(area, "seconds by the server's clock", &spans)
    }))
}

/// The sizes that were measured for a version, with their figures.
fn curve(results: &Results, version: &str, what: &str) -> Vec<(f64, f64)> {
    let figures = results.of("in-flight");
    let points = figures.filter_map(|figure| {
        let parts: Vec<&str> = figure.id.split('/').collect();
        let [_, of, size, name] = parts[..] else {
            return None;
        };
        let size = size.parse().ok()?;
        (of == version && name == what).then_some((size, figure.value))
    });
    points.collect()
}

fn in_flight(results: &Results) -> Option<Result<Chart>> {
    let share = |version| curve(results, version, "share");
    let lines = [
        Curve {
            label: "bare reqwest, async",
            points: share("bare-async"),
            color: GREY,
            mark: Mark::Ring,
        },
        Curve {
            label: "async",
            points: share("async"),
            color: VERMILION,
            mark: Mark::Disc,
        },
        Curve {
            label: "threads",
            points: share("sync"),
            color: BLUE,
            mark: Mark::Square,
        },
    ];
    let [_, at_once, threads] = &lines;
    let ((most, at_once), (_, threads)) = (at_once.points.last()?, threads.points.last()?);
    let least = lines
        .iter()
        .filter_map(|line| line.points.first())
        .map(|(size, _)| *size);
    let least = least.fold(*most, f64::min);
    let title = format!(
        "With {} calls of 300 ms begun at once async reaches {} of the ideal speed, threads {}",
        Unit::Count.show(*most),
        Unit::Share.show(*at_once),
        Unit::Share.show(*threads),
    );
    let most = *most;
    Some(picture("in-flight", title, 420, |area| {
        let mut chart = ChartBuilder::on(area);
        let mut chart = chart
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d((least..most * 1.1).log_scale(), (1.0..110.0).log_scale())?;
        chart
            .configure_mesh()
            .axis_style(GREY)
            .bold_line_style(GREY.mix(0.35))
            .light_line_style(TRANSPARENT)
            .label_style(text(13))
            .axis_desc_style(text(14))
            .x_desc("calls begun at once (logarithmic)")
            .y_desc("share of the ideal speed, % (logarithmic)")
            .x_label_formatter(&|size| Unit::Count.show(size.round()))
            .y_label_formatter(&|share| format!("{share:.0}"))
            .draw()?;
        for line in &lines {
            let color = line.color;
            let points: Vec<_> = line
                .points
                .iter()
                .map(|(size, share)| (*size, share * 100.0))
                .collect();
            chart
                .draw_series(LineSeries::new(
                    points.iter().copied(),
                    color.stroke_width(2),
                ))?
                .label(line.label)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 24, y)], color.stroke_width(3))
                });
            for point in points {
                line.mark.draw(&mut chart, point, color)?;
            }
        }
        legend(&mut chart, SeriesLabelPosition::LowerLeft)
    }))
}

fn price(results: &Results) -> Option<Result<Chart>> {
    const SIZE: usize = 1000;
    const WAYS: [Case; 3] = [
        ("bare-async", "bare reqwest, async", GREY),
        ("async", "async", VERMILION),
        ("sync", "threads", BLUE),
    ];
    let bars = |what: &str, factor| {
        bars(
            results,
            "in-flight",
            &WAYS,
            &format!("{SIZE}/{what}"),
            factor,
        )
    };
    let (cpu, memory) = (bars("cpu", 1.0)?, bars("memory", 1.0 / 1024.0)?);
    let ratio = |what: &str| {
        let id = format!("in-flight/sync/{SIZE}/{what}-to-async");
        results.value(&id).map(|ratio| Unit::Ratio.show(ratio))
    };
    let title = format!(
        "With 1,000 calls in flight a call on a thread takes {} the CPU time of an async one, and {} the memory",
        ratio("cpu")?,
        ratio("memory")?,
    );
    Some(picture("in-flight-price", title, 420, |area| {
        let (upper, lower) = area.split_vertically(172);
        bars_in(&upper, "CPU time a call, microseconds", &cpu)?;
        bars_in(&lower, "memory a call, KiB", &memory)
    }))
}

fn clients(results: &Results) -> Option<Result<Chart>> {
    let bar =
        |label: &str, id: &str, color| bar(results, &format!("overhead/{id}"), label, color, 1.0);
    let bars = [
        bar("bare reqwest", "async/bare", GREY)?,
        bar("AsyncClient", "async/ours", VERMILION)?,
        bar("bare reqwest::blocking", "sync/bare", GREY)?,
        bar("SyncClient", "sync/ours", BLUE)?,
    ];
    // The quartiles: so near to 1 the median alone would say more than was seen.
    let ratio = |version| {
        let figure = results.figure(&format!("overhead/{version}/ratio"))?;
        let [low, high] = ends(figure.low, figure.high, 2);
        Some(format!("{low} to {high}x"))
    };
    let title = format!(
        "A call by AsyncClient takes {} the CPU time of bare reqwest, one by SyncClient {} that of bare reqwest::blocking",
        ratio("async")?,
        ratio("sync")?,
    );
    Some(picture("clients", title, 300, |area| {
        bars_in(
            area,
            "CPU time a call, microseconds; 64 in flight, median (quartiles)",
            &bars,
        )
    }))
}

fn window(results: &Results) -> Option<Result<Chart>> {
    let points = |who: &str| Some(results.points(&format!("window-over-time/{who}"))?.to_vec());
    let count = |what: &str| results.value(&format!("window-over-time/{what}"));
    let (limit, window) = (count("limit")?, count("window")?);
    let (ours_most, guide_most) = (count("ours/fullest")?, count("guide/fullest")?);
    let lines = [
        ("the guide's", points("guide")?, VERMILION),
        ("pattern 3", points("ours")?, BLUE),
    ];
    let end = lines
        .iter()
        .filter_map(|(_, points, _)| points.last())
        .map(|(time, _)| *time);
    let end = end.fold(0.0, f64::max);
    let title = format!(
        "Of {limit} requests allowed in any {window} s the guide's limiter sends {guide_most}, ours {ours_most}",
    );
    Some(picture("window-over-time", title, 420, |area| {
        let mut chart = ChartBuilder::on(area);
        let mut chart = chart
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..guide_most.max(limit) * 1.15)?;
        chart
            .configure_mesh()
            .axis_style(GREY)
            .bold_line_style(GREY.mix(0.35))
            .light_line_style(TRANSPARENT)
            .label_style(text(13))
            .axis_desc_style(text(14))
            .x_desc("seconds by the server's clock")
            .y_desc(format!("requests in the last {window} s"))
            .x_label_formatter(&|time| format!("{time:.1}"))
            .y_label_formatter(&|count| format!("{count:.0}"))
            .draw()?;
        let over = [(0.0, limit), (end, limit)];
        chart
            .draw_series(DashedLineSeries::new(over, 6, 4, GREY.stroke_width(2)))?
            .label("the limit")
            .legend(|(x, y)| {
                let key = [(x, y), (x + 24, y)];
                plotters::element::DashedPathElement::new(key, 6, 4, GREY.stroke_width(2))
                    .into_dyn()
            });
        for (label, points, color) in lines {
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(label)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 24, y)], color.stroke_width(3))
                });
        }
        legend(&mut chart, SeriesLabelPosition::LowerRight)
    }))
}

fn contention(results: &Results) -> Option<Result<Chart>> {
    const KINDS: [Case; 4] = [
        ("none", "no jitter", VERMILION),
        ("equal", "equal (the guide's)", PURPLE),
        ("full", "full", BLUE),
        ("decorrelated", "decorrelated", GREEN),
    ];
    let bars = |what: &str| bars(results, "retry/contention", &KINDS, what, 1.0);
    let (calls, done) = (bars("calls")?, bars("done-after")?);
    let [none, full] = [0, 2].map(|kind| (&calls[kind].shown, &done[kind].shown));
    let title = format!(
        "100 clients that contend for one record need {} calls and {} without jitter, {} calls and {} with full jitter",
        none.0, none.1, full.0, full.1,
    );
    Some(picture("retry-contention", title, 490, |area| {
        let (upper, lower) = area.split_vertically(212);
        bars_in(&upper, "calls until all have succeeded", &calls)?;
        bars_in(&lower, "seconds until all have succeeded", &done)
    }))
}

fn layers(results: &Results) -> Option<Result<Chart>> {
    const CASES: [Case; 7] = [
        ("all-layers", "all layers", BLUE),
        ("no-cache", "without the cache", GREY),
        ("no-retry", "without retries", GREY),
        ("no-limiter", "without the limiter", GREY),
        ("no-breaker", "without the breaker", GREY),
        ("no-fallback", "without the fallback", GREY),
        ("none", "without any", VERMILION),
    ];
    let bars = |what: &str, factor| bars(results, "resilient-batch/async", &CASES, what, factor);
    let (succeeded, calls) = (bars("succeeded", 100.0)?, bars("calls", 1.0)?);
    let [all, none] = [0, 6].map(|case| (&succeeded[case].shown, &calls[case].shown));
    let title = format!(
        "On a hostile server {} of the jobs succeed with all layers, by {} calls, and {} without any, by {}",
        all.0, all.1, none.0, none.1,
    );
    Some(picture("layers", title, 590, |area| {
        let (upper, lower) = area.split_vertically(256);
        bars_in(&upper, "jobs that succeed, %", &succeeded)?;
        bars_in(&lower, "calls that the server saw", &calls)
    }))
}

fn outage(results: &Results) -> Option<Result<Chart>> {
    const CASES: [Case; 4] = [
        ("all-layers", "all layers", BLUE),
        ("no-breaker", "without the breaker", GREY),
        ("no-fallback", "without the fallback", GREY),
        ("neither", "without both", VERMILION),
    ];
    let bars = |what: &str, factor| {
        bars(
            results,
            "resilient-batch/async/outage",
            &CASES,
            what,
            factor,
        )
    };
    let (succeeded, vain) = (bars("succeeded", 100.0)?, bars("vain", 1.0)?);
    let [all, neither] = [0, 3].map(|case| (&succeeded[case].shown, &vain[case].shown));
    let title = format!(
        "While a model is down, breaker and fallback let {} of the jobs succeed, with {} calls in vain; without both it is {}, with {}",
        all.0, all.1, neither.0, neither.1,
    );
    Some(picture("outage", title, 440, |area| {
        let (upper, lower) = area.split_vertically(176);
        bars_in(&upper, "jobs that succeed, %", &succeeded)?;
        bars_in(&lower, "calls to the model that is down", &vain)
    }))
}

#[cfg(test)]
mod tests {
    use super::super::results::{Line, Series, samples};
    use super::*;

    /// The figures of every chart, with values that its title shows.
    fn lines() -> Vec<Line> {
        let figure = |id: String, value, unit| samples::figure(&id, value, None, unit);
        let mut lines = Vec::new();
        for way in ["sync", "async", "bare-async"] {
            let id = |name: &str| format!("guide/concurrent-requests/{way}/{name}");
            lines.push(figure(id("in-turn"), 9.0, Unit::S));
            lines.push(figure(id("at-once"), 3.0, Unit::S));
            lines.push(figure(id("speedup"), 3.0, Unit::Ratio));
            for (size, share) in [(1, 0.99), (1000, 0.79)] {
                let id = |name: &str| format!("in-flight/{way}/{size}/{name}");
                lines.push(figure(id("share"), share, Unit::Share));
                lines.push(figure(id("cpu"), 98.0, Unit::Us));
                lines.push(figure(id("memory"), 28_000.0, Unit::Bytes));
                lines.push(figure(id("cpu-to-async"), 1.9, Unit::Ratio));
                lines.push(figure(id("memory-to-async"), 1.4, Unit::Ratio));
            }
            lines.push(figure(format!("overhead/{way}/bare"), 18.0, Unit::Us));
            lines.push(figure(format!("overhead/{way}/ours"), 18.9, Unit::Us));
            lines.push(figure(format!("overhead/{way}/ratio"), 1.05, Unit::Ratio));
        }
        for way in ["sync", "async"] {
            for order in ["in-turn", "at-once"] {
                let id = format!("guide/multi-service/{way}/{order}");
                let points = vec![(0.0, 0.5), (0.0, 0.7)];
                let id = |name: &str| format!("{id}{name}");
                lines.push(figure(id(""), 0.7, Unit::S));
                let id = id("/timeline");
                lines.push(Line::Series(Series { id, points }));
            }
        }
        for (name, value, unit) in [("limit", 60.0, Unit::Count), ("window", 1.5, Unit::S)] {
            lines.push(figure(format!("window-over-time/{name}"), value, unit));
        }
        for who in ["ours", "guide"] {
            let id = format!("window-over-time/{who}");
            lines.push(figure(format!("{id}/fullest"), 70.0, Unit::Count));
            let points = vec![(0.0, 10.0), (0.5, 60.0)];
            lines.push(Line::Series(Series { id, points }));
        }
        for jitter in ["none", "equal", "full", "decorrelated"] {
            let id = |name: &str| format!("retry/contention/{jitter}/{name}");
            lines.push(figure(id("calls"), 2711.0, Unit::Count));
            lines.push(figure(id("done-after"), 6.1, Unit::S));
        }
        for case in "all-layers no-cache no-retry no-limiter no-breaker no-fallback none".split(' ')
        {
            let id = |name: &str| format!("resilient-batch/async/{case}/{name}");
            lines.push(figure(id("succeeded"), 0.84, Unit::Share));
            lines.push(figure(id("calls"), 96.0, Unit::Count));
        }
        for case in ["all-layers", "no-breaker", "no-fallback", "neither"] {
            let id = |name: &str| format!("resilient-batch/async/outage/{case}/{name}");
            lines.push(figure(id("succeeded"), 0.99, Unit::Share));
            lines.push(figure(id("vain"), 13.0, Unit::Count));
        }
        lines
    }

    #[test]
    fn every_chart_is_drawn_says_its_figures_and_has_no_ground() {
        for (bench, words) in [
            ("guide", "3.00x"),
            ("in-flight", "79.0 %"),
            ("overhead", "1.05 to 1.05x"),
            ("window-over-time", "70"),
            ("retry", "2,711"),
            ("resilient-batch", "84.0 %"),
        ] {
            let own = lines().into_iter().filter(|line| match line {
                Line::Figure(figure) => figure.id.starts_with(&format!("{bench}/")),
                Line::Series(series) => series.id.starts_with(&format!("{bench}/")),
            });
            let results = samples::results(bench, own.collect());
            let charts = of(bench, &results).expect("the figures can be drawn");
            let wanted = CHARTS.iter().filter(|(owner, _)| *owner == bench).count();
            assert_eq!(charts.len(), wanted, "{bench}");
            assert!(charts[0].title.contains(words), "{}", charts[0].title);
            for chart in charts {
                // On a white page black would do as well as grey, and nobody would see it in the dark.
                for ground in ["#FFFFFF", "#000000"] {
                    assert!(!chart.svg.contains(ground), "{}: {ground}", chart.name);
                }
            }
        }
    }

    #[test]
    fn a_chart_without_its_figures_is_left_out() {
        for (bench, _) in CHARTS {
            let charts = of(bench, &Results::default()).expect("there is nothing to draw");
            assert!(charts.is_empty(), "{bench}");
        }
    }
}
