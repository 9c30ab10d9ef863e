//! A chart, and the same numbers as a table.

use askama::Template;

use super::chart::{self, Series};
use crate::admin::words::grouped;
use crate::audit::export::printable;

/// How a figure is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line for each series, along the labels.
    Lines,
    /// A bar for each label, made of all series.
    Columns,
    /// The same, lying, for labels that are long.
    Bars,
}

/// A chart, and the same numbers as a table.
#[derive(Template)]
#[template(path = "figure.html", config = ".ci/askama.toml")]
pub(super) struct Figure {
    svg: String,
    /// Number and name of each series.
    legend: Vec<(usize, &'static str)>,
    is_lines: bool,
    caption: String,
    /// What the labels are.
    what: &'static str,
    rows: Vec<(String, Vec<String>)>,
}

/// How many bars are drawn; the table has all.
const MOST_BARS: usize = 12;

// === impl Figure ===

impl Figure {
    /// The figure `id`: `title`, drawn as `shape`, with a number of every series for each of `labels`, which are `what`.
    pub(super) fn new(
        id: &str,
        title: &str,
        shape: Shape,
        what: &'static str,
        labels: &[String],
        series: &[Series],
    ) -> Self {
        let labels: Vec<_> = labels.iter().map(|label| printable(label)).collect();
        let drawn = match shape {
            Shape::Lines => chart::lines(&shortened(&labels), series),
            Shape::Columns => chart::columns(&shortened(&labels), series),
            Shape::Bars => {
                let most = labels.len().min(MOST_BARS);
                chart::bars(&labels[..most], series)
            }
        };
        let rows = labels.iter().enumerate().map(|(at, label)| {
            let values = series
                .iter()
                .map(|one| grouped(one.values.get(at).copied().unwrap_or_default()));
            (label.clone(), values.collect())
        });
        Self {
            svg: chart::named(&drawn, id, title, &described(&labels, series)),
            legend: series.iter().map(|one| one.name).enumerate().collect(),
            is_lines: shape == Shape::Lines,
            caption: title.to_owned(),
            what,
            rows: rows.collect(),
        }
    }
}

/// Dates without their years, and hours without their dates: the table says them.
fn shortened(labels: &[String]) -> Vec<String> {
    let short = labels.iter().map(|label| match label.split_once(' ') {
        Some((_, hour)) => hour,
        None => label.split_once('-').map_or(label.as_str(), |(_, day)| day),
    });
    short.map(str::to_owned).collect()
}

/// The figure in a sentence, for those who do not see it.
fn described(labels: &[String], series: &[Series]) -> String {
    let (Some(first), Some(last)) = (labels.first(), labels.last()) else {
        return "There is nothing to show.".to_owned();
    };
    let sums = series.iter().map(|one| {
        let most = one.values.iter().max().copied().unwrap_or_default();
        format!("{} at most {}", one.name, grouped(most))
    });
    let sums = sums.collect::<Vec<_>>().join(", ");
    format!("From {first} to {last}: {sums}. The numbers follow as a table.")
}
