//! What the API answers.

mod overview;
mod records;
mod reports;
mod story;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) use self::overview::Overview;
pub(super) use self::records::{Exchange, Records};
pub(super) use self::reports::{Adopted, Drifted, WouldBreak};
pub(super) use self::story::Story;
use crate::admin::query::Range;
use crate::audit::store::{self, By, StoredCheckpoint};

/// A range of time.
#[derive(Serialize, ToSchema)]
struct Span {
    /// From here on, inclusive.
    #[schema(format = DateTime)]
    since: String,
    /// Up to here, exclusive.
    #[schema(format = DateTime)]
    until: String,
    /// `hour` or `day`: the steps of what follows.
    by: &'static str,
}

/// A checkpoint.
#[derive(Serialize, ToSchema)]
struct Checkpoint {
    /// How many leaves it has.
    size: u64,
    #[schema(format = DateTime)]
    at: String,
    /// The signed note.
    note: String,
}

/// How many users wanted key backup at the end of a day.
#[derive(Serialize, ToSchema)]
struct Adoption {
    /// The beginning of the day.
    #[schema(format = DateTime)]
    at: String,
    enabled: u64,
    disabled: u64,
    unknown: u64,
}

/// How often something was wrong.
#[derive(Serialize, ToSchema)]
struct Violations {
    code: String,
    /// The client's name; empty if it says none.
    client: String,
    version: String,
    /// Writes that were refused for it.
    refused: u64,
    /// Writes that were let through, in `observe`.
    forwarded: u64,
    /// Reads that gave a stored value with it.
    reads: u64,
    /// The newest of these records.
    newest: Uuid,
}

/// RFC 3339, UTC, six decimals, as in exports.
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

// === impl Span ===

impl From<&Range> for Span {
    fn from(range: &Range) -> Self {
        Self {
            since: time(range.span.since),
            until: time(range.span.until),
            by: match range.span.by {
                By::Hour => "hour",
                By::Day => "day",
            },
        }
    }
}

// === impl Adoption ===

impl From<&store::Adoption> for Adoption {
    fn from(one: &store::Adoption) -> Self {
        Self {
            at: time(one.at),
            enabled: one.enabled,
            disabled: one.disabled,
            unknown: one.unknown,
        }
    }
}

// === impl Violations ===

impl From<&store::Violations> for Violations {
    fn from(one: &store::Violations) -> Self {
        Self {
            code: one.code.clone(),
            client: one.client.clone(),
            version: one.version.clone(),
            refused: one.refused,
            forwarded: one.forwarded,
            reads: one.reads,
            newest: one.newest,
        }
    }
}

// === impl Checkpoint ===

impl Checkpoint {
    /// A checkpoint of `size` leaves.
    fn new(size: u64, stored: &StoredCheckpoint) -> Self {
        Self {
            size,
            at: time(stored.made_at),
            note: stored.note.clone(),
        }
    }
}
