//! Connections to the origin that are not used just now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::Route;
use super::connection::Connection;
use super::error::BoxError;

/// For how many sweeps an unused connection to the origin is kept: half a minute.
///
/// Half of the minute after which Synapse (Twisted's default) closes it: so the closing is ours, and
/// no request meets the origin's. Long enough that a client's next request finds one.
const LONGEST: u32 = 30;

/// Between two looks for connections that have been there for long, or were closed by the origin.
const SWEEP: Duration = Duration::from_secs(1);

/// Keeps connections to one origin, for those who share it.
pub(super) struct Pool<B: Body + 'static> {
    route: Arc<Route>,
    kept: Mutex<Kept<B>>,
}

struct Kept<B: Body + 'static> {
    /// With the sweep after which it came. The one that came last is taken first: so those that are too
    /// many grow old.
    idle: Vec<(u32, Box<Connection<B>>)>,
    /// How often it was swept: a clock that nobody has to ask.
    sweeps: u32,
    is_swept: bool,
}

// === impl Pool ===

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(route: Arc<Route>) -> Arc<Self> {
        let kept = Mutex::new(Kept {
            idle: Vec::new(),
            sweeps: 0,
            is_swept: false,
        });
        Arc::new(Self { route, kept })
    }

    /// How the origin is reached.
    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The one that has been there for the shortest time. The origin may have closed it since.
    pub(super) fn take(&self) -> Option<Box<Connection<B>>> {
        let (_, connection) = self.kept().idle.pop()?;
        Some(connection)
    }

    /// Keeps `connection`; but outside of a runtime, where nobody would look after it, closes it.
    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection<B>>) {
        let mut kept = self.kept();
        if !kept.is_swept {
            let Ok(runtime) = Handle::try_current() else {
                return;
            };
            kept.is_swept = true;
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
        let sweeps = kept.sweeps;
        kept.idle.push((sweeps, connection));
    }

    fn kept(&self) -> MutexGuard<'_, Kept<B>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
        kept.sweeps = kept.sweeps.wrapping_add(1);
        let sweeps = kept.sweeps;
        kept.idle.retain_mut(|(since, connection)| {
            sweeps.wrapping_sub(*since) < LONGEST && !connection.is_gone()
        });
        if kept.idle.is_empty() {
            // Not to hold what a crowd once needed.
            kept.idle = Vec::new();
            kept.is_swept = false;
            return;
        }
    }
}
