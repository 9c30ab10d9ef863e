//! Questions to the trail.

use std::collections::HashMap;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::PgStore;
use crate::audit::record::{Record, Stored};
use crate::audit::row::{self, Row};
use crate::audit::store::{Error, OpenIntents, Readable};

/// A promise not to change anything.
pub(super) const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
    SET LOCAL statement_timeout = '55s';
    SET LOCAL lock_timeout = '5s';
";

/// The columns of [`Row`] from `from`, then `rest`.
macro_rules! select {
    ($from:literal, $($rest:tt)+) => {
        concat!(
            "
    SELECT id, kind, exchange_id, phase,
        CASE WHEN isfinite(recorded_at) THEN (extract(epoch FROM recorded_at) * 1000000)::bigint END
            AS recorded_at,
        CASE WHEN isfinite(stored_at) THEN (extract(epoch FROM stored_at) * 1000000)::bigint END
            AS stored_at,
        instance, run_id, version, action, event_type, claimed_user, authenticated_user, device_id,
        is_guest, client_address, client_chain::text AS client_chain, user_agent, claimed_salt,
        authenticated_salt, client_salt, claimed_commitment, authenticated_commitment,
        client_commitment, preference, verdict, violations::text AS violations, outcome,
        origin_status, errcode, request_id, traceparent, body_sha256, duration_us,
        detail::text AS detail
    FROM ",
            $from,
            " AS record ",
            $($rest)+
        )
    };
}

pub(super) use select;

const EXCHANGE: &str = select!("audit_record", "WHERE exchange_id = $1 ORDER BY id");

/// An outcome is younger than its intent: older partitions need not be looked at. So long a list is
/// never worth reading the whole trail for, which is what Postgres makes of it if it may join.
const LOOK: &str = "
    SELECT id, NOT EXISTS (
        SELECT FROM audit_record AS outcome
        WHERE outcome.exchange_id = intent.exchange_id AND outcome.phase = 'outcome'
            AND outcome.id > intent.id
    )
    FROM (
        SELECT id, exchange_id FROM audit_record
        WHERE run_id = $1 AND phase = 'intent' AND id < $2
        ORDER BY id DESC
        LIMIT $3
    ) AS intent
    ORDER BY id DESC
";

const BY_ID: &str = select!("audit_record", "WHERE id = ANY($1) ORDER BY id DESC");

const MISSING: &str = "
    SELECT id FROM unnest($1::uuid[]) AS asked (id)
    WHERE NOT EXISTS (SELECT FROM audit_record AS record WHERE record.id = asked.id)
";

/// All records of a user, as far back as anybody replays.
const HISTORY: &str = concat!(
    "WITH newest AS (
        (SELECT * FROM audit_record AS record WHERE claimed_user = $1 ORDER BY id DESC LIMIT $2)
        UNION ALL (SELECT * FROM audit_record AS record
            WHERE authenticated_user = $1 AND authenticated_user IS DISTINCT FROM claimed_user
            ORDER BY id DESC LIMIT $2)
    )",
    select!("newest", "ORDER BY id DESC LIMIT $2")
);

/// Beyond so many records of one user nothing is replayed: what is older does not matter to what is known now.
const LONGEST_HISTORY: i64 = 100_000;

/// A user's writes and clears, and the reads `$4`.
const CHANGES: &str = concat!(
    "WITH newest AS (
        (SELECT * FROM audit_record AS record
            WHERE claimed_user = $1 AND action IN ('write', 'clear') AND ($2::uuid IS NULL OR id < $2)
            ORDER BY id DESC LIMIT $3)
        UNION ALL (SELECT * FROM audit_record AS record
            WHERE authenticated_user = $1 AND authenticated_user IS DISTINCT FROM claimed_user
                AND action IN ('write', 'clear') AND ($2::uuid IS NULL OR id < $2)
            ORDER BY id DESC LIMIT $3)
        UNION ALL (SELECT * FROM audit_record AS record WHERE id = ANY($4))
    )",
    select!("newest", "ORDER BY id DESC LIMIT $3")
);

/// See [`Store::exchange`](crate::audit::store::Store::exchange).
pub(super) async fn exchange(store: &PgStore, exchange_id: Uuid) -> Result<Vec<Stored>, Error> {
    read(store, sqlx::query_as(EXCHANGE).bind(exchange_id)).await
}

/// See [`Store::open_intents`](crate::audit::store::Store::open_intents).
pub(super) async fn open_intents(
    store: &PgStore,
    run_id: Uuid,
    before: Option<Uuid>,
    limit: u32,
) -> Result<OpenIntents, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let looked: Vec<(Uuid, bool)> = sqlx::query_as(LOOK)
        .bind(run_id)
        .bind(before.unwrap_or(Uuid::max()))
        .bind(i64::from(limit))
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    let (open, next) = OpenIntents::among(&looked, limit);
    let open = if open.is_empty() {
        Vec::new()
    } else {
        let rows: Rows<'_> = sqlx::query_as(BY_ID).bind(open);
        rows.persistent(false).fetch_all(&mut *transaction).await?
    };
    transaction.commit().await?;
    held.release();
    let open = row::stored(open)?;
    Ok(OpenIntents { open, next })
}

/// See [`Store::missing`](crate::audit::store::Store::missing).
pub(super) async fn missing(store: &PgStore, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let missing = sqlx::query_scalar(MISSING)
        .bind(ids)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(missing)
}

/// The records of `ids` that there are, as far as they can be read.
pub(super) async fn records(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Readable>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(BY_ID).bind(ids).persistent(false);
    row::readable(&rows.fetch_all(connection).await?)
}

/// All records of `user`, as far back as anybody replays; those that can be read.
pub(super) async fn history(
    connection: &mut PgConnection,
    user: &str,
) -> Result<Vec<Record>, Error> {
    let rows = sqlx::query(HISTORY)
        .bind(user)
        .bind(LONGEST_HISTORY)
        .persistent(false)
        .fetch_all(connection)
        .await?;
    let found = row::readable(&rows)?.into_values();
    Ok(found
        .filter_map(Result::ok)
        .map(|stored| stored.record)
        .collect())
}

/// The writes and clears of `user`, and `reads`, newest first.
pub(super) async fn changes_of(
    connection: &mut PgConnection,
    user: &str,
    before: Option<Uuid>,
    limit: u32,
    reads: &[Uuid],
) -> Result<Vec<Row>, Error> {
    let rows: Rows<'_> = sqlx::query_as(CHANGES)
        .bind(user)
        .bind(before)
        .bind(i64::from(limit))
        .bind(reads);
    Ok(rows.persistent(false).fetch_all(connection).await?)
}

type Rows<'q> = sqlx::query::QueryAs<'q, sqlx::Postgres, Row, sqlx::postgres::PgArguments>;

async fn read(store: &PgStore, rows: Rows<'_>) -> Result<Vec<Stored>, Error> {
    let mut held = store.hold().await?;
    // A page may take its time, but not a server that says nothing at all.
    let begin = tokio::time::timeout(super::ROUTINE, held.begin_with(BEGIN)).await;
    let mut transaction = begin.map_err(|_| Error::too_slow())??;
    let rows = rows.persistent(false).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    held.release();
    row::stored(rows)
}
