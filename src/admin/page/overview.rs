//! The first page: how the trail is, and what happened.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};

use super::chart::Series;
use super::figure::{Figure, Shape};
use super::frame::{Frame, Time, answer};
use super::ranges::Ranges;
use crate::admin::access::{Reader, Visitor};
use crate::admin::problem::Problem;
use crate::admin::query::{Asked, RANGE};
use crate::admin::trail::{Overview, Trail};
use crate::admin::words::grouped;
use crate::audit::export::printable;
use crate::audit::store::{Adoption, By, Span, Standing, Violations, Writes};

#[derive(Template)]
#[template(path = "overview.html", config = ".ci/askama.toml")]
struct Page {
    frame: Frame,
    ranges: Ranges,
    /// What is wrong, or nothing.
    troubles: Vec<(&'static str, String)>,
    sealed: String,
    checkpoint: Option<Checkpoint>,
    unsealed: String,
    open_intents: String,
    enabled: String,
    disabled: String,
    unknown: String,
    /// How far the summary is behind; `None` if it is not.
    behind: Option<String>,
    adoption: Figure,
    writes: Figure,
    by_code: Figure,
    by_client: Figure,
}

struct Checkpoint {
    size: String,
    at: Time,
    age: String,
}

const HERE: &str = "/audit/";

/// GET `/audit/`.
pub(super) async fn overview(
    State(trail): State<Trail>,
    Reader(visitor): Reader,
    RawQuery(query): RawQuery,
) -> Response {
    let page = page(&trail, &visitor, &query.unwrap_or_default()).await;
    answer(&visitor, HERE, page)
}

async fn page(trail: &Trail, visitor: &Visitor, query: &str) -> Result<Page, Problem> {
    let asked = Asked::of(query.as_bytes(), &[&RANGE]).map_err(Problem::Unusable)?;
    let range = asked.range(trail.now())?;
    let Overview {
        standing,
        reasons,
        adoption,
        writes,
        violations,
    } = trail.overview(&range.span).await?;
    Ok(Page {
        frame: Frame::new(visitor, HERE),
        ranges: Ranges::new(HERE, &range),
        troubles: reasons
            .into_iter()
            .map(|it| (it.code, printable(&it.message)))
            .collect(),
        sealed: grouped(standing.sealed),
        checkpoint: checkpoint(&standing),
        unsealed: at_most(standing.unsealed),
        open_intents: grouped(standing.open_intents),
        enabled: grouped(standing.users.enabled),
        disabled: grouped(standing.users.disabled),
        unknown: grouped(standing.users.unknown),
        behind: behind(&standing),
        adoption: adoption_figure(&adoption),
        writes: writes_figure(&range.span, &writes),
        by_code: violations_figure("violations-code-chart", &violations, |one| one.code.clone()),
        by_client: violations_figure("violations-client-chart", &violations, |one| {
            let name = format!("{} {}", one.client, one.version);
            match name.trim() {
                "" => "no name".to_owned(),
                name => name.to_owned(),
            }
        }),
    })
}

fn checkpoint(standing: &Standing) -> Option<Checkpoint> {
    let newest = standing.checkpoint.as_ref()?;
    let age = (standing.now - newest.made_at).max(TimeDelta::zero());
    Some(Checkpoint {
        size: grouped(newest.size.unsigned_abs()),
        at: newest.made_at.into(),
        age: aged(age),
    })
}

/// An age in its greatest unit, as in `3 minutes`.
fn aged(age: TimeDelta) -> String {
    let (count, unit) = match age.num_seconds() {
        ..60 => (age.num_seconds(), "second"),
        60..3600 => (age.num_minutes(), "minute"),
        3600..172_800 => (age.num_hours(), "hour"),
        _ => (age.num_days(), "day"),
    };
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{end}")
}

/// A count that stops at [`Standing::ENOUGH`].
fn at_most(count: u64) -> String {
    let more = if count >= Standing::ENOUGH {
        " or more"
    } else {
        ""
    };
    format!("{}{more}", grouped(count))
}

/// How far what is drawn here is behind the trail.
pub(super) fn behind(standing: &Standing) -> Option<String> {
    if standing.is_behind {
        return Some(format!(
            "These numbers are being made anew from the trail, and are not whole yet: {} records are still to be counted.",
            at_most(standing.unsummarised)
        ));
    }
    // Some are always on their way.
    (standing.unsummarised > 1000).then(|| {
        format!(
            "These numbers lag behind the trail: {} records are still to be counted.",
            at_most(standing.unsummarised)
        )
    })
}

/// How many users want key backup, over time.
pub(super) fn adoption_figure(adoption: &[Adoption]) -> Figure {
    let labels: Vec<_> = adoption.iter().map(|one| day(one.at)).collect();
    let series = |name, value: fn(&Adoption) -> u64| Series {
        name,
        values: adoption.iter().map(value).collect(),
    };
    let series = [
        series("enabled", |one| one.enabled),
        series("disabled", |one| one.disabled),
        series("not known", |one| one.unknown),
    ];
    Figure::new(
        "adoption-chart",
        "Users by their last known preference, at the end of each day",
        Shape::Lines,
        "day",
        &labels,
        &series,
    )
}

fn writes_figure(span: &Span, writes: &[Writes]) -> Figure {
    let (label, what): (fn(DateTime<Utc>) -> String, _) = match span.by {
        By::Hour => (hour, "hour"),
        By::Day => (day, "day"),
    };
    let labels: Vec<_> = writes.iter().map(|one| label(one.at)).collect();
    let series = |name, value: fn(&Writes) -> u64| Series {
        name,
        values: writes.iter().map(value).collect(),
    };
    let series = [
        series("accepted", |one| one.accept),
        series("clears", |one| one.clear),
        series("refused, or would be", |one| one.refuse),
    ];
    Figure::new(
        "writes-chart",
        "Writes and clears by verdict",
        Shape::Columns,
        what,
        &labels,
        &series,
    )
}

fn violations_figure(
    id: &str,
    violations: &[Violations],
    label: impl Fn(&Violations) -> String,
) -> Figure {
    let mut counts: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for one in violations {
        let [refused, forwarded, reads] = counts.entry(label(one)).or_default();
        *refused += one.refused;
        *forwarded += one.forwarded;
        *reads += one.reads;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().sum::<u64>()));
    let labels: Vec<_> = counts.iter().map(|(label, _)| label.clone()).collect();
    let series = [
        (0, "writes refused"),
        (1, "writes let through"),
        (2, "reads"),
    ];
    let series = series.map(|(at, name)| Series {
        name,
        values: counts.iter().map(|(_, counts)| counts[at]).collect(),
    });
    let (title, what) = match id {
        "violations-code-chart" => ("Violations by code", "code"),
        _ => ("Violations by client", "client"),
    };
    Figure::new(id, title, Shape::Bars, what, &labels, &series)
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

fn hour(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}
