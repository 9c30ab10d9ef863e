//! Moves the spool into the store: at least once, in order, and again if the store turns out to have
//! forgotten it. Steady state and recovery are the same loop.

mod dead;
mod proof;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::dead::DeadRuns;
use self::proof::Proof;
use super::health::{Board, Part, Trouble, chain};
use super::lease::Lease;
use super::record::Record;
use super::spool::{self, Spool};
use super::store::{self, Store};

/// How many records one statement takes.
const BATCH: usize = 1024;
/// How often the spool is looked at when nothing is heard of it, and after trouble: another process may
/// use it as well.
const TICK: Duration = Duration::from_secs(1);
/// How long the rest is shipped when the gateway stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Moves one spool into one store.
pub(super) struct Shipper {
    spool: Arc<Spool>,
    store: Arc<dyn Store>,
    lease: Arc<Lease>,
    board: Board,
    /// How long the store may take for one attempt.
    attempt: Duration,
    migrate: bool,
    /// Whether the writer uses the store, and prepares it, and the spool is only what was left.
    is_leftovers: bool,
    /// Keeps the lease, once the store is prepared.
    keeping: Option<JoinHandle<()>>,
    is_prepared: bool,
    /// What the store should have, once the spool is open.
    proof: Option<Proof>,
    dead: DeadRuns,
    kept_house_at: Option<Instant>,
}

/// What came of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// There may be more.
    Shipped,
    /// Everything is in the store, or somebody else's to ship.
    Idle,
}

// === impl Shipper ===

impl Shipper {
    pub(super) fn new(
        spool: Arc<Spool>,
        lease: Arc<Lease>,
        board: Board,
        attempt: Duration,
        migrate: bool,
    ) -> Self {
        Self {
            spool,
            store: Arc::clone(&lease.store),
            lease,
            board,
            attempt,
            migrate,
            is_leftovers: false,
            keeping: None,
            is_prepared: false,
            proof: None,
            dead: DeadRuns::default(),
            kept_house_at: None,
        }
    }

    /// For a spool that nothing is put into any more.
    pub(super) fn leftovers(mut self) -> Self {
        self.is_leftovers = true;
        self
    }

