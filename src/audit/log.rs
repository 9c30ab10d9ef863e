//! Where requests hand in what they have to say, and get their receipts.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::collapse::{self, Collapse};
use super::health::{Board, Health, Part, Trouble, chain};
use super::metrics::Metrics;
use super::record::{Facts, Kind, Record, Stamp};
use super::seal::Sealing;
use super::seal::sealer::{Sealer, Surroundings};
use super::summariser;
use super::thread::Thread;
use super::trail::Trail;
use super::writer::{self, Job, Waiter};
use super::{Backing, Config, Seal, Spooling, open, store};
use crate::clock::Clock;

/// What a request does when its receipt does not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Gives up, and takes the record back: what it announces does not happen. If it was stored all
    /// the same, and is an intent, it is closed as certainly never sent.
    Withdraw,
    /// Goes on, and leaves the record to the writer, which goes on trying: what it says is true. If
    /// so much is waiting that the writer has no place for it, it is lost.
    Leave,
    /// As [`Leave`](Self::Leave), and waits for a place beyond the deadline, though nobody waits with
    /// it. Only for the outcome of an intent that is durable: while nothing becomes durable, no more
    /// of them can come, so that memory stays bounded.
    Insist,
}

/// Proof that a record is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Receipt(());

/// Why there is no receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The store has not taken it within [`Config::deadline`].
    #[error("the record was not durable in time")]
    Deadline,
    /// The store will never take this record.
    #[error("the store refused the record")]
    Refused,
    /// The writer has stopped.
    #[error("the writer has stopped")]
    Stopped,
}

/// Where the gateway appends to its trail. Cheap to clone.
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
}

struct Shared {
    stamp: Arc<Stamp>,
    jobs: mpsc::Sender<Job>,
    /// Tells the writer not to wait for more.
    haste: Arc<Notify>,
    collapse: Arc<Collapse>,
    deadline: Duration,
    metrics: Metrics,
    health: watch::Receiver<Health>,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    sealer: Option<Thread>,
    summary: Option<Thread>,
}

/// How many records may wait for the writer. What one takes is some 2 KiB.
const QUEUE: usize = 4096;
/// How many places reads leave to what is waited for.
const RESERVED: usize = 1024;

/// How long the end waits for what was counted to become durable.
const LAST_COUNTS: Duration = Duration::from_secs(2);

// === impl AuditLog ===

