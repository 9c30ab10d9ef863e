//! Sets a damaged spool aside, and saves what can be read of it.
//!
//! Nothing is thrown away: the damaged file keeps its bytes under another name, for whoever can read
//! more of it. Should we die half-way, the damage is found again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{FromRow, SqlitePool};
use uuid::Uuid;

use super::error::Error;
use super::file::{self, Shipment, SpoolFile};
use super::head::Head;
use super::locks::{beside, folder};
use crate::audit::record::Record;

/// What became of a damaged spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// What was wrong.
    pub(super) why: String,
    /// Where it lies now; `None` if there was nothing left to keep.
    pub(super) kept_in: Option<PathBuf>,
    /// Records that had not been shipped, and are in the new spool.
    pub(super) saved: i64,
    /// Records that had not been shipped, and could not be read.
    pub(super) lost: i64,
}

/// How many saved records are written at once.
const BATCH: usize = 256;
/// More than any spool holds: a damaged number must not keep us busy for ever.
const MOST: i64 = 50_000_000;

const STATE: &str = "SELECT spool_id, shipped FROM spool_state";
const WRITTEN: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'spool_record'";
const NEWEST: &str = "SELECT max(seq) FROM spool_record";
const ONE: &str = "SELECT line, digest FROM spool_record WHERE seq = ?1";
const SET_ASIDE: &str = "SELECT id, set_aside_at AS at, reason, line FROM spool_set_aside";
const KEEP_SET_ASIDE: &str = "
    INSERT INTO spool_set_aside (id, set_aside_at, reason, line) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (id) DO NOTHING
";
/// So that the new file is all there is.
const FOLD: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

#[derive(FromRow)]
struct SetAside {
    id: Vec<u8>,
    at: i64,
    reason: String,
    line: Vec<u8>,
}

/// The name of a new spool that is not finished.
const NEW: &str = ".new";
/// What SQLite has beside a file.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];

/// What this process remembers of the spool.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What was read of it, and is not known to be in the store.
    pub(super) held: Vec<Arc<Shipment>>,
    /// How far it was, if this process had it open.
    pub(super) head: Option<Head>,
}

// === impl Memory ===

impl Memory {
    fn record(&self, spool_id: Uuid, seq: i64) -> Option<&Record> {
        let mut held = self.held.iter().filter(|held| held.spool_id == spool_id);
        held.find_map(|held| held.get(seq))
    }

    /// The newest that is held of the spool.
    fn newest(&self, spool_id: Uuid) -> i64 {
        let held = self.held.iter().filter(|held| held.spool_id == spool_id);
        held.map(|held| held.seq).max().unwrap_or(0)
    }

    /// What is held of what was not shipped.
    fn after(&self, head: &Head) -> Vec<Record> {
        let newest = self.newest(head.spool_id).max(head.written);
        let of_it = self.held.iter().filter(|it| it.spool_id == head.spool_id);
        let first = of_it.map(|it| it.first()).min().unwrap_or(i64::MAX);
        let unshipped = first.max(head.shipped + 1)..=newest;
        unshipped
            .map_while(|seq| self.record(head.spool_id, seq).cloned())
            .collect()
    }
}

/// Before a spool is made anew: whether one was there that is gone, with records in it; and those of
/// them that are in `memory`.
pub(super) fn missing(path: &Path, memory: &Memory) -> Option<(Report, Vec<Record>)> {
    let head = Head::read(&beside(path, ".head")).or(memory.head)?;
    let records = memory.after(&head);
    let saved = count(&records);
    let lost = (head.written - head.shipped - saved).max(0);
    let report = Report {
        why: "the file is gone".to_owned(),
        kept_in: None,
        saved,
        lost,
    };
    (saved > 0 || lost > 0).then_some((report, records))
}

/// Puts a new spool in place of the damaged one at `path`, with what can be read of that, or is in
/// `memory`. `mark` tells one damaged file from another. Nobody else may have the file open for long,
/// or ship it.
pub(super) async fn repair(
    path: &Path,
    why: String,
    memory: &Memory,
    mark: &str,
    now: i64,
) -> Result<Report, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        // Else SQLite would read nothing of a file that lost its end.
        .pragma("writable_schema", "ON");
    let damaged = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    let new = beside(path, NEW);
    for companion in COMPANIONS {
        remove(&beside(&new, companion))?;
    }
    let fresh = SpoolFile::open(&new).await?;
    let (saved, lost) = save(path, &damaged, memory, &fresh, now).await?;
    damaged.close().await;
    sqlx::query(FOLD).execute(&fresh.writer).await?;
    fresh.close().await;

    let kept = beside(path, &format!(".damaged-{mark}"));
    // The file itself goes first: from then on this is finished, and not begun anew.
    for companion in COMPANIONS {
        rename(&beside(path, companion), &beside(&kept, companion))?;
    }
    put(&new, path)?;
    Ok(Report {
        why,
        kept_in: Some(kept),
        saved,
        lost,
    })
}

