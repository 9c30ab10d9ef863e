//! Migrations and partitions.

use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection};

use super::PgStore;
use crate::audit::store::{Error, MIGRATION_TABLE, compare_versions};

/// Our own table of what was applied, so that the trail may share a database with a homeserver that
/// uses sqlx as well. No lock of sqlx's: it belongs to the session, and strands behind `PgBouncer`.
static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("migrations/postgres");
    migrator.set_locking(false);
    migrator.dangerous_set_table_name(MIGRATION_TABLE);
    migrator
});

const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '590s';
    SET LOCAL lock_timeout = '60s';
";

/// Whoever migrates, migrates alone, until the end of the transaction. The number is arbitrary;
/// `audit_make_partition` takes the same.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7738142570918376519)";

/// In any other encoding there are names and user agents that no record could hold.
const ENCODING: &str = "SELECT current_setting('server_encoding')";

const HAS_VERSIONS: &str = "SELECT to_regclass('audit_migration') IS NOT NULL";

const VERSION: &str = "SELECT coalesce(max(version), 0) FROM audit_migration WHERE success";

/// Reading, and waiting a little for those who make tables: longer waits would hold up the writers
/// that queue behind us.
const BEGIN_BRIEF: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '5s';
    SET LOCAL lock_timeout = '2s';
";

const MAKE_PARTITIONS: &str = "SELECT audit_make_partitions()";

/// See [`Store::migrate`](crate::audit::store::Store::migrate).
pub(super) async fn migrate(store: &PgStore) -> Result<(), Error> {
    // A connection of its own: sqlx's migrator names its statements, and only a cache forgets them
    // in the way that poolers understand.
    let mut connection = store
        .pool
        .connect_apart(|options| options.statement_cache_capacity(16))
        .await?;
    let mut transaction = connection.begin_with(BEGIN).await?;
    sqlx::query(LOCK).execute(&mut *transaction).await?;
    check_encoding(&mut transaction).await?;
    let migrated = MIGRATOR.run_direct(None, &mut *transaction, false).await;
    match migrated {
        Err(MigrateError::VersionMissing(found)) => compare_versions(found, &MIGRATOR)?,
        Err(error) => return Err(error.into()),
        Ok(()) => {}
    }
    transaction.clear_cached_statements().await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(())
}

/// See [`Store::check_schema`](crate::audit::store::Store::check_schema).
pub(super) async fn check(store: &PgStore) -> Result<(), Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN_BRIEF).await?;
    check_encoding(&mut transaction).await?;
    let has_versions: bool = sqlx::query_scalar(HAS_VERSIONS)
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    let found: i64 = if has_versions {
        sqlx::query_scalar(VERSION)
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await?
    } else {
        0
    };
    transaction.commit().await?;
    held.release();
    compare_versions(found, &MIGRATOR)
}

async fn check_encoding(connection: &mut PgConnection) -> Result<(), Error> {
    let found: String = sqlx::query_scalar(ENCODING)
        .persistent(false)
        .fetch_one(connection)
        .await?;
    if found == "UTF8" {
        Ok(())
    } else {
        Err(Error::Encoding { found })
    }
}

/// See [`Store::maintain`](crate::audit::store::Store::maintain).
pub(super) async fn maintain(store: &PgStore) -> Result<Vec<String>, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN_BRIEF).await?;
    let sentences = sqlx::query_scalar(MAKE_PARTITIONS)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(sentences)
}
