//! The connections that one store holds.
//!
//! Whoever waits for one gets it or an error in time, and the error is the server's own. An attempt to
//! connect is made once, by one of those who wait, and goes on when that one gives up: a server that
//! is slow to let us in is not asked for ever.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Object, PoolConfig, PoolError, QueueMode, Timeouts};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::hosts::Hosts;
use super::options::Options;
use crate::audit::store::{Cause, Error};

/// For a connection that others use. Shorter than an attempt to connect, so that those who wait while
/// one fails do not all try the same.
const WAIT: Duration = Duration::from_secs(4);
/// A connection that idled and lives says so within this time.
const PING: Duration = Duration::from_secs(1);
/// For good manners at the end.
const CLOSE: Duration = Duration::from_secs(1);

/// The connections that one store holds.
#[derive(Debug)]
pub(super) struct Pool(managed::Pool<Hosts>);

/// A connection that goes back to the pool only if nothing went wrong with it.
pub(super) struct Held(Option<Object<Hosts>>);

// === impl Pool ===

impl Pool {
    /// At most `limit` connections, and at least one. Nothing is connected to yet.
    pub(super) fn new(limit: u32, options: Options) -> Self {
        for remark in options.remarks() {
            tracing::warn!("{remark}");
        }
        let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
        let mut config = PoolConfig::new(limit);
        // What was in use last is the likeliest to live.
        config.queue_mode = QueueMode::Lifo;
        config.timeouts = Timeouts {
            wait: Some(WAIT),
            recycle: Some(PING),
            // The hosts share their own.
            create: None,
        };
        let pool = managed::Pool::builder(Hosts::new(options))
            .config(config)
            .runtime(Runtime::Tokio1);
        Self(pool.build().expect("time limits, and a runtime for them"))
    }

    /// A connection that works, as far as is known.
    pub(super) async fn hold(&self) -> Result<Held, sqlx::Error> {
        let pool = self.0.clone();
        // In a task of its own: the connection is made for the next one, if this one gives up.
        let get = tokio::spawn(async move { pool.get().await });
        match get.await {
            Ok(Ok(object)) => Ok(Held(Some(object))),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Closed)) => Err(sqlx::Error::PoolClosed),
            Ok(Err(_)) => Err(sqlx::Error::PoolTimedOut),
            Err(_) => Err(sqlx::Error::WorkerCrashed),
        }
    }

    /// A connection that is not one of the pool's, made with what `change` makes of the options.
    pub(super) async fn connect_apart(
        &self,
        change: impl Fn(PgConnectOptions) -> PgConnectOptions,
    ) -> Result<PgConnection, sqlx::Error> {
        self.0.manager().connect(change).await
    }

    /// Something went wrong. If it may be the server's end, or that it is no primary any more, the idle
    /// connections are no better.
    pub(super) fn doubt(&self, error: &Error) {
        if let Some(Cause::Unreachable | Cause::Silent | Cause::ReadOnly) = error.cause() {
            drop(self.0.retain(|_, _| false));
        }
    }

    /// How many are open, and how many of them idle.
    pub(super) fn connections(&self) -> (u32, u32) {
        let status = self.0.status();
        let count = |size| u32::try_from(size).unwrap_or(u32::MAX);
        (count(status.size), count(status.available))
    }

    /// Closes what idles; the others are closed when they come back.
    pub(super) async fn close(&self) {
        let idle = self.0.retain(|_, _| false).removed;
        self.0.close();
        let farewell = async {
            for connection in idle {
                // It ends either way.
                let _ = connection.close().await;
            }
        };
        // A connection that hangs must not keep the process.
        let _ = tokio::time::timeout(CLOSE, farewell).await;
    }
}

// === impl Held ===

impl Held {
    /// Back to the pool.
    pub(super) fn release(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0
            .as_ref()
            .expect("a connection is held until it is released")
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0
            .as_mut()
            .expect("a connection is held until it is released")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closed, and not used again: the server may still be at work on what was left half-way.
        drop(self.0.take().map(Object::take));
    }
}
