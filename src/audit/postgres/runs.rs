//! Leases: which runs live, by the database's clock alone.

use chrono::{DateTime, Utc};
use sqlx::Connection;
use sqlx::postgres::PgArguments;
use uuid::Uuid;

use super::PgStore;
use crate::audit::store::{DEAD_AFTER_SECONDS, DeadRun, Error};

const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '5s';
    SET LOCAL lock_timeout = '1s';
";

const RENEW: &str = "
    INSERT INTO audit_run (run_id, instance) VALUES ($1, $2)
    ON CONFLICT (run_id) DO UPDATE
    SET renewed_at = clock_timestamp(), ended_at = NULL, buried_at = NULL
    RETURNING renewed_at
";

const END: &str = "
    UPDATE audit_run
    SET ended_at = clock_timestamp(), buried_at = CASE WHEN $2 THEN clock_timestamp() END
    WHERE run_id = $1
";

const DEAD: &str = "
    SELECT run_id, renewed_at, ended_at FROM audit_run
    WHERE buried_at IS NULL
        AND (ended_at IS NOT NULL OR renewed_at < clock_timestamp() - make_interval(secs => $1))
    ORDER BY run_id
";

const BURY: &str = "
    UPDATE audit_run SET buried_at = clock_timestamp()
    WHERE run_id = $1 AND buried_at IS NULL AND renewed_at = $2 AND ended_at IS NOT DISTINCT FROM $3
";

/// See [`Store::renew`](crate::audit::store::Store::renew).
pub(super) async fn renew(
    store: &PgStore,
    run_id: Uuid,
    instance: &str,
) -> Result<DateTime<Utc>, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let now = sqlx::query_scalar(RENEW)
        .bind(run_id)
        .bind(instance)
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(now)
}

/// See [`Store::end`](crate::audit::store::Store::end).
pub(super) async fn end(store: &PgStore, run_id: Uuid, is_settled: bool) -> Result<(), Error> {
    execute(store, sqlx::query(END).bind(run_id).bind(is_settled)).await
}

/// See [`Store::bury`](crate::audit::store::Store::bury).
pub(super) async fn bury(store: &PgStore, run: &DeadRun) -> Result<(), Error> {
    let bury = sqlx::query(BURY)
        .bind(run.run_id)
        .bind(run.renewed_at)
        .bind(run.ended_at);
    execute(store, bury).await
}

/// See [`Store::dead_runs`](crate::audit::store::Store::dead_runs).
pub(super) async fn dead(store: &PgStore) -> Result<Vec<DeadRun>, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let dead: Vec<(Uuid, DateTime<Utc>, Option<DateTime<Utc>>)> = sqlx::query_as(DEAD)
        .persistent(false)
        .bind(f64::from(DEAD_AFTER_SECONDS))
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    let dead = dead
        .into_iter()
        .map(|(run_id, renewed_at, ended_at)| DeadRun {
            run_id,
            renewed_at,
            ended_at,
        });
    Ok(dead.collect())
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

async fn execute(store: &PgStore, statement: Statement<'_>) -> Result<(), Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    statement
        .persistent(false)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(())
}
