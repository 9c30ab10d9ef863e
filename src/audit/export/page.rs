//! One exchange in full, for people: every field of every record, one below the other.

use std::io::{self, Write};

use serde_json::Value;

use super::{FIELDS, plain, text, values};
use crate::audit::record::Stored;

/// What is not known.
const UNKNOWN: &str = "-";

/// Writes all `records` of one exchange.
///
/// # Errors
///
/// If `out` fails.
pub fn exchange(out: &mut impl Write, records: &[Stored]) -> io::Result<()> {
    let width = FIELDS
        .iter()
        .map(|name| name.len())
        .max()
        .unwrap_or_default();
    for (index, stored) in records.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let record = &stored.record;
        let part = record
            .facts
            .phase
            .map_or(record.kind.as_str(), |phase| phase.as_str());
        writeln!(out, "{part} ({} of {})", index + 1, records.len())?;
        for (name, value) in shown_fields(stored) {
            writeln!(out, "  {name:width$}  {value}")?;
        }
    }
    if !records.is_empty() && records.iter().all(|stored| stored.record.is_intent()) {
        writeln!(
            out,
            "\nunanswered: no outcome is recorded. The write may have happened."
        )?;
    }
    Ok(())
}

/// All [`FIELDS`] of `stored` for people; `-` is what is not known.
pub fn shown_fields(stored: &Stored) -> impl Iterator<Item = (&'static str, String)> {
    let values = values(stored).into_iter();
    let shown = values.map(|value| text::made_safe(&shown(&value), usize::MAX));
    FIELDS.into_iter().zip(shown)
}

/// Lists of text as text; else as JSON.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            plain(value)
        }
    };
    if text.is_empty() {
        UNKNOWN.to_owned()
    } else {
        text
    }
}