/// Finishes what a [`repair`] that died between its renames has begun.
pub(super) fn finish(path: &Path) -> Result<(), Error> {
    let new = beside(path, NEW);
    if path.exists() || !new.exists() {
        return Ok(());
    }
    // SQLite would take them for the new file's.
    let kept = beside(path, ".damaged-unfinished");
    for companion in &COMPANIONS[1..] {
        rename(&beside(path, companion), &beside(&kept, companion))?;
    }
    put(&new, path)
}

fn put(new: &Path, path: &Path) -> Result<(), Error> {
    rename(&beside(new, ".head"), &beside(path, ".head"))?;
    rename(new, path)?;
    std::fs::File::open(folder(path))?.sync_all()?;
    Ok(())
}

async fn save(
    path: &Path,
    damaged: &SqlitePool,
    memory: &Memory,
    fresh: &SpoolFile,
    now: i64,
) -> Result<(i64, i64), Error> {
    let head = Head::read(&beside(path, ".head")).or(memory.head);
    let state: Option<(Uuid, i64)> = read(damaged, STATE).await;
    let head = match (head, state) {
        (Some(head), Some((spool_id, _))) if head.spool_id != spool_id => None,
        (head, _) => head,
    };
    let spool_id = state
        .map(|(spool_id, _)| spool_id)
        .or(head.map(|head| head.spool_id))
        .unwrap_or_default();
    let shipped = state
        .map(|(_, shipped)| shipped)
        .or(head.map(|head| head.shipped))
        .unwrap_or(0);
    let (written,): (i64,) = read(damaged, WRITTEN).await.unwrap_or((0,));
    let (newest,): (Option<i64>,) = read(damaged, NEWEST).await.unwrap_or((None,));
    let last = [
        written,
        newest.unwrap_or(0),
        head.map_or(0, |head| head.written),
        memory.newest(spool_id),
    ]
    .into_iter()
    .max()
    .unwrap_or(0)
    .min(shipped.saturating_add(MOST));

    let (mut saved, mut batch) = (0, Vec::new());
    for seq in shipped + 1..=last {
        let found: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(ONE)
            .bind(seq)
            .fetch_optional(damaged)
            .await
            .ok()
            .flatten();
        let found = found.and_then(|(line, digest)| file::read(&line, &digest));
        batch.extend(found.or_else(|| memory.record(spool_id, seq).cloned()));
        if batch.len() == BATCH || seq == last {
            write(fresh, &batch, now).await?;
            saved += count(&batch);
            batch.clear();
        }
    }
    keep_set_aside(damaged, fresh).await?;
    Ok((saved, (last - shipped).max(0) - saved))
}

/// Puts what was saved into a new spool, which nothing has been shipped of.
async fn write(fresh: &SpoolFile, saved: &[Record], now: i64) -> Result<(), Error> {
    if !saved.is_empty() {
        let written = fresh.append(saved, now, async |_| Ok(())).await?;
        fresh.note(written, 0)?;
    }
    Ok(())
}

/// How many they are.
pub(super) fn count(records: &[Record]) -> i64 {
    i64::try_from(records.len()).unwrap_or(i64::MAX)
}

async fn keep_set_aside(damaged: &SqlitePool, fresh: &SpoolFile) -> Result<(), Error> {
    let rows: Vec<SetAside> = sqlx::query_as(SET_ASIDE)
        .fetch_all(damaged)
        .await
        .unwrap_or_default();
    for row in rows {
        sqlx::query(KEEP_SET_ASIDE)
            .bind(row.id)
            .bind(row.at)
            .bind(row.reason)
            .bind(row.line)
            .execute(&fresh.writer)
            .await?;
    }
    Ok(())
}

/// A row of the damaged file, if it can be read.
async fn read<T>(damaged: &SqlitePool, statement: &'static str) -> Option<T>
where
    T: for<'r> FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
{
    sqlx::query_as(statement)
        .fetch_optional(damaged)
        .await
        .ok()
        .flatten()
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
