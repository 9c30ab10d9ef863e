//! What the trail counts.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::collapse::Counters;
use super::{Lost, seal};

/// The trail's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    appended: Counter,
    lost: Family<Reason, Counter>,
    closed: Counter,
    queue: Gauge,
    recording: Gauge,
    connections: Family<State, Gauge>,
    append: Histogram,
    clock_skew: Gauge<f64, AtomicU64>,
    spool: Spooled,
    pub(super) collapsed: Counters,
    pub(super) seal: seal::metrics::Metrics,
}

/// What the spool counts. All zero without one.
#[derive(Clone, Default)]
struct Spooled {
    records: Gauge,
    bytes: Gauge,
    oldest: Gauge<f64, AtomicU64>,
    shipped: Counter,
    set_aside: Gauge,
    damaged: Counter,
    lost: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Why a record is not in the trail, or not in time. All are there from the start, at zero.
const REASONS: [&str; 5] = ["deadline", "refused", "stopped", "queue_full", "end"];
const STATES: [&str; 2] = ["open", "idle"];

impl Metrics {
    /// Registers the metrics.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            appended: Counter::default(),
            lost: Family::default(),
            closed: Counter::default(),
            collapsed: Counters::new(registry),
            queue: Gauge::default(),
            recording: Gauge::default(),
            connections: Family::default(),
            append: Histogram::new([
                0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0,
            ]),
            clock_skew: Gauge::default(),
            spool: Spooled::default(),
            seal: seal::metrics::Metrics::new(registry),
        };
        for reason in REASONS {
            drop(metrics.lost.get_or_create(&Reason { reason }));
        }
        for state in STATES {
            drop(metrics.connections.get_or_create(&State { state }));
        }
        registry.register(
            "records_appended",
            "Records that are durable: in the spool, or without one in the store",
            metrics.appended.clone(),
        );
        registry.register(
            "records_lost",
            "Records that are not in the trail, or were not in time, by reason",
            metrics.lost.clone(),
        );
        registry.register(
            "intents_closed",
            "Open intents of dead runs that this run has closed",
            metrics.closed.clone(),
        );
        registry.register(
            "writer_queue",
            "Records that wait for the writer",
            metrics.queue.clone(),
        );
        registry.register(
            "audit_recording",
            "Whether the last attempt to append succeeded",
            metrics.recording.clone(),
        );
        registry.register(
            "store_connections",
            "Connections to the store, by state",
            metrics.connections.clone(),
        );
        registry.register_with_unit(
            "append_duration",
            "One attempt to append a batch",
            Unit::Seconds,
            metrics.append.clone(),
        );
        registry.register_with_unit(
            "clock_skew",
            "How far this gateway's clock is ahead of the database's",
            Unit::Seconds,
            metrics.clock_skew.clone(),
        );
        metrics.spool.register(registry);
        metrics
    }

    pub(super) fn appended(&self, records: usize) {
        self.appended.inc_by(count(records));
    }

    pub(super) fn lost(&self, lost: Lost) {
        let reason = match lost {
            Lost::Deadline => "deadline",
            Lost::Refused => "refused",
            Lost::Stopped => "stopped",
        };
        self.lost.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn dropped(&self) {
        self.lost
            .get_or_create(&Reason {
                reason: "queue_full",
            })
            .inc();
    }

    pub(super) fn lost_at_end(&self, records: usize) {
        self.lost
            .get_or_create(&Reason { reason: "end" })
            .inc_by(count(records));
    }

    pub(super) fn closed(&self, intents: usize) {
        self.closed.inc_by(count(intents));
    }

    pub(super) fn queue(&self, records: usize) {
        self.queue.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    pub(super) fn recording(&self, recording: bool) {
        self.recording.set(recording.into());
    }

    /// One attempt to append took so long.
    pub(super) fn attempt(&self, took: Duration) {
        self.append.observe(took.as_secs_f64());
    }

    pub(super) fn connections(&self, (open, idle): (u32, u32)) {
        self.connections
            .get_or_create(&State { state: "open" })
            .set(open.into());
        self.connections
            .get_or_create(&State { state: "idle" })
            .set(idle.into());
    }

    pub(super) fn clock_skew(&self, seconds: f64) {
        self.clock_skew.set(seconds);
    }
}

#[cfg(feature = "sqlite")]
impl Metrics {
    /// What waits in the spool: records, bytes, and the oldest for so long.
    pub(super) fn spool(&self, records: i64, bytes: i64, oldest: Duration, set_aside: i64) {
        self.spool.records.set(records);
        self.spool.bytes.set(bytes);
        self.spool.oldest.set(oldest.as_secs_f64());
        self.spool.set_aside.set(set_aside);
    }

    pub(super) fn shipped(&self, records: usize) {
        self.spool.shipped.inc_by(count(records));
    }

    /// The spool was damaged, and `lost` records with it.
    pub(super) fn damaged(&self, lost: i64) {
        self.spool.damaged.inc();
        self.spool.lost.inc_by(lost.try_into().unwrap_or(0));
    }
}

impl Spooled {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "spool_records",
            "Records in the spool that the store has not taken",
            self.records.clone(),
        );
        registry.register_with_unit(
            "spool",
            "What the spool takes of `audit.spool_limit`",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register_with_unit(
            "spool_oldest",
            "For how long the oldest record that the store has not taken has waited",
            Unit::Seconds,
            self.oldest.clone(),
        );
        registry.register(
            "records_shipped",
            "Records that were moved from the spool to the store, those moved again included",
            self.shipped.clone(),
        );
        registry.register(
            "records_set_aside",
            "Records in the spool that the store will not take",
            self.set_aside.clone(),
        );
        registry.register(
            "spool_damaged",
            "How often the spool was found damaged",
            self.damaged.clone(),
        );
        registry.register(
            "spool_records_lost",
            "Records that could not be read of a damaged spool",
            self.lost.clone(),
        );
    }
}

fn count(records: usize) -> u64 {
    records.try_into().unwrap_or(u64::MAX)
}
