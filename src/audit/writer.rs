//! The single task that takes records, in batches, and gives receipts.
//!
//! One writer means one order, and batches come free: whatever waits when a commit ends is the next
//! batch. While nobody waits for a receipt there is no haste either, and a commit costs the same for one
//! record as for hundreds: then it waits a moment for more. Nothing is lost on the way: a batch that the store did not take stays, in order, until it
//! does, or until whoever announced it has withdrawn it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::health::{Board, Part, Trouble};
use super::metrics::Metrics;
use super::record::{Outcome, Record, Stamp};
use super::sink::{NotTaken, Sink};
use super::unfinished::Unfinished;
use super::{Lost, Patience};

/// How many records one statement takes.
pub(super) const BATCH: usize = 1024;
/// How long records that nobody waits for may lie in memory until there is a batch of them. `kill -9` costs them.
const GATHERING: Duration = Duration::from_millis(100);
/// How many records the writer holds before it leaves the rest to the channel.
const HELD: usize = 4096;
/// Between two attempts at a store that does not answer.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a writer that is told to stop goes on trying.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A record on its way to the store.
pub(super) struct Job {
    record: Record,
    waiter: Option<Waiter>,
    /// The store was asked to take it: whatever it said, it may have.
    is_attempted: bool,
}

/// Who waits for a receipt.
pub(super) struct Waiter {
    pub(super) patience: Patience,
    pub(super) receipt: oneshot::Sender<Result<(), Lost>>,
}

pub(super) struct Writer {
    pub(super) sink: Sink,
    pub(super) stamp: Arc<Stamp>,
    pub(super) inbox: mpsc::Receiver<Job>,
    /// Somebody waits for a receipt, or there is a batch.
    pub(super) haste: Arc<Notify>,
    pub(super) board: Board,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) metrics: Metrics,
    /// How long one attempt may take.
    pub(super) attempt: Duration,
    pub(super) unfinished: Unfinished,
}

// === impl Job ===

impl Job {
    /// A record that somebody waits for.
    pub(super) fn awaited(record: Record, waiter: Waiter) -> Self {
        Self {
            record,
            waiter: Some(waiter),
            is_attempted: false,
        }
    }

    /// A record that nobody waits for.
    pub(super) fn queued(record: Record) -> Self {
        Self {
            record,
            waiter: None,
            is_attempted: false,
        }
    }

    /// Whoever announced it has given up, and it need not be stored.
    fn is_withdrawn(&self) -> bool {
        self.waiter.as_ref().is_some_and(|waiter| {
            waiter.patience == Patience::Withdraw && waiter.receipt.is_closed()
        })
    }
}

/// Tells whoever waits. `false`: it had given up, and did not want the record stored.
fn tell(waiter: Option<Waiter>, result: Result<(), Lost>) -> bool {
    match waiter {
        Some(Waiter { patience, receipt }) => {
            // A closed channel is a request that left. Its record stands all the same.
            receipt.send(result).is_ok() || patience != Patience::Withdraw
        }
        None => true,
    }
}

// === impl Writer ===

impl Writer {
    /// Prepares, however long that takes, is `ready`, and runs until it is told to stop, or until
    /// nobody can send any more. Returns what it leaves unfinished.
    pub(super) async fn run(
        mut self,
        prepare: impl AsyncFn() -> Result<(), Trouble>,
        ready: impl FnOnce(),
    ) -> Unfinished {
        let mut held = VecDeque::new();
        if self.prepare(prepare).await {
            ready();
            self.write(&mut held).await;
        }
        self.write_last(held).await;
        self.unfinished
    }

    /// `false`: told to stop before.
    async fn prepare(&mut self, prepare: impl AsyncFn() -> Result<(), Trouble>) -> bool {
        loop {
            self.metrics.queue(self.inbox.len());
            // No deadline here: migrating may take its time, and has deadlines of its own.
            let prepared = prepare().await;
            let is_prepared = prepared.is_ok();
            self.board.say(Part::Writer, prepared.err());
            if is_prepared {
                return true;
            }
            let mut stopping = self.stopping.clone();
            let stopped = stopping.wait_for(|stop| *stop);
            if tokio::time::timeout(10 * PAUSE, stopped).await.is_ok() {
                return false;
            }
        }
    }

    async fn write(&mut self, held: &mut VecDeque<Job>) {
        let mut stopping = self.stopping.clone();
        loop {
            if held.is_empty() {
                self.metrics.queue(self.inbox.len());
                let mut batch = Vec::new();
                tokio::select! {
                    biased;
                    _ = stopping.wait_for(|stop| *stop) => return,
                    received = self.inbox.recv_many(&mut batch, BATCH) => {
                        if received == 0 {
                            return;
                        }
                    }
                }
                held.extend(batch);
                self.gather(held, &mut stopping).await;
            }
            self.metrics.queue(held.len() + self.inbox.len());
            while held.len() < HELD {
                let Ok(job) = self.inbox.try_recv() else {
                    break;
                };
                held.push_back(job);
            }
            if !self.commit(held).await {
                let stopped = stopping.wait_for(|stop| *stop);
                if tokio::time::timeout(PAUSE, stopped).await.is_ok() {
                    return;
                }
            }
        }
    }

