//! What sealing counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Where checkpoints go; all are there from the start.
const OUTPUTS: [&str; 4] = ["database", "file", "log", "endpoint"];

/// The metrics of sealing. Cheap to clone.
#[derive(Clone, Default)]
pub(in crate::audit) struct Metrics {
    sealed: Counter,
    size: Gauge,
    sealing: Gauge,
    canary: Gauge,
    checkpoint: Family<Output, Gauge>,
    lag: Family<Output, Gauge<f64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Output {
    output: &'static str,
}

// === impl Metrics ===

impl Metrics {
    pub(in crate::audit) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        metrics.canary.set(1);
        for output in OUTPUTS {
            drop(metrics.checkpoint.get_or_create(&Output { output }));
            drop(metrics.lag.get_or_create(&Output { output }));
        }
        registry.register(
            "records_sealed",
            "Records that this run has given a leaf index",
            metrics.sealed.clone(),
        );
        registry.register(
            "tree_size",
            "How many leaves the tree has, as this run last saw it",
            metrics.size.clone(),
        );
        registry.register(
            "sealing",
            "Whether records are sealed: 0 without a key, and when the tree cannot be trusted",
            metrics.sealing.clone(),
        );
        registry.register(
            "canary",
            "Whether no heartbeat is missing: each must come back in a checkpoint in time",
            metrics.canary.clone(),
        );
        registry.register(
            "checkpoint_size",
            "How many leaves the newest checkpoint has, by output",
            metrics.checkpoint.clone(),
        );
        registry.register_with_unit(
            "checkpoint_lag",
            "For how long the oldest checkpoint that is not published has waited, by output",
            Unit::Seconds,
            metrics.lag.clone(),
        );
        metrics
    }

    pub(super) fn sealed(&self, records: usize) {
        self.sealed.inc_by(records.try_into().unwrap_or(u64::MAX));
    }

    pub(super) fn size(&self, leaves: u64) {
        self.size.set(leaves.try_into().unwrap_or(i64::MAX));
    }

    pub(super) fn sealing(&self, is_sealing: bool) {
        self.sealing.set(is_sealing.into());
    }

    pub(super) fn canary(&self, is_back: bool) {
        self.canary.set(is_back.into());
    }

    /// The newest checkpoint of `output`, and for how long an older one than the database's waits.
    pub(super) fn published(&self, output: &'static str, size: i64, lag_seconds: f64) {
        let output = Output { output };
        self.checkpoint.get_or_create(&output).set(size);
        self.lag.get_or_create(&output).set(lag_seconds);
    }
}
