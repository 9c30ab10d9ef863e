//! What identification counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Answer, Unavailable};

/// Identification's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    asked: Family<Label, Counter>,
    remembered: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    answer: &'static str,
}

const ANSWERS: [&str; 4] = ["known", "refused", "timed_out", "failed"];

impl Metrics {
    /// Registers the metrics.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            asked: Family::default(),
            remembered: Counter::default(),
        };
        for answer in ANSWERS {
            drop(metrics.asked.get_or_create(&Label { answer }));
        }
        registry.register(
            "whoami",
            "Times the homeserver was asked whose credentials these are, by its answer",
            metrics.asked.clone(),
        );
        registry.register(
            "whoami_remembered",
            "Times it needed no asking, because the answer was remembered or on its way",
            metrics.remembered.clone(),
        );
        metrics
    }

    pub(super) fn asked(&self, answer: &Answer) {
        let answer = match answer {
            Answer::Known(_) => "known",
            Answer::Refused(_) => "refused",
            Answer::Unavailable(Unavailable::TimedOut) => "timed_out",
            Answer::Unavailable(Unavailable::Failed) => "failed",
        };
        self.asked.get_or_create(&Label { answer }).inc();
    }

    pub(super) fn remembered(&self) {
        self.remembered.inc();
    }
}
