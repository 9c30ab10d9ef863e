//! The reports.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::story::Profile;
use super::{Adoption, Span, Violations, time};
use crate::admin::query::Range;
use crate::admin::trail;
use crate::audit::store;

/// Where what is stored is not what was written, or says two things.
#[derive(Serialize, ToSchema)]
pub(in crate::admin::api) struct Drifted {
    drifts: Vec<Drift>,
    /// The `before` of the next page of drifts; null on the last.
    #[schema(required)]
    next: Option<Uuid>,
    disagreeing: Vec<Disagreeing>,
    /// The `after` of the next page of users; null on the last.
    #[schema(required)]
    next_user: Option<String>,
}

/// A read that gave what nobody had written through the gateway.
#[derive(Serialize, ToSchema)]
struct Drift {
    read_id: Uuid,
    #[schema(required)]
    exchange_id: Option<Uuid>,
    #[schema(format = DateTime)]
    at: String,
    user: String,
    event_type: &'static str,
    /// What was known before.
    expected: &'static str,
    /// The record from which that was known.
    known_from: Uuid,
    found: &'static str,
}

/// A user whose two types disagree.
#[derive(Serialize, ToSchema)]
struct Disagreeing {
    user: String,
    profile: Profile,
}

/// What `enforce` would break.
#[derive(Serialize, ToSchema)]
pub(in crate::admin::api) struct WouldBreak {
    range: Span,
    violations: Vec<Violations>,
}

/// Who wants key backup, over time.
#[derive(Serialize, ToSchema)]
pub(in crate::admin::api) struct Adopted {
    range: Span,
    adoption: Vec<Adoption>,
}

// === impl Drifted ===

impl Drifted {
    pub(in crate::admin::api) fn new(found: &trail::Drifts) -> Self {
        let drifts = found.found.iter().map(|one| Drift {
            read_id: one.read_id,
            exchange_id: one.exchange_id,
            at: time(one.at),
            user: one.user.clone(),
            event_type: one.event_type.as_str(),
            expected: one.expected.as_str(),
            known_from: one.known_from,
            found: one.found.as_str(),
        });
        let disagreeing = found.disagreeing.iter().map(|profile| Disagreeing {
            user: profile.user.clone(),
            profile: profile.into(),
        });
        Self {
            drifts: drifts.collect(),
            next: found.before,
            disagreeing: disagreeing.collect(),
            next_user: found.after.clone(),
        }
    }
}

// === impl WouldBreak ===

impl WouldBreak {
    pub(in crate::admin::api) fn new(range: &Range, found: &[store::Violations]) -> Self {
        Self {
            range: range.into(),
            violations: found.iter().map(Violations::from).collect(),
        }
    }
}

// === impl Adopted ===

impl Adopted {
    pub(in crate::admin::api) fn new(range: &Range, found: &[store::Adoption]) -> Self {
        Self {
            range: range.into(),
            adoption: found.iter().map(Adoption::from).collect(),
        }
    }
}
