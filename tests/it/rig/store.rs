//! A store that can be made to fail, in front of a real one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use key_backup_gateway::audit::record::{Record, Stored};
use key_backup_gateway::audit::store::{BoxFuture, DeadRun, Error, OpenIntents, Query, Store};
use uuid::Uuid;

/// What appending does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// What the real store does.
    On,
    /// It fails at once.
    Off,
    /// Everything fails at once.
    Gone,
    /// It hangs, as a stopped server does, and goes on when it is switched on.
    Hangs,
    /// It takes its time.
    Slow,
    /// It takes the records, and its answer is lost.
    Mute,
    /// A batch of more than one is refused, and so is any record of the user `@poison:test`.
    Poisoned,
}

/// How long [`Switch::Slow`] takes.
pub(crate) const SLOW: Duration = Duration::from_millis(300);

pub(crate) struct Switched {
    store: Arc<dyn Store>,
    switch: tokio::sync::watch::Sender<Switch>,
    /// The records of each append that came, taken or not.
    batches: Mutex<Vec<usize>>,
}

impl Switched {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let switch = tokio::sync::watch::Sender::new(Switch::On);
        Self {
            store,
            switch,
            batches: Mutex::default(),
        }
    }

    pub(crate) fn switch(&self, to: Switch) {
        self.switch.send_replace(to);
    }

    pub(crate) fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }
}

impl Store for Switched {
    fn append<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.batches.lock().unwrap().push(batch.len());
            let now = *self.switch.borrow();
            let poison = |record: &Record| {
                record.facts.claimed_user.as_deref() == Some("@poison:test") || batch.len() > 1
            };
            match now {
                Switch::Off | Switch::Gone => {
                    return Err(Error::Unavailable(sqlx::Error::PoolTimedOut));
                }
                Switch::Hangs => {
                    let mut switch = self.switch.subscribe();
                    switch.wait_for(|now| *now == Switch::On).await.unwrap();
                }
                Switch::Poisoned if batch.iter().any(poison) => {
                    return Err(Error::Refused(sqlx::Error::RowNotFound));
                }
                Switch::Mute => {
                    self.store.append(batch).await?;
                    return Err(Error::Unavailable(sqlx::Error::PoolTimedOut));
                }
                Switch::Slow => tokio::time::sleep(SLOW).await,
                Switch::On | Switch::Poisoned => {}
            }
            self.store.append(batch).await
        })
    }

    fn page<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Stored>, Error>> {
        self.store.page(query)
    }

    fn exchange(&self, exchange_id: Uuid) -> BoxFuture<'_, Result<Vec<Stored>, Error>> {
        self.store.exchange(exchange_id)
    }

    fn migrate(&self) -> BoxFuture<'_, Result<(), Error>> {
        if *self.switch.borrow() == Switch::Gone {
            let error = Error::Unavailable(sqlx::Error::PoolTimedOut);
            return Box::pin(std::future::ready(Err(error)));
        }
        self.store.migrate()
    }

    fn check_schema(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.store.check_schema()
    }

    fn missing<'a>(&'a self, ids: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Uuid>, Error>> {
        self.store.missing(ids)
    }

    fn renew<'a>(
        &'a self,
        run_id: Uuid,
        instance: &'a str,
    ) -> BoxFuture<'a, Result<DateTime<Utc>, Error>> {
        self.store.renew(run_id, instance)
    }

    fn end(&self, run_id: Uuid, is_settled: bool) -> BoxFuture<'_, Result<(), Error>> {
        self.store.end(run_id, is_settled)
    }

    fn dead_runs(&self) -> BoxFuture<'_, Result<Vec<DeadRun>, Error>> {
        self.store.dead_runs()
    }

    fn open_intents(
        &self,
        run_id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> BoxFuture<'_, Result<OpenIntents, Error>> {
        self.store.open_intents(run_id, before, limit)
    }

    fn bury<'a>(&'a self, run: &'a DeadRun) -> BoxFuture<'a, Result<(), Error>> {
        self.store.bury(run)
    }

    fn maintain(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        self.store.maintain()
    }

    fn connections(&self) -> (u32, u32) {
        self.store.connections()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.store.close()
    }
}
