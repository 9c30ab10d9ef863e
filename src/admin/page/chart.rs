//! Charts as SVG, made here: no script, no style that the browser would have to allow.
//!
//! `plotters` draws. Its colours are placeholders, one for each purpose, which the style sheet replaces: so a chart is
//! light or dark with its page.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Circle, Color as _, Cross, DrawingArea,
    DrawingAreaErrorKind, IntoDrawingArea as _, IntoFont as _, LineSeries, PathElement, RGBColor,
    Rectangle, SVGBackend, Text, TextStyle, TriangleMarker,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::admin::words::grouped;

/// A number for each label, and what they count.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) values: Vec<u64>,
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Text, and axes.
const INK: RGBColor = RGBColor(1, 1, 0);
/// Lines of the grid.
const GRID: RGBColor = RGBColor(1, 2, 0);

const WIDTH: u32 = 640;
const HEIGHT: u32 = 240;
/// How high a lying bar is, with its gap.
const BAR: u32 = 26;
/// How many characters of a label are drawn.
const LONGEST_LABEL: usize = 28;
/// More points than these have no marks.
const MOST_MARKS: usize = 62;
/// Text, in the chart's own pixels; `plotters` divides by 1.24.
const TEXT: f64 = 15.0;

/// A line for each series, along `labels`.
pub(super) fn lines(labels: &[String], series: &[Series]) -> String {
    draw(HEIGHT, |canvas| {
        let mut plot = upright(canvas, labels, highest(series, labels.len(), false))?;
        for (number, one) in series.iter().enumerate() {
            let colour = colour(number);
            let points = || {
                (0_u32..)
                    .map(f64::from)
                    .zip(one.values.iter().copied().map(float))
            };
            plot.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
            if one.values.len() > MOST_MARKS {
                continue;
            }
            match number % 3 {
                0 => plot.draw_series(points().map(|at| Circle::new(at, 4, colour.filled())))?,
                1 => plot
                    .draw_series(points().map(|at| TriangleMarker::new(at, 6, colour.filled())))?,
                _ => {
                    plot.draw_series(points().map(|at| Cross::new(at, 4, colour.stroke_width(2))))?
                }
            };
        }
        Ok(())
    })
}

/// A standing bar for each of `labels`, made of all series.
pub(super) fn columns(labels: &[String], series: &[Series]) -> String {
    draw(HEIGHT, |canvas| {
        let mut plot = upright(canvas, labels, highest(series, labels.len(), true))?;
        let bars = stacked(labels.len(), series).map(|(at, number, range)| {
            let at = float(at);
            let corners = [(at - 0.38, range.start), (at + 0.38, range.end)];
            Rectangle::new(corners, colour(number).filled())
        });
        plot.draw_series(bars)?;
        Ok(())
    })
}

/// A lying bar for each of `labels`, made of all series.
pub(super) fn bars(labels: &[String], series: &[Series]) -> String {
    let count = u32::try_from(labels.len().max(1)).unwrap_or(1);
    draw(count * BAR + 40, |canvas| {
        let widest = labels.iter().map(|label| label.chars().count());
        let widest = widest.max().unwrap_or_default().min(LONGEST_LABEL);
        // The library does not know how wide letters are; they are narrower than this.
        let left = u32::try_from(widest).unwrap_or_default() * 8 + 12;
        let top = highest(series, labels.len(), true);
        let mut plot = ChartBuilder::on(canvas)
            .margin(6)
            .margin_right(18)
            .x_label_area_size(24)
            .y_label_area_size(left)
            .build_cartesian_2d(0.0..top, f64::from(count) - 0.5..-0.5)?;
        plot.configure_mesh()
            .disable_y_mesh()
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(GRID.mix(0.0))
            .x_labels(6)
            .x_label_formatter(&|value| whole(*value))
            .y_labels(0)
            .label_style(text())
            .draw()?;
        let bars = stacked(labels.len(), series).map(|(at, number, range)| {
            let at = float(at);
            let corners = [(range.start, at - 0.36), (range.end, at + 0.36)];
            Rectangle::new(corners, colour(number).filled())
        });
        plot.draw_series(bars)?;
        names(&plot, canvas, labels)
    })
}

/// What stands before lying bars.
fn names(plot: &Plot<'_, '_>, canvas: &Canvas<'_>, labels: &[String]) -> Drawn {
    let style = text().pos(Pos::new(HPos::Right, VPos::Center));
    for (at, label) in (0_u32..).map(f64::from).zip(labels) {
        let (x, y) = plot.backend_coord(&(0.0, at));
        canvas.draw(&Text::new(cut(label), (x - 8, y), style.clone()))?;
    }
    if labels.is_empty() {
        let (x, y) = plot.backend_coord(&(0.0, 0.0));
        let style = text().pos(Pos::new(HPos::Left, VPos::Center));
        canvas.draw(&Text::new("none".to_owned(), (x + 10, y), style))?;
    }
    Ok(())
}

