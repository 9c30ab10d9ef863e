//! How much was collapsed, as it happens.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The counters. Cheap to clone.
#[derive(Clone)]
pub(in crate::audit) struct Counters(Family<Label, Counter>);

/// What was counted instead of being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    OnlyCounted,
    Refusal,
    DroppedRead,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    what: &'static str,
}

// === impl Counters ===

impl Counters {
    /// Registers the counters, each at zero.
    pub(in crate::audit) fn new(registry: &mut Registry) -> Self {
        let counters = Self(Family::default());
        for what in What::ALL {
            drop(counters.0.get_or_create(&what.label()));
        }
        registry.register(
            "records_collapsed",
            "What was counted in a collapsed record instead of being recorded, by what it is",
            counters.0.clone(),
        );
        counters
    }

    pub(super) fn count(&self, what: What) {
        self.0.get_or_create(&what.label()).inc();
    }
}

// === impl What ===

impl What {
    const ALL: [Self; 3] = [Self::OnlyCounted, Self::Refusal, Self::DroppedRead];

    const fn label(self) -> Label {
        Label {
            what: match self {
                Self::OnlyCounted => "only_counted",
                Self::Refusal => "refusal",
                Self::DroppedRead => "dropped_read",
            },
        }
    }
}
