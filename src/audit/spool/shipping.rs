//! The shipper's side of the spool: what comes next, what is in the store, what was set aside.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::error::Error;
use super::file::{self, Shipment, SpoolFile};
use super::{Spool, USED};
use crate::audit::record::Record;
use crate::audit::sqlite::line;

/// Never back: a process that took over may be further.
const SHIPPED: &str = "UPDATE spool_state SET shipped = ?1 WHERE shipped < ?1 AND spool_id = ?2";

/// Everything that is kept counts as not shipped.
const SHIP_AGAIN: &str = "
    UPDATE spool_state SET shipped = (SELECT coalesce(min(seq) - 1, shipped) FROM spool_record)
";

/// Newest first.
const NEWEST_SHIPPED: &str = "
    SELECT line, digest FROM spool_record
    WHERE seq <= (SELECT shipped FROM spool_state) ORDER BY seq DESC LIMIT ?1
";

/// How many of the oldest, at most, are looked at when what is old is thrown away.
const PRUNED_AT_ONCE: i64 = 4096;

/// Whether the oldest may go.
const OLD: &str = "
    SELECT coalesce((
        SELECT seq <= (SELECT shipped FROM spool_state) AND spooled_at < ?1
        FROM spool_record ORDER BY seq LIMIT 1
    ), FALSE)
";

const PRUNE: &str = "
    DELETE FROM spool_record WHERE seq <= (
        SELECT max(seq) FROM (
            SELECT seq, spooled_at FROM spool_record
            WHERE seq <= (SELECT shipped FROM spool_state) ORDER BY seq LIMIT ?2
        ) WHERE spooled_at < ?1
    )
";

/// Gives pages back to the file system.
const SHRINK: &str = "PRAGMA incremental_vacuum(1024)";

const SET_ASIDE: &str = "
    INSERT INTO spool_set_aside (id, set_aside_at, reason, line) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (id) DO UPDATE SET set_aside_at = excluded.set_aside_at, reason = excluded.reason
";

const ALL_SET_ASIDE: &str = "SELECT line FROM spool_set_aside ORDER BY id LIMIT 1000";

const COUNT_SET_ASIDE: &str = "SELECT count(*) FROM spool_set_aside";

const TAKEN: &str = "DELETE FROM spool_set_aside WHERE id = ?1";

const OLDEST: &str = "SELECT spooled_at FROM spool_record WHERE seq = ?1";

/// How many batches are in memory at most: one on its way, and those that follow.
const AT_HAND: usize = 4;

/// How much waits. Displayed as the end of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) struct Backlog {
    /// Records that the store has not taken.
    pub(in crate::audit) records: i64,
    /// For how long the oldest of them has waited.
    pub(in crate::audit) oldest: Duration,
    /// Records that the store will not take.
    pub(in crate::audit) set_aside: i64,
}

impl fmt::Display for Backlog {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            records, oldest, ..
        } = self;
        write!(
            to,
            "{records} records wait, the oldest for {} s",
            oldest.as_secs()
        )
    }
}

impl Spool {
    /// At most `limit` records that come next; `None` if there is none. A spool that turns out to be
    /// damaged is mended, and asked again.
    pub(in crate::audit) async fn next(
        self: &Arc<Self>,
        limit: usize,
    ) -> Result<Option<Arc<Shipment>>, Error> {
        let (spool_id, result) = {
            let file = self.opened().await?;
            (file.spool_id, self.next_of(&file, limit).await)
        };
        match result {
            Err(Error::Damaged(why)) => {
                self.mend(Some((spool_id, why))).await?;
                let file = self.opened().await?;
                self.next_of(&file, limit).await
            }
            result => result,
        }
    }

    async fn next_of(
        &self,
        file: &SpoolFile,
        limit: usize,
    ) -> Result<Option<Arc<Shipment>>, Error> {
        let shipped = file.state().await?.shipped;
        self.shipped.store(shipped, Ordering::Relaxed);
        // Read once, however often it is sent.
        let held = self.held_after(file.spool_id, shipped);
        let next = match held {
            Some(held) => held,
            None => match file.after(shipped, limit).await? {
                Some(read) => Arc::new(read),
                None => return Ok(None),
            },
        };
        let mut held = self.held();
        held.retain(|held| held.spool_id == file.spool_id && held.first() > next.seq);
        held.insert(0, Arc::clone(&next));
        Ok(Some(next))
    }

    /// What was read of the records after `seq`, if they are the first of it.
    fn held_after(&self, spool_id: Uuid, seq: i64) -> Option<Arc<Shipment>> {
        let held = self.held();
        let mut held = held.iter().filter(|held| held.spool_id == spool_id);
        held.find(|held| held.first() == seq + 1).cloned()
    }

    /// Reads at most `limit` records after `shipment`, so that [`next`](Self::next) has them at hand.
    pub(in crate::audit) async fn look_ahead(&self, shipment: &Shipment, limit: usize) {
        let Ok(file) = self.opened().await else {
            return;
        };
        let (spool_id, seq) = (shipment.spool_id, shipment.seq);
        // Whatever is wrong, `next` finds it when it comes to it.
        if file.spool_id == spool_id
            && self.held_after(spool_id, seq).is_none()
            && let Ok(Some(ahead)) = file.after(seq, limit).await
        {
            self.held().push(Arc::new(ahead));
        }
    }

