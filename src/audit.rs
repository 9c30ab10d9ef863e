//! The append-only record of who set, cleared or read a key-backup preference.
//!
//! # Promise
//!
//! A [`Receipt`] means durable: the record is fsynced in the spool, from where it reaches the store,
//! or committed in the store, and survives the crash of this process and of its machine. Whoever cannot have one within
//! [`Config::deadline`] is told so; nobody waits for ever, and nothing that is not guarded waits at
//! all.
//!
//! # Order
//!
//! Intent durable, origin asked, outcome durable (or its deadline past), client answered.
//!
//! # Who does what
//!
//! Requests hand [`Facts`](record::Facts) to the [`AuditLog`], which makes a
//! [`Record`](record::Record) of them and hands it to the one writer, which puts batches into the spool,
//! or without one into the store. The shipper moves the spool into the store. They live on a thread and
//! a runtime of their own, so that neither a busy gateway delays the trail nor a slow trail the
//! gateway. Beside them the lease says that this run lives, and closes what dead runs left open, and the
//! keeper of the counts writes down each minute what was only counted, so that no flood fills the trail.

mod collapse;
pub mod export;
pub mod filters;
mod health;
mod lease;
mod log;
mod metrics;
mod migration;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod record;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod row;
pub mod seal;
#[cfg(feature = "sqlite")]
mod shipper;
mod sink;
mod skew;
#[cfg(feature = "sqlite")]
mod spool;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod store;
mod summariser;
pub mod summary;
mod thread;
mod trail;
mod unfinished;
pub mod verify;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub use self::health::{Health, Trouble};
pub use self::log::{AuditLog, Lost, Patience, Receipt};
pub use self::metrics::Metrics;
pub use self::migration::migrate;
pub use self::open::{Backing, Seal, Spooling, backing, check, open, open_existing};
pub use self::store::OpenError;

/// `[audit]`: what is kept, and what happens when it cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether a write may go on without its record.
    pub mode: Mode,
    /// What a receipt means; what is not said is [`Durability::Spool`] wherever there can be one.
    pub durability: Option<Durability>,
    /// How long a request waits for a receipt.
    #[serde(with = "crate::duration")]
    pub deadline: Duration,
    /// Which reads are recorded.
    pub reads: Reads,
    /// Where the spool is; `None`, written `"none"`, for no spool.
    #[serde(deserialize_with = "path_or_none")]
    pub spool: Option<PathBuf>,
    /// How much the spool may hold, in bytes.
    pub spool_limit: u64,
    /// For how long the spool keeps what it has moved to the store, as long as there is room.
    #[serde(with = "crate::duration")]
    pub keep_shipped: Duration,
}

/// What a receipt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The record is fsynced in the spool.
    Spool,
    /// The record is committed in the store.
    Store,
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

fn path_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    Ok((path.as_os_str() != "none").then_some(path))
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            // A commit takes milliseconds; Element X tries a 5xx again within 1.6 s.
            deadline: Duration::from_secs(2),
            reads: Reads::default(),
            durability: None,
            spool: Some(PathBuf::from("key-backup-spool.db")),
            // Half a million writes that Postgres has not taken.
            spool_limit: 1 << 30,
            // What an asynchronous replica lacked when it took over is noticed within a day.
            keep_shipped: Duration::from_hours(24),
        }
    }
}
