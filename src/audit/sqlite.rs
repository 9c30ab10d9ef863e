//! The trail in one SQLite file: the embedded default.
//!
//! Several processes may use the file. It is in WAL mode, so readers and the one writer of the
//! moment do not wait for each other, and a commit is an fsync. Only [`Store::migrate`] makes the
//! file, for its owner alone (mode 0600); everything else fails if it is not there. Nothing is
//! written to a file that was removed or replaced meanwhile.

mod append;
mod desk;
mod desk_impl;
pub(super) mod held;
pub(super) mod line;
mod read;
mod runs;
pub(super) mod schema;
mod summary;
mod tree;
mod tree_impl;
mod tree_read;

use std::fs::Metadata;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqlitePool, Transaction};
use uuid::Uuid;

use self::held::Held;
use super::record::{Record, Stored};
use super::store::{self, BoxFuture, DeadRun, Error, OpenError, OpenIntents, Query, Store};

/// One writes; the others keep the lease and answer queries.
const CONNECTIONS: u32 = 4;
/// For another process that writes. SQLite's own wait: it ends in `SQLITE_BUSY`.
const BUSY: Duration = Duration::from_secs(5);
/// For a connection from the pool.
const ACQUIRE: Duration = Duration::from_secs(3);
/// For whatever a gateway does all the time: longer than [`ACQUIRE`] and [`BUSY`] together.
const ROUTINE: Duration = Duration::from_secs(10);
/// For what people wait for: pages of a long trail; migrations.
const LONG: Duration = Duration::from_mins(1);

/// Takes the lock for writing at once: a transaction that first reads and then writes may be refused
/// in the middle.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

const MOVED: &str = "the file was removed or replaced while in use: put it back, or restart";

/// Device and inode.
type FileId = (u64, u64);

/// [`Store`] over SQLite.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// The file that was first written to.
    file: OnceLock<FileId>,
    pool: SqlitePool,
}

// === impl SqliteStore ===

impl SqliteStore {
    /// The store in the file that `config.url` names. Opens it when it is first used, and makes it
    /// only in [`Store::migrate`].
    ///
    /// # Errors
    ///
    /// If the URL is malformed, or a password is configured.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime. The store belongs to that runtime: use it in no other.
    pub fn open(config: &store::Config) -> Result<Self, OpenError> {
        let path = parse(config)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        Ok(Self {
            pool: pool(options),
            file: OnceLock::new(),
            path,
        })
    }

    /// The store in the file that `config.url` names, for reading only.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and if there is no such file.
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open).
    pub fn open_existing(config: &store::Config) -> Result<Self, OpenError> {
        let path = parse(config)?;
        if !path.is_file() {
            let path = path.display();
            return Err(OpenError::url(format!(
                "there is no file {path}: no trail was kept there"
            )));
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .busy_timeout(BUSY);
        Ok(Self {
            pool: pool(options),
            file: OnceLock::new(),
            path,
        })
    }

    async fn hold(&self) -> Result<Held, sqlx::Error> {
        Held::of(&self.pool).await
    }

    async fn begin_write<'a>(
        &self,
        held: &'a mut Held,
    ) -> Result<Transaction<'a, Sqlite>, sqlx::Error> {
        let transaction = held.begin_with(BEGIN_WRITE).await?;
        self.check_file()?;
        Ok(transaction)
    }

    /// SQLite goes on writing to a file that has no name any more, and nobody would ever read it.
    fn check_file(&self) -> Result<(), sqlx::Error> {
        let now = std::fs::metadata(&self.path).map(|file| file_id(&file));
        match now {
            Ok(now) if *self.file.get_or_init(|| now) == now => Ok(()),
            _ => Err(sqlx::Error::Io(io::Error::other(MOVED))),
        }
    }

    /// See [`store::bounded`].
    fn bounded<'a, T: Send + 'a>(
        &'a self,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Error>> {
        let check = store::within(ROUTINE, schema::check(self));
        store::bounded(limit, work, check)
    }
}

/// Whether [`SqliteStore::open`] would say that something is wrong with `config`.
pub(super) fn check(config: &store::Config) -> Result<(), OpenError> {
    parse(config).map(drop)
}

/// The file that `config` names, if it names one.
pub(super) fn path(config: &store::Config) -> Option<PathBuf> {
    let is_sqlite = config.url.expose_secret().starts_with("sqlite:");
    parse(config).ok().filter(|_| is_sqlite)
}

#[cfg(unix)]
fn file_id(file: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt as _;
    (file.dev(), file.ino())
}

/// That there is a file must do.
#[cfg(not(unix))]
fn file_id(_: &Metadata) -> FileId {
    (0, 0)
}

fn pool(options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(options)
}

/// The path, as it stands in the URL: nothing is decoded.
fn parse(config: &store::Config) -> Result<PathBuf, OpenError> {
    let url = config.url.expose_secret();
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(OpenError::url("names no file: write `sqlite:PATH`"));
    }
    if path == ":memory:" || path.starts_with("file:") || path.contains(['?', '\0']) {
        return Err(OpenError::url(
            "must name a file and nothing else: write `sqlite:PATH`",
        ));
    }
    if config.password_file.is_some() {
        return Err(OpenError::no_password_wanted());
    }
    Ok(PathBuf::from(path))
}

impl Store for SqliteStore {
    fn append<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<(), Error>> {
        self.bounded(ROUTINE, append::append(self, batch))
    }

    fn page<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Stored>, Error>> {
        self.bounded(LONG, read::page(self, query))
    }

    fn exchange(&self, exchange_id: Uuid) -> BoxFuture<'_, Result<Vec<Stored>, Error>> {
        self.bounded(LONG, read::exchange(self, exchange_id))
    }

    fn migrate(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.bounded(LONG, schema::migrate(self))
    }

    fn check_schema(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.bounded(ROUTINE, schema::check(self))
    }

    fn missing<'a>(&'a self, ids: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Uuid>, Error>> {
        self.bounded(ROUTINE, read::missing(self, ids))
    }

    fn renew<'a>(
        &'a self,
        run_id: Uuid,
        instance: &'a str,
    ) -> BoxFuture<'a, Result<DateTime<Utc>, Error>> {
        self.bounded(ROUTINE, runs::renew(self, run_id, instance))
    }

    fn end(&self, run_id: Uuid, is_settled: bool) -> BoxFuture<'_, Result<(), Error>> {
        self.bounded(ROUTINE, runs::end(self, run_id, is_settled))
    }

    fn dead_runs(&self) -> BoxFuture<'_, Result<Vec<DeadRun>, Error>> {
        self.bounded(ROUTINE, runs::dead(self))
    }

    fn open_intents(
        &self,
        run_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> BoxFuture<'_, Result<OpenIntents, Error>> {
        self.bounded(ROUTINE, read::open_intents(self, run_id, before, limit))
    }

    fn bury<'a>(&'a self, run: &'a DeadRun) -> BoxFuture<'a, Result<(), Error>> {
        self.bounded(ROUTINE, runs::bury(self, run))
    }

    fn maintain(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        // One file, no partitions.
        Box::pin(async { Ok(Vec::new()) })
    }

    fn connections(&self) -> (u32, u32) {
        (
            self.pool.size(),
            u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX),
        )
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // A disk that hangs must not keep the process.
            let _ = tokio::time::timeout(ROUTINE, self.pool.close()).await;
        })
    }
}