/// Axes for something that stands on `labels`.
fn upright<'a, 'b>(
    canvas: &'a Canvas<'b>,
    labels: &[String],
    top: f64,
) -> Result<Plot<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
    let end = float(u64::try_from(labels.len().max(1)).unwrap_or(1)) - 0.5;
    let digits = u32::try_from(grouped_float(top).len()).unwrap_or(8);
    let mut plot = ChartBuilder::on(canvas)
        .margin(6)
        .margin_top(12)
        .margin_right(24)
        .x_label_area_size(26)
        .y_label_area_size(digits * 8 + 14)
        .build_cartesian_2d(-0.5..end, 0.0..top)?;
    plot.configure_mesh()
        .disable_x_mesh()
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(GRID.mix(0.0))
        .x_labels(8)
        .x_label_formatter(&|value| label_at(labels, *value))
        .y_labels(5)
        .y_label_formatter(&|value| whole(*value))
        .label_style(text())
        .draw()?;
    // Few labels need no library to choose among them.
    let base = PathElement::new(vec![(-0.5, 0.0), (end, 0.0)], INK);
    plot.draw_series([base])?;
    Ok(plot)
}

/// Each part of each bar: at which label, of which series, from where to where.
fn stacked(
    labels: usize,
    series: &[Series],
) -> impl Iterator<Item = (u64, usize, Range<f64>)> + '_ {
    (0..labels).flat_map(move |at| {
        let mut base = 0;
        series.iter().enumerate().filter_map(move |(number, one)| {
            let value = one.values.get(at).copied().unwrap_or_default();
            let range = float(base)..float(base + value);
            base += value;
            let at = u64::try_from(at).unwrap_or_default();
            (value > 0).then_some((at, number, range))
        })
    })
}

/// Where the axis ends: above the greatest value, or sum.
fn highest(series: &[Series], labels: usize, is_sum: bool) -> f64 {
    let of = |at: usize| {
        let values = series
            .iter()
            .map(|one| one.values.get(at).copied().unwrap_or_default());
        if is_sum {
            values.sum()
        } else {
            values.max().unwrap_or_default()
        }
    };
    let highest = (0..labels).map(of).max().unwrap_or_default();
    (float(highest) * 1.08).max(1.0)
}

fn draw(height: u32, with: impl FnOnce(&Canvas<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    let drawn = {
        let canvas = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        with(&canvas).and_then(|()| canvas.present())
    };
    if let Err(error) = drawn {
        tracing::error!(%error, "a chart could not be drawn");
        return String::new();
    }
    svg
}

/// `svg` as a part of a page, with a name and a description for those who do not see it. `id` is ours.
pub(super) fn named(svg: &str, id: &str, title: &str, description: &str) -> String {
    let Some((head, body)) = svg.split_once('>') else {
        return String::new();
    };
    let view = head.split_once("viewBox=").map_or("", |(_, view)| view);
    let view = view.split('"').nth(1).unwrap_or_default();
    let [title, description] = [title, description].map(escaped);
    format!(
        "<svg class=\"chart\" role=\"img\" aria-labelledby=\"{id}-title {id}-description\" viewBox=\"{view}\">\
         <title id=\"{id}-title\">{title}</title><desc id=\"{id}-description\">{description}</desc>{body}"
    )
}

fn escaped(text: &str) -> String {
    askama::filters::escape(text, askama::filters::Html)
        .map(|text| text.to_string())
        .unwrap_or_default()
}

/// The placeholder of the series `number`.
fn colour(number: usize) -> RGBColor {
    RGBColor(1, 0, u8::try_from(number).unwrap_or_default())
}

fn text() -> TextStyle<'static> {
    TextStyle::from(("sans-serif", TEXT).into_font()).color(&INK)
}

fn label_at(labels: &[String], value: f64) -> String {
    let at = value.round();
    if (value - at).abs() > 0.01 || at < 0.0 {
        return String::new();
    }
    let at = (0_u32..)
        .zip(labels)
        .find(|(n, _)| (f64::from(*n) - at).abs() < 0.1);
    at.map(|(_, label)| cut(label)).unwrap_or_default()
}

/// Whole numbers only: there are no half writes.
fn whole(value: f64) -> String {
    if (value - value.round()).abs() > 0.001 {
        return String::new();
    }
    grouped_float(value)
}

fn grouped_float(value: f64) -> String {
    let digits = format!("{value:.0}");
    digits.parse().map_or(digits, grouped)
}

fn cut(label: &str) -> String {
    if label.chars().count() <= LONGEST_LABEL {
        return label.to_owned();
    }
    let kept = label.chars().take(LONGEST_LABEL - 1);
    kept.chain(['…']).collect()
}

/// Counts are far from where this loses anything that could be seen.
#[expect(clippy::cast_precision_loss, reason = "a chart has 640 pixels")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
