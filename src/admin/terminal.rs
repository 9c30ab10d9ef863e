//! What the auditor's page and the API say, for a terminal: `audit stats` and `audit report`.
//!
//! # Promise
//!
//! It says the same: the JSON is the API's, and the tables are made of that.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::api;
use super::problem::Problem;
use super::query::Range;
use super::trail::Trail;
use crate::audit::Health;
use crate::audit::export::escaped_json;
use crate::audit::store::{self, TreeStore};
use crate::clock::Clock;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// How the trail is, and what happened in a range of time.
    Stats,
    /// What `observe` let through and `enforce` would refuse.
    WouldBreak,
    /// Where what is stored is not what was written, or says two things.
    Drift,
    /// Who wants key backup, over time.
    Adoption,
}

/// A range of time, as the page's address has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Days<'a> {
    /// `day`, `week`, `month` or `chosen`.
    pub range: Option<&'a str>,
    /// The first day of the range `chosen`.
    pub from: Option<&'a str>,
    /// Its last day.
    pub to: Option<&'a str>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The range cannot be understood.
    #[error("{0}")]
    Range(String),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The trail has no answer, or none in time.
    #[error("{0}")]
    Trail(String),
}

/// What was asked for, as the API says it. Health is not known: no gateway was asked.
///
/// # Errors
///
/// If `days` cannot be understood, or `store` cannot be read.
pub async fn report(
    store: Arc<dyn TreeStore>,
    clock: Arc<dyn Clock>,
    report: Report,
    days: Days<'_>,
) -> Result<Value, Error> {
    let range = Range::of(days.range, days.from, days.to, clock.now());
    let range = range.map_err(|wrong| Error::Range(format!("{}: {}", wrong.name, wrong.reason)))?;
    let (_nobody, health) = watch::channel(Health::default());
    let trail = Trail::new(store, clock, health);
    let said = api::say(&trail, report, &range).await;
    let mut said = said.map_err(|problem| match problem {
        Problem::Store(error) => Error::Store(error),
        problem @ (Problem::Unusable(_)
        | Problem::NotThere
        | Problem::NotYet(_)
        | Problem::TooMuch) => Error::Trail(problem.words().1.error),
    })?;
    if report == Report::Stats {
        said["trail"]["health"] = Value::Null;
    }
    Ok(said)
}

/// `said` as one line of JSON that does nothing to a terminal.
#[must_use]
pub fn json(said: &Value) -> String {
    escaped_json(&said.to_string()).into_owned()
}

/// `said`, which answers `report`, for people.
#[must_use]
pub fn table(report: Report, said: &Value) -> String {
    let mut text = String::new();
    match report {
        Report::Stats => stats(&mut text, said),
        Report::WouldBreak => {
            range(&mut text, said);
            let columns = ["code", "client", "version", "forwarded", "newest"];
            rows(&mut text, &said["violations"], &columns);
        }
        Report::Drift => drift(&mut text, said),
        Report::Adoption => {
            range(&mut text, said);
            let columns = ["at", "enabled", "disabled", "unknown"];
            rows(&mut text, &said["adoption"], &columns);
        }
    }
    text
}

fn stats(text: &mut String, said: &Value) {
    let trail = &said["trail"];
    let users = &trail["users"];
    let newest = &trail["checkpoint"];
    let checkpoint = if newest.is_null() {
        "none".to_owned()
    } else {
        let (size, at) = (plain(&newest["size"]), plain(&newest["at"]));
        format!("{size} records, {at}")
    };
    let behind = if trail["is_behind"] == Value::Bool(true) {
        ", and the summary is being made anew: what follows is not whole"
    } else {
        ""
    };
    for (name, value) in [
        ("sealed", plain(&trail["sealed"])),
        ("newest checkpoint", checkpoint),
        ("waiting to be sealed", plain(&trail["unsealed"])),
        ("writes without an outcome", plain(&trail["open_intents"])),
        (
            "not in the summary yet",
            plain(&trail["uncounted"]) + behind,
        ),
        ("users: enabled", plain(&users["enabled"])),
        ("users: disabled", plain(&users["disabled"])),
        ("users: not known", plain(&users["unknown"])),
    ] {
        line(text, &format!("{name:26}{value}"));
    }
    line(text, "");
    range(text, said);
    rows(text, &said["writes"], &["at", "accept", "clear", "refuse"]);
    let columns = ["code", "client", "version", "refused", "forwarded", "reads"];
    line(text, "");
    rows(text, &said["violations"], &columns);
}

fn drift(text: &mut String, said: &Value) {
    let columns = ["at", "user", "event_type", "expected", "found", "read_id"];
    line(
        text,
        "Reads that gave what nobody had written through the gateway, newest first",
    );
    rows(text, &said["drifts"], &columns);
    line(text, "");
    line(text, "Users whose two types disagree");
    let disagreeing = said["disagreeing"].as_array().into_iter().flatten();
    let disagreeing: Vec<Value> = disagreeing
        .map(|one| {
            let profile = &one["profile"];
            serde_json::json!({
                "user": one["user"],
                "stable": profile["stable"]["content"],
                "unstable": profile["unstable"]["content"],
            })
        })
        .collect();
    rows(
        text,
        &Value::Array(disagreeing),
        &["user", "stable", "unstable"],
    );
    if !(said["next"].is_null() && said["next_user"].is_null()) {
        line(
            text,
            "… and more: the auditor's page and the API have all of them",
        );
    }
}

fn range(text: &mut String, said: &Value) {
    let range = &said["range"];
    let (since, until) = (plain(&range["since"]), plain(&range["until"]));
    line(text, &format!("from {since} to {until}"));
}

/// A table of the members `columns` of each of `list`.
fn rows(text: &mut String, list: &Value, columns: &[&str]) {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        return line(text, "none");
    }
    let header = columns.iter().map(|name| name.to_uppercase()).collect();
    let rows = list
        .iter()
        .map(|row| columns.iter().map(|name| plain(&row[*name])).collect());
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| {
            rows.iter()
                .map(|row| row[at].chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    for row in &rows {
        let mut cells = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let width = *width;
            // A String takes all that is written.
            let _ = write!(cells, "{cell:width$}  ");
        }
        line(text, cells.trim_end());
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(&escaped_json(line));
    text.push('\n');
}

/// A value without quotation marks, in one line.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
