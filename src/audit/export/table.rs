//! The trail as a table for terminals: who did what, when, and what came of it, a record a line.

use std::io::{self, Write};

use serde_json::Value;

use super::text;
use crate::audit::record::{Facts, Kind, Record, Stored};
use crate::matrix::{EventType, Preference};

/// How many columns there are.
const COUNT: usize = 8;
/// Their names.
const HEADER: [&str; COUNT] = [
    "TIME (UTC)",
    "ACTION",
    "TYPE",
    "USER",
    "DEVICE",
    "VERDICT",
    "OUTCOME",
    "ID",
];
/// What a cell takes before it is cut; the id stands last and whole, to be copied.
const WIDEST: [usize; COUNT] = [19, 9, 8, 44, 16, 32, 12, 36];
/// Between two columns.
const GAP: &str = "  ";
/// What is not known.
const UNKNOWN: &str = "-";

/// Writes records as a table, page by page.
///
/// Columns are as wide as the first page asks for; later pages keep them, so that a trail of any
/// length is one table.
pub struct Table<W> {
    out: W,
    widths: Option<[usize; COUNT]>,
}

// === impl Table ===

impl<W: Write> Table<W> {
    /// A table that has not begun.
    pub fn new(out: W) -> Self {
        Self { out, widths: None }
    }

    /// Writes one page; the first one, even an empty one, with the header above it.
    ///
    /// # Errors
    ///
    /// If the output fails.
    pub fn write(&mut self, page: &[Stored]) -> io::Result<()> {
        let rows: Vec<_> = page.iter().map(row).collect();
        let widths = if let Some(widths) = self.widths {
            widths
        } else {
            let widths = widths(&rows);
            self.widths = Some(widths);
            self.write_row(&HEADER.map(str::to_owned), &widths)?;
            widths
        };
        rows.iter().try_for_each(|row| self.write_row(row, &widths))
    }

    /// Hands on what was kept back to be written at once.
    ///
    /// # Errors
    ///
    /// If the output fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write_row(&mut self, row: &[String; COUNT], widths: &[usize; COUNT]) -> io::Result<()> {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(
                ' ',
                width.saturating_sub(cell.chars().count()),
            ));
            line.push_str(GAP);
        }
        writeln!(self.out, "{}", line.trim_end())
    }
}

fn widths(rows: &[[String; COUNT]]) -> [usize; COUNT] {
    let mut widths = HEADER.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn row(stored: &Stored) -> [String; COUNT] {
    let record = &stored.record;
    let facts = &record.facts;
    let known = |text: Option<&str>| text.unwrap_or(UNKNOWN).to_owned();
    let cells = [
        record.recorded_at.format("%Y-%m-%d %H:%M:%S").to_string(),
        // What is no exchange has no action: then the kind says what it is.
        facts
            .action
            .map_or(record.kind.as_str(), |action| action.as_str())
            .to_owned(),
        known(facts.event_type.map(short)),
        user(facts),
        known(facts.device_id.as_deref()),
        verdict(record),
        outcome(facts, record.is_intent()),
        // What is no exchange is shown by its own id.
        facts.exchange_id.unwrap_or(record.id).to_string(),
    ];
    let mut widest = WIDEST.into_iter();
    cells.map(|cell| {
        cut(
            &text::made_safe(&cell, usize::MAX),
            widest.next().unwrap_or(usize::MAX),
        )
    })
}

/// Which of the two types: their names would take a quarter of the line.
fn short(event_type: EventType) -> &'static str {
    match event_type {
        EventType::Stable => "stable",
        EventType::Unstable => "unstable",
    }
}

/// Whom the homeserver named, and whom the path named if that is another one or all we know.
fn user(facts: &Facts) -> String {
    match (&facts.authenticated_user, &facts.claimed_user) {
        (Some(authenticated), Some(claimed)) if authenticated == claimed => claimed.clone(),
        (Some(authenticated), Some(claimed)) => format!("{authenticated} for {claimed}"),
        (Some(authenticated), None) => authenticated.clone(),
        (None, Some(claimed)) => format!("{claimed} (claimed)"),
        (None, None) => UNKNOWN.to_owned(),
    }
}

/// What was thought of an exchange; of other kinds, what they say.
fn verdict(record: &Record) -> String {
    let facts = &record.facts;
    let Some(verdict) = facts.verdict else {
        let said = facts.detail.as_ref().and_then(|detail| match record.kind {
            Kind::Collapsed => Some(collapsed(detail)),
            Kind::Operation => detail["operation"].as_str().map(str::to_owned),
            Kind::Exchange | Kind::Heartbeat | Kind::Tombstone => None,
        });
        return said.unwrap_or_else(|| UNKNOWN.to_owned());
    };
    let mut text = verdict.as_str().to_owned();
    let why = facts.violations.iter().map(String::as_str);
    for word in facts
        .preference
        .map(Preference::as_str)
        .into_iter()
        .chain(why)
    {
        text.push(' ');
        text.push_str(word);
    }
    text
}

/// How much was counted of what, as in `1500 counted, 3 refusals`.
fn collapsed(detail: &Value) -> String {
    let number = |name: &str| detail[name].as_u64().unwrap_or_default();
    let counted = detail["only_counted"].as_object();
    let counted = counted.map_or(0, |reasons| {
        reasons
            .values()
            .filter_map(Value::as_u64)
            .fold(0, u64::saturating_add)
    });
    let refusals = number("refusals").saturating_add(number("refusals_of_further_users"));
    let parts = [
        (counted, "counted"),
        (number("dropped_reads"), "dropped"),
        (refusals, "refusals"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    parts.join(", ")
}

fn outcome(facts: &Facts, is_intent: bool) -> String {
    match (facts.outcome, facts.origin_status) {
        (Some(outcome), Some(status)) => format!("{} {status}", outcome.as_str()),
        (Some(outcome), None) => outcome.as_str().to_owned(),
        (None, _) if is_intent => "(intent)".to_owned(),
        (None, _) => UNKNOWN.to_owned(),
    }
}

/// `text`, or what fits into `width` with a mark at its end.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}
