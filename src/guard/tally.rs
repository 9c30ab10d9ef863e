//! How many exchanges are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts what is under way, and says when nothing is.
#[derive(Default)]
pub(super) struct Tally(Arc<Count>);

/// One that is under way, until it is dropped.
pub(super) struct One(Arc<Count>);

#[derive(Default)]
struct Count {
    under_way: AtomicUsize,
    /// Nothing is.
    zero: Notify,
}

// === impl Tally ===

impl Tally {
    pub(super) fn one(&self) -> One {
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        One(Arc::clone(&self.0))
    }

    pub(super) async fn zero(&self) {
        loop {
            // Before it is looked: `notify_waiters` reaches whoever has asked by then.
            let zero = self.0.zero.notified();
            if self.0.under_way.load(Ordering::Acquire) == 0 {
                return;
            }
            zero.await;
        }
    }
}

// === impl One ===

impl Drop for One {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.zero.notify_waiters();
        }
    }
}
