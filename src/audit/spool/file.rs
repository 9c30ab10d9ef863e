//! The spool's file: made, opened, and looked through.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteArguments, SqliteAutoVacuum, SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::error::Error;
use super::head::{Head, Note};
use super::locks::beside;
use crate::audit::record::Record;
use crate::audit::sqlite::held::Held;
use crate::audit::sqlite::{line, schema};
use crate::audit::store::compare_versions;

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("migrations/spool");
    migrator.set_locking(false);
    migrator
});

/// For the other process that uses the spool, at a restart.
const BUSY: Duration = Duration::from_secs(5);

const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// One is enough to know.
const CHECK: &str = "PRAGMA quick_check(1)";

const STATE: &str = "
    SELECT spool_id, shipped,
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'spool_record'), 0)
    FROM spool_state
";

/// A row that cannot be reached any more shows as a gap.
const EXTENT: &str = "
    SELECT count(*), coalesce(min(seq), 0), coalesce(max(seq), 0) FROM spool_record
";

/// Of all lines and of all digests, one after the other; each element says where its line starts, and in the lower
/// half how long it is.
const APPEND: &str = "
    INSERT INTO spool_record (spooled_at, line, digest)
    SELECT ?4, substr(?1, (value >> 32) + 1, value & 4294967295), substr(?2, 32 * key + 1, 32)
    FROM json_each(?3)
";

const NEXT: &str = "
    SELECT seq, line, digest FROM spool_record WHERE seq > ?1 ORDER BY seq LIMIT ?2
";

/// An open spool.
#[derive(Debug)]
pub(super) struct SpoolFile {
    /// Device and inode.
    pub(super) file_id: (u64, u64),
    pub(super) spool_id: Uuid,
    /// What makes records durable: every commit is an fsync.
    pub(super) writer: SqlitePool,
    /// What notes how far it is shipped: to lose such a note is to ship again.
    pub(super) shipper: SqlitePool,
    note: Note,
    /// What was noted last: writer and shipper note, and neither takes back what the other has said.
    noted: AtomicI64,
    /// One of the two writes at a time. SQLite would make the other sleep.
    turn: Mutex<()>,
}

/// Records that follow each other in a spool.
#[derive(Debug)]
pub(in crate::audit) struct Shipment {
    /// In which spool.
    pub(in crate::audit) spool_id: Uuid,
    /// Of the last one.
    pub(in crate::audit) seq: i64,
    /// At least one.
    pub(in crate::audit) records: Arc<Vec<Record>>,
}

/// What [`APPEND`] takes.
struct Lines {
    joined: Vec<u8>,
    digests: Vec<u8>,
    places: String,
}

/// `seq`, line, and digest.
type Row = (i64, Vec<u8>, Vec<u8>);

pub(super) type Statement<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// How far the spool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) spool_id: Uuid,
    pub(super) shipped: i64,
    pub(super) written: i64,
}

// === impl SpoolFile ===

impl SpoolFile {
    /// Opens the file, made if it is not there, and looks it through.
    pub(super) async fn open(path: &Path) -> Result<Self, Error> {
        schema::make_file(path)?;
        let file = Self::connect(path).await?;
        file.check(path).await?;
        let state = file.state().await?;
        file.note(state.written, state.shipped)?;
        Ok(file)
    }

    async fn connect(path: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .synchronous(SqliteSynchronous::Full)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(1);
        let writer = pool.clone().connect_lazy_with(options.clone());
        schema::use_wal(&writer).await?;
        migrate(&writer).await?;
        let shipper = pool.connect_lazy_with(options.synchronous(SqliteSynchronous::Normal));
        let (spool_id, ..) = state(&shipper).await?;
        Ok(Self {
            file_id: file_id(path)?,
            spool_id,
            writer,
            shipper,
            note: Note::open(&beside(path, ".head"))?,
            noted: AtomicI64::default(),
            turn: Mutex::default(),
        })
    }

