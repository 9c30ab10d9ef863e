//! The trail for machines and for people: JSONL, CSV, a table, and one exchange in full.
//!
//! # Promise
//!
//! - A line of JSONL and a row of CSV have every field, by the names and in the order of
//!   [`FIELDS`]. A field that is not known is null, or an empty cell.
//! - Salts are shown by [`trail()`] and [`prove`] only, which cannot do without: with them, guesses about erased users
//!   could be tested.
//! - Whatever the database holds, no output acts on a terminal (controls are escaped), and no cell of
//!   CSV is a formula to a spreadsheet.
//! - Memory is constant: a record is written, and forgotten.

mod page;
mod prove;
mod sealed;
mod table;
mod trail;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

pub use self::page::{exchange, shown_fields};
pub use self::prove::{find, prove};
pub use self::sealed::{Line, Prover, SEALED_FIELDS, write_sealed};
pub use self::table::Table;
pub use self::trail::{Error, Sink, trail};
use super::record::{Commitment, Judged, Outcome, Phase, Stored, text};
use crate::matrix::{Action, EventType, Preference};

/// How many fields a record has.
const COUNT: usize = 32;

/// What a cell of CSV must not begin with: a spreadsheet would take it for a formula.
#[cfg(feature = "gateway")]
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The names of all fields, in order. An interface: add new ones at the end, never rename one.
pub const FIELDS: [&str; COUNT] = [
    "id",
    "kind",
    "exchange_id",
    "phase",
    "recorded_at",
    "stored_at",
    "instance",
    "run_id",
    "version",
    "action",
    "event_type",
    "claimed_user",
    "authenticated_user",
    "device_id",
    "is_guest",
    "client_address",
    "client_chain",
    "user_agent",
    "claimed_commitment",
    "authenticated_commitment",
    "client_commitment",
    "preference",
    "verdict",
    "violations",
    "outcome",
    "origin_status",
    "errcode",
    "request_id",
    "traceparent",
    "body_sha256",
    "duration_us",
    "detail",
];

/// A record as an object of all [`FIELDS`], in their order: what a line of JSONL is.
pub struct Fields<'a>(pub &'a Stored);

/// Writes one record as one line of JSON.
///
/// # Errors
///
/// If `out` fails.
pub fn write_jsonl(out: &mut impl Write, stored: &Stored) -> io::Result<()> {
    let line = serde_json::to_string(&Fields(stored))?;
    writeln!(out, "{}", escaped_json(&line))
}

/// Writes records as CSV (RFC 4180), a header first.
///
/// With leaf index and leaf hash at the end, if they are asked for.
#[cfg(feature = "gateway")]
pub struct Csv<W: Write>(csv::Writer<W>);

/// What a row has beyond [`FIELDS`], if it says where its record is sealed.
#[cfg(feature = "gateway")]
const LEAF: [&str; 2] = ["leaf_index", "leaf_hash"];

