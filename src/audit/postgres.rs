//! The trail in Postgres.
//!
//! Every statement runs in a transaction of its own, holds nothing in the session and leaves no
//! prepared statement behind, so that `PgBouncer` in transaction mode will do. Every wait has an
//! end: the server's, for what it can see, and ours, for a server that is silent. A connection on
//! which something went wrong, or was left half-way, is closed and never used again; if the server may
//! be gone, or has become a standby, so are those that idle.

mod append;
mod certificates;
mod desk;
mod desk_impl;
mod hosts;
mod options;
mod password;
mod pending;
mod pool;
mod read;
mod runs;
mod schema;
mod search;
mod summary;
mod summary_write;
mod tree;
mod tree_impl;
mod tree_read;

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use self::pool::{Held, Pool};
use super::record::{Record, Stored};
use super::store::{self, BoxFuture, DeadRun, Error, OpenError, OpenIntents, Query, Store};

/// For whatever a gateway does all the time. Longer than the server's own limits in [`BEGIN`], so
/// that it is the server that gives up first, if it lives.
const ROUTINE: Duration = Duration::from_secs(8);
/// For what people wait for: pages of a long trail.
const READING: Duration = Duration::from_mins(1);
/// For a step of sealing. Longer than the server's own limit, in the same way.
const SEALING: Duration = Duration::from_secs(25);
/// For migrations, and for waiting for others that migrate.
const MIGRATING: Duration = Duration::from_mins(10);

/// [`Store`] over Postgres.
#[derive(Debug)]
pub struct PgStore {
    pool: Pool,
}

// === impl PgStore ===

impl PgStore {
    /// The store in the database that `config.url` names. Connects when it is first used.
    ///
    /// # Errors
    ///
    /// If the URL is malformed, or a file that it or `config` names cannot be read.
    pub fn open(config: &store::Config) -> Result<Self, OpenError> {
        let pool = Pool::new(config.max_connections, options::parse(config)?);
        Ok(Self { pool })
    }

    async fn hold(&self) -> Result<Held, sqlx::Error> {
        self.pool.hold().await
    }

    /// See [`store::bounded`].
    fn bounded<'a, T: Send + 'a>(
        &'a self,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Error>> {
        let check = store::within(ROUTINE, schema::check(self));
        let work = store::bounded(limit, work, check);
        Box::pin(async move {
            let result = work.await;
            if let Err(error) = &result {
                self.pool.doubt(error);
            }
            result
        })
    }
}

/// Whether [`PgStore::open`] would say that something is wrong with `config`. Returns what the operator
/// should know, a sentence each.
pub(super) fn check(config: &store::Config) -> Result<Vec<String>, OpenError> {
    let options = options::parse(config)?;
    Ok(options.remarks())
}

impl Store for PgStore {
    fn append<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<(), Error>> {
        self.bounded(ROUTINE, append::append(self, batch))
    }

    fn page<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Stored>, Error>> {
        self.bounded(READING, search::page(self, query))
    }

    fn exchange(&self, exchange_id: Uuid) -> BoxFuture<'_, Result<Vec<Stored>, Error>> {
        self.bounded(READING, read::exchange(self, exchange_id))
    }

    fn migrate(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.bounded(MIGRATING, schema::migrate(self))
    }

    fn check_schema(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.bounded(ROUTINE, schema::check(self))
    }

    fn missing<'a>(&'a self, ids: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Uuid>, Error>> {
        self.bounded(ROUTINE, read::missing(self, ids))
    }

    fn renew<'a>(
        &'a self,
        run_id: Uuid,
        instance: &'a str,
    ) -> BoxFuture<'a, Result<DateTime<Utc>, Error>> {
        self.bounded(ROUTINE, runs::renew(self, run_id, instance))
    }

    fn end(&self, run_id: Uuid, is_settled: bool) -> BoxFuture<'_, Result<(), Error>> {
        self.bounded(ROUTINE, runs::end(self, run_id, is_settled))
    }

    fn dead_runs(&self) -> BoxFuture<'_, Result<Vec<DeadRun>, Error>> {
        self.bounded(ROUTINE, runs::dead(self))
    }

    fn open_intents(
        &self,
        run_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> BoxFuture<'_, Result<OpenIntents, Error>> {
        self.bounded(ROUTINE, read::open_intents(self, run_id, before, limit))
    }

    fn bury<'a>(&'a self, run: &'a DeadRun) -> BoxFuture<'a, Result<(), Error>> {
        self.bounded(ROUTINE, runs::bury(self, run))
    }

    fn maintain(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        self.bounded(ROUTINE, schema::maintain(self))
    }

    fn connections(&self) -> (u32, u32) {
        self.pool.connections()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.pool.close())
    }
}
