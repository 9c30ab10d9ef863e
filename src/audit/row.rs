//! A row of `audit_record` as both stores and the spool give it: times in microseconds, JSON as text.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::export::FIELDS;
use super::record::{Commitment, Facts, Judged, Kind, Outcome, Phase, Record, Stored};
use super::store::{Error, Readable};
use crate::matrix::{Action, EventType, Preference};

/// One row.
#[derive(sqlx::FromRow)]
#[cfg_attr(feature = "sqlite", derive(serde::Deserialize))]
pub(super) struct Row {
    id: Uuid,
    kind: String,
    exchange_id: Option<Uuid>,
    phase: Option<String>,
    recorded_at: i64,
    /// Nothing in the spool: it was not stored yet.
    #[cfg_attr(feature = "sqlite", serde(default))]
    stored_at: i64,
    instance: String,
    run_id: Uuid,
    version: String,
    action: Option<String>,
    event_type: Option<String>,
    claimed_user: Option<String>,
    authenticated_user: Option<String>,
    device_id: Option<String>,
    is_guest: Option<bool>,
    client_address: Option<String>,
    client_chain: Option<String>,
    user_agent: Option<String>,
    #[cfg_attr(feature = "sqlite", serde(default, deserialize_with = "from_hex"))]
    claimed_salt: Option<Vec<u8>>,
    #[cfg_attr(feature = "sqlite", serde(default, deserialize_with = "from_hex"))]
    authenticated_salt: Option<Vec<u8>>,
    #[cfg_attr(feature = "sqlite", serde(default, deserialize_with = "from_hex"))]
    client_salt: Option<Vec<u8>>,
    #[cfg_attr(feature = "sqlite", serde(default, deserialize_with = "from_hex"))]
    claimed_commitment: Option<Vec<u8>>,
    #[cfg_attr(feature = "sqlite", serde(default, deserialize_with = "from_hex"))]
    authenticated_commitment: Option<Vec<u8>>,
    #[cfg_attr(feature = "sqlite", serde(default, deserialize_with = "from_hex"))]
    client_commitment: Option<Vec<u8>>,
    preference: Option<String>,
    verdict: Option<String>,
    violations: String,
    outcome: Option<String>,
    origin_status: Option<i32>,
    errcode: Option<String>,
    request_id: Option<String>,
    traceparent: Option<String>,
    #[cfg_attr(feature = "sqlite", serde(default, deserialize_with = "from_hex"))]
    body_sha256: Option<Vec<u8>>,
    duration_us: Option<i64>,
    detail: Option<String>,
}

/// Says which column of which record cannot be read.
#[derive(Clone, Copy)]
struct Reader(Uuid);

#[cfg(feature = "sqlite")]
fn from_hex<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text: Option<String> = serde::Deserialize::deserialize(from)?;
    text.map(hex::decode)
        .transpose()
        .map_err(serde::de::Error::custom)
}

/// The rows as records.
///
/// # Errors
///
/// [`Error::Unreadable`] for the first that holds what no version of this program has written.
pub(super) fn stored(rows: Vec<Row>) -> Result<Vec<Stored>, Error> {
    rows.into_iter().map(Stored::try_from).collect()
}

/// The rows by their ids; what cannot be read is named by its column.
pub(super) fn readable<R: sqlx::Row>(rows: &[R]) -> Result<HashMap<Uuid, Readable>, Error>
where
    for<'r> Row: sqlx::FromRow<'r, R>,
    for<'r> Uuid: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> &'r str: sqlx::ColumnIndex<R>,
{
    let read = |row: &R| {
        let stored = match <Row as sqlx::FromRow<'_, R>>::from_row(row) {
            Ok(row) => Stored::try_from(row),
            Err(sqlx::Error::ColumnDecode { index, .. }) => Err(Error::Unreadable {
                id: Uuid::nil(),
                column: named(&index),
            }),
            Err(error) => Err(error.into()),
        };
        let stored = match stored {
            Ok(stored) => Ok(stored),
            Err(Error::Unreadable { column, .. }) => Err(column),
            Err(error) => return Err(error),
        };
        Ok((row.try_get("id")?, stored))
    };
    rows.iter().map(read).collect()
}

