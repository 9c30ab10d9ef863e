//! How the trail is, and what happened in a range of time.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Adoption, Checkpoint, Span, Violations, time};
use crate::admin::query::Range;
use crate::admin::trail;
use crate::audit::store;

/// How the trail is, and what happened in a range of time.
#[derive(Serialize, ToSchema)]
pub(in crate::admin::api) struct Overview {
    range: Span,
    trail: Standing,
    adoption: Vec<Adoption>,
    writes: Vec<Writes>,
    violations: Vec<Violations>,
}

/// How the trail is.
#[derive(Serialize, ToSchema)]
struct Standing {
    /// What `/health/audit` says; nothing if all is well.
    health: Vec<Trouble>,
    /// How many records are sealed.
    sealed: u64,
    /// How many wait for it; 100000 means that or more.
    unsealed: u64,
    checkpoint: Option<Checkpoint>,
    /// Writes under way, or without an outcome.
    open_intents: u64,
    users: Users,
    /// How many records are not counted yet in what follows; 100000 means that or more.
    uncounted: u64,
    /// Whether the counts are being made anew, and are not whole.
    is_behind: bool,
    /// What the database's clock says.
    #[schema(format = DateTime)]
    now: String,
}

/// Something that is not well.
#[derive(Serialize, ToSchema)]
struct Trouble {
    code: &'static str,
    message: String,
}

/// How many users want key backup now.
#[derive(Serialize, ToSchema)]
struct Users {
    enabled: u64,
    disabled: u64,
    unknown: u64,
}

/// How many writes and clears there were in a step.
#[derive(Serialize, ToSchema)]
struct Writes {
    /// Its beginning.
    #[schema(format = DateTime)]
    at: String,
    accept: u64,
    clear: u64,
    /// Refused; in `observe`, what would have been.
    refuse: u64,
}

// === impl Overview ===

impl Overview {
    pub(in crate::admin::api) fn new(range: &Range, overview: trail::Overview) -> Self {
        let health = overview.reasons.into_iter().map(|reason| Trouble {
            code: reason.code,
            message: reason.message,
        });
        let standing = overview.standing;
        let checkpoint = standing.checkpoint.as_ref();
        Self {
            range: range.into(),
            trail: Standing {
                health: health.collect(),
                sealed: standing.sealed,
                unsealed: standing.unsealed,
                checkpoint: checkpoint.map(|one| Checkpoint::new(one.size.unsigned_abs(), one)),
                open_intents: standing.open_intents,
                users: Users {
                    enabled: standing.users.enabled,
                    disabled: standing.users.disabled,
                    unknown: standing.users.unknown,
                },
                uncounted: standing.unsummarised,
                is_behind: standing.is_behind,
                now: time(standing.now),
            },
            adoption: overview.adoption.iter().map(Adoption::from).collect(),
            writes: overview.writes.iter().map(Writes::from).collect(),
            violations: overview.violations.iter().map(Violations::from).collect(),
        }
    }
}

// === impl Writes ===

impl From<&store::Writes> for Writes {
    fn from(one: &store::Writes) -> Self {
        Self {
            at: time(one.at),
            accept: one.accept,
            clear: one.clear,
            refuse: one.refuse,
        }
    }
}
