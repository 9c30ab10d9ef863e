//! Runs that died on this machine, and may have left records in the spool.
//!
//! Until those are shipped the run counts as alive in the store: an outcome that is still in the spool
//! must not find its intent closed. Then it has ended, and whoever comes closes what it left open.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::audit::health::Trouble;
use crate::audit::lease::Lease;
use crate::audit::spool::Spool;

/// As often as a run that lives.
const RENEW: Duration = Duration::from_secs(10);

/// The dead runs that have something left in the spool.
#[derive(Debug, Default)]
pub(super) struct DeadRuns(HashMap<Uuid, DeadRun>);

#[derive(Clone, Copy, Debug)]
struct DeadRun {
    /// What it wrote comes no later than this.
    written: i64,
    renewed_at: Option<Instant>,
}

// === impl DeadRuns ===

impl DeadRuns {
    /// Finds dead runs, keeps their leases, and ends those that have nothing left in the spool.
    pub(super) async fn look_after(&mut self, spool: &Spool, lease: &Lease) -> Result<(), Trouble> {
        let found = spool.dead_runs().map_err(|error| error.trouble())?;
        if found.is_empty() {
            return Ok(());
        }
        let written = spool.written().await.map_err(|error| error.trouble())?;
        for run in found {
            let dead = self.0.entry(run.run_id).or_insert(DeadRun {
                written,
                renewed_at: None,
            });
            let is_drained = spool.is_shipped_to(dead.written).await;
            if is_drained.map_err(|error| error.trouble())? {
                // It may have died before the store has ever heard of it.
                let ended = async {
                    lease.store.renew(run.run_id, &run.instance).await?;
                    lease.store.end(run.run_id, false).await
                };
                ended.await.map_err(|error| Trouble::of(&error))?;
                spool.forget_run(run.run_id);
                self.0.remove(&run.run_id);
                lease.woken.notify_one();
            } else if dead.renewed_at.is_none_or(|at| at.elapsed() >= RENEW) {
                let renewed = lease.store.renew(run.run_id, &run.instance).await;
                renewed.map_err(|error| Trouble::of(&error))?;
                dead.renewed_at = Some(Instant::now());
            }
        }
        Ok(())
    }
}