/// The column whose name sqlx says in quotation marks.
fn named(index: &str) -> &'static str {
    let name = index.trim_matches('"');
    let mut columns = FIELDS.iter().filter(|column| **column == name);
    columns.next().copied().unwrap_or("column")
}

// === impl Row ===

impl TryFrom<Row> for Stored {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let read = Reader(row.id);
        // An empty list is written as one; null stands there once the client is erased.
        if row.client_chain.is_none() && row.client_salt.is_some() {
            return Err(read.unknown("client_chain"));
        }
        let facts = Facts {
            exchange_id: row.exchange_id,
            phase: read.word("phase", row.phase, Phase::parse)?,
            action: read.word("action", row.action, Action::parse)?,
            event_type: read.word("event_type", row.event_type, EventType::parse)?,
            claimed_user: row.claimed_user,
            authenticated_user: row.authenticated_user,
            device_id: row.device_id,
            is_guest: row.is_guest,
            client_address: row.client_address,
            client_chain: read
                .json("client_chain", row.client_chain)?
                .unwrap_or_default(),
            user_agent: row.user_agent,
            preference: read.word("preference", row.preference, Preference::parse)?,
            verdict: read.word("verdict", row.verdict, Judged::parse)?,
            violations: read
                .json("violations", Some(row.violations))?
                .unwrap_or_default(),
            outcome: read.word("outcome", row.outcome, Outcome::parse)?,
            origin_status: row
                .origin_status
                .map(|status| u16::try_from(status).map_err(|_| read.unknown("origin_status")))
                .transpose()?,
            errcode: row.errcode,
            request_id: row.request_id,
            traceparent: row.traceparent,
            body_sha256: read.bytes("body_sha256", row.body_sha256)?,
            duration_us: row.duration_us,
            detail: read.json("detail", row.detail)?,
        };
        let record = Record {
            id: row.id,
            kind: Kind::parse(&row.kind).ok_or(read.unknown("kind"))?,
            recorded_at: read.time("recorded_at", row.recorded_at)?,
            instance: row.instance,
            run_id: row.run_id,
            version: row.version,
            facts,
            claimed: Commitment {
                salt: read.bytes("claimed_salt", row.claimed_salt)?,
                hash: read.bytes("claimed_commitment", row.claimed_commitment)?,
            },
            authenticated: Commitment {
                salt: read.bytes("authenticated_salt", row.authenticated_salt)?,
                hash: read.bytes("authenticated_commitment", row.authenticated_commitment)?,
            },
            client: Commitment {
                salt: read.bytes("client_salt", row.client_salt)?,
                hash: read.bytes("client_commitment", row.client_commitment)?,
            },
        };
        Ok(Self {
            record,
            stored_at: read.time("stored_at", row.stored_at)?,
        })
    }
}

// === impl Reader ===

impl Reader {
    fn unknown(self, column: &'static str) -> Error {
        Error::Unreadable { id: self.0, column }
    }

    fn word<T>(
        self,
        column: &'static str,
        word: Option<String>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        word.map(|word| parse(&word).ok_or(self.unknown(column)))
            .transpose()
    }

    fn json<T: DeserializeOwned>(
        self,
        column: &'static str,
        text: Option<String>,
    ) -> Result<Option<T>, Error> {
        text.map(|text| serde_json::from_str(&text).map_err(|_| self.unknown(column)))
            .transpose()
    }

    fn bytes<const N: usize>(
        self,
        column: &'static str,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<[u8; N]>, Error> {
        bytes
            .map(|bytes| bytes.try_into().map_err(|_| self.unknown(column)))
            .transpose()
    }

    fn time(self, column: &'static str, micros: i64) -> Result<DateTime<Utc>, Error> {
        DateTime::from_timestamp_micros(micros).ok_or(self.unknown(column))
    }
}
