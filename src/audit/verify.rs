//! Verifies a trail: by its database, by an export, or by the proof of one exchange.
//!
//! Nothing is believed but what the public key has signed: everything is computed again from the records, and
//! compared. What is wrong is named by the first leaf that shows it. `deploy/proof.md` says what is checked, in which
//! order, and under which codes.
//!
//! Memory is constant: a record is hashed, and forgotten.

mod check;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod database;
mod export;
mod leaf;
mod line;
mod lines;
mod manifest;
mod marks;
mod outside;
mod proof;

use uuid::Uuid;

pub use self::database::database;
pub use self::export::export;
pub use self::manifest::{Exported, PROOF_FORMAT};
pub use self::proof::proof;
use super::store;

/// What is not sealed must not be older than the newest of what is, by more than this.
const LEFT_OUT_MICROS: i64 = 60 * 1_000_000;

/// What was found out about a trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many records there are.
    pub records: u64,
    /// How many of them are sealed.
    pub sealed: u64,
    /// How many are not: nothing is proved of them.
    pub unsealed: u64,
    /// The first of those that are not.
    pub first_unsealed: Option<Uuid>,
    /// How many intents have no outcome.
    pub open_intents: u64,
    /// How many records were made by a clock that ran backwards, or ahead of the database's.
    pub clock_disorder: u64,
    /// How many records were sealed more than a minute after they were stored.
    pub late: u64,
    /// How many checkpoints were verified.
    pub checkpoints: u64,
    /// Whether only the lines of a filtered export, or of one exchange, were verified.
    pub is_part: bool,
    /// The first thing that is wrong; `None` if the trail is sound.
    pub finding: Option<Finding>,
}

/// Something that is wrong with a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable code.
    pub code: &'static str,
    /// Which leaf shows it.
    pub leaf_index: Option<u64>,
    /// Which record it is about.
    pub record_id: Option<Uuid>,
    /// What is wrong, for people.
    pub message: String,
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A file cannot be read.
    #[error("{what} cannot be read")]
    Read {
        /// Which.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing was ever signed.
    #[error("there is no checkpoint: nothing is sealed yet, so that nothing can be proved")]
    NoCheckpoint,
    /// It is not what it should be.
    #[error("{0}")]
    Format(String),
}

/// How far a verification has come, for people who wait.
pub type Progress<'a> = dyn Fn(u64) + Send + Sync + 'a;

// === impl Report ===

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.finding.is_none()
    }
}

// === impl Finding ===

impl Finding {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            leaf_index: None,
            record_id: None,
            message: message.into(),
        }
    }

    fn at(
        code: &'static str,
        leaf_index: u64,
        record_id: Option<Uuid>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            leaf_index: Some(leaf_index),
            record_id,
            ..Self::new(code, message)
        }
    }
}
