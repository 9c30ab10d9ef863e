//! The task that seals, publishes, and watches over both.
//!
//! Every gateway that has the key runs one; the lock of the tree head lets one seal at a time, and which does not
//! matter: each step begins with what the database says, and trusts nothing of it that is not signed.

mod canary;
pub(super) mod fork;
mod outside;
mod patrol;
mod publisher;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::canary::{Back, Canary};
use self::fork::Fork;
use self::outside::{Outside, Standing};
use self::patrol::Patrol;
use self::publisher::Publisher;
use super::Sealing;
use super::metrics::Metrics;
use super::note::TreeHead;
use super::step::{Broken, Plan, Planner};
use crate::audit::health::{Board, Part, Trouble, chain};
use crate::audit::record::{Facts, Kind, Stamp};
use crate::audit::store::{Error, Progress, TreeStore};
use crate::audit::writer::Job;

/// Between two looks at what arrived: a record is sealed well within a second.
const TICK: Duration = Duration::from_millis(300);
/// How many records a step seals. It takes some 50 ms, and 10 MB.
const BATCH: u32 = 4096;
/// How long sealing waits to hear what was published before.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// After so many rounds that failed it is said.
const FAILURES: u32 = 5;
/// Until somebody who seals is asked for their place again, in the last step.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// How long the last steps may take when the gateway stops.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// The task's state.
pub(in crate::audit) struct Sealer {
    store: Arc<dyn TreeStore>,
    planner: Planner,
    canary: Canary,
    patrol: Patrol,
    /// Whether the database leads to what was published.
    standing: watch::Receiver<Standing>,
    was_parted: bool,
    /// How many leaves there were when it was last looked.
    size: u64,
    began: Instant,
    /// When the newest tree head was seen, by the database's clock.
    seen_at: Option<DateTime<Utc>>,
    suspicion: Arc<AtomicBool>,
    outside: Option<Outside>,
    board: Board,
    metrics: Metrics,
    stamp: Arc<Stamp>,
    jobs: mpsc::WeakSender<Job>,
    /// Nothing is sealed any more until the gateway is started again.
    broken: Option<Broken>,
    /// The keys were compared with those that signed before.
    has_compared_keys: bool,
    /// How many rounds have failed, one after the other.
    failures: u32,
}

/// What the sealer shares with the rest of the trail.
pub(in crate::audit) struct Surroundings {
    pub(in crate::audit) board: Board,
    pub(in crate::audit) metrics: Metrics,
    pub(in crate::audit) stamp: Arc<Stamp>,
    /// Where its own records go: the way of all others.
    pub(in crate::audit) jobs: mpsc::WeakSender<Job>,
}

// === impl Sealer ===

impl Sealer {
    pub(in crate::audit) fn new(
        sealing: Sealing,
        store: Arc<dyn TreeStore>,
        surroundings: Surroundings,
    ) -> Self {
        let interval = TimeDelta::from_std(sealing.interval).unwrap_or(TimeDelta::MAX);
        let Surroundings {
            board,
            metrics,
            stamp,
            jobs,
        } = surroundings;
        let (standing, stands) = watch::channel(Standing::default());
        let suspicion = Arc::new(AtomicBool::new(false));
        let outside = Outside {
            suspicion: Arc::clone(&suspicion),
            store: Arc::clone(&store),
            verifiers: sealing.signers.verifiers(),
            publisher: Publisher::new(sealing.file, sealing.endpoint),
            fork: Fork::default(),
            board: board.clone(),
            metrics: metrics.clone(),
            standing,
        };
        Self {
            planner: Planner::new(sealing.signers, interval),
            canary: Canary::new(sealing.interval),
            patrol: Patrol::default(),
            standing: stands,
            was_parted: false,
            size: 0,
            began: Instant::now(),
            seen_at: None,
            suspicion,
            outside: Some(outside),
            store,
            board,
            metrics,
            stamp,
            jobs,
            broken: None,
            has_compared_keys: false,
            failures: 0,
        }
    }

