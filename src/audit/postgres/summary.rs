//! The summary: takes records in.

use std::collections::HashMap;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::PgStore;
use super::read::{history, records};
use super::summary_write::write;
use crate::audit::record::Record;
use crate::audit::store::{Error, Summarised};
use crate::audit::summary::{Batch, Profile};

/// What is derived needs not survive a crash by itself: what it was derived from is in line again.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL synchronous_commit = off;
    SET LOCAL statement_timeout = '20s';
    SET LOCAL lock_timeout = '1s';
";

/// All that is visible at one moment is forgotten and put in line; what is appended meanwhile is in line by itself. Nobody who
/// appends or reads waits for it.
const BEGIN_ANEW: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ;
    SET LOCAL statement_timeout = '1h';
    SET LOCAL lock_timeout = '30s';
    LOCK TABLE audit_summary IN EXCLUSIVE MODE;
";

/// Whether there is anything to do: a lock leaves a trace in the database.
const WAITING: &str = "
    SELECT (SELECT true FROM audit_fresh LIMIT 1) IS NOT NULL OR is_due OR is_behind FROM audit_summary
";

const LOCK: &str = "SELECT is_due, is_behind FROM audit_summary FOR UPDATE SKIP LOCKED";

/// Whole rows, the first in any case.
const TAKE: &str = "
    WITH next AS (
        SELECT seq, sum(cardinality(record_ids)) OVER (ORDER BY seq) - cardinality(record_ids) AS before
        FROM (SELECT seq, record_ids FROM audit_fresh ORDER BY seq LIMIT 256) AS oldest
    )
    DELETE FROM audit_fresh WHERE seq IN (SELECT seq FROM next WHERE before = 0 OR before < $1)
    RETURNING record_ids
";

const PROFILES: &str =
    "SELECT user_id, profile::text FROM audit_user WHERE user_id = ANY($1) FOR UPDATE";

const NOTE: &str = "UPDATE audit_summary SET records = records + $1, is_behind = is_behind AND $2";

/// As many records as one statement appends.
const IN_LINE: &str = "
    INSERT INTO audit_fresh (record_ids)
    SELECT array_agg(id) FROM (
        SELECT id, (row_number() OVER (ORDER BY id) - 1) / 500 AS chunk FROM audit_record
    ) AS numbered
    GROUP BY chunk ORDER BY chunk
";

const FORGET: [&str; 10] = [
    "DELETE FROM audit_fresh",
    "DELETE FROM audit_user",
    "DELETE FROM audit_adoption",
    "DELETE FROM audit_hour",
    "DELETE FROM audit_violation",
    "DELETE FROM audit_drift",
    "DELETE FROM audit_open",
    "DELETE FROM audit_trait",
    "DELETE FROM audit_trait_days",
    "DELETE FROM audit_stray",
];

const ANEW: &str = "UPDATE audit_summary SET records = 0, is_due = false, is_behind = true";

/// See [`Desk::summarise`](crate::audit::store::Desk::summarise).
pub(super) async fn summarise(store: &PgStore, limit: u32) -> Result<Summarised, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let is_waiting: bool = sqlx::query_scalar(WAITING)
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    if !is_waiting {
        transaction.rollback().await?;
        held.release();
        return Ok(Summarised::Taken(0));
    }
    let locked: Option<(bool, bool)> = sqlx::query_as(LOCK)
        .persistent(false)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some((is_due, is_behind)) = locked else {
        transaction.rollback().await?;
        held.release();
        return Ok(Summarised::Busy);
    };
    if is_due {
        transaction.rollback().await?;
        held.release();
        return Ok(Summarised::Due);
    }
    let taken: Vec<(Vec<Uuid>,)> = sqlx::query_as(TAKE)
        .bind(i64::from(limit))
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    let ids: Vec<Uuid> = taken.into_iter().flat_map(|(ids,)| ids).collect();
    let count = ids.len();
    if count > 0 {
        take(&mut transaction, &ids).await?;
    }
    if count > 0 || is_behind {
        sqlx::query(NOTE)
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .bind(count >= usize::try_from(limit).unwrap_or(usize::MAX))
            .persistent(false)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    held.release();
    Ok(Summarised::Taken(u64::try_from(count).unwrap_or(u64::MAX)))
}

/// See [`Desk::forget_summary`](crate::audit::store::Desk::forget_summary).
pub(super) async fn forget(store: &PgStore) -> Result<(), Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN_ANEW).await?;
    for statement in FORGET.into_iter().chain([IN_LINE, ANEW]) {
        sqlx::query(statement)
            .persistent(false)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    held.release();
    Ok(())
}

async fn take(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), Error> {
    let found = records(connection, ids).await?;
    // What cannot be read adds nothing: whoever verifies the trail says so.
    let found = found.into_values().filter_map(Result::ok);
    let batch = Batch::new(found.map(|stored| stored.record).collect());
    let known = profiles(connection, &batch.users()).await?;
    let mut histories: HashMap<String, Vec<Record>> = HashMap::new();
    for user in batch.replays(&known) {
        let records = history(connection, &user).await?;
        histories.insert(user, records);
    }
    write(connection, &batch.derive(known, histories)).await
}

async fn profiles(
    connection: &mut PgConnection,
    users: &[String],
) -> Result<HashMap<String, Profile>, Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(PROFILES)
        .bind(users)
        .persistent(false)
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(user, profile)| Some((user.clone(), Profile::read(&user, &profile)?)))
        .collect())
}
