//! What the store has not taken yet: a local file in SQLite's format.
//!
//! # Promise
//!
//! - What was appended survives the death of the process and of the machine (`synchronous = FULL`).
//! - It comes out in the order in which it went in, whoever put it in: two processes may use one spool,
//!   the old and the new at a restart. One of them ships.
//! - What was damaged is found, set aside under another name, and reported; what can be read of it is
//!   saved. Nothing is skipped in silence: records are numbered without gaps and have digests, and
//!   how many there should be stands in a file beside.
//! - It takes no more bytes than it may. What was shipped goes first.

mod damage;
mod error;
mod file;
mod head;
mod locks;
mod shipping;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use sqlx::SqliteConnection;
use tokio::sync::{Notify, RwLock, RwLockReadGuard};
use uuid::Uuid;

use self::damage::{Memory, Report};
pub(super) use self::error::Error;
pub(super) use self::file::Shipment;
use self::file::SpoolFile;
use self::locks::Held;
pub(super) use self::locks::LocalRun;
use super::Config;
use super::health::{Board, Part, Trouble};
use super::metrics::Metrics;
use super::record::{Facts, Kind, Record, Stamp};

/// Counted without what SQLite keeps for later.
const USED: &str = "
    SELECT (page_count - freelist_count) * page_size
    FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()
";

/// Some thousand of the oldest that were shipped.
const MAKE_ROOM: &str = "
    DELETE FROM spool_record
    WHERE seq <= (SELECT shipped FROM spool_state)
        AND seq < (SELECT min(seq) FROM spool_record) + 4096
";

/// The spool, as the writer and the shipper share it.
pub(super) struct Spool {
    path: PathBuf,
    limit: u64,
    keep: Duration,
    stamp: Arc<Stamp>,
    board: Board,
    metrics: Metrics,
    /// `None` until it could be opened.
    file: RwLock<Option<SpoolFile>>,
    shipped: AtomicI64,
    /// What is on its way to the store, and what comes next, if it is at hand: should the file be damaged,
    /// it is not lost.
    held: Mutex<Vec<Arc<Shipment>>>,
    /// The store takes what it is given.
    is_flowing: AtomicBool,
    /// While this run lasts: some of its records may be lost.
    was_replaced: AtomicBool,
    /// The lock on shipping, if this process has it.
    shipping: Mutex<Option<Held>>,
    /// Says that this run lives.
    run: Mutex<Option<Held>>,
    /// Something was appended.
    news: Notify,
}

// === impl Spool ===

