//! Brings every checkpoint of the database to every place that is to have it, in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::health::Trouble;
use crate::audit::seal::metrics::Metrics;
use crate::audit::seal::note::Verifiers;
use crate::audit::seal::outlet::{Endpoint, Outlet};
use crate::audit::store::{Error, StoredCheckpoint, TreeStore};

/// How many checkpoints are brought in one go.
const BATCH: u32 = 200;
/// After a failure.
const RETRY: Duration = Duration::from_secs(2);

/// All outlets.
pub(super) struct Publisher {
    outlets: Vec<Outlet>,
    /// Where an outlet that has nothing yet begins: those from before we were there prove nothing that later ones
    /// do not.
    base: Option<i64>,
    retry_at: Option<Instant>,
}

// === impl Publisher ===

impl Publisher {
    pub(super) fn new(file: Option<PathBuf>, endpoint: Option<Arc<dyn Endpoint>>) -> Self {
        let outlets = [
            file.map(Outlet::file),
            endpoint.map(Outlet::endpoint),
            Some(Outlet::log()),
        ];
        Self {
            outlets: outlets.into_iter().flatten().collect(),
            base: None,
            retry_at: None,
        }
    }

    pub(super) fn outlets(&mut self) -> impl Iterator<Item = &mut Outlet> {
        self.outlets.iter_mut()
    }

    /// Publishes what the database has beyond each outlet's cursor. What is wrong, if anything is.
    pub(super) async fn publish(
        &mut self,
        store: &dyn TreeStore,
        verifiers: &Verifiers,
        metrics: &Metrics,
        is_last: bool,
    ) -> Result<Option<Trouble>, Error> {
        let newest = store.newest_checkpoints(1).await?;
        let Some(newest) = newest.into_iter().next() else {
            self.base.get_or_insert(0);
            return Ok(self.trouble());
        };
        let base = *self.base.get_or_insert(newest.size - 1);
        metrics.published("database", newest.size, 0.0);
        let may_try = is_last || self.retry_at.is_none_or(|at| Instant::now() >= at);
        let mut has_failed = false;
        for outlet in &mut self.outlets {
            let cursor = outlet.cursor.unwrap_or(base);
            let is_wanted = cursor < newest.size && outlet.wants(is_last);
            if may_try && is_wanted && outlet.is_asked {
                bring(outlet, cursor, store, verifiers, &newest).await?;
                has_failed |= outlet.failure.is_some();
            }
            let cursor = outlet.cursor.unwrap_or(base);
            let lag = if is_wanted && cursor < newest.size {
                lag(cursor, store, &newest).await?
            } else {
                0.0
            };
            metrics.published(outlet.name(), outlet.cursor.unwrap_or(0), lag);
        }
        if may_try {
            self.retry_at = has_failed.then(|| Instant::now() + RETRY);
        }
        Ok(self.trouble())
    }

    fn trouble(&self) -> Option<Trouble> {
        let failed = self.outlets.iter().filter_map(|outlet| {
            let failure = outlet.failure.as_ref()?;
            Some(format!("{}: {failure}", outlet.name()))
        });
        let failed: Vec<_> = failed.collect();
        (!failed.is_empty()).then(|| {
            let message = format!("checkpoints are not published; {}", failed.join("; "));
            Trouble::new("checkpoint_not_published", message)
        })
    }
}

async fn bring(
    outlet: &mut Outlet,
    cursor: i64,
    store: &dyn TreeStore,
    verifiers: &Verifiers,
    newest: &StoredCheckpoint,
) -> Result<(), Error> {
    let checkpoints = if outlet.skips() {
        vec![newest.clone()]
    } else {
        store.checkpoints(cursor, BATCH).await?
    };
    outlet.failure = None;
    for checkpoint in checkpoints {
        // What we have not signed we do not spread.
        if verifiers.open(&checkpoint.note).is_err() {
            continue;
        }
        if let Err(failure) = outlet.publish(&checkpoint.note).await {
            outlet.failure = Some(failure);
            break;
        }
        outlet.cursor = Some(checkpoint.size);
    }
    Ok(())
}

/// For how long the oldest checkpoint beyond `cursor` has waited, in seconds.
async fn lag(cursor: i64, store: &dyn TreeStore, newest: &StoredCheckpoint) -> Result<f64, Error> {
    let oldest = store.checkpoints(cursor, 1).await?;
    let waiting = store.waiting().await?;
    let since = oldest
        .first()
        .map_or(newest.made_at, |oldest| oldest.made_at);
    Ok(waiting.checkpoint_age + (newest.made_at - since).as_seconds_f64())
}
