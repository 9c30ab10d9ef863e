//! What a record says of its own leaf.

use uuid::Uuid;

use crate::audit::record::leaf::{Leaf, LeafHasher};
use crate::audit::record::{Commitment, Outcome, Phase, Record, Stored};
use crate::audit::seal::Hash;
use crate::audit::store::Readable;
use crate::matrix::Action;

/// One leaf, as its record, its row and its tile have it.
pub(super) struct Seen {
    pub(super) record_id: Uuid,
    /// The hash in its row or line; `None` if there is no such row, or it is no hash.
    pub(super) row: Option<Hash>,
    /// Whether there is a row at all.
    pub(super) has_row: bool,
    /// The hash in its tile. Where there are no tiles, that of the row.
    pub(super) tile: Option<Hash>,
    /// What the record says.
    pub(super) record: Told,
}

/// What a record says.
pub(super) enum Told {
    /// There is none.
    Missing,
    /// A column holds what no version of this program writes.
    Unreadable(&'static str),
    /// It can be read.
    Record(Summary),
}

/// What of a record matters beyond its leaf.
#[derive(Clone, Copy)]
pub(super) struct Summary {
    pub(super) hash: Hash,
    pub(super) recorded_at: i64,
    pub(super) stored_at: i64,
    pub(super) run_id: Uuid,
    pub(super) exchange_id: Option<Uuid>,
    pub(super) phase: Option<Phase>,
    /// It is the outcome of a write that was announced.
    pub(super) has_intent: bool,
    /// The subject whose fields do not fit their commitment, if there is one.
    pub(super) unfit: Option<&'static str>,
    /// The subject whose salt is gone, if there is one.
    pub(super) erased: Option<&'static str>,
}

/// Reads and refusals have an outcome, and no intent.
pub(super) fn has_intent(
    phase: Option<Phase>,
    action: Option<&str>,
    outcome: Option<&str>,
) -> bool {
    phase == Some(Phase::Outcome)
        && action != Some(Action::Read.as_str())
        && outcome != Some(Outcome::Refused.as_str())
}

/// The subjects, each with what it owns.
pub(super) const CLAIMED: &str = "claimed_user";
pub(super) const AUTHENTICATED: &str = "authenticated_user, device_id or is_guest";
pub(super) const CLIENT: &str = "client_address, client_chain or user_agent";

/// Whether a subject's fields fit.
pub(super) enum Fit {
    Yes,
    No,
    Erased,
}

// === impl Told ===

impl Told {
    pub(super) fn of(record: Option<&Readable>, hasher: &mut LeafHasher) -> Self {
        match record {
            None => Self::Missing,
            Some(Err(column)) => Self::Unreadable(column),
            Some(Ok(stored)) => Self::Record(Summary::of(stored, hasher)),
        }
    }

    pub(super) fn hash(&self) -> Option<Hash> {
        match self {
            Self::Missing | Self::Unreadable(_) => None,
            Self::Record(summary) => Some(summary.hash),
        }
    }
}

// === impl Summary ===

impl Summary {
    pub(super) fn of(stored: &Stored, hasher: &mut LeafHasher) -> Self {
        let record = &stored.record;
        let (unfit, erased) = fits(record);
        Self {
            hash: hasher.hash(&Leaf::of(stored)),
            recorded_at: record.recorded_at.timestamp_micros(),
            stored_at: stored.stored_at.timestamp_micros(),
            run_id: record.run_id,
            exchange_id: record.facts.exchange_id,
            phase: record.facts.phase,
            has_intent: has_intent(
                record.facts.phase,
                record.facts.action.map(Action::as_str),
                record.facts.outcome.map(Outcome::as_str),
            ),
            unfit,
            erased,
        }
    }
}

fn fits(record: &Record) -> (Option<&'static str>, Option<&'static str>) {
    let facts = &record.facts;
    let fit = |commitment: &Commitment, hash: &dyn Fn(&[u8; 16]) -> Hash| match &commitment.salt {
        None => Fit::Erased,
        Some(salt) if Some(hash(salt)) == commitment.hash => Fit::Yes,
        Some(_) => Fit::No,
    };
    first_of([
        (
            CLAIMED,
            fit(&record.claimed, &|salt| {
                Commitment::claimed_hash(salt, facts)
            }),
        ),
        (
            AUTHENTICATED,
            fit(&record.authenticated, &|salt| {
                Commitment::authenticated_hash(salt, facts)
            }),
        ),
        (
            CLIENT,
            fit(&record.client, &|salt| Commitment::client_hash(salt, facts)),
        ),
    ])
}

/// The first subject that does not fit, and the first that is erased.
pub(super) fn first_of(
    subjects: [(&'static str, Fit); 3],
) -> (Option<&'static str>, Option<&'static str>) {
    let mut found = (None, None);
    for (subject, fit) in subjects {
        match fit {
            Fit::Yes => {}
            Fit::No => found.0 = found.0.or(Some(subject)),
            Fit::Erased => found.1 = found.1.or(Some(subject)),
        }
    }
    found
}
