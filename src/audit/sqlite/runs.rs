//! Leases: which runs live, by SQLite's clock alone.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteArguments;
use uuid::Uuid;

use super::SqliteStore;
use crate::audit::store::{DEAD_AFTER_SECONDS, DeadRun, Error};

const MICROS: i64 = 1_000_000;

/// Microseconds since 1970, by SQLite's clock, as the schema's defaults have them; between `before`
/// and `after`.
macro_rules! now {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "(CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER) * 1000)",
            $after
        )
    };
}

const RENEW: &str = now!(
    "INSERT INTO audit_run (run_id, instance) VALUES (?1, ?2)
    ON CONFLICT (run_id) DO UPDATE
    SET ended_at = NULL, buried_at = NULL, renewed_at = ",
    " RETURNING renewed_at"
);

const END: &str = now!(
    "UPDATE audit_run SET (ended_at, buried_at) = (
        SELECT now, CASE WHEN ?2 THEN now END FROM (SELECT ",
    " AS now)
    ) WHERE run_id = ?1"
);

const DEAD: &str = now!(
    "SELECT run_id, renewed_at, ended_at FROM audit_run
    WHERE buried_at IS NULL AND (ended_at IS NOT NULL OR renewed_at < ",
    " - ?1)
    ORDER BY run_id"
);

const BURY: &str = now!(
    "UPDATE audit_run SET buried_at = ",
    " WHERE run_id = ?1 AND buried_at IS NULL AND renewed_at = ?2 AND ended_at IS ?3"
);

/// See [`Store::renew`](crate::audit::store::Store::renew).
pub(super) async fn renew(
    store: &SqliteStore,
    run_id: Uuid,
    instance: &str,
) -> Result<DateTime<Utc>, Error> {
    let mut held = store.hold().await?;
    let mut transaction = store.begin_write(&mut held).await?;
    let now = sqlx::query_scalar(RENEW)
        .bind(run_id)
        .bind(instance)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(time(now))
}

/// See [`Store::end`](crate::audit::store::Store::end).
pub(super) async fn end(store: &SqliteStore, run_id: Uuid, is_settled: bool) -> Result<(), Error> {
    execute(store, sqlx::query(END).bind(run_id).bind(is_settled)).await
}

/// See [`Store::bury`](crate::audit::store::Store::bury).
pub(super) async fn bury(store: &SqliteStore, run: &DeadRun) -> Result<(), Error> {
    let bury = sqlx::query(BURY)
        .bind(run.run_id)
        .bind(run.renewed_at.timestamp_micros())
        .bind(run.ended_at.map(|time| time.timestamp_micros()));
    execute(store, bury).await
}

/// See [`Store::dead_runs`](crate::audit::store::Store::dead_runs).
pub(super) async fn dead(store: &SqliteStore) -> Result<Vec<DeadRun>, Error> {
    let dead: Vec<(Uuid, i64, Option<i64>)> = sqlx::query_as(DEAD)
        .bind(i64::from(DEAD_AFTER_SECONDS) * MICROS)
        .fetch_all(&store.pool)
        .await?;
    let dead = dead
        .into_iter()
        .map(|(run_id, renewed_at, ended_at)| DeadRun {
            run_id,
            renewed_at: time(renewed_at),
            ended_at: ended_at.map(time),
        });
    Ok(dead.collect())
}

/// What SQLite's clock says; 1970 for what no calendar has.
fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

async fn execute(store: &SqliteStore, statement: Statement<'_>) -> Result<(), Error> {
    let mut held = store.hold().await?;
    let mut transaction = store.begin_write(&mut held).await?;
    statement.execute(&mut *transaction).await?;
    transaction.commit().await?;
    held.release();
    Ok(())
}