    /// Ships until it is told to stop, and then what is left, if that is soon done.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            let pass = self.pass().await;
            self.report(pass.as_ref().err()).await;
            let pause = match pass {
                Ok(Pass::Shipped) => continue,
                Ok(Pass::Idle) => tokio::select! {
                    () = self.spool.news() => continue,
                    stop = tokio::time::timeout(TICK, stopping.wait_for(|stop| *stop)) => stop,
                },
                Err(_) => tokio::time::timeout(TICK, stopping.wait_for(|stop| *stop)).await,
            };
            if let Ok(Err(_)) = pause {
                break;
            }
        }
        self.finish().await;
    }

    async fn pass(&mut self) -> Result<Pass, Trouble> {
        if !self.is_prepared {
            self.prepare().await?;
        }
        let shipped = self.ship().await;
        if self.kept_house_at.is_none_or(|at| at.elapsed() >= TICK) {
            self.keep_house().await?;
            self.kept_house_at = Some(Instant::now());
        }
        shipped
    }

    async fn prepare(&mut self) -> Result<(), Trouble> {
        if self.is_leftovers {
            // The writer prepares the store; until then this says what is in the way.
            self.store
                .check_schema()
                .await
                .map_err(|error| Trouble::of(&error))?;
            self.spool.open().await.map_err(|error| error.trouble())?;
        } else {
            let prepared = self.lease.prepare(self.migrate).await;
            prepared.map_err(|error| Trouble::of(&error))?;
            self.keeping = Some(tokio::spawn(Arc::clone(&self.lease).keep()));
        }
        self.is_prepared = true;
        Ok(())
    }

    /// Moves one batch.
    async fn ship(&mut self) -> Result<Pass, Trouble> {
        if !self.opened().await? || !self.spool.may_ship().map_err(|error| error.trouble())? {
            return Ok(Pass::Idle);
        }
        self.prove().await?;
        let next = self.spool.next(BATCH).await;
        let Some(shipment) = next.map_err(|error| error.trouble())? else {
            return Ok(Pass::Idle);
        };
        let records = shipment.records.as_slice();
        let spool = Arc::clone(&self.spool);
        // What follows is read while the store is busy.
        let ahead = async {
            if records.len() == BATCH {
                spool.look_ahead(&shipment, BATCH).await;
            }
        };
        let (refused, ()) = tokio::join!(self.append(records), ahead);
        let refused = refused?;
        let shipped = spool.shipped(shipment.spool_id, shipment.seq).await;
        shipped.map_err(|error| error.trouble())?;
        self.lease.metrics.shipped(records.len() - refused);
        if let Some(proof) = &mut self.proof
            && refused == 0
            && let Some(last) = records.last()
        {
            proof.shipped(last.id);
        }
        Ok(Pass::Shipped)
    }

    /// Whether there is a spool. The writer opens it, and says what is wrong if it cannot.
    async fn opened(&mut self) -> Result<bool, Trouble> {
        if self.proof.is_some() {
            return Ok(true);
        }
        let ids = match self.spool.newest_shipped(Proof::NEWEST).await {
            Ok(ids) => ids,
            Err(spool::Error::Moved) => return Ok(false),
            Err(error) => return Err(error.trouble()),
        };
        self.try_set_aside_again().await?;
        self.proof = Some(Proof::of(ids));
        Ok(true)
    }

    /// Makes sure now and then that the store still has what it has taken: a replica that was promoted
    /// may lack the newest.
    async fn prove(&mut self) -> Result<(), Trouble> {
        let Some(ids) = self.proof.as_ref().and_then(Proof::due) else {
            return Ok(());
        };
        let asked = tokio::time::timeout(self.attempt, self.store.missing(&ids)).await;
        let missing = asked
            .unwrap_or_else(|_| Err(store::Error::too_slow()))
            .map_err(|error| Trouble::of(&error))?;
        if !missing.is_empty() {
            tracing::warn!(
                records.missing = missing.len(),
                records.looked_for = ids.len(),
                "the store lacks records that it had taken, as a replica may that took over: \
                 everything that the spool keeps is shipped again"
            );
            self.spool
                .ship_again()
                .await
                .map_err(|error| error.trouble())?;
        }
        if let Some(proof) = &mut self.proof {
            proof.done();
        }
        Ok(())
    }

    /// Returns how many were refused, and set aside.
    async fn append(&mut self, records: &[Record]) -> Result<usize, Trouble> {
        match self.try_append(records).await {
            Err(store::Error::Refused(error)) => {
                tracing::warn!(%error, records = records.len(), "the store refused a batch");
            }
            Err(error) => return Err(self.away(&error)),
            Ok(()) => return Ok(0),
        }
        let mut refused = 0;
        for record in records {
            match self.try_append(std::slice::from_ref(record)).await {
                Err(error @ store::Error::Refused(_)) => {
                    let reason = chain(&error);
                    tracing::error!(
                        record.id = %record.id, error = reason,
                        "the store refused a record: it is set aside in the spool",
                    );
                    let aside = self.spool.set_aside(record, &reason).await;
                    aside.map_err(|error| error.trouble())?;
                    refused += 1;
                }
                Err(error) => return Err(self.away(&error)),
                Ok(()) => {}
            }
        }
        Ok(refused)
    }

    async fn try_append(&self, records: &[Record]) -> Result<(), store::Error> {
        let appended = tokio::time::timeout(self.attempt, self.store.append(records)).await;
        self.lease.metrics.connections(self.store.connections());
        appended.unwrap_or_else(|_| Err(store::Error::too_slow()))
    }

    /// What comes back may be another server.
    fn away(&mut self, error: &store::Error) -> Trouble {
        if let Some(proof) = &mut self.proof {
            proof.doubt();
        }
        self.spool.stalled();
        Trouble::of(error)
    }

    /// What was refused may be taken after all: somebody may have mended the store. A batch at once, if that
    /// goes: an intent that stands there before its outcome would be closed as one of a dead run.
    async fn try_set_aside_again(&mut self) -> Result<(), Trouble> {
        let records = self.spool.set_aside_records().await;
        for batch in records.map_err(|error| error.trouble())?.chunks(BATCH) {
            match self.try_append(batch).await {
                Ok(()) => {
                    self.taken(batch).await?;
                    continue;
                }
                Err(store::Error::Refused(_)) => {}
                Err(error) => return Err(Trouble::of(&error)),
            }
            for record in batch {
                match self.try_append(std::slice::from_ref(record)).await {
                    Ok(()) => self.taken(std::slice::from_ref(record)).await?,
                    Err(store::Error::Refused(_)) => {}
                    Err(error) => return Err(Trouble::of(&error)),
                }
            }
        }
        Ok(())
    }

    async fn taken(&self, records: &[Record]) -> Result<(), Trouble> {
        for record in records {
            let taken = self.spool.taken(record.id).await;
            taken.map_err(|error| error.trouble())?;
            tracing::info!(record.id = %record.id, "the store took a record that was set aside");
        }
        Ok(())
    }

    /// What is due every second or so.
    async fn keep_house(&mut self) -> Result<(), Trouble> {
        if self.proof.is_none() {
            return Ok(());
        }
        self.spool.look_for_damage();
        let is_ours = self.spool.may_ship().map_err(|error| error.trouble())?;
        if is_ours {
            self.spool.prune().await.map_err(|error| error.trouble())?;
            self.dead.look_after(&self.spool, &self.lease).await?;
        }
        Ok(())
    }

    async fn report(&self, trouble: Option<&Trouble>) {
        let backlog = self.spool.measure().await.ok();
        let waiting = backlog.filter(|backlog| backlog.records > 0);
        let trouble = trouble.map(|Trouble { code, message }| match waiting {
            Some(backlog) => Trouble::new(code, format!("{message}; in the spool {backlog}")),
            None => Trouble::new(code, message.clone()),
        });
        self.board.say(Part::Shipper, trouble);
        if let Some(backlog) = backlog {
            let aside = (backlog.set_aside > 0).then(|| {
                let message = format!(
                    "{} records that the store refused are set aside in the spool: the log says why; \
                     they are tried again at each start",
                    backlog.set_aside
                );
                Trouble::new("records_set_aside", message)
            });
            self.board.say(Part::SetAside, aside);
        }
    }

    /// Ships what the writer has left, and ends the run if that is everything.
    async fn finish(mut self) {
        let end = Instant::now() + LAST_WORDS;
        let is_drained = match self.spool.written().await {
            Ok(target) => loop {
                let is_drained = self.spool.is_shipped_to(target).await.unwrap_or(false);
                if is_drained || Instant::now() >= end || self.pass().await.is_err() {
                    break is_drained;
                }
            },
            // Never opened: nothing is in it.
            Err(spool::Error::Moved) => !self.spool.was_opened(),
            Err(_) => false,
        };
        if let Some(keeping) = self.keeping.take() {
            keeping.abort();
        }
        if !is_drained {
            tracing::warn!(
                "the spool holds records that the store has not taken: they are shipped at the next start"
            );
        } else if self.is_prepared {
            if !self.spool.is_whole().await {
                self.lease.is_settled.store(false, Ordering::Relaxed);
            }
            self.lease.end(self.attempt).await;
            self.spool.forget_run(self.lease.stamp.run_id());
        }
        let _ = tokio::time::timeout(self.attempt, self.store.close()).await;
        let _ = tokio::time::timeout(self.attempt, self.spool.close()).await;
    }
}
