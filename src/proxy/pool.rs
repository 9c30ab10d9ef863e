//! Connections to the origin that are not used just now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::error::BoxError;

/// How long an unused connection to the origin is kept.
///
/// Half of the minute after which Synapse (Twisted's default) closes it: so the closing is ours, and
/// no request meets the origin's. Long enough that a client's next request finds one.
const IDLE: Duration = Duration::from_secs(30);

/// Between two looks for connections that have been there for long, or were closed by the origin.
const SWEEP: Duration = Duration::from_secs(1);

/// Keeps connections, for those who share it.
pub(super) struct Pool<B: Body + 'static>(Mutex<Kept<B>>);

struct Kept<B: Body + 'static> {
    /// The one that came last is taken first: so those that are too many grow old.
    idle: Vec<(Instant, Box<Connection<B>>)>,
    is_swept: bool,
}

// === impl Pool ===

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Kept {
            idle: Vec::new(),
            is_swept: false,
        })))
    }

    /// One that has not been there for long. The origin may have closed it since.
    pub(super) fn take(&self) -> Option<Box<Connection<B>>> {
        let (since, connection) = self.kept().idle.pop()?;
        // If it is too old, so are all that came before it.
        (since.elapsed() < IDLE).then_some(connection)
    }

    /// Keeps `connection`.
    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection<B>>) {
        let mut kept = self.kept();
        kept.idle.push((Instant::now(), connection));
        if !kept.is_swept {
            kept.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what nobody needs any more, for as long as there is anything.
async fn sweep<B>(pool: Weak<Pool<B>>)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    loop {
        sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let mut kept = pool.kept();
        kept.idle
            .retain_mut(|(since, connection)| since.elapsed() < IDLE && !connection.is_gone());
        if kept.idle.is_empty() {
            // Not to hold what a crowd once needed.
            kept.idle = Vec::new();
            kept.is_swept = false;
            return;
        }
    }
}
