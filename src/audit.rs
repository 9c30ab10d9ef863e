//! The append-only record of who set, cleared or read a key-backup preference.
//!
//! # Promise
//!
//! A [`Receipt`] means durable: the record is committed in the store, and survives the crash of this
//! process and of the machine that holds the store. Whoever cannot have one within
//! [`Config::deadline`] is told so; nobody waits for ever, and nothing that is not guarded waits at
//! all.
//!
//! # Order
//!
//! Intent durable, origin asked, outcome durable (or its deadline past), client answered.
//!
//! # Who does what
//!
//! Requests hand [`Facts`] to the [`AuditLog`], which makes a [`Record`] of them and hands it to
//! the one writer. The writer lives on a thread and a runtime of its own, so that neither a
//! busy gateway delays the trail nor a slow trail the gateway. Beside it the lease says that this
//! run lives, and closes what dead runs left open.

mod lease;
pub mod metrics;
pub mod record;
pub mod store;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

pub use self::metrics::Metrics;
use self::record::{Facts, Kind, Outcome, Record, Stamp};
use self::store::Store;
use self::writer::{Job, Waiter, Writer};
use crate::clock::Clock;

/// `[audit]`: what is kept, and what happens when it cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether a write may go on without its record.
    pub mode: Mode,
    /// How long a request waits for a receipt.
    #[serde(with = "crate::duration")]
    pub deadline: Duration,
    /// Which reads are recorded.
    pub reads: Reads,
}

/// What happens to a write that cannot be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is answered 503, and the origin never hears of it.
    #[default]
    Required,
    /// It is forwarded, and the loss counted.
    BestEffort,
}

/// Which reads are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// All of them.
    #[default]
    All,
    /// Those whose answer holds a malformed preference.
    Violations,
    /// None.
    None,
}

/// What a request does when its receipt does not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Gives up, and takes the record back: what it announces does not happen. If it was stored all
    /// the same, and is an intent, it is closed as certainly never sent.
    Withdraw,
    /// Goes on, and leaves the record to the writer, which goes on trying: what it says is true.
    Leave,
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

/// Whether the trail can be written to, as the writer last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not tried yet.
    Starting,
    /// The last attempt succeeded.
    Recording,
    /// It did not.
    Failing {
        /// A stable code for alerts.
        code: &'static str,
        /// What is wrong, for people.
        message: String,
    },
}

/// Where the gateway appends to its trail. Cheap to clone.
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
}

struct Shared {
    stamp: Arc<Stamp>,
    jobs: mpsc::Sender<Job>,
    deadline: Duration,
    metrics: Metrics,
    health: watch::Receiver<Health>,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

/// How many records may wait for the writer. What one takes is some 2 KiB.
const QUEUE: usize = 4096;
/// How many places reads leave to what is waited for.
const RESERVED: usize = 1024;

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            // A commit takes milliseconds; Element X tries a 5xx again within 1.6 s.
            deadline: Duration::from_secs(2),
            reads: Reads::default(),
        }
    }
}

// === impl Health ===

impl Health {
    /// The code of a schema that is not what this build expects.
    pub const OUTDATED: &str = "schema_outdated";

    fn of(error: &store::Error) -> Self {
        let code = match error {
            store::Error::Unavailable(_) | store::Error::TimedOut => "store_unavailable",
            store::Error::Refused(_) => "store_refused",
            store::Error::Outdated { .. } => Self::OUTDATED,
            store::Error::Migrate(_) => "migration_failed",
            store::Error::Unreadable { .. } => "store_unreadable",
        };
        Self::Failing { code, message: chain(error) }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

// === impl AuditLog ===

impl AuditLog {
    /// Starts the writer and the lease on a thread of their own.
    ///
    /// `open` is called on it, and must not wait: a store that is out of reach shows in
    /// [`health`](Self::health), and is tried again. With `migrate`, the schema is brought up to
    /// date first; without, an outdated one is a failure.
    ///
    /// # Errors
    ///
    /// What `open` says, or the operating system, if there can be no thread.
    pub fn start<E: From<std::io::Error>>(
        open: impl FnOnce() -> Result<Arc<dyn Store>, E>,
        config: &Config,
        clock: Arc<dyn Clock>,
        instance: &str,
        migrate: bool,
        metrics: Metrics,
    ) -> Result<Self, E> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let store = {
            let _context = runtime.enter();
            open()?
        };
        let stamp = Arc::new(Stamp::new(clock, instance));
        let (jobs, inbox) = mpsc::channel(QUEUE);
        let (health, seen) = watch::channel(Health::Starting);
        let (stop, stopping) = watch::channel(false);
        let (done, stopped) = watch::channel(false);
        let writer = Writer {
            store,
            stamp: Arc::clone(&stamp),
            inbox,
            health,
            stopping,
            metrics: metrics.clone(),
            attempt: config.deadline,
            migrate,
        };
        let lease = jobs.downgrade();
        std::thread::Builder::new().name("audit-writer".to_owned()).spawn(move || {
            runtime.block_on(writer.run(lease));
            let _ = done.send(true);
        })?;
        let shared =
            Shared { stamp, jobs, deadline: config.deadline, metrics, health: seen, stop, stopped };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A new id for an exchange.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.shared.stamp.new_id()
    }

    /// Which run of the gateway writes.
    #[must_use]
    pub fn run_id(&self) -> Uuid {
        self.shared.stamp.run_id()
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
        let (waiter, mut receipt) = oneshot::channel();
        let job = Job { record, waiter: Some(Waiter { patience, receipt: waiter }) };
        let wait = async {
            self.shared.jobs.send(job).await.map_err(|_| Lost::Stopped)?;
            (&mut receipt).await.unwrap_or(Err(Lost::Stopped))
        };
        let result = match tokio::time::timeout(self.shared.deadline, wait).await {
            Ok(result) => result,
            Err(_) => {
                // The writer may have sent it just now; after this it cannot.
                receipt.close();
                receipt.try_recv().unwrap_or(Err(Lost::Deadline))
            }
        };
        result.map(|()| Receipt(())).inspect_err(|lost| self.shared.metrics.lost(*lost))
    }

    /// Appends a record of an exchange some time soon, and waits for nothing. If too much is
    /// waiting already, the record is dropped, and counted.
    pub fn queue(&self, facts: Facts) {
        let Shared { jobs, stamp, metrics, .. } = &*self.shared;
        if jobs.capacity() < RESERVED {
            metrics.dropped();
            return;
        }
        let record = stamp.record(Kind::Exchange, facts);
        if jobs.try_send(Job { record, waiter: None }).is_err() {
            metrics.dropped();
        }
    }

    /// Writes what is waiting, ends the lease and closes the store; nothing can be appended after.
    /// What is not written within `limit` is given up.
    pub async fn stop(&self, limit: Duration) {
        let _ = self.shared.stop.send(true);
        let mut stopped = self.shared.stopped.clone();
        let done = async { stopped.wait_for(|done| *done).await.is_ok() };
        if tokio::time::timeout(limit, done).await.is_err() {
            tracing::error!("the trail was not written to the end before the limit");
        }
    }
}

/// Closes an intent whose request gave up before it was durable.
fn never_sent(stamp: &Stamp, intent: &Record) -> Record {
    let why = serde_json::json!({ "closed": "the intent was not durable in time" });
    stamp.closing(intent, Outcome::Failed, why)
}