    /// Until it is told to stop; then everything that is there is sealed, signed and published once more.
    pub(in crate::audit) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let (stop, told) = watch::channel(false);
        let outside = self.outside.take();
        let publishing = outside.map(|outside| tokio::spawn(outside.run(told)));
        loop {
            let round = self.round(false).await;
            self.note(round);
            let stopped = stopping.wait_for(|stop| *stop);
            if tokio::time::timeout(TICK, stopped).await.is_ok() {
                break;
            }
        }
        let last = tokio::time::timeout(LAST_STEPS, self.round(true)).await;
        self.note(last.unwrap_or_else(|_| Err(Error::too_slow())));
        let _ = stop.send(true);
        if let Some(publishing) = publishing {
            let _ = tokio::time::timeout(LAST_STEPS, publishing).await;
        }
        let _ = tokio::time::timeout(LAST_STEPS, self.store.close()).await;
    }

    /// A store that is away is said by those who record; the canary says if nobody seals.
    fn note(&mut self, round: Result<(), Error>) {
        let Err(error) = round else {
            if self.failures >= FAILURES {
                tracing::info!("records are being sealed again");
            }
            self.failures = 0;
            return;
        };
        self.failures = self.failures.saturating_add(1);
        // At the start the tables are still being made.
        if self.failures == FAILURES {
            self.metrics.sealing(false);
            tracing::warn!(error = chain(&error), "nothing is sealed for now");
        }
    }

    async fn round(&mut self, is_last: bool) -> Result<(), Error> {
        let done = self.step(is_last).await;
        if !is_last {
            // Whatever became of it: nobody else would say that nothing is sealed.
            self.canary().await?;
        }
        done
    }

    async fn step(&mut self, is_last: bool) -> Result<(), Error> {
        let waiting = self.store.waiting().await?;
        self.metrics.size(waiting.size);
        // Whoever seals says so; what was published may say so to all others.
        if waiting.size < self.size {
            self.suspicion.store(true, Ordering::Relaxed);
        }
        self.size = waiting.size;
        if let Standing::Parted(broken) = self.stands() {
            self.stopped(&broken);
            return Ok(());
        }
        if self.is_unknown() && !is_last {
            return Ok(());
        }
        self.look_for_resume().await?;
        if let Some(broken) = self.broken.clone() {
            self.stopped(&broken);
            return Ok(());
        }
        if self.failures < FAILURES {
            self.metrics.sealing(true);
        }
        let interval = self.planner.interval.as_seconds_f64();
        // A clock that was set back must not silence us.
        let is_due = is_last || !(0.0..interval).contains(&waiting.checkpoint_age);
        let is_behind = waiting.size > waiting.checkpoint_size && is_due;
        let is_wanted = waiting.is_pending || is_behind || is_last || !self.has_compared_keys;
        if is_wanted && !self.seal(is_last).await? {
            return Ok(());
        }
        self.metrics.sealing(true);
        self.board.say(Part::Sealer, None);
        self.patrol.step(&*self.store).await
    }

    /// Whether nobody has looked yet whether the database leads to what was published. A place that does not
    /// answer is waited for a little: nothing is published there before it has.
    fn is_unknown(&self) -> bool {
        *self.standing.borrow() == Standing::Unknown && self.began.elapsed() < FIRST_LOOK
    }

    /// Whether the database leads to what was published, as it was last seen.
    fn stands(&mut self) -> Standing {
        let has_changed = self.standing.has_changed().unwrap_or(false);
        let standing = self.standing.borrow_and_update().clone();
        if has_changed && standing == Standing::Leads && self.was_parted {
            self.goes_on();
        }
        self.was_parted = matches!(standing, Standing::Parted(_));
        standing
    }

    /// Whether an operator has said that the tree goes on from what was restored, since it was last seen.
    async fn look_for_resume(&mut self) -> Result<(), Error> {
        let Some(Broken::RolledBack(_)) = &self.broken else {
            return Ok(());
        };
        let resume = self.store.newest_resume().await?;
        if resume.is_some_and(|at| self.seen_at.is_none_or(|seen_at| at > seen_at)) {
            self.goes_on();
        }
        Ok(())
    }

    fn goes_on(&mut self) {
        self.planner.seen = None;
        self.broken = None;
        // What comes next is published after what was lost, though it has fewer leaves.
        self.suspicion.store(true, Ordering::Relaxed);
        tracing::info!("the tree goes on from what was restored");
    }

    fn stopped(&self, broken: &Broken) {
        self.metrics.sealing(false);
        self.board.say(Part::Sealer, Some(broken.trouble()));
    }

    /// Seals until nothing waits; `false` if something is wrong.
    async fn seal(&mut self, is_last: bool) -> Result<bool, Error> {
        // What was committed late stands before what is sealed already: the next round begins anew.
        let mut beyond = i64::MIN;
        loop {
            let mut last = beyond;
            let mut outcome: Option<Result<TreeHead, Broken>> = None;
            let mut previous: Option<String> = None;
            let mut now = None;
            let mut count = 0;
            let planner = &mut self.planner;
            let mut step = |before: crate::audit::store::Before| {
                previous.clone_from(&before.head.note);
                now = Some(before.now);
                last = before.pending.last().map_or(last, |it| it.seq);
                match planner.plan(&before, is_last) {
                    Ok(Some(Plan { after, head })) => {
                        count = after.leaves.len();
                        outcome = Some(Ok(head));
                        Some(after)
                    }
                    Ok(None) => None,
                    Err(broken) => {
                        outcome = Some(Err(broken));
                        None
                    }
                }
            };
            let progress = self.store.seal(BATCH, beyond, &mut step).await?;
            beyond = last;
            if progress == Progress::Busy {
                if !is_last {
                    return Ok(true);
                }
                // Whoever seals just now may have looked before our last records came, and may be the last.
                tokio::time::sleep(BUSY_PAUSE).await;
                continue;
            }
            if let Some(Err(broken)) = outcome {
                // What this version cannot read, a newer gateway may have sealed by the next round.
                if !matches!(broken, Broken::Unreadable(_)) {
                    self.metrics.sealing(false);
                }
                self.board.say(Part::Sealer, Some(broken.trouble()));
                if matches!(broken, Broken::RolledBack(_)) {
                    // What was published may say so, too, and then an operator can say that it was meant.
                    self.suspicion.store(true, Ordering::Relaxed);
                }
                self.broken = Some(broken).filter(|it| !matches!(it, Broken::Unreadable(_)));
                return Ok(false);
            }
            self.seen_at = now;
            self.compare_keys(previous.as_deref());
            let Some(Ok(head)) = outcome else {
                return Ok(true);
            };
            self.planner.seen = Some(head);
            self.metrics.size(head.size);
            self.metrics.sealed(count);
            if count < usize::try_from(BATCH).unwrap_or(usize::MAX) {
                return Ok(true);
            }
        }
    }

    /// Says it in the trail if other keys sign now than signed before.
    fn compare_keys(&mut self, note: Option<&str>) {
        if self.has_compared_keys {
            return;
        }
        self.has_compared_keys = true;
        let now = self.planner.signers.key_ids();
        let Some(before) = note.map(|note| self.planner.verifiers.signed_by(note)) else {
            return;
        };
        if before != now {
            let detail = json!({ "operation": "key_rotation", "before": before, "now": now });
            self.append(Kind::Operation, Some(detail));
        }
    }

    /// Appends a record of the sealer's own, without waiting for it; its id.
    fn append(&self, kind: Kind, detail: Option<serde_json::Value>) -> Option<uuid::Uuid> {
        let facts = Facts {
            detail,
            ..Facts::default()
        };
        let record = self.stamp.record(kind, facts);
        let id = record.id;
        let jobs = self.jobs.upgrade()?;
        jobs.try_send(Job::queued(record)).is_ok().then_some(id)
    }

    async fn canary(&mut self) -> Result<(), Error> {
        if self.canary.is_due() {
            let id = self.append(Kind::Heartbeat, None);
            self.canary.sent(id, Instant::now());
        }
        let is_well = self.board.is_well_but(&[Part::Canary]);
        let Self {
            canary,
            store,
            planner,
            ..
        } = self;
        let back = canary.look(&**store, &planner.verifiers, is_well).await?;
        let Some(back) = back else {
            return Ok(());
        };
        self.metrics.canary(back == Back::Yes);
        let trouble = (back == Back::Lost).then(|| {
            Trouble::new(
                "canary_lost",
                "a heartbeat record did not come back in a checkpoint within the interval: what is \
                 recorded is not what arrives in the database, or nobody seals it",
            )
        });
        self.board.say(Part::Canary, trouble);
        Ok(())
    }
}