// === impl Fields ===

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(COUNT))?;
        for (name, value) in FIELDS.iter().zip(values(self.0)) {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

// === impl Csv ===

#[cfg(feature = "gateway")]
impl<W: Write> Csv<W> {
    /// Writes the header.
    ///
    /// # Errors
    ///
    /// If `out` fails.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(FIELDS).map_err(io_error)?;
        Ok(Self(writer))
    }

    /// Writes the header of rows that say where their record is sealed.
    ///
    /// # Errors
    ///
    /// If `out` fails.
    pub fn sealed(out: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer
            .write_record(FIELDS.iter().chain(&LEAF))
            .map_err(io_error)?;
        Ok(Self(writer))
    }

    /// Writes one record as one row, with its place in the tree; one that is gone has its id only.
    ///
    /// # Errors
    ///
    /// If the output fails.
    pub fn write_sealed(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut cells: Vec<String> = if let Some(stored) = line.stored {
            values(stored).iter().map(cell).collect()
        } else {
            let mut cells = vec![String::new(); COUNT];
            cells[0] = line.id.to_string();
            cells
        };
        cells.push(
            line.leaf
                .map(|(index, _)| index.to_string())
                .unwrap_or_default(),
        );
        cells.push(
            line.leaf
                .map(|(_, hash)| hex::encode(hash))
                .unwrap_or_default(),
        );
        self.0.write_record(cells).map_err(io_error)
    }

    /// Writes one record as one row.
    ///
    /// # Errors
    ///
    /// If the output fails.
    pub fn write(&mut self, stored: &Stored) -> io::Result<()> {
        self.0
            .write_record(values(stored).iter().map(cell))
            .map_err(io_error)
    }

    /// Hands on what was kept back to be written at once.
    ///
    /// # Errors
    ///
    /// If the output fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The error as the output gave it: who called wants to know a closed pipe.
#[cfg(feature = "gateway")]
fn io_error(error: csv::Error) -> io::Error {
    if let csv::ErrorKind::Io(error) = error.into_kind() {
        return error;
    }
    io::Error::other("a row does not fit the header")
}

/// A cell of CSV: text that no spreadsheet computes.
#[cfg(feature = "gateway")]
fn cell(value: &Value) -> String {
    let text = plain(value);
    let is_formula = text.starts_with(FORMULA);
    // After the quote mark: a tab or CR that was escaped is no longer one.
    let text = text::made_safe(&text, usize::MAX);
    if is_formula { format!("'{text}") } else { text }
}

/// The values of all fields, in the order of [`FIELDS`].
fn values(stored: &Stored) -> [Value; COUNT] {
    let record = &stored.record;
    let facts = &record.facts;
    [
        json!(record.id),
        json!(record.kind.as_str()),
        json!(facts.exchange_id),
        json!(facts.phase.map(Phase::as_str)),
        json!(time(record.recorded_at)),
        json!(time(stored.stored_at)),
        json!(record.instance),
        json!(record.run_id),
        json!(record.version),
        json!(facts.action.map(Action::as_str)),
        json!(facts.event_type.map(EventType::as_str)),
        json!(facts.claimed_user),
        json!(facts.authenticated_user),
        json!(facts.device_id),
        json!(facts.is_guest),
        json!(facts.client_address),
        json!(facts.client_chain),
        json!(facts.user_agent),
        commitment(&record.claimed),
        commitment(&record.authenticated),
        commitment(&record.client),
        json!(facts.preference.map(Preference::as_str)),
        json!(facts.verdict.map(Judged::as_str)),
        json!(facts.violations),
        json!(facts.outcome.map(Outcome::as_str)),
        json!(facts.origin_status),
        json!(facts.errcode),
        json!(facts.request_id),
        json!(facts.traceparent),
        json!(facts.body_sha256.map(hex::encode)),
        json!(facts.duration_us),
        json!(facts.detail),
    ]
}

fn commitment(commitment: &Commitment) -> Value {
    json!(commitment.hash.map(hex::encode))
}

/// RFC 3339, UTC, six decimals.
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// `text` without what acts on a terminal, or reorders the text around it: that is escaped.
#[must_use]
pub fn printable(text: &str) -> String {
    text::made_safe(text, usize::MAX)
}

/// A value without the quotation marks of JSON; nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// The same JSON without characters that act on a terminal.
///
/// JSON has those below U+0020 escaped already. The others can only stand inside strings, where an
/// escape means the same.
#[must_use]
pub fn escaped_json(line: &str) -> Cow<'_, str> {
    // Nearly always: a look at the bytes is a fraction of what writing them again costs.
    if line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len());
    for char in line.chars() {
        if text::acts_on_terminals(char) {
            // All of them are in the Basic Multilingual Plane. A String takes all that is written.
            let _ = write!(escaped, "\\u{:04x}", u32::from(char));
        } else {
            escaped.push(char);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests;
