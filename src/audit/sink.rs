//! What makes records durable, as the writer sees it: the spool, or without one the store.

use std::sync::Arc;
use std::time::Duration;

use super::health::{Trouble, chain};
use super::metrics::Metrics;
use super::record::Record;
#[cfg(feature = "sqlite")]
use super::spool::{self, Spool};
use super::store::{self, Store};

/// Where the writer's batches go.
pub(super) enum Sink {
    /// Into the store: committed there.
    Store(Arc<dyn Store>),
    /// Into the spool: fsynced there.
    #[cfg(feature = "sqlite")]
    Spool(Arc<Spool>),
}

/// Why a batch is not durable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// A record is at fault: trying again will not help.
    Refused(String),
    /// It may be taken later.
    Away(Trouble),
}

// === impl Sink ===

impl Sink {
    /// Appends `batch`, all of it or nothing, within `limit`. What took longer may be durable all the
    /// same.
    pub(super) async fn append(
        &self,
        batch: &Arc<Vec<Record>>,
        limit: Duration,
    ) -> Result<(), NotTaken> {
        match self {
            Self::Store(store) => tokio::time::timeout(limit, store.append(batch))
                .await
                .unwrap_or_else(|_| Err(store::Error::too_slow()))
                .map_err(NotTaken::from),
            #[cfg(feature = "sqlite")]
            Self::Spool(spool) => tokio::time::timeout(limit, spool.append(batch))
                .await
                .unwrap_or(Err(spool::Error::Slow))
                .map_err(NotTaken::from),
        }
    }

    /// Says how many connections to the store there are, if it is the store.
    pub(super) fn count_connections(&self, metrics: &Metrics) {
        match self {
            Self::Store(store) => metrics.connections(store.connections()),
            #[cfg(feature = "sqlite")]
            Self::Spool(_) => {}
        }
    }
}

impl From<store::Error> for NotTaken {
    fn from(error: store::Error) -> Self {
        if matches!(error, store::Error::Refused(_)) {
            Self::Refused(chain(&error))
        } else {
            Self::Away(Trouble::of(&error))
        }
    }
}

#[cfg(feature = "sqlite")]
impl From<spool::Error> for NotTaken {
    fn from(error: spool::Error) -> Self {
        if matches!(error, spool::Error::Refused(_)) {
            Self::Refused(chain(&error))
        } else {
            Self::Away(error.trouble())
        }
    }
}
