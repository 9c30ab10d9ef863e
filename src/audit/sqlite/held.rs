//! A connection for one transaction that writes.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

/// A connection that goes back to the pool only if nothing went wrong with it.
///
/// SQLite ends some transactions by itself, as when the disk is full
/// (<https://www.sqlite.org/lang_transaction.html>, section 3). sqlx does not notice, and would
/// begin no other on that connection.
pub(in crate::audit) struct Held(Option<PoolConnection<Sqlite>>);

// === impl Held ===

impl Held {
    pub(in crate::audit) async fn of(pool: &SqlitePool) -> Result<Self, sqlx::Error> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    /// Back to the pool.
    pub(in crate::audit) fn release(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Held {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.0
            .as_ref()
            .expect("a connection is held until it is released")
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.0
            .as_mut()
            .expect("a connection is held until it is released")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}
