//! What is counted instead of being recorded one by one, so that no flood fills the trail.
//!
//! # Promise
//!
//! - What anybody can cause without valid credentials adds nothing to the trail but one record of kind
//!   `collapsed` a minute for the whole gateway, and none when there is nothing to say. It holds at most
//!   a count for each reason, and [`WORST`](networks::WORST) networks: less than 2 KiB. In memory it takes
//!   at most [`TOLD_APART`](networks::TOLD_APART) networks, less than 200 KiB.
//! - Refusals of one user are recorded one by one up to [`SINGLY`](users::SINGLY) in a round; the others
//!   are one record with their count. So many users are told apart as [`users::TOLD_APART`] says; the
//!   refusals of further ones are summed in the gateway's record.
//! - Reads that were dropped because too much was waiting are counted in the gateway's record.
//!
//! A round is a minute, and goes on for as long as the store does not take the record of the one before:
//! however long an outage is, no more than one round is waiting. What a process that is killed had
//! counted in its last round is lost; one that ends in good order writes it down first.

mod metrics;
mod networks;
mod round;
mod users;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

pub(super) use self::metrics::Counters;
use self::metrics::What;
use self::round::Round;
use super::record::{Kind, Stamp};
use super::writer::{Job, Waiter};
use super::{Lost, Patience};

/// How long is counted before it is written down.
const ROUND: Duration = Duration::from_mins(1);

/// What was counted and is not written down yet.
pub(super) struct Collapse {
    round: Mutex<Round>,
    counters: Counters,
}

/// Says what became of a record that was handed in; an error if nobody knows.
type Receipt = oneshot::Receiver<Result<(), Lost>>;

/// Writes down what `collapse` has counted, every minute, for as long as anybody can hand records in.
pub(super) async fn keep(collapse: Arc<Collapse>, stamp: Arc<Stamp>, jobs: mpsc::WeakSender<Job>) {
    let mut ticks = tokio::time::interval_at(Instant::now() + ROUND, ROUND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(jobs) = jobs.upgrade() else { return };
        let receipts = collapse.hand_in(&stamp, &jobs).await;
        drop(jobs);
        // Until then the next round goes on.
        wait_for(receipts).await;
    }
}

/// Waits until all is durable that ever will be.
async fn wait_for(receipts: Vec<Receipt>) {
    for receipt in receipts {
        // What is lost was counted by the writer.
        let _ = receipt.await;
    }
}

// === impl Collapse ===

impl Collapse {
    pub(super) fn new(counters: Counters) -> Self {
        Self {
            round: Mutex::new(Round::new()),
            counters,
        }
    }

    /// Counts a request that has no record of its own.
    pub(super) fn count(&self, reason: &'static str, client: Option<IpAddr>) {
        self.round().count(reason, client);
        self.counters.count(What::OnlyCounted);
    }

    /// Counts a read whose record was dropped.
    pub(super) fn dropped_read(&self) {
        self.round().dropped_read();
        self.counters.count(What::DroppedRead);
    }

    /// Whether one more refusal of `user` is recorded by itself; if not, it is counted here.
    pub(super) fn takes_refusal(&self, user: &str) -> bool {
        let takes = self.round().takes_refusal(user);
        if !takes {
            self.counters.count(What::Refusal);
        }
        takes
    }

    /// Writes down what was counted, and waits until that is durable.
    pub(super) async fn write_down(&self, stamp: &Stamp, jobs: &mpsc::Sender<Job>) {
        wait_for(self.hand_in(stamp, jobs).await).await;
    }

    /// Ends the round, and hands in what it has to say.
    async fn hand_in(&self, stamp: &Stamp, jobs: &mpsc::Sender<Job>) -> Vec<Receipt> {
        let round = std::mem::replace(&mut *self.round(), Round::new());
        let mut receipts = Vec::new();
        for facts in round.into_facts() {
            let (receipt, coming) = oneshot::channel();
            let waiter = Waiter {
                patience: Patience::Leave,
                receipt,
            };
            let job = Job::awaited(stamp.record(Kind::Collapsed, facts), waiter);
            if jobs.send(job).await.is_err() {
                break;
            }
            receipts.push(coming);
        }
        receipts
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
