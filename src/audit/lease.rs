//! The lease that says that this run lives, and what is done about runs that do not.
//!
//! A run that dies may leave intents without an outcome: writes that were announced, and may have
//! happened. Once the run is dead, no outcome can come any more, and the record that says so is written, by
//! whichever gateway finds it. Its id is derived from the intent's, so two that find it write one.
//!
//! A database that was away made every lease look old. So nobody is judged by the age of a lease until
//! our own was kept for a while: by then every run that lives has renewed its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use uuid::Uuid;

use super::health::chain;
use super::metrics::Metrics;
use super::record::{Outcome, Record, Stamp};
use super::skew::Skew;
use super::store::{DeadRun, Error, Store};

/// A sixth of what makes a run dead.
const RENEW: Duration = Duration::from_secs(10);
/// After a renewal that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long our own lease must have been kept before the age of another counts: every run that lives
/// renews twice in it.
const SETTLED: Duration = Duration::from_secs(20);
/// Partitions are made months ahead; to look every hour is plenty.
const MAINTAIN: Duration = Duration::from_hours(1);
/// How many open intents are closed at a time.
const CLOSE: u32 = 256;

/// The lease of one run.
pub(super) struct Lease {
    pub(super) store: Arc<dyn Store>,
    pub(super) stamp: Arc<Stamp>,
    pub(super) metrics: Metrics,
    /// Whether a run certainly lives, however old its lease.
    pub(super) lives: Box<dyn Fn(Uuid) -> bool + Send + Sync>,
    /// There may be something to close.
    pub(super) woken: Notify,
}

// === impl Lease ===

impl Lease {
    /// Brings the store to where records can be appended, and says that this run lives.
    pub(super) async fn prepare(&self, migrate: bool) -> Result<(), Error> {
        if migrate {
            self.store.migrate().await?;
        }
        self.store.check_schema().await?;
        let Self { store, stamp, .. } = self;
        store.renew(stamp.run_id(), stamp.instance()).await?;
        Ok(())
    }

    /// Says that this run has said everything, if the store listens within `limit`.
    pub(super) async fn end(&self, limit: Duration) {
        let ended = tokio::time::timeout(limit, self.store.end(self.stamp.run_id())).await;
        if let Err(error) = ended.unwrap_or_else(|_| Err(Error::too_slow())) {
            tracing::warn!(error = chain(&error), "the run could not be ended");
        }
    }

    /// Keeps the lease until it is dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut skew = Skew::default();
        let mut kept_since = None;
        let mut renewed_at = Instant::now();
        let mut maintained_at: Option<Instant> = None;
        let mut is_failing = false;
        loop {
            let done = self.renew(&mut skew).await;
            if let Err(error) = &done
                && !is_failing
            {
                tracing::warn!(error = chain(error), "the lease was not renewed");
            }
            is_failing = done.is_err();
            // This run, too, may have been stopped, and the others with it.
            if is_failing || renewed_at.elapsed() > 3 * RENEW {
                kept_since = None;
            }
            if !is_failing {
                renewed_at = Instant::now();
                let since: Instant = *kept_since.get_or_insert(renewed_at);
                if maintained_at.is_none_or(|at| at.elapsed() >= MAINTAIN) {
                    maintained_at = Some(renewed_at);
                    self.maintain().await;
                }
                self.close_dead_runs(since.elapsed() >= SETTLED).await;
            }
            let pause = if is_failing { RETRY } else { RENEW };
            // Whatever wakes us, the lease is renewed: that is cheap.
            let _ = tokio::time::timeout(pause, self.woken.notified()).await;
        }
    }

    async fn renew(&self, skew: &mut Skew) -> Result<(), Error> {
        let Self { store, stamp, .. } = self;
        let (started, before) = (Instant::now(), stamp.now());
        skew.tick(started, before);
        let renewed = tokio::time::timeout(RENEW, store.renew(stamp.run_id(), stamp.instance()));
        let database = renewed.await.unwrap_or_else(|_| Err(Error::too_slow()))?;
        skew.saw(before + started.elapsed() / 2, database, &self.metrics);
        Ok(())
    }

    async fn maintain(&self) {
        match self.store.maintain().await {
            Ok(sentences) => {
                for sentence in sentences {
                    tracing::warn!("{sentence}");
                }
            }
            Err(error) => tracing::warn!(
                error = chain(&error),
                "the store was not looked after; the next try is in an hour"
            ),
        }
    }

    /// Closes what dead runs have left open; those that have not ended only if `by_age`.
    async fn close_dead_runs(&self, by_age: bool) {
        let close = async {
            for run in self.store.dead_runs().await? {
                let is_judged = run.ended_at.is_some() || by_age;
                let is_ours = run.run_id == self.stamp.run_id();
                if !is_judged || is_ours || (self.lives)(run.run_id) {
                    continue;
                }
                if self.close_run(&run).await? {
                    self.store.bury(&run).await?;
                }
            }
            Ok::<(), Error>(())
        };
        // It goes on where it was cut off: the lease must not wait for it.
        match tokio::time::timeout(2 * RENEW, close).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = chain(&error), "open intents were not closed");
            }
        }
    }

    /// `false`: not all of them could be closed.
    async fn close_run(&self, run: &DeadRun) -> Result<bool, Error> {
        let mut last = None;
        loop {
            let intents = self.store.open_intents(run.run_id, CLOSE).await?;
            let Some(first) = intents.first().map(|intent| intent.record.id) else {
                return Ok(true);
            };
            // What we wrote is there, and the intent still counts as open: an operator must look.
            if last.replace(first) == Some(first) {
                tracing::error!(record.id = %first, "an open intent cannot be closed");
                return Ok(false);
            }
            let closing: Vec<Record> = intents
                .iter()
                .map(|intent| {
                    let why = serde_json::json!({ "closed": "its run ended without an outcome" });
                    self.stamp.closing(&intent.record, Outcome::Unanswered, why)
                })
                .collect();
            self.store.append(&closing).await?;
            self.metrics.closed(closing.len());
            tracing::warn!(
                run.id = %run.run_id, intents = closing.len(),
                "closed the open intents of a run that ended: their writes may have happened",
            );
        }
    }
}
