//! The lease that says that this run lives, and what is done about runs that do not.
//!
//! A run that dies may leave intents without an outcome: writes that were announced, and may have
//! happened. Once the run is dead, no outcome can come any more, and the record that says so is written, by
//! whichever gateway finds it. Its id is derived from the intent's, so two that find it write one.
//!
//! A database that was away made every lease look old. So nobody is judged by the age of a lease until
//! our own was kept for a while: by then every run that lives has renewed its own.

mod closing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use uuid::Uuid;

use self::closing::Closer;
use super::health::chain;
use super::metrics::Metrics;
use super::migration;
use super::record::Stamp;
use super::skew::Skew;
use super::store::{Error, Store};
use super::unfinished::Unfinished;

/// A sixth of what makes a run dead.
const RENEW: Duration = Duration::from_secs(10);
/// After a renewal that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long our own lease must have been kept before the age of another counts: every run that lives
/// renews twice in it.
const SETTLED: Duration = Duration::from_secs(20);
/// Partitions are made months ahead; to look every hour is plenty.
const MAINTAIN: Duration = Duration::from_hours(1);

/// The lease of one run.
pub(super) struct Lease {
    pub(super) store: Arc<dyn Store>,
    pub(super) stamp: Arc<Stamp>,
    pub(super) metrics: Metrics,
    /// Whether a run certainly lives, however old its lease.
    pub(super) lives: Box<dyn Fn(Uuid) -> bool + Send + Sync>,
    /// There may be something to close.
    pub(super) woken: Notify,
    /// This run ends, and every intent of it that is durable has a durable outcome.
    pub(super) is_settled: AtomicBool,
}

// === impl Lease ===

impl Lease {
    /// Brings the store to where records can be appended, and says that this run lives.
    pub(super) async fn prepare(&self, migrate: bool) -> Result<(), Error> {
        if migrate {
            migration::migrate(&*self.store, &self.stamp).await?;
        }
        self.store.check_schema().await?;
        let Self { store, stamp, .. } = self;
        store.renew(stamp.run_id(), stamp.instance()).await?;
        Ok(())
    }

    /// The writer has ended.
    pub(super) fn leaves(&self, unfinished: &Unfinished) {
        self.is_settled
            .store(unfinished.is_nothing(), Ordering::Relaxed);
    }

    /// Says that this run has said everything, if the store listens within `limit`.
    pub(super) async fn end(&self, limit: Duration) {
        let is_settled = self.is_settled.load(Ordering::Relaxed);
        let end = self.store.end(self.stamp.run_id(), is_settled);
        let ended = tokio::time::timeout(limit, end).await;
        if let Err(error) = ended.unwrap_or_else(|_| Err(Error::too_slow())) {
            tracing::warn!(error = chain(&error), "the run could not be ended");
        }
    }

    /// Keeps the lease until it is dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut skew = Skew::default();
        let mut closer = Closer::default();
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
                closer.close(&self, since.elapsed() >= SETTLED).await;
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
}
