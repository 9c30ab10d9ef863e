//! Leases: which runs live, by SQLite's clock alone.

use sqlx::sqlite::SqliteArguments;
use uuid::Uuid;

use super::SqliteStore;
use crate::audit::store::{DEAD_AFTER_SECONDS, Error};

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
    ""
);

const END: &str = now!("UPDATE audit_run SET ended_at = ", " WHERE run_id = ?1");

const DEAD: &str = now!(
    "SELECT run_id FROM audit_run
    WHERE buried_at IS NULL AND (ended_at IS NOT NULL OR renewed_at < ",
    " - ?1)
    ORDER BY run_id"
);

const BURY: &str = now!(
    "UPDATE audit_run SET buried_at = now
    FROM (SELECT ",
    " AS now)
    WHERE run_id = ?1 AND buried_at IS NULL AND (ended_at IS NOT NULL OR renewed_at < now - ?2)"
);

/// See [`Store::renew`](crate::audit::store::Store::renew).
pub(super) async fn renew(store: &SqliteStore, run_id: Uuid, instance: &str) -> Result<(), Error> {
    execute(store, sqlx::query(RENEW).bind(run_id).bind(instance)).await
}

/// See [`Store::end`](crate::audit::store::Store::end).
pub(super) async fn end(store: &SqliteStore, run_id: Uuid) -> Result<(), Error> {
    execute(store, sqlx::query(END).bind(run_id)).await
}

/// See [`Store::bury`](crate::audit::store::Store::bury).
pub(super) async fn bury(store: &SqliteStore, run_id: Uuid) -> Result<(), Error> {
    execute(store, sqlx::query(BURY).bind(run_id).bind(dead_after())).await
}

/// See [`Store::dead_runs`](crate::audit::store::Store::dead_runs).
pub(super) async fn dead(store: &SqliteStore) -> Result<Vec<Uuid>, Error> {
    Ok(sqlx::query_scalar(DEAD)
        .bind(dead_after())
        .fetch_all(&store.pool)
        .await?)
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

async fn execute(store: &SqliteStore, statement: Statement<'_>) -> Result<(), Error> {
    let mut transaction = store.begin_write().await?;
    statement.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

fn dead_after() -> i64 {
    i64::from(DEAD_AFTER_SECONDS) * MICROS
}