impl Spool {
    /// The spool at `path`. Opens nothing yet.
    pub(super) fn new(
        path: PathBuf,
        config: &Config,
        stamp: Arc<Stamp>,
        board: Board,
        metrics: Metrics,
    ) -> Self {
        Self {
            path,
            limit: config.spool_limit,
            keep: config.keep_shipped,
            stamp,
            board,
            metrics,
            file: RwLock::default(),
            shipped: AtomicI64::default(),
            held: Mutex::default(),
            is_flowing: AtomicBool::default(),
            was_replaced: AtomicBool::default(),
            shipping: Mutex::default(),
            run: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Opens the file, made if it is not there, and says that this run lives.
    pub(super) async fn open(self: &Arc<Self>) -> Result<(), Error> {
        self.mend(None).await?;
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if run.is_none() {
            let held = locks::hold_run(&self.path, self.stamp.run_id(), self.stamp.instance())?;
            *run = Some(held);
        }
        Ok(())
    }

    /// Appends `batch`: all of it, or nothing.
    pub(super) async fn append(self: &Arc<Self>, batch: &Arc<Vec<Record>>) -> Result<(), Error> {
        let seen = match self.try_append(batch).await {
            Err((seen, Error::Damaged(why))) => seen.map(|spool_id| (spool_id, why)),
            Err((_, Error::Moved)) => None,
            result => return result.map_err(|(_, error)| self.explained(error)),
        };
        self.mend(seen).await?;
        self.try_append(batch).await.map_err(|(_, error)| error)
    }

    /// SQLite says only that it cannot open a file; the operating system knows why.
    fn explained(&self, error: Error) -> Error {
        if !error.is_unexplained() {
            return error;
        }
        match locks::try_hold(&locks::beside(&self.path, ".lock")) {
            Ok(_) => error,
            Err(why) => why.into(),
        }
    }

    /// An error comes with the spool that it was found in.
    async fn try_append(&self, batch: &Arc<Vec<Record>>) -> Result<(), (Option<Uuid>, Error)> {
        let guard = self.file.read().await;
        let Some(file) = guard.as_ref() else {
            return Err((None, Error::Moved));
        };
        let append = async {
            let prepare = async |connection: &mut SqliteConnection| {
                self.check_place(file)?;
                self.make_room(connection).await
            };
            let written = file.append(batch, self.now(), prepare).await?;
            // Else it was committed to a file that another process has just set aside.
            self.check_place(file)?;
            Ok(written)
        };
        let written = append.await.map_err(|error| (Some(file.spool_id), error))?;
        self.note(file, written);
        self.hand_over(file.spool_id, written, batch);
        self.news.notify_one();
        Ok(())
    }

    fn check_place(&self, file: &SpoolFile) -> Result<(), Error> {
        if file::file_id(&self.path)? == file.file_id {
            Ok(())
        } else {
            Err(Error::Moved)
        }
    }

    async fn make_room(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let used: i64 = sqlx::query_scalar(USED).fetch_one(&mut *connection).await?;
        if u64::try_from(used).unwrap_or_default() < self.limit {
            return Ok(());
        }
        let done = sqlx::query(MAKE_ROOM).execute(&mut *connection).await?;
        if done.rows_affected() == 0 {
            let limit = self.limit;
            return Err(Error::Full { limit });
        }
        Ok(())
    }

    /// What the spool holds at least, for whoever opens it after us.
    fn note(&self, file: &SpoolFile, written: i64) {
        let shipped = self.shipped.load(Ordering::Relaxed);
        // The commit stands without it; only a later damage might go unseen.
        if let Err(error) = file.note(written, shipped) {
            tracing::warn!(%error, "the spool's head could not be noted");
        }
    }

    /// Makes the file usable: opens it if it is not open or has moved; sets it aside if it is damaged.
    /// `seen` is damage that shows only in use, and the spool that has it.
    async fn mend(self: &Arc<Self>, seen: Option<(Uuid, String)>) -> Result<(), Error> {
        let spool = Arc::clone(self);
        // Whoever waits for this has a deadline; to mend takes as long as it takes.
        let mending = tokio::spawn(async move { spool.mend_now(seen).await });
        mending
            .await
            .unwrap_or_else(|error| Err(Error::Io(std::io::Error::other(error))))
            .map_err(|error| self.explained(error))
    }

    async fn mend_now(&self, seen: Option<(Uuid, String)>) -> Result<(), Error> {
        let mut guard = self.file.write().await;
        let mut memory = Memory::default();
        if let Some(file) = guard.take() {
            let is_mended = match &seen {
                Some((spool_id, _)) => *spool_id != file.spool_id,
                None => self.check_place(&file).is_ok(),
            };
            if is_mended {
                *guard = Some(file);
                return Ok(());
            }
            memory.head = Some(file.head(self.shipped.load(Ordering::Relaxed)));
            file.close().await;
            self.was_replaced.store(true, Ordering::Relaxed);
        }
        damage::finish(&self.path)?;
        memory.held.clone_from(&self.held());
        let why = match seen {
            Some((_, why)) => Err(Error::Damaged(why)),
            None => self.open_or_make(&memory).await,
        };
        let file = match why {
            Err(Error::Damaged(why)) => self.repair(why, &memory).await?,
            result => result?,
        };
        self.shipped
            .store(file.state().await?.shipped, Ordering::Relaxed);
        *guard = Some(file);
        self.look_for_damage();
        Ok(())
    }

    async fn open_or_make(&self, memory: &Memory) -> Result<SpoolFile, Error> {
        let missing = (!self.path.exists())
            .then(|| damage::missing(&self.path, memory))
            .flatten();
        let file = SpoolFile::open(&self.path).await?;
        if let Some((report, records)) = missing {
            self.tell(&file, report, records).await?;
        }
        Ok(file)
    }

    async fn repair(&self, why: String, memory: &Memory) -> Result<SpoolFile, Error> {
        if !self.may_ship()? {
            let why = format!("{why}; another process uses it, and has not set it aside yet");
            return Err(Error::Damaged(why));
        }
        tracing::error!("the spool is damaged, and is being set aside: {why}");
        let mark = self.stamp.now().format("%Y%m%dT%H%M%S%.3fZ").to_string();
        let report = damage::repair(&self.path, why, memory, &mark, self.now()).await?;
        let file = SpoolFile::open(&self.path).await?;
        self.tell(&file, report, Vec::new()).await?;
        Ok(file)
    }

    /// Says what became of a damaged spool, and writes it into the trail, behind the records that were
    /// saved and are not in `file` yet.
    async fn tell(
        &self,
        file: &SpoolFile,
        report: Report,
        mut saved_records: Vec<Record>,
    ) -> Result<(), Error> {
        let Report {
            why,
            kept_in,
            mut saved,
            mut lost,
        } = report;
        let name = kept_in.as_deref().and_then(Path::file_name);
        let name = name.map(|name| name.to_string_lossy().into_owned());
        let facts = Facts {
            detail: Some(json!({
                "operation": "spool_damaged",
                "why": why, "kept_in": name, "saved": saved, "lost": lost,
            })),
            ..Facts::default()
        };
        let in_memory = damage::count(&saved_records);
        saved_records.push(self.stamp.record(Kind::Operation, facts));
        let now = self.now();
        let appended = file.append(&saved_records, now, async |_| Ok(())).await;
        if appended.is_err() {
            // The next one to look finds a spool that is sound, and does not miss them.
            saved -= in_memory;
            lost += in_memory;
        }
        tracing::error!(
            records.saved = saved,
            records.lost = lost,
            kept_in = name,
            "the spool was damaged: {why}",
        );
        self.metrics.damaged(lost);
        self.note(file, appended?);
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Vec<Arc<Shipment>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something lies there that was set aside: it does until somebody takes it away.
    pub(super) fn look_for_damage(&self) {
        let names = locks::names_after(&self.path, ".damaged-").unwrap_or_default();
        let is_companion = |name: &String| name.ends_with("-wal") || name.ends_with("-shm");
        let trouble = names.iter().find(|name| !is_companion(name)).map(|name| {
            let path = locks::beside(&self.path, &format!(".damaged-{name}"));
            let message = format!(
                "{} was set aside, and may hold records that are not in the trail: move it away \
                 when you have looked at it",
                path.display()
            );
            Trouble::new("spool_damaged", message)
        });
        self.board.say(Part::Damage, trouble);
    }

    /// Whether all that was put into it while this run lasted is in the store, once it is drained.
    pub(super) async fn is_whole(&self) -> bool {
        let backlog = self.measure().await;
        backlog.is_ok_and(|backlog| backlog.set_aside == 0)
            && !self.was_replaced.load(Ordering::Relaxed)
    }

    /// Whether it was ever open.
    pub(super) fn was_opened(&self) -> bool {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        run.is_some()
    }

    /// Whether this process may ship: takes the lock, if it is free.
    pub(super) fn may_ship(&self) -> Result<bool, Error> {
        let mut shipping = self.shipping.lock().unwrap_or_else(PoisonError::into_inner);
        if shipping.is_none() {
            *shipping = locks::try_hold(&locks::beside(&self.path, ".lock"))?;
        }
        Ok(shipping.is_some())
    }

    /// The runs that died on this machine.
    pub(super) fn dead_runs(&self) -> Result<Vec<LocalRun>, Error> {
        Ok(locks::dead_runs(&self.path)?)
    }

    /// Whether the run lives on this machine.
    pub(super) fn lives(&self, run_id: Uuid) -> bool {
        locks::lives(&self.path, run_id)
    }

    /// The run has nothing more to say.
    pub(super) fn forget_run(&self, run_id: Uuid) {
        locks::forget_run(&self.path, run_id);
    }

    /// Until something is appended.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Closes the file, and lets go of the locks.
    pub(super) async fn close(&self) {
        if let Some(file) = self.file.write().await.take() {
            file.close().await;
        }
        for lock in [&self.shipping, &self.run] {
            drop(lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }

    async fn opened(&self) -> Result<RwLockReadGuard<'_, SpoolFile>, Error> {
        RwLockReadGuard::try_map(self.file.read().await, Option::as_ref).map_err(|_| Error::Moved)
    }

    /// Microseconds since 1970.
    fn now(&self) -> i64 {
        self.stamp.now().timestamp_micros()
    }
}
