//! What a store promises. No implementation lives here.

mod causes;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod delegate;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod delegate_desk;
mod desk;
mod error;
mod tree;

use std::pin::Pin;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Deserialize;
use uuid::Uuid;

#[cfg(feature = "postgres")]
pub(super) use self::causes::Cause;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) use self::delegate::delegate_tree;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) use self::delegate_desk::delegate_desk;
pub use self::desk::{Adoption, By, Desk, Drift, Span, Standing, Summarised, Violations, Writes};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use self::error::blames_the_schema;
pub use self::error::{Error, OpenError};
pub use self::tree::{
    Adopted, After, Before, Pending, Places, Progress, Readable, Step, StoredCheckpoint,
    StoredHead, StoredLeaf, StoredTile, Strays, Tree, Unsealed, Waiting,
};
use super::record::{Judged, Outcome, Record, Stored};
use crate::matrix::{Action, EventType};

/// A boxed future, as the methods of [`Store`] return them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where records end up. `tests/it/store.rs` holds every implementation to this:
///
/// 1. After `append` is `Ok`, the batch survives a crash of this process and of the database host.
/// 2. All of the batch, or none.
/// 3. A record whose id is there already is skipped: to append twice is to append once.
/// 4. What was appended comes back as it was, to the microsecond.
/// 5. A record never changes.
///
/// # Errors
///
/// Every method ends in time, and says [`Error::Unavailable`] if the store is not to be had, and
/// [`Error::Outdated`] or [`Error::Newer`] if a table is missing. Only `append` refuses records
/// ([`Error::Refused`]), only `migrate` says [`Error::Migrate`], and only what gives records back
/// [`Error::Unreadable`].
pub trait Store: Send + Sync + 'static {
    /// Appends a batch, in one statement.
    fn append<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<(), Error>>;

    /// The records that `query` asks for, newest (greatest id) first.
    fn page<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Stored>, Error>>;

    /// The records of one exchange, oldest first.
    fn exchange(&self, exchange_id: Uuid) -> BoxFuture<'_, Result<Vec<Stored>, Error>>;

    /// Brings the schema up to date. Safe when several do it at once.
    fn migrate(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// [`Error::Outdated`], or [`Error::Newer`], unless the schema is what this build expects.
    fn check_schema(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Which of `ids` are not in the store.
    fn missing<'a>(&'a self, ids: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Uuid>, Error>>;

    /// Says that the run lives, by the database's clock, and registers it the first time. A run
    /// that was thought dead, or was buried, lives again. Returns what the database's clock says.
    fn renew<'a>(
        &'a self,
        run_id: Uuid,
        instance: &'a str,
    ) -> BoxFuture<'a, Result<DateTime<Utc>, Error>>;

    /// Says that the run has ended: all that it had to say is in the store. If it `is_settled`, none of
    /// its intents is open, and it is buried at once; else it is dug out if it was buried, because it may
    /// have said something since.
    fn end(&self, run_id: Uuid, is_settled: bool) -> BoxFuture<'_, Result<(), Error>>;

    /// The runs that have ended, or were not renewed for [`DEAD_AFTER_SECONDS`], and have not been
    /// buried.
    fn dead_runs(&self) -> BoxFuture<'_, Result<Vec<DeadRun>, Error>>;

    /// Looks at the newest `limit` intents of the run `run_id` whose ids are below `before`, for those
    /// that have no outcome.
    fn open_intents(
        &self,
        run_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> BoxFuture<'_, Result<OpenIntents, Error>>;

    /// Says that the dead run has no open intents left; nothing happens if anything was heard of it
    /// since [`dead_runs`](Self::dead_runs).
    fn bury<'a>(&'a self, run: &'a DeadRun) -> BoxFuture<'a, Result<(), Error>>;

    /// What must be done now and then, months ahead: partitions. Returns what the operator should
    /// know, a sentence each.
    fn maintain(&self) -> BoxFuture<'_, Result<Vec<String>, Error>>;

    /// How many connections are open, and how many of them idle.
    fn connections(&self) -> (u32, u32);

    /// Closes all connections.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A store that keeps the tree over its records, too, and answers auditors.
pub trait TreeStore: Store + Tree + Desk {}

impl<S: Store + Tree + Desk> TreeStore for S {}

/// A run of which nothing more is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadRun {
    /// The run.
    pub run_id: Uuid,
    /// When it was last renewed, by the database's clock.
    pub renewed_at: DateTime<Utc>,
    /// When it ended in good order, if it did.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What was found among some intents of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenIntents {
    /// Those that have no outcome, newest first.
    pub open: Vec<Stored>,
    /// Where to look on: the oldest that was looked at; `None` if the run has none before it.
    pub next: Option<Uuid>,
}

/// A run that was not renewed for so long is dead: six renewals missed.
pub const DEAD_AFTER_SECONDS: u32 = 60;

/// Which records to give back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The claimed or the authenticated user.
    pub user: Option<String>,
    /// This device only.
    pub device: Option<String>,
    /// This client's address only, as it stands in the record.
    pub address: Option<String>,
    /// A `User-Agent` that begins so.
    pub client: Option<String>,
    /// `recorded_at` from here on, inclusive.
    pub since: Option<DateTime<Utc>>,
    /// `recorded_at` up to here, exclusive.
    pub until: Option<DateTime<Utc>>,
    /// This action only.
    pub action: Option<Action>,
    /// This type only.
    pub event_type: Option<EventType>,
    /// What has this code among its violations.
    pub violation: Option<String>,
    /// This verdict only.
    pub verdict: Option<Judged>,
    /// This outcome only. An intent without an outcome reads as [`Outcome::Unanswered`].
    pub outcome: Option<Outcome>,
    /// Only ids below this one: where the last page ended.
    pub before: Option<Uuid>,
    /// How many at most; 0 is all.
    pub limit: u32,
}

