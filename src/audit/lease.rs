//! Says that this run lives, and closes what dead runs left open.
//!
//! An intent without an outcome reads as `unanswered`: its write may have happened. When the run
//! that wrote it is dead, no outcome will come any more, and the record that says so is written, by
//! whichever gateway finds it. Its id is derived from the intent's, so two that find it write one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::Patience;
use super::health::chain;
use super::metrics::Metrics;
use super::record::{Outcome, Stamp};
use super::store::{Error, Store};
use super::writer::{Job, Waiter};

/// A sixth of what makes a run dead.
const RENEW: Duration = Duration::from_secs(10);
/// Partitions are made months ahead; to look every hour is plenty.
const TICKS_PER_MAINTENANCE: u32 = 360;
/// How many open intents are closed at a time.
const CLOSE: u32 = 256;

/// Keeps the lease of `stamp`'s run until it is dropped.
pub(super) async fn keep(
    store: Arc<dyn Store>,
    stamp: Arc<Stamp>,
    jobs: mpsc::WeakSender<Job>,
    metrics: Metrics,
) {
    let mut ticks = tokio::time::interval(RENEW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0_u32.. {
        ticks.tick().await;
        let done = tokio::time::timeout(RENEW, async {
            store.renew(stamp.run_id(), stamp.instance()).await?;
            if tick.is_multiple_of(TICKS_PER_MAINTENANCE) {
                for sentence in store.maintain().await? {
                    tracing::warn!("{sentence}");
                }
            }
            close_dead_runs(&*store, &stamp, &jobs, &metrics).await
        });
        match done.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = chain(&error), "the lease was not renewed"),
            Err(_) => tracing::warn!("the lease was not renewed: the store did not answer"),
        }
    }
}

async fn close_dead_runs(
    store: &dyn Store,
    stamp: &Stamp,
    jobs: &mpsc::WeakSender<Job>,
    metrics: &Metrics,
) -> Result<(), Error> {
    for run in store.dead_runs().await? {
        let run_id = run.run_id;
        if run_id != stamp.run_id() && close_run(store, stamp, jobs, metrics, run_id).await? {
            store.bury(&run).await?;
        }
    }
    Ok(())
}

/// `false`: not all of them could be closed.
async fn close_run(
    store: &dyn Store,
    stamp: &Stamp,
    jobs: &mpsc::WeakSender<Job>,
    metrics: &Metrics,
    run_id: Uuid,
) -> Result<bool, Error> {
    loop {
        let intents = store.open_intents(run_id, CLOSE).await?;
        if intents.is_empty() {
            return Ok(true);
        }
        let mut receipts = Vec::with_capacity(intents.len());
        for intent in &intents {
            let why = serde_json::json!({ "closed": "its run ended without an outcome" });
            let record = stamp.closing(&intent.record, Outcome::Unanswered, why);
            let (waiter, receipt) = oneshot::channel();
            let waiter = Waiter {
                patience: Patience::Withdraw,
                receipt: waiter,
            };
            let Some(jobs) = jobs.upgrade() else {
                return Ok(false);
            };
            if jobs.send(Job::awaited(record, waiter)).await.is_err() {
                return Ok(false);
            }
            receipts.push(receipt);
        }
        for receipt in receipts {
            if !matches!(receipt.await, Ok(Ok(()))) {
                return Ok(false);
            }
        }
        metrics.closed(intents.len());
        tracing::warn!(
            run.id = %run_id, intents = intents.len(),
            "closed the open intents of a run that ended: their writes may have happened",
        );
    }
}
