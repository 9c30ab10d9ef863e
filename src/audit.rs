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
//! Requests hand [`Facts`](record::Facts) to the [`AuditLog`], which makes a
//! [`Record`](record::Record) of them and hands it to the one writer. The writer lives on a thread
//! and a runtime of its own, so that neither a busy gateway delays the trail nor a slow trail the
//! gateway. Beside it the lease says that this run lives, and closes what dead runs left open.

pub mod export;
mod lease;
mod log;
mod metrics;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod record;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod row;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod store;
mod writer;

use std::time::Duration;

use serde::Deserialize;

pub use self::log::{AuditLog, Health, Lost, Patience, Receipt};
pub use self::metrics::Metrics;
pub use self::open::{check, open, open_existing};
pub use self::store::OpenError;

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