/// `[database]`: where the trail is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    pub url: SecretString,
    /// A file with the password, for those who keep it out of the URL.
    pub password_file: Option<std::path::PathBuf>,
    /// Whether `serve` brings Postgres up to date. SQLite always is.
    pub migrate: bool,
    /// The most connections to Postgres that one gateway holds.
    pub max_connections: u32,
}

/// Where the stores note which migrations were applied.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) const MIGRATION_TABLE: &str = "audit_migration";

/// [`Error::Outdated`] or [`Error::Newer`] unless the schema's version `found` is the newest that
/// `migrator` knows.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn compare_versions(
    found: i64,
    migrator: &sqlx::migrate::Migrator,
) -> Result<(), Error> {
    let expected = migrator
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(Error::Outdated { found, expected }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(Error::Newer { found, expected }),
    }
}

/// `work`, for at most `limit`. If it fails because a table or a column is missing, `check` says which
/// schema is there.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn bounded<'a, T: Send + 'a>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>> + Send + 'a,
    check: impl Future<Output = Result<(), Error>> + Send + 'a,
) -> BoxFuture<'a, Result<T, Error>> {
    Box::pin(async move {
        let result = within(limit, work).await;
        match result {
            Err(error) if blames_the_schema(&error) => {
                check.await?;
                Err(error)
            }
            result => result,
        }
    })
}

/// `work`, for at most `limit`.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Error::too_slow()))
}

// === impl OpenIntents ===

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl OpenIntents {
    /// Which of `looked`, newest first, are open; and where to look on, if `limit` was reached.
    pub(super) fn among(looked: &[(Uuid, bool)], limit: u32) -> (Vec<Uuid>, Option<Uuid>) {
        let open = looked.iter().filter(|(_, is_open)| *is_open);
        let is_full = looked.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let last = looked.last().filter(|_| is_full);
        (open.map(|(id, _)| *id).collect(), last.map(|(id, _)| *id))
    }
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            url: SecretString::from("sqlite:key-backup-audit.db"),
            password_file: None,
            migrate: true,
            // One writes; the others keep the lease and answer queries.
            max_connections: 4,
        }
    }
}
