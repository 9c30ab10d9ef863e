//! All connections of clients: no more than `limits.connections`.
//!
//! When there is no room, those that have waited longest for a request (or for the rest of its head)
//! make some: so that thousands who connect and say nothing starve nobody. Whoever has a request under
//! way stays.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::metrics::Metrics;
use super::pace::{Load, Pace};
use crate::server::alarm::Alarm;

/// Between two looks for somebody to leave, while there is no room.
const PAUSE: Duration = Duration::from_millis(100);

/// One in so many leaves at once: else each new connection would look through all of them.
const SHARE: usize = 100;

/// Whoever has come, or been answered, so recently is not told to leave: the request of those who
/// have one is under way, or in the kernel already.
const WELCOME: Duration = Duration::from_millis(250);

/// Everybody.
pub(in crate::server) struct Crowd {
    limit: usize,
    /// Of the requests: as many as connections, so that those who have several take nobody's place.
    load: Arc<Load>,
    members: Mutex<HashMap<u64, Arc<Pace>>>,
    /// Changed with the members locked: nobody comes in between who is not told.
    draining: AtomicBool,
    next: AtomicU64,
    left: Notify,
    full: Alarm,
    /// Accepting failed: it may, and work again, many times a second.
    pub(super) failing: Alarm,
    metrics: Metrics,
}

/// Is there until it is dropped.
pub(super) struct Member {
    crowd: Arc<Crowd>,
    number: u64,
    pace: Arc<Pace>,
}

// === impl Crowd ===

impl Crowd {
    pub(in crate::server) fn new(limit: usize, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            limit,
            load: Load::new(limit),
            members: Mutex::default(),
            draining: AtomicBool::new(false),
            next: AtomicU64::new(0),
            left: Notify::new(),
            full: Alarm::new(),
            failing: Alarm::new(),
            metrics,
        })
    }

    /// Tells everybody, and whoever still comes, that the gateway drains.
    pub(in crate::server) fn drain(&self) {
        let members = self.members();
        self.draining.store(true, Ordering::Relaxed);
        members.values().for_each(|pace| pace.drain());
    }

    /// How many are there.
    pub(in crate::server) fn len(&self) -> usize {
        self.members().len()
    }

    /// Waits until there is room for one more.
    pub(super) async fn enter(self: &Arc<Self>) -> Member {
        let mut left = std::pin::pin!(self.left.notified());
        loop {
            // Registered before the look: who leaves in between is not missed.
            left.as_mut().enable();
            if let Some(member) = self.try_enter() {
                return member;
            }
            if !self.make_room() && self.full.rings() {
                tracing::warn!(
                    limits.connections = self.limit,
                    "no room for more connections: all have a request under way; new ones wait"
                );
            }
            let _ = tokio::time::timeout(PAUSE, left.as_mut()).await;
            left.set(self.left.notified());
        }
    }

    fn try_enter(self: &Arc<Self>) -> Option<Member> {
        let mut members = self.members();
        (members.len() < self.limit).then(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let pace = Pace::new(&self.load);
            if self.draining.load(Ordering::Relaxed) {
                pace.drain();
            }
            members.insert(number, Arc::clone(&pace));
            self.metrics.connections.inc();
            Member {
                crowd: Arc::clone(self),
                number,
                pace,
            }
        })
    }

    /// Tells those that have waited longest to leave. Whether anybody is on the way out, or may soon be
    /// told.
    pub(super) fn make_room(&self) -> bool {
        let members = self.members();
        let (leaving, staying): (Vec<_>, Vec<_>) = members
            .values()
            .filter_map(|pace| Some((pace.waits_since()?, pace)))
            .partition(|(_, pace)| pace.is_leaving());
        let anybody = !leaving.is_empty() || !staying.is_empty();
        let mut waiting = staying;
        waiting.retain(|(since, _)| since.elapsed() >= WELCOME);
        // Not of the limit: descriptors may be few with hardly anybody here.
        let told = (1 + members.len() / SHARE)
            .saturating_sub(leaving.len())
            .min(waiting.len());
        if told > 0 {
            waiting.select_nth_unstable_by_key(told - 1, |(since, _)| *since);
        }
        waiting[..told]
            .iter()
            .for_each(|(_, pace)| pace.tell_to_leave());
        self.metrics.sent_away.inc_by(told as u64);
        anybody
    }

    fn members(&self) -> MutexGuard<'_, HashMap<u64, Arc<Pace>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Member ===

impl Member {
    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crowd.members().remove(&self.number);
        self.crowd.metrics.connections.dec();
        self.crowd.left.notify_one();
    }
}
