//! What goes on on the trail's own thread: who starts when, and in what order it ends.
//!
//! Without a spool: the writer into the store, the lease beside it. With one: the writer into the
//! spool, and the shipper, which has the store to itself, with the lease. At the end the writer first,
//! so that every receipt is given; then what the spool holds, as far as that goes; then the run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::health::{Board, Trouble};
use super::lease::Lease;
use super::metrics::Metrics;
use super::record::Stamp;
use super::sink::Sink;
use super::unfinished::Unfinished;
use super::writer::{Job, Writer};
use super::{Backing, Config, Spooling};
#[cfg(feature = "sqlite")]
use super::{shipper::Shipper, spool::Spool};

/// What an attempt at the store may take, however short the deadline of requests is: were it cut as
/// short as they are, a store slower than that would never take anything, and never be connected to.
const LEAST_ATTEMPT: Duration = Duration::from_secs(2);

/// Everything that the thread needs.
pub(super) struct Trail {
    pub(super) backing: Backing,
    pub(super) config: Config,
    pub(super) migrate: bool,
    pub(super) stamp: Arc<Stamp>,
    pub(super) inbox: mpsc::Receiver<Job>,
    pub(super) haste: Arc<Notify>,
    pub(super) board: Board,
    pub(super) metrics: Metrics,
    pub(super) stopping: watch::Receiver<bool>,
}

// === impl Trail ===

impl Trail {
    /// Until the writer is told to stop, and everything is in its place.
    pub(super) async fn run(self) {
        match &self.backing.spool {
            Spooling::No => self.run_on_store().await,
            #[cfg(feature = "sqlite")]
            Spooling::Leftovers(path) => {
                let spool = path.exists().then(|| self.spool(path.clone()));
                match spool {
                    Some(spool) => self.run_on_store_beside(spool).await,
                    None => self.run_on_store().await,
                }
            }
            #[cfg(feature = "sqlite")]
            Spooling::Yes(path) => {
                let spool = self.spool(path.clone());
                self.run_on_spool(spool).await;
            }
            #[cfg(not(feature = "sqlite"))]
            Spooling::Leftovers(_) | Spooling::Yes(_) => self.run_on_store().await,
        }
    }

    async fn run_on_store(self) {
        let lease = self.lease(|_| false);
        let store = Arc::clone(&self.backing.store);
        let (migrate, limit) = (self.migrate, self.attempt());
        self.write_to_store(&lease, migrate).await;
        lease.end(limit).await;
        let _ = tokio::time::timeout(limit, store.close()).await;
    }

    /// The writer, with the store for a sink.
    async fn write_to_store(self, lease: &Arc<Lease>, migrate: bool) {
        let sink = Sink::Store(Arc::clone(&self.backing.store));
        let prepare = async || {
            lease
                .prepare(migrate)
                .await
                .map_err(|error| Trouble::of(&error))
        };
        let mut keeping = None;
        let keep = || keeping = Some(tokio::spawn(Arc::clone(lease).keep()));
        let unfinished = self.writer(sink).run(prepare, keep).await;
        lease.leaves(&unfinished);
        if let Some(keeping) = keeping {
            keeping.abort();
        }
    }

    fn writer(self, sink: Sink) -> Writer {
        Writer {
            attempt: self.attempt(),
            sink,
            stamp: self.stamp,
            inbox: self.inbox,
            haste: self.haste,
            board: self.board,
            stopping: self.stopping,
            metrics: self.metrics,
            unfinished: Unfinished::default(),
        }
    }

    fn lease(&self, lives: impl Fn(uuid::Uuid) -> bool + Send + Sync + 'static) -> Arc<Lease> {
        Arc::new(Lease {
            store: Arc::clone(&self.backing.store),
            stamp: Arc::clone(&self.stamp),
            metrics: self.metrics.clone(),
            lives: Box::new(lives),
            woken: Notify::new(),
            is_settled: AtomicBool::new(false),
        })
    }

    fn attempt(&self) -> Duration {
        self.config.deadline.max(LEAST_ATTEMPT)
    }
}

#[cfg(feature = "sqlite")]
impl Trail {
    /// The store for a sink; what an earlier run has left in its spool is moved there meanwhile.
    async fn run_on_store_beside(self, spool: Arc<Spool>) {
        let lease = self.lease_beside(&spool);
        let shipper = self.shipper(&spool, &lease).leftovers();
        let (stop, stopping) = watch::channel(false);
        let shipping = tokio::spawn(shipper.run(stopping));
        let migrate = self.migrate;
        self.write_to_store(&lease, migrate).await;
        let _ = stop.send(true);
        let _ = shipping.await;
    }

    /// The spool for a sink, and the shipper behind it.
    async fn run_on_spool(self, spool: Arc<Spool>) {
        let lease = self.lease_beside(&spool);
        let shipper = self.shipper(&spool, &lease);
        let (stop, stopping) = watch::channel(false);
        let shipping = tokio::spawn(shipper.run(stopping));
        let sink = Sink::Spool(Arc::clone(&spool));
        let prepare = async || spool.open().await.map_err(|error| error.trouble());
        let unfinished = self.writer(sink).run(prepare, || {}).await;
        lease.leaves(&unfinished);
        let _ = stop.send(true);
        let _ = shipping.await;
    }

    fn spool(&self, path: std::path::PathBuf) -> Arc<Spool> {
        Arc::new(Spool::new(
            path,
            &self.config,
            Arc::clone(&self.stamp),
            self.board.clone(),
            self.metrics.clone(),
        ))
    }

    fn lease_beside(&self, spool: &Arc<Spool>) -> Arc<Lease> {
        let spool = Arc::clone(spool);
        self.lease(move |run_id| spool.lives(run_id))
    }

    fn shipper(&self, spool: &Arc<Spool>, lease: &Arc<Lease>) -> Shipper {
        Shipper::new(
            Arc::clone(spool),
            Arc::clone(lease),
            self.board.clone(),
            self.attempt(),
            self.migrate,
        )
    }
}