impl AuditLog {
    /// Starts the writer and the lease on a thread of their own.
    ///
    /// `open`, as [`backing`](super::backing), is called on it, and must not wait: a store that is out of reach shows in
    /// [`health`](Self::health), and is tried again. With `migrate`, the schema is brought up to
    /// date first; without, an outdated one is a failure.
    ///
    /// # Errors
    ///
    /// What `open` says, or the operating system, if there can be no thread.
    pub fn start<E: From<std::io::Error>>(
        open: impl FnOnce() -> Result<Backing, E>,
        config: &Config,
        clock: Arc<dyn Clock>,
        instance: &str,
        migrate: bool,
        metrics: Metrics,
    ) -> Result<Self, E> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let opened = {
            let _context = runtime.enter();
            open()
        };
        let mut backing = match opened {
            Ok(backing) => backing,
            Err(error) => {
                // We may be called on another runtime, where dropping one is a panic.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let stamp = Arc::new(Stamp::new(clock, instance));
        let (jobs, inbox) = mpsc::channel(QUEUE);
        let haste = Arc::new(Notify::new());
        let parts: &[Part] = match backing.spool {
            Spooling::Yes(_) => &[Part::Writer, Part::Shipper],
            Spooling::No | Spooling::Leftovers(_) => &[Part::Writer],
        };
        let board = Board::new(parts, metrics.clone());
        let health = board.subscribe();
        let surroundings = Surroundings {
            board: board.clone(),
            metrics: metrics.seal.clone(),
            stamp: Arc::clone(&stamp),
            jobs: jobs.downgrade(),
        };
        let sealer = match std::mem::take(&mut backing.sealing) {
            Seal::No => None,
            Seal::Failed(why) => {
                let trouble = Trouble::new("seal_no_key", why);
                board.say(Part::Sealer, Some(trouble));
                None
            }
            Seal::Yes(sealing) => Some(seal(*sealing, surroundings)?),
        };
        let summary = backing.summary.take().map(summarise).transpose()?;
        let (stop, stopping) = watch::channel(false);
        let (done, stopped) = watch::channel(false);
        let trail = Trail {
            backing,
            config: config.clone(),
            migrate,
            stamp: Arc::clone(&stamp),
            inbox,
            haste: Arc::clone(&haste),
            board,
            metrics: metrics.clone(),
            stopping,
        };
        let collapse = Arc::new(Collapse::new(metrics.collapsed.clone()));
        let keeper = collapse::keep(Arc::clone(&collapse), Arc::clone(&stamp), jobs.downgrade());
        std::thread::Builder::new()
            .name("audit-writer".to_owned())
            .spawn(move || {
                runtime.spawn(keeper);
                runtime.block_on(trail.run());
                let _ = done.send(true);
            })?;
        let shared = Shared {
            stamp,
            jobs,
            haste,
            collapse,
            deadline: config.deadline,
            metrics,
            health,
            stop,
            stopped,
            sealer,
            summary,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A new id for an exchange.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.shared.stamp.new_id()
    }

    /// Whether the trail can be written to.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.clone()
    }

    /// Appends a record of an exchange, and waits until it is durable.
    ///
    /// # Errors
    ///
    /// [`Lost`], at the latest when [`Config::deadline`] is past.
    pub async fn append(&self, facts: Facts, patience: Patience) -> Result<Receipt, Lost> {
        let record = self.shared.stamp.record(Kind::Exchange, facts);
        self.append_record(record, patience).await
    }

    async fn append_record(&self, record: Record, patience: Patience) -> Result<Receipt, Lost> {
        let (waiter, mut receipt) = oneshot::channel();
        let mut job = Some(Job::awaited(
            record,
            Waiter {
                patience,
                receipt: waiter,
            },
        ));
        let wait = async {
            let place = self
                .shared
                .jobs
                .reserve()
                .await
                .map_err(|_| Lost::Stopped)?;
            if let Some(job) = job.take() {
                place.send(job);
                self.shared.haste.notify_one();
            }
            (&mut receipt).await.unwrap_or(Err(Lost::Stopped))
        };
        let result = tokio::time::timeout(self.shared.deadline, wait)
            .await
            .unwrap_or_else(|_| {
                // The writer may have sent it just now; after this it cannot.
                receipt.close();
                receipt.try_recv().unwrap_or(Err(Lost::Deadline))
            });
        if let (Some(job), Patience::Insist) = (job, patience) {
            let jobs = self.shared.jobs.clone();
            // Fails when the writer has stopped: then the next run closes the intent.
            tokio::spawn(async move { jobs.send(job).await.is_ok() });
        }
        result.map(|()| Receipt(())).inspect_err(|lost| match lost {
            // Counted by the writer, which knows of those that nobody waits for as well.
            Lost::Refused => {}
            Lost::Deadline | Lost::Stopped => self.shared.metrics.lost(*lost),
        })
    }

    /// Appends a record of something that was done to the gateway, `detail` with the name of it, and waits until it
    /// is durable. What cannot be recorded is logged.
    pub async fn operation(&self, operation: &str, detail: Value) {
        self.operation_from(operation, detail, None).await;
    }

    /// The same for something that was done from an address, if that is known.
    pub async fn operation_from(&self, operation: &str, mut detail: Value, client: Option<IpAddr>) {
        detail["operation"] = operation.into();
        let facts = Facts {
            client_address: client.map(|client| client.to_string()),
            detail: Some(detail),
            ..Facts::default()
        };
        let record = self.shared.stamp.record(Kind::Operation, facts);
        if let Err(lost) = self.append_record(record, Patience::Leave).await {
            tracing::warn!(operation, error = %lost, "an operation was not recorded in time");
        }
    }

    /// Appends a record of an exchange some time soon, and waits for nothing. If too much is
    /// waiting already, the record is dropped, and counted.
    pub fn queue(&self, facts: Facts) {
        let Shared {
            jobs,
            haste,
            stamp,
            metrics,
            collapse,
            ..
        } = &*self.shared;
        let is_queued = jobs.capacity() >= RESERVED && {
            let record = stamp.record(Kind::Exchange, facts);
            jobs.try_send(Job::queued(record)).is_ok()
        };
        // Once a batch: whoever misses it in a race only comes later.
        if jobs.capacity() == QUEUE - writer::BATCH {
            haste.notify_one();
        }
        if !is_queued {
            metrics.dropped();
            collapse.dropped_read();
        }
    }

    /// Counts a guarded request that is not recorded, because anybody can cause as many as they like
    /// without valid credentials: one `collapsed` record a minute says how many there were, why, and
    /// from which networks most of them came. `reason` is one of a few stable codes.
    pub fn count(&self, reason: &'static str, client: Option<IpAddr>) {
        self.shared.collapse.count(reason, client);
    }

    /// Whether a refusal is to be appended. If not, its user has had 20 such records within the last
    /// minute, or too many users had some, and it is counted in a `collapsed` record instead.
    #[must_use]
    pub fn takes_refusal(&self, refusal: &Facts) -> bool {
        let user = refusal.authenticated_user.as_deref();
        user.is_none_or(|user| self.shared.collapse.takes_refusal(user))
    }

    /// Writes what was counted and what is waiting, ends the lease and closes the store; nothing can
    /// be appended after. What is not written within `limit` is given up.
    pub async fn stop(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let Shared {
            collapse,
            stamp,
            jobs,
            ..
        } = &*self.shared;
        let counts = collapse.write_down(stamp, jobs);
        let limit = limit.min(LAST_COUNTS);
        if tokio::time::timeout(limit, counts).await.is_err() {
            tracing::warn!("the last counts are not durable yet");
        }
        let _ = self.shared.stop.send(true);
        let mut stopped = self.shared.stopped.clone();
        let done = async { stopped.wait_for(|done| *done).await.is_ok() };
        if tokio::time::timeout_at(end, done).await.is_err() {
            tracing::error!("the trail was not written to the end before the limit");
        }
        // What was written last is sealed, too.
        if let Some(sealer) = &self.shared.sealer
            && !sealer.end(end).await
        {
            tracing::warn!("what was recorded last is sealed at the next start");
        }
        // A step that is cut short is made again by whoever comes next.
        if let Some(summary) = &self.shared.summary {
            summary.end(end).await;
        }
    }
}

/// The sealer: hashing must not keep the writer waiting.
fn seal(sealing: Sealing, surroundings: Surroundings) -> Result<Thread, std::io::Error> {
    Thread::start("audit-sealer", async move |stopping| {
        match open(&sealing.database) {
            Ok(store) => {
                let sealer = Sealer::new(sealing, store, surroundings);
                sealer.run(stopping).await;
            }
            // The same was opened before, for those who record.
            Err(error) => tracing::error!(error = chain(&error), "nothing is sealed"),
        }
    })
}

/// What keeps the summary: nobody waits for it.
fn summarise(database: store::Config) -> Result<Thread, std::io::Error> {
    // One connection: it does one thing after the other.
    let database = store::Config {
        max_connections: 1,
        ..database
    };
    Thread::start("audit-summary", async move |stopping| {
        match open(&database) {
            Ok(store) => summariser::run(store, stopping).await,
            Err(error) => tracing::error!(error = chain(&error), "no summary is kept"),
        }
    })
}
