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

/// Before a spool is made anew: whether one was there, and its records are gone with it, but for those
/// that are `held`.
pub(super) fn missing(path: &Path, held: &[Arc<Shipment>]) -> Option<(Report, Vec<Record>)> {
    let head = Head::read(&beside(path, ".head"))?;
    let gone = head.shipped + 1..=head.written;
    if gone.is_empty() {
        return None;
    }
    let saved: Vec<Record> = gone
        .map_while(|seq| in_memory(held, head.spool_id, seq))
        .collect();
    let count = count(&saved);
    let report = Report {
        why: "the file is gone".to_owned(),
        kept_in: None,
        saved: count,
        lost: head.written - head.shipped - count,
    };
    Some((report, saved))
}

/// What the shipper has read follows what was shipped.
fn in_memory(held: &[Arc<Shipment>], spool_id: Uuid, seq: i64) -> Option<Record> {
    let mut held = held.iter().filter(|held| held.spool_id == spool_id);
    held.find_map(|held| held.get(seq)).cloned()
}

/// Puts a new spool in place of the damaged one at `path`, with what can be read of that, or is `held`.
/// `mark` tells one damaged file from another. Nobody else may have the file open for long, or ship it.
pub(super) async fn repair(
    path: &Path,
    why: String,
    held: &[Arc<Shipment>],
    mark: &str,
    now: i64,
) -> Result<Report, Error> {
    let new = beside(path, NEW);
    for companion in COMPANIONS {
        remove(&beside(&new, companion))?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        // Else SQLite would read nothing of a file that lost its end.
        .pragma("writable_schema", "ON");
    let damaged = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    let fresh = SpoolFile::open(&new).await?;
    let (saved, lost) = save(path, &damaged, held, &fresh, now).await?;
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
    held: &[Arc<Shipment>],
    fresh: &SpoolFile,
    now: i64,
) -> Result<(i64, i64), Error> {
    let head = Head::read(&beside(path, ".head"));
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
        batch.extend(found.or_else(|| in_memory(held, spool_id, seq)));
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
pub(super) async fn write(fresh: &SpoolFile, saved: &[Record], now: i64) -> Result<(), Error> {
    if !saved.is_empty() {
        let written = fresh.append(saved, now, async |_| Ok(())).await?;
        fresh.note(written, 0)?;
    }
    Ok(())
}

fn count(records: &[Record]) -> i64 {
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
