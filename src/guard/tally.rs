//! How many exchanges are under way.

use tokio::sync::watch;

/// Counts what is under way, and says when nothing is.
#[derive(Default)]
pub(super) struct Tally(watch::Sender<usize>);

/// One that is under way, until it is dropped.
pub(super) struct One(watch::Sender<usize>);

// === impl Tally ===

impl Tally {
    pub(super) fn one(&self) -> One {
        self.0.send_modify(|count| *count += 1);
        One(self.0.clone())
    }

    pub(super) async fn zero(&self) {
        // An error means that the sender is gone, and with it everything that could be under way.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

// === impl One ===

impl Drop for One {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
