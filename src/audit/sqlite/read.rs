//! Questions to the trail.

use std::collections::HashMap;

use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use uuid::Uuid;

use super::SqliteStore;
use crate::audit::record::{Judged, Outcome, Record, Stored};
use crate::audit::row::{self, Row};
use crate::audit::store::{Error, OpenIntents, Query, Readable};
use crate::matrix::{Action, EventType};

/// The columns of [`Row`], then `rest`.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "
    SELECT id, kind, exchange_id, phase, recorded_at, stored_at, instance, run_id, version, action,
        event_type, claimed_user, authenticated_user, device_id, is_guest, client_address,
        client_chain, user_agent, claimed_salt, authenticated_salt, client_salt, claimed_commitment,
        authenticated_commitment, client_commitment, preference, verdict, violations, outcome,
        origin_status, errcode, request_id, traceparent, body_sha256, duration_us, detail
    FROM audit_record AS record
    ",
            $rest
        )
    };
}

/// A negative limit is none.
const PAGE: &str = select!(
    "WHERE (?1 IS NULL OR claimed_user = ?1 OR authenticated_user = ?1)
        AND (?2 IS NULL OR recorded_at >= ?2)
        AND (?3 IS NULL OR recorded_at < ?3)
        AND (?4 IS NULL OR action = ?4)
        AND (?5 IS NULL OR verdict = ?5)
        AND (?6 IS NULL OR outcome = ?6 OR (?7 AND phase = 'intent' AND NOT EXISTS (
            SELECT 1 FROM audit_record AS other
            WHERE other.exchange_id = record.exchange_id AND other.phase = 'outcome'
        )))
        AND (?8 IS NULL OR id < ?8)
        AND (?10 IS NULL OR device_id = ?10)
        AND (?11 IS NULL OR client_address = ?11)
        AND (?12 IS NULL OR user_agent >= ?12 AND user_agent < ?12 || char(0x10FFFF))
        AND (?13 IS NULL OR event_type = ?13)
        AND (?14 IS NULL OR EXISTS (SELECT 1 FROM json_each(violations) WHERE value = ?14))
    ORDER BY id DESC
    LIMIT ?9"
);

const EXCHANGE: &str = select!("WHERE exchange_id = ?1 ORDER BY id");

const LOOK: &str = "
    SELECT id, NOT EXISTS (
        SELECT 1 FROM audit_record AS outcome
        WHERE outcome.exchange_id = intent.exchange_id AND outcome.phase = 'outcome'
    )
    FROM (
        SELECT id, exchange_id FROM audit_record
        WHERE run_id = ?1 AND phase = 'intent' AND id < ?2
        ORDER BY id DESC
        LIMIT ?3
    ) AS intent
    ORDER BY id DESC
";

/// The ids are one JSON text.
const BY_ID: &str =
    select!("WHERE id IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY id DESC");

/// The ids are one JSON text.
const MISSING: &str = "
    SELECT unhex(value) FROM json_each(?1)
    WHERE NOT EXISTS (SELECT 1 FROM audit_record WHERE id = unhex(value))
";

const BEYOND: &str = select!("WHERE record.rowid > ?1 AND record.rowid <= ?2");

/// All records of a user, as far back as anybody replays.
const HISTORY: &str =
    select!("WHERE claimed_user = ?1 OR authenticated_user = ?1 ORDER BY id DESC LIMIT 100000");

/// A user's writes and clears, and the reads that gave something else.
const CHANGES: &str = select!(
    "WHERE (claimed_user = ?1 OR authenticated_user = ?1)
        AND (action IN ('write', 'clear') OR id IN (SELECT read_id FROM audit_drift WHERE user_id = ?1))
        AND (?2 IS NULL OR id < ?2)
    ORDER BY id DESC LIMIT ?3"
);