    /// `batch` has just become durable and ends with `seq`: while the store takes what it is given, the shipper
    /// need not read that again.
    pub(super) fn hand_over(&self, spool_id: Uuid, seq: i64, batch: &Arc<Vec<Record>>) {
        if !self.is_flowing.load(Ordering::Relaxed) {
            return;
        }
        let shipment = Shipment {
            spool_id,
            seq,
            records: Arc::clone(batch),
        };
        let mut held = self.held();
        let before = match held.last() {
            Some(last) if last.spool_id == spool_id => last.seq,
            Some(_) => return,
            None => self.shipped.load(Ordering::Relaxed),
        };
        // A shipper that is behind finds them in the file when it comes to them.
        if held.len() < AT_HAND && shipment.first() == before + 1 {
            held.push(Arc::new(shipment));
        }
    }

    /// The store did not take what comes next: the file has what follows, and memory need not.
    pub(in crate::audit) fn stalled(&self) {
        self.is_flowing.store(false, Ordering::Relaxed);
        self.held().truncate(1);
    }

    /// Everything up to `seq` is in the store, or set aside.
    pub(in crate::audit) async fn shipped(&self, spool_id: Uuid, seq: i64) -> Result<(), Error> {
        let file = self.opened().await?;
        // It was set aside meanwhile, and another stands in its place: what was taken is shipped again.
        if file.spool_id != spool_id {
            return Ok(());
        }
        file.execute(sqlx::query(SHIPPED).bind(seq).bind(spool_id))
            .await?;
        self.held().retain(|held| held.seq > seq);
        self.shipped.store(seq, Ordering::Relaxed);
        self.is_flowing.store(true, Ordering::Relaxed);
        let written = file.state().await?.written;
        self.note(&file, written);
        Ok(())
    }

    /// Everything that is kept is shipped again.
    pub(in crate::audit) async fn ship_again(&self) -> Result<(), Error> {
        let file = self.opened().await?;
        file.execute(sqlx::query(SHIP_AGAIN)).await?;
        let shipped = file.state().await?.shipped;
        self.shipped.store(shipped, Ordering::Relaxed);
        Ok(())
    }

    /// The ids of the newest `limit` records that were shipped.
    pub(in crate::audit) async fn newest_shipped(&self, limit: i64) -> Result<Vec<Uuid>, Error> {
        let file = self.opened().await?;
        let rows: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as(NEWEST_SHIPPED)
            .bind(limit)
            .fetch_all(&file.shipper)
            .await?;
        let ids = rows
            .iter()
            .filter_map(|(line, digest)| file::read(line, digest))
            .map(|record| record.id);
        Ok(ids.collect())
    }

    /// The store will not take `record`.
    pub(in crate::audit) async fn set_aside(
        &self,
        record: &Record,
        reason: &str,
    ) -> Result<(), Error> {
        let mut line = Vec::new();
        line::write(record, &mut line).map_err(Error::Refused)?;
        let file = self.opened().await?;
        let set_aside = sqlx::query(SET_ASIDE)
            .bind(record.id)
            .bind(self.now())
            .bind(reason)
            .bind(line);
        file.execute(set_aside).await
    }

    /// Some of the records that were set aside.
    pub(in crate::audit) async fn set_aside_records(&self) -> Result<Vec<Record>, Error> {
        let file = self.opened().await?;
        let lines: Vec<Vec<u8>> = sqlx::query_scalar(ALL_SET_ASIDE)
            .fetch_all(&file.shipper)
            .await?;
        Ok(lines.iter().filter_map(|line| line::read(line)).collect())
    }

    /// The store has taken it after all.
    pub(in crate::audit) async fn taken(&self, id: Uuid) -> Result<(), Error> {
        let file = self.opened().await?;
        file.execute(sqlx::query(TAKEN).bind(id)).await
    }

    /// Throws away what was shipped long ago.
    pub(in crate::audit) async fn prune(&self) -> Result<(), Error> {
        let keep = i64::try_from(self.keep.as_micros()).unwrap_or(i64::MAX);
        let until = self.now().saturating_sub(keep);
        let file = self.opened().await?;
        let is_due: bool = sqlx::query_scalar(OLD)
            .bind(until)
            .fetch_one(&file.shipper)
            .await?;
        if is_due {
            let prune = sqlx::query(PRUNE).bind(until).bind(PRUNED_AT_ONCE);
            file.execute(prune).await?;
            file.execute(sqlx::query(SHRINK)).await?;
        }
        Ok(())
    }

    /// How much waits; the metrics are told as well.
    pub(in crate::audit) async fn measure(&self) -> Result<Backlog, Error> {
        let file = self.opened().await?;
        let state = file.state().await?;
        let used: i64 = sqlx::query_scalar(USED).fetch_one(&file.shipper).await?;
        let set_aside: i64 = sqlx::query_scalar(COUNT_SET_ASIDE)
            .fetch_one(&file.shipper)
            .await?;
        let oldest: Option<i64> = sqlx::query_scalar(OLDEST)
            .bind(state.shipped + 1)
            .fetch_optional(&file.shipper)
            .await?;
        let waited = oldest.map_or(0, |oldest| (self.now() - oldest).max(0));
        let backlog = Backlog {
            records: state.written - state.shipped,
            oldest: Duration::from_micros(waited.try_into().unwrap_or(0)),
            set_aside,
        };
        let Backlog {
            records, oldest, ..
        } = backlog;
        self.metrics.spool(records, used, oldest, set_aside);
        Ok(backlog)
    }

    /// The newest record that the spool was given.
    pub(in crate::audit) async fn written(&self) -> Result<i64, Error> {
        Ok(self.opened().await?.state().await?.written)
    }

    /// Whether everything up to `seq` is in the store, or set aside.
    pub(in crate::audit) async fn is_shipped_to(&self, seq: i64) -> Result<bool, Error> {
        Ok(self.opened().await?.state().await?.shipped >= seq)
    }
}
