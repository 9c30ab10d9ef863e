//! Closes what dead runs have left open.
//!
//! A run that has lived for months has millions of intents, and nothing but a look at each says which
//! are open. So they are looked at in steps, the newest first, where open ones nearly always are; and
//! whoever is interrupted goes on where they were.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Lease, RENEW};
use crate::audit::health::chain;
use crate::audit::record::{Outcome, Record, Stored};
use crate::audit::store::{DeadRun, Error};

/// How many intents are looked at in a step.
const LOOK: u32 = 1024;

/// How far the dead runs have been looked through.
#[derive(Debug, Default)]
pub(super) struct Closer(HashMap<Uuid, Progress>);

#[derive(Clone, Debug)]
struct Progress {
    run: DeadRun,
    /// Everything from here on was looked at.
    before: Option<Uuid>,
    /// And is closed.
    is_closed: bool,
}

// === impl Closer ===

impl Closer {
    /// Closes what dead runs have left open; those that have not ended only if `by_age`.
    pub(super) async fn close(&mut self, lease: &Lease, by_age: bool) {
        // The lease must not wait for it.
        match tokio::time::timeout(RENEW, self.try_close(lease, by_age)).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => {
                // What comes back may have forgotten what it was told.
                self.0.clear();
                tracing::warn!(error = chain(&error), "open intents were not closed");
            }
        }
    }

    async fn try_close(&mut self, lease: &Lease, by_age: bool) -> Result<(), Error> {
        let dead = lease.store.dead_runs().await?;
        // Of whom something was heard meanwhile may have said something, too.
        self.0.retain(|_, progress| dead.contains(&progress.run));
        for run in dead {
            let is_judged = run.ended_at.is_some() || by_age;
            let is_ours = run.run_id == lease.stamp.run_id();
            if !is_judged || is_ours || (lease.lives)(run.run_id) {
                continue;
            }
            match self.close_run(lease, &run).await {
                Ok(true) => lease.store.bury(&run).await?,
                Ok(false) => {}
                // The next one is none the worse for it.
                Err(Error::Refused(error)) => {
                    let error = chain(&error);
                    tracing::error!(run.id = %run.run_id, error, "the store refuses to close intents");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// `false`: not all of them could be closed.
    async fn close_run(&mut self, lease: &Lease, run: &DeadRun) -> Result<bool, Error> {
        let start = || Progress {
            run: run.clone(),
            before: None,
            is_closed: true,
        };
        let progress = self.0.entry(run.run_id).or_insert_with(start);
        loop {
            let look = || lease.store.open_intents(run.run_id, progress.before, LOOK);
            let found = look().await?;
            if !found.open.is_empty() {
                close_intents(lease, run, &found.open).await?;
                // What we wrote is there. If an intent still counts as open, an operator must look.
                if let Some(intent) = look().await?.open.first() {
                    tracing::error!(record.id = %intent.record.id, "an open intent cannot be closed");
                    progress.is_closed = false;
                }
            }
            if found.next.is_none() {
                let is_closed = progress.is_closed;
                self.0.remove(&run.run_id);
                return Ok(is_closed);
            }
            progress.before = found.next;
        }
    }
}

async fn close_intents(lease: &Lease, run: &DeadRun, intents: &[Stored]) -> Result<(), Error> {
    let closing: Vec<Record> = intents
        .iter()
        .map(|intent| {
            let why = serde_json::json!({ "closed": "its run ended without an outcome" });
            lease
                .stamp
                .closing(&intent.record, Outcome::Unanswered, why)
        })
        .collect();
    lease.store.append(&closing).await?;
    lease.metrics.closed(closing.len());
    tracing::warn!(
        run.id = %run.run_id, intents = closing.len(),
        "closed the open intents of a run that ended: their writes may have happened",
    );
    Ok(())
}