/// See [`Store::page`](crate::audit::store::Store::page).
pub(super) async fn page(store: &SqliteStore, query: &Query) -> Result<Vec<Stored>, Error> {
    let rows = sqlx::query_as(PAGE)
        .bind(query.user.as_deref())
        .bind(query.since.map(|time| time.timestamp_micros()))
        .bind(query.until.map(|time| time.timestamp_micros()))
        .bind(query.action.map(Action::as_str))
        .bind(query.verdict.map(Judged::as_str))
        .bind(query.outcome.map(Outcome::as_str))
        .bind(query.outcome == Some(Outcome::Unanswered))
        .bind(query.before)
        .bind(if query.limit == 0 {
            -1
        } else {
            i64::from(query.limit)
        })
        .bind(query.device.as_deref())
        .bind(query.address.as_deref())
        .bind(query.client.as_deref())
        .bind(query.event_type.map(EventType::as_str))
        .bind(query.violation.as_deref());
    read(store, rows).await
}

/// See [`Store::exchange`](crate::audit::store::Store::exchange).
pub(super) async fn exchange(store: &SqliteStore, exchange_id: Uuid) -> Result<Vec<Stored>, Error> {
    read(store, sqlx::query_as(EXCHANGE).bind(exchange_id)).await
}

/// See [`Store::open_intents`](crate::audit::store::Store::open_intents).
pub(super) async fn open_intents(
    store: &SqliteStore,
    run_id: Uuid,
    before: Option<Uuid>,
    limit: u32,
) -> Result<OpenIntents, Error> {
    let looked: Vec<(Uuid, bool)> = sqlx::query_as(LOOK)
        .bind(run_id)
        .bind(before.unwrap_or(Uuid::max()))
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await?;
    let (open, next) = OpenIntents::among(&looked, limit);
    let open = if open.is_empty() {
        Vec::new()
    } else {
        read(store, sqlx::query_as(BY_ID).bind(list(&open))).await?
    };
    Ok(OpenIntents { open, next })
}

/// See [`Store::missing`](crate::audit::store::Store::missing).
pub(super) async fn missing(store: &SqliteStore, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    Ok(sqlx::query_scalar(MISSING)
        .bind(list(ids))
        .fetch_all(&store.pool)
        .await?)
}

/// The records of `ids` that there are, as far as they can be read.
pub(super) async fn records(
    connection: &mut SqliteConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Readable>, Error> {
    let rows = sqlx::query(BY_ID).bind(list(ids));
    row::readable(&rows.fetch_all(connection).await?)
}

/// The records beyond the rowid `last`, up to `end`; those that can be read.
pub(super) async fn beyond(
    connection: &mut SqliteConnection,
    last: i64,
    end: i64,
) -> Result<Vec<Record>, Error> {
    let rows = sqlx::query(BEYOND).bind(last).bind(end);
    legible(&rows.fetch_all(connection).await?)
}

/// All records of `user`, as far back as anybody replays; those that can be read.
pub(super) async fn history(
    connection: &mut SqliteConnection,
    user: &str,
) -> Result<Vec<Record>, Error> {
    let rows = sqlx::query(HISTORY).bind(user);
    legible(&rows.fetch_all(connection).await?)
}

/// The writes and clears of `user`, and the reads that gave something else, newest first.
pub(super) async fn changes_of(
    store: &SqliteStore,
    user: &str,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Stored>, Error> {
    let rows = sqlx::query_as(CHANGES);
    read(store, rows.bind(user).bind(before).bind(limit)).await
}

fn legible(rows: &[SqliteRow]) -> Result<Vec<Record>, Error> {
    let found = row::readable(rows)?.into_values();
    Ok(found
        .filter_map(Result::ok)
        .map(|stored| stored.record)
        .collect())
}

/// One JSON text.
pub(super) fn list(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
    serde_json::json!(ids).to_string()
}

type Rows<'q> = sqlx::query::QueryAs<'q, sqlx::Sqlite, Row, SqliteArguments>;

async fn read(store: &SqliteStore, rows: Rows<'_>) -> Result<Vec<Stored>, Error> {
    row::stored(rows.fetch_all(&store.pool).await?)
}
