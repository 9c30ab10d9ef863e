//! Runs the streams of HTTP/2 connections, and ends those whose client takes nothing.
//!
//! A client that never widens a stream's window would hold its answer, and the connection to the
//! origin, for ever: the connection itself is not blocked, so that its line notices nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

/// How long a client may take for one piece of an answer (what was read of it at once, at most
/// `limits.heads`) before its stream is reset.
///
/// Longer than on a connection of HTTP/1.1, as it shows only when all of the piece is gone: so any
/// client that takes half a kilobyte a second is served.
const STANDSTILL: Duration = Duration::from_mins(5);

tokio::task_local! {
    static STREAM: Arc<Taking>;
}

/// Spawns each stream with a watch over it.
#[derive(Clone, Copy)]
pub(super) struct Streams;

/// Whether a stream's client has yet to take what it was given.
#[derive(Default)]
pub(super) struct Taking {
    /// A piece of the body was handed over, and no further one has been asked for.
    handed: AtomicBool,
}

pin_project! {
    struct Watched<F> {
        #[pin]
        stream: F,
        taking: Arc<Taking>,
        standstill: Option<Pin<Box<Sleep>>>,
    }
}

// === impl Streams ===

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let taking = Arc::<Taking>::default();
        tokio::spawn(STREAM.scope(
            Arc::clone(&taking),
            Watched {
                stream,
                taking,
                standstill: None,
            },
        ));
    }
}

// === impl Taking ===

impl Taking {
    /// That of the stream whose task this is; `None` in HTTP/1.1.
    pub(super) fn current() -> Option<Arc<Self>> {
        STREAM.try_with(Arc::clone).ok()
    }

    /// The body was asked for more, and had some or not.
    pub(super) fn polled(&self, handed: bool) {
        self.handed.store(handed, Ordering::Relaxed);
    }
}

// === impl Watched ===

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !this.taking.handed.load(Ordering::Relaxed) {
            *this.standstill = None;
            return Poll::Pending;
        }
        // Dropped, the stream is reset.
        this.standstill
            .get_or_insert_with(|| Box::pin(sleep(STANDSTILL)))
            .as_mut()
            .poll(context)
    }
}