    /// Looks for damage.
    async fn check(&self, path: &Path) -> Result<(), Error> {
        let said: String = sqlx::query_scalar(CHECK).fetch_one(&self.shipper).await?;
        if said != "ok" {
            return Err(Error::Damaged(said));
        }
        // Before the spool, which is ahead of it.
        let head = Head::read(&beside(path, ".head"));
        let mut snapshot = self.shipper.begin().await?;
        let (_, shipped, written): (Uuid, i64, i64) =
            sqlx::query_as(STATE).fetch_one(&mut *snapshot).await?;
        let (count, first, last): (i64, i64, i64) =
            sqlx::query_as(EXTENT).fetch_one(&mut *snapshot).await?;
        snapshot.commit().await?;
        let whole = if count == 0 {
            shipped == written
        } else {
            last - first + 1 == count && last == written && first <= shipped + 1
        };
        if !whole {
            return Err(Error::Damaged(format!(
                "of the records {} to {} there are {count}, from {first} to {last}",
                shipped + 1,
                written
            )));
        }
        match head {
            Some(head) if head.spool_id == self.spool_id && head.written > written => {
                Err(Error::Damaged(format!(
                    "it ends at record {written}, and {} were written",
                    head.written
                )))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) async fn state(&self) -> Result<State, Error> {
        let (spool_id, shipped, written) = state(&self.shipper).await?;
        Ok(State {
            spool_id,
            shipped,
            written,
        })
    }

    /// Notes what the spool holds at least, for whoever opens it after us.
    pub(super) fn note(&self, written: i64, shipped: i64) -> std::io::Result<()> {
        self.note.write(Head {
            spool_id: self.spool_id,
            written: self
                .noted
                .fetch_max(written, Ordering::Relaxed)
                .max(written),
            shipped,
        })
    }

    /// How far it is, as far as was noted.
    pub(super) fn head(&self, shipped: i64) -> Head {
        Head {
            spool_id: self.spool_id,
            written: self.noted.load(Ordering::Relaxed),
            shipped,
        }
    }

    /// Appends `batch` when `prepare` has done its part, all of it in one transaction. Returns the
    /// last seq.
    pub(super) async fn append(
        &self,
        batch: &[Record],
        now: i64,
        prepare: impl AsyncFnOnce(&mut SqliteConnection) -> Result<(), Error>,
    ) -> Result<i64, Error> {
        let Lines {
            joined,
            digests,
            places,
        } = Lines::of(batch)?;
        let _turn = self.turn.lock().await;
        let mut held = Held::of(&self.writer).await?;
        let mut transaction = held.begin_with(BEGIN_WRITE).await?;
        prepare(&mut transaction).await?;
        let done = sqlx::query(APPEND)
            .bind(joined)
            .bind(digests)
            .bind(places)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        held.release();
        Ok(done.last_insert_rowid())
    }

    /// At most `limit` records after `seq`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if the next one is not the next, or is not what was written.
    pub(super) async fn after(&self, seq: i64, limit: usize) -> Result<Option<Shipment>, Error> {
        let rows: Vec<Row> = sqlx::query_as(NEXT)
            .bind(seq)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.shipper)
            .await?;
        let spool_id = self.spool_id;
        // To check and to read a batch takes as long as to send it.
        let reading = tokio::task::spawn_blocking(move || Shipment::read(spool_id, seq, rows));
        reading
            .await
            .unwrap_or_else(|error| Err(Error::Io(std::io::Error::other(error))))
    }

    /// Runs a statement of the shipper's that writes.
    pub(super) async fn execute(&self, statement: Statement<'_>) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        statement.execute(&self.shipper).await?;
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.shipper.close().await;
        self.writer.close().await;
    }
}

// === impl Shipment ===

impl Shipment {
    /// The rows after `seq`.
    fn read(spool_id: Uuid, seq: i64, rows: Vec<Row>) -> Result<Option<Self>, Error> {
        let mut records = Vec::with_capacity(rows.len());
        let mut last = seq;
        for (found, line, digest) in rows {
            let expected = last + 1;
            if found != expected {
                return Err(Error::Damaged(format!(
                    "the record {expected} is not there"
                )));
            }
            let record = read(&line, &digest).ok_or_else(|| {
                Error::Damaged(format!("the record {expected} is not what was written"))
            })?;
            records.push(record);
            last = found;
        }
        Ok((last > seq).then_some(Self {
            spool_id,
            seq: last,
            records: Arc::new(records),
        }))
    }

    /// Of the first one.
    pub(super) fn first(&self) -> i64 {
        let count = i64::try_from(self.records.len()).unwrap_or(i64::MAX);
        self.seq - count + 1
    }

    /// The record `seq`, if it is one of these.
    pub(super) fn get(&self, seq: i64) -> Option<&Record> {
        let index = usize::try_from(seq - self.first()).ok()?;
        self.records.get(index)
    }
}

// === impl Lines ===

impl Lines {
    fn of(batch: &[Record]) -> Result<Self, Error> {
        let mut joined = Vec::with_capacity(1024 * batch.len());
        let mut digests = Vec::with_capacity(32 * batch.len());
        let mut places = Vec::with_capacity(batch.len());
        for record in batch {
            let start = joined.len();
            line::write(record, &mut joined).map_err(Error::Refused)?;
            digests.extend_from_slice(&Sha256::digest(&joined[start..]));
            places.push((start as u64) << 32 | (joined.len() - start) as u64);
        }
        Ok(Self {
            joined,
            digests,
            places: serde_json::json!(places).to_string(),
        })
    }
}

/// The record that was written as `line`, if that is what `digest` says.
pub(super) fn read(line: &[u8], digest: &[u8]) -> Option<Record> {
    if Sha256::digest(line).as_slice() != digest {
        return None;
    }
    line::read(line)
}

async fn state(pool: &SqlitePool) -> Result<(Uuid, i64, i64), Error> {
    Ok(sqlx::query_as(STATE).fetch_one(pool).await?)
}

async fn migrate(pool: &SqlitePool) -> Result<(), Error> {
    let mut held = Held::of(pool).await?;
    let mut transaction = held.begin_with(BEGIN_WRITE).await?;
    match MIGRATOR.run_direct(None, &mut *transaction, false).await {
        Err(MigrateError::VersionMissing(found)) => {
            compare_versions(found, &MIGRATOR).map_err(Error::Refused)?;
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            return Err(error.into());
        }
        Err(error) => return Err(Error::Sql(error.into())),
        Ok(()) => {}
    }
    transaction.commit().await?;
    held.release();
    Ok(())
}

/// Device and inode of the file at `path`.
#[cfg(unix)]
pub(super) fn file_id(path: &Path) -> Result<(u64, u64), Error> {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata(path) {
        Ok(file) => Ok((file.dev(), file.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::Moved),
        Err(error) => Err(error.into()),
    }
}

/// That there is a file must do.
#[cfg(not(unix))]
pub(super) fn file_id(path: &Path) -> Result<(u64, u64), Error> {
    match std::fs::metadata(path) {
        Ok(_) => Ok((0, 0)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::Moved),
        Err(error) => Err(error.into()),
    }
}
