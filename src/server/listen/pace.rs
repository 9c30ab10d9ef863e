//! What one connection is doing: whether a request is under way, and since when not.
//!
//! Shared by the connection's task, its line, its bodies, and the crowd, which looks for the one that
//! waits longest when there is no room.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use futures_core::future::BoxFuture;
use tokio::time::{Instant, timeout};

/// How long, at shutdown, a connection without a request may still bring one: the client's next
/// request is often on its way, and its answer says that it is the last.
pub(super) const LAST_CHANCE: Duration = Duration::from_secs(1);

/// How many requests are under way on all connections, and how many may be.
pub(super) struct Load {
    under_way: AtomicUsize,
    limit: usize,
}

/// One connection's.
pub(in crate::server) struct Pace {
    load: Arc<Load>,
    opened: Instant,
    /// Milliseconds from `opened` to the end of the last answer.
    waiting_since: AtomicU64,
    under_way: AtomicU32,
    requests: AtomicU32,
    /// Bodies of the client's that have not been read to their end.
    open_bodies: AtomicU32,
    /// Bytes came since the last answer ended.
    heard: AtomicBool,
    /// Part of an answer waits for the client to take what came before it.
    held_up: AtomicBool,
    /// If the connection ends before its time, what was sent must not look whole.
    cut: AtomicBool,
    /// No further request is wanted on this connection.
    closing: AtomicBool,
    tunnelled: AtomicBool,
    leaving: AtomicBool,
    draining: AtomicBool,
    /// The connection's task, which looks whether it is to leave or the gateway drains. That it has to
    /// look at something else it would be told by another waker.
    task: AtomicWaker,
    tunnel: Mutex<Option<BoxFuture<'static, ()>>>,
}

/// Says that a request is under way, until it is dropped.
pub(in crate::server) struct Busy {
    pace: Arc<Pace>,
    is_too_much: bool,
}

// === impl Load ===

impl Load {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            under_way: AtomicUsize::new(0),
            limit,
        })
    }
}

// === impl Pace ===

impl Pace {
    /// Of a connection that is opened now.
    pub(super) fn new(load: &Arc<Load>) -> Arc<Self> {
        Arc::new(Self {
            load: Arc::clone(load),
            opened: Instant::now(),
            waiting_since: AtomicU64::new(0),
            under_way: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            open_bodies: AtomicU32::new(0),
            heard: AtomicBool::new(false),
            held_up: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            tunnelled: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            task: AtomicWaker::new(),
            tunnel: Mutex::new(None),
        })
    }

    /// A request is under way until the answer is dropped.
    pub(in crate::server) fn busy(self: &Arc<Self>) -> Busy {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        let before = self.load.under_way.fetch_add(1, Ordering::Relaxed);
        Busy {
            pace: Arc::clone(self),
            is_too_much: before >= self.load.limit,
        }
    }

    /// Since when nothing has been under way; `None` if something is.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let since = Duration::from_millis(self.waiting_since.load(Ordering::Relaxed));
        let is_busy =
            self.under_way.load(Ordering::Relaxed) > 0 || self.held_up.load(Ordering::Relaxed);
        (!is_busy).then(|| self.opened + since)
    }

    /// Whether there has been a request at all.
    pub(super) fn has_asked(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Asks the connection's task to close it, if it still waits.
    pub(super) fn tell_to_leave(&self) {
        if !self.leaving.swap(true, Ordering::Relaxed) {
            self.task.wake();
        }
    }

    /// Says that the gateway drains.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.task.wake();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Wakes the task of `context` when it is to leave, or the gateway drains. Look afterwards.
    pub(super) fn wake(&self, context: &Context<'_>) {
        self.task.register(context.waker());
    }

    /// Ends when a connection that has not brought a request yet need not be waited for any more.
    pub(super) async fn dismissed(&self) {
        self.told(|| self.is_leaving() || self.is_draining()).await;
        let _ = timeout(LAST_CHANCE, self.told(|| self.is_leaving())).await;
    }

    async fn told(&self, what: impl Fn() -> bool) {
        poll_fn(|context| {
            self.wake(context);
            if what() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// From now on answers say that no further request is wanted.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub(super) fn body_opened(&self) {
        self.open_bodies.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn body_ended(&self) {
        self.open_bodies.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending something that nobody will read.
    pub(super) fn may_have_more(&self) -> bool {
        self.open_bodies.load(Ordering::Relaxed) > 0 || self.heard.load(Ordering::Relaxed)
    }

    /// Whether the client has yet to take what is being sent. An answer's body is done with when the
    /// last of it is put into a buffer of hyper's.
    pub(super) fn hold_up(&self, held_up: bool) {
        self.held_up.store(held_up, Ordering::Relaxed);
    }

    /// What was sent must not look whole if the connection ends before it is shut in good order.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnelled.load(Ordering::Relaxed)
    }

    /// Given once, after HTTP has ended.
    pub(super) fn tunnel(&self) -> Option<BoxFuture<'static, ()>> {
        let mut tunnel = self.tunnel.lock().unwrap_or_else(PoisonError::into_inner);
        tunnel.take()
    }
}

// === impl Busy ===

impl Busy {
    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Whether there were enough others under way when this one began. A connection of HTTP/2 can have
    /// many, each with a connection to the origin.
    pub(in crate::server) fn is_too_much(&self) -> bool {
        self.is_too_much
    }

    /// Whether this request is the last on its connection.
    pub(in crate::server) fn is_closing(&self) -> bool {
        self.pace.is_closing()
    }

    /// Says, when it is called, that what was sent must not look whole.
    pub(in crate::server) fn cutter(&self) -> impl FnOnce() + Send + use<> {
        let pace = Arc::clone(&self.pace);
        move || pace.cut()
    }

    /// What the connection becomes when HTTP has ended on it.
    pub(in crate::server) fn becomes(&self, tunnel: BoxFuture<'static, ()>) {
        let pace = &self.pace;
        pace.tunnelled.store(true, Ordering::Relaxed);
        *pace.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let pace = &self.pace;
        let now = u64::try_from(pace.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        pace.waiting_since.store(now, Ordering::Relaxed);
        pace.heard.store(false, Ordering::Relaxed);
        pace.under_way.fetch_sub(1, Ordering::Relaxed);
        pace.load.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
