//! The file, and its migrations.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::{MigrateError, Migrator};

use super::SqliteStore;
use crate::audit::store::{Error, MIGRATION_TABLE, compare_versions};

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("migrations/sqlite");
    migrator.set_locking(false);
    migrator.dangerous_set_table_name(MIGRATION_TABLE);
    migrator
});

/// Lasts: every later connection finds the file in this mode.
const USE_WAL: &str = "PRAGMA journal_mode = WAL";

/// The change of the mode does not wait for others, as everything else in SQLite does. Within the
/// limit of [`Store::migrate`](crate::audit::store::Store::migrate).
const WAL_RETRY: Duration = Duration::from_millis(20);

const HAS_VERSIONS: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'audit_migration'";

const VERSION: &str = "SELECT coalesce(max(version), 0) FROM audit_migration WHERE success";

/// See [`Store::migrate`](crate::audit::store::Store::migrate).
pub(super) async fn migrate(store: &SqliteStore) -> Result<(), Error> {
    make_file(&store.path).map_err(|error| Error::Unavailable(sqlx::Error::Io(error)))?;
    use_wal(&store.pool).await?;
    let mut held = store.hold().await?;
    let mut transaction = store.begin_write(&mut held).await?;
    match MIGRATOR.run_direct(None, &mut *transaction, false).await {
        Err(MigrateError::VersionMissing(found)) => compare_versions(found, &MIGRATOR)?,
        Err(error) => return Err(error.into()),
        Ok(()) => {}
    }
    transaction.commit().await?;
    held.release();
    Ok(())
}

/// Puts the file into WAL mode, if it is not.
pub(in crate::audit) async fn use_wal(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    loop {
        match sqlx::query_scalar::<_, String>(USE_WAL)
            .fetch_one(pool)
            .await
        {
            Ok(mode) if mode == "wal" => return Ok(()),
            // Busy, and so the old mode is kept.
            Ok(_) => {}
            Err(error) if is_busy(&error) => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(WAL_RETRY).await;
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    // SQLITE_BUSY, SQLITE_LOCKED.
    code.and_then(|code| code.parse::<i32>().ok())
        .is_some_and(|code| [5, 6].contains(&(code & 0xff)))
}

/// See [`Store::check_schema`](crate::audit::store::Store::check_schema).
pub(super) async fn check(store: &SqliteStore) -> Result<(), Error> {
    // No file is the emptiest of databases.
    if !store.path.exists() {
        return compare_versions(0, &MIGRATOR);
    }
    let has_versions: i64 = sqlx::query_scalar(HAS_VERSIONS)
        .fetch_one(&store.pool)
        .await?;
    let found = match has_versions {
        0 => 0,
        _ => sqlx::query_scalar(VERSION).fetch_one(&store.pool).await?,
    };
    compare_versions(found, &MIGRATOR)
}

/// An empty file that is its owner's alone. SQLite gives its companions (`-wal`, `-shm`) the mode of
/// the file.
pub(in crate::audit) fn make_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?.sync_all()?,
    }
    // The name is durable only with its folder.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
