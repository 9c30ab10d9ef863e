//! Whether the store still has what it has taken.
//!
//! Commits are lost from the end: whatever a replica that takes over lacks, it lacks the newest of what
//! was shipped before. So the newest are looked for, with all that was shipped since the last look, as
//! what was shipped after the change is there, and proves nothing.

use std::time::{Duration, Instant};

use uuid::Uuid;

/// While something is shipped.
const WHILE_BUSY: Duration = Duration::from_secs(1);
/// While nothing is.
const WHILE_IDLE: Duration = Duration::from_secs(10);
/// However short the time: how many batches may be shipped without a look.
const MOST: usize = 1024;

/// The newest ids that should be in the store.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// Of the last look that found them, oldest first.
    seen: Vec<Uuid>,
    /// The last of every batch since.
    unseen: Vec<Uuid>,
    looked_at: Option<Instant>,
}

// === impl Proof ===

impl Proof {
    /// How many of those that were seen are looked for again.
    pub(super) const NEWEST: i64 = 16;

    /// `ids` should be there, newest first, and it is time to look.
    pub(super) fn of(mut ids: Vec<Uuid>) -> Self {
        ids.reverse();
        Self {
            seen: ids,
            ..Self::default()
        }
    }

    /// A batch that ends with `id` was shipped.
    pub(super) fn shipped(&mut self, id: Uuid) {
        self.unseen.push(id);
    }

    /// The connection broke: it is time to look.
    pub(super) fn doubt(&mut self) {
        self.looked_at = None;
    }

    /// What to look for, if it is time.
    pub(super) fn due(&self) -> Option<Vec<Uuid>> {
        let pause = if self.unseen.is_empty() {
            WHILE_IDLE
        } else {
            WHILE_BUSY
        };
        let is_due = self.unseen.len() >= MOST
            || self
                .looked_at
                .is_none_or(|looked_at| looked_at.elapsed() >= pause);
        let ids = [&self.seen[..], &self.unseen[..]].concat();
        (is_due && !ids.is_empty()).then_some(ids)
    }

    /// They were found, or are shipped again.
    pub(super) fn done(&mut self) {
        self.looked_at = Some(Instant::now());
        self.seen.append(&mut self.unseen);
        let newest = usize::try_from(Self::NEWEST).unwrap_or(usize::MAX);
        self.seen.drain(..self.seen.len().saturating_sub(newest));
    }
}
