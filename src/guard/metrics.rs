//! What the guard counts.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::audit::record::{Judged, Outcome};
use crate::matrix::Action;
use crate::policy::{Verdict, Violation};

/// The guard's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    verdicts: Family<VerdictLabel, Counter>,
    violations: Family<ViolationLabel, Counter>,
    outcomes: Family<OutcomeLabel, Counter>,
    uncounted: Family<ReasonLabel, Counter>,
    durations: Family<ActionLabel, Histogram>,
}

/// Why a guarded request ended without a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnlyCounted {
    /// The homeserver did not know the credentials: its 401, 403 or 429 was relayed. Or it failed at
    /// these credentials alone.
    NotIdentified,
    /// Refused while whoami could not be had.
    RefusedUnknown,
    /// More writes without a known user than are taken on.
    TooManyUnknown,
    /// More writes of one user than are taken on.
    TooManyOfUser,
    /// A read that was answered with something that is no answer to it.
    ReadNotAnswered,
    /// The body broke off, or did not come in time.
    BodyNotRead,
    /// The record could not be kept in time, so it was answered 503, and not forwarded.
    NotRecorded,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    action: &'static str,
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViolationLabel {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    action: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics, each at zero, so that an alert can tell "none" from "not reporting".
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            verdicts: Family::default(),
            violations: Family::default(),
            outcomes: Family::default(),
            uncounted: Family::default(),
            durations: Family::new_with_constructor(|| {
                Histogram::new([
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
                ])
            }),
        };
        metrics.start_at_zero();
        registry.register(
            "verdicts",
            "What was thought of bodies, by action and verdict",
            metrics.verdicts.clone(),
        );
        registry.register(
            "violations",
            "What was wrong with bodies, by code",
            metrics.violations.clone(),
        );
        registry.register(
            "outcomes",
            "What became of recorded exchanges, by action and outcome",
            metrics.outcomes.clone(),
        );
        registry.register(
            "exchanges_only_counted",
            "Guarded requests without a record of their own, by reason",
            metrics.uncounted.clone(),
        );
        registry.register_with_unit(
            "exchange_duration",
            "Guarded requests, from their head to the answer's head, by action",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        metrics
    }

    fn start_at_zero(&self) {
        for action in Action::ALL.map(Action::as_str) {
            for verdict in Judged::ALL {
                let verdict = verdict.as_str();
                drop(
                    self.verdicts
                        .get_or_create(&VerdictLabel { action, verdict }),
                );
            }
            for outcome in Outcome::ALL {
                let outcome = outcome.as_str();
                drop(
                    self.outcomes
                        .get_or_create(&OutcomeLabel { action, outcome }),
                );
            }
            drop(self.durations.get_or_create(&ActionLabel { action }));
        }
        for code in Violation::ALL.map(Violation::code) {
            drop(self.violations.get_or_create(&ViolationLabel { code }));
        }
        for reason in OnlyCounted::ALL.map(OnlyCounted::as_str) {
            drop(self.uncounted.get_or_create(&ReasonLabel { reason }));
        }
    }

    pub(super) fn judged(&self, action: Action, verdict: &Verdict) {
        let label = VerdictLabel {
            action: action.as_str(),
            verdict: verdict.code(),
        };
        self.verdicts.get_or_create(&label).inc();
        for violation in verdict.violations() {
            self.violations
                .get_or_create(&ViolationLabel {
                    code: violation.code(),
                })
                .inc();
        }
    }

    pub(super) fn ended(&self, action: Action, outcome: Outcome) {
        let label = OutcomeLabel {
            action: action.as_str(),
            outcome: outcome.as_str(),
        };
        self.outcomes.get_or_create(&label).inc();
    }

    pub(super) fn only_counted(&self, reason: OnlyCounted) {
        self.uncounted
            .get_or_create(&ReasonLabel {
                reason: reason.as_str(),
            })
            .inc();
    }

    pub(super) fn took(&self, action: Action, took: Duration) {
        let label = ActionLabel {
            action: action.as_str(),
        };
        self.durations
            .get_or_create(&label)
            .observe(took.as_secs_f64());
    }
}

// === impl OnlyCounted ===

impl OnlyCounted {
    const ALL: [Self; 7] = [
        Self::NotIdentified,
        Self::RefusedUnknown,
        Self::TooManyUnknown,
        Self::TooManyOfUser,
        Self::ReadNotAnswered,
        Self::BodyNotRead,
        Self::NotRecorded,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotIdentified => "not_identified",
            Self::RefusedUnknown => "refused_unknown",
            Self::TooManyUnknown => "too_many_unknown",
            Self::TooManyOfUser => "too_many_of_user",
            Self::ReadNotAnswered => "read_not_answered",
            Self::BodyNotRead => "body_not_read",
            Self::NotRecorded => "not_recorded",
        }
    }
}