    /// Lets more come, if nobody waits for what is there. The inbox is not looked at meanwhile: to be woken for
    /// every record would cost more than the record.
    async fn gather(&self, held: &VecDeque<Job>, stopping: &mut watch::Receiver<bool>) {
        self.metrics.queue(held.len() + self.inbox.len());
        if held.len() >= BATCH || held.iter().any(|job| job.waiter.is_some()) {
            return;
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => {}
            () = self.haste.notified() => {}
            () = tokio::time::sleep(GATHERING) => {}
        }
    }

    /// After the end: what is held, and what was sent before the channel closed.
    async fn write_last(&mut self, mut held: VecDeque<Job>) {
        self.inbox.close();
        let end = Instant::now() + LAST_WORDS;
        loop {
            while let Ok(job) = self.inbox.try_recv() {
                held.push_back(job);
            }
            self.withdraw(&mut held);
            if held.is_empty() {
                return;
            }
            if Instant::now() >= end {
                tracing::error!(
                    records = held.len(),
                    "records were lost: nothing would take them"
                );
                self.metrics.lost_at_end(held.len());
                self.unfinished.lost();
                return;
            }
            if !self.commit(&mut held).await {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// One batch from the front of `held`, which keeps what the store did not take. `false`: the
    /// store is not to be had.
    async fn commit(&mut self, held: &mut VecDeque<Job>) -> bool {
        self.withdraw(held);
        let count = held.len().min(BATCH);
        if count == 0 {
            return true;
        }
        let jobs = held.drain(..count).map(|job| (job.record, job.waiter));
        let (batch, waiters): (Vec<Record>, Vec<Option<Waiter>>) = jobs.unzip();
        // Whoever ships what is durable shares it.
        let batch = Arc::new(batch);
        let Err(failure) = self.append(&batch).await else {
            self.metrics.appended(count);
            for (record, waiter) in batch.iter().zip(waiters) {
                self.stored(record, waiter, held);
            }
            return true;
        };
        let batch = Arc::unwrap_or_clone(batch);
        for (record, waiter) in batch.into_iter().zip(waiters).rev() {
            held.push_front(Job {
                record,
                waiter,
                is_attempted: true,
            });
        }
        match failure {
            NotTaken::Refused(error) => {
                tracing::warn!(error, records = count, "a batch was refused");
                self.commit_one_by_one(count, held).await
            }
            NotTaken::Away(_) => {
                // What comes back may have forgotten what it had taken.
                self.unfinished.lost();
                false
            }
        }
    }

    /// Lets go of what was taken back. An intent that the store may have taken stays, and is closed.
    fn withdraw(&self, held: &mut VecDeque<Job>) {
        let mut closing = Vec::new();
        held.retain_mut(|job| {
            if !job.is_withdrawn() {
                return true;
            }
            let may_be_stored = job.is_attempted && job.record.is_intent();
            if may_be_stored {
                job.waiter = None;
                closing.push(Job::queued(never_sent(&self.stamp, &job.record)));
            }
            may_be_stored
        });
        held.extend(closing);
    }

    /// One bad record costs only itself.
    async fn commit_one_by_one(&mut self, count: usize, held: &mut VecDeque<Job>) -> bool {
        for _ in 0..count {
            let Some(job) = held.pop_front() else { break };
            let (record, waiter) = (Arc::new(vec![job.record]), job.waiter);
            let appended = self.append(&record).await;
            let record = &record[0];
            match appended {
                Ok(()) => {
                    self.metrics.appended(1);
                    self.stored(record, waiter, held);
                }
                Err(NotTaken::Refused(error)) => {
                    tracing::error!(
                        record.id = %record.id, error,
                        "a record was refused: it is not in the trail",
                    );
                    self.metrics.lost(Lost::Refused);
                    self.unfinished.lost();
                    tell(waiter, Err(Lost::Refused));
                }
                Err(NotTaken::Away(_)) => {
                    held.push_front(Job {
                        record: record.clone(),
                        waiter,
                        is_attempted: job.is_attempted,
                    });
                    return false;
                }
            }
        }
        true
    }

    async fn append(&self, batch: &Arc<Vec<Record>>) -> Result<(), NotTaken> {
        let started = Instant::now();
        let result = self.sink.append(batch, self.attempt).await;
        self.metrics.attempt(started.elapsed());
        self.sink.count_connections(&self.metrics);
        let trouble = match &result {
            // There was an answer, and that is what is asked here.
            Ok(()) | Err(NotTaken::Refused(_)) => None,
            Err(NotTaken::Away(trouble)) => Some(trouble.clone()),
        };
        self.board.say(Part::Writer, trouble);
        result
    }

    fn stored(&mut self, record: &Record, waiter: Option<Waiter>, held: &mut VecDeque<Job>) {
        self.unfinished.stored(record);
        if !tell(waiter, Ok(())) && record.is_intent() {
            // Its request gave up while the commit ran: the origin has not heard of it.
            held.push_back(Job::queued(never_sent(&self.stamp, record)));
        }
    }
}

/// Closes an intent whose request gave up before it was durable.
fn never_sent(stamp: &Stamp, intent: &Record) -> Record {
    let why = serde_json::json!({ "closed": "the intent was not durable in time" });
    stamp.closing(intent, Outcome::Failed, why)
}
