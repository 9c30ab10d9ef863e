//! What the API answers.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::record::{Described, Line};
use crate::admin::query::Range;
use crate::admin::{trail, words};
use crate::audit::store::{self, By};
use crate::audit::summary;
use crate::matrix::{EventType, Preference};

/// A range of time.
#[derive(Serialize, ToSchema)]
pub(super) struct Span {
    /// From here on, inclusive.
    #[schema(format = DateTime)]
    since: String,
    /// Up to here, exclusive.
    #[schema(format = DateTime)]
    until: String,
    /// `hour` or `day`: the steps of what follows.
    by: &'static str,
}

/// How the trail is, and what happened in a range of time.
#[derive(Serialize, ToSchema)]
pub(super) struct Overview {
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

/// A checkpoint.
#[derive(Serialize, ToSchema)]
pub(super) struct Checkpoint {
    /// How many leaves it has.
    size: u64,
    #[schema(format = DateTime)]
    at: String,
    /// The signed note.
    note: String,
}

/// How many users want key backup now.
#[derive(Serialize, ToSchema)]
struct Users {
    enabled: u64,
    disabled: u64,
    unknown: u64,
}

/// How many users wanted key backup at the end of a day.
#[derive(Serialize, ToSchema)]
pub(super) struct Adoption {
    /// The beginning of the day.
    #[schema(format = DateTime)]
    at: String,
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

/// How often something was wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct Violations {
    code: String,
    /// The client's name; empty if it says none.
    client: String,
    version: String,
    /// Writes that were refused for it.
    refused: u64,
    /// Writes that were let through, in `observe`.
    forwarded: u64,
    /// Reads that gave a stored value with it.
    reads: u64,
    /// The newest of these records.
    newest: Uuid,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub(super) struct Records<'a> {
    #[schema(value_type = Vec<Described>)]
    records: Vec<Line<'a>>,
    /// The `before` of the next page; null on the last.
    #[schema(required)]
    next: Option<Uuid>,
}

/// One exchange, or a record that belongs to none.
#[derive(Serialize, ToSchema)]
pub(super) struct Exchange<'a> {
    id: Uuid,
    /// Oldest first.
    #[schema(value_type = Vec<Described>)]
    records: Vec<Line<'a>>,
    /// Where they are sealed.
    leaves: Vec<Leaf>,
    /// The newest checkpoint.
    #[schema(required)]
    checkpoint: Option<Checkpoint>,
    /// What the client was told; null for what is no exchange.
    #[schema(required)]
    told: Option<Told>,
}

/// Where a record is sealed.
#[derive(Serialize, ToSchema)]
struct Leaf {
    id: Uuid,
    leaf_index: u64,
    leaf_hash: String,
    /// Whether the newest checkpoint has it: then there is a proof.
    is_covered: bool,
}

/// What a client was told.
#[derive(Serialize, ToSchema)]
struct Told {
    #[schema(required)]
    status: Option<u16>,
    #[schema(required)]
    errcode: Option<String>,
    text: String,
}

/// What is known of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct Story<'a> {
    user: String,
    /// What was seen last; null for whoever was never seen.
    #[schema(required)]
    profile: Option<Profile>,
    /// Oldest first.
    changes: Vec<Change<'a>>,
    /// The `before` of the changes before these; null if there are none.
    #[schema(required)]
    next: Option<Uuid>,
}

/// What was seen last.
#[derive(Serialize, ToSchema)]
struct Profile {
    /// What clients make of it: `enabled`, `disabled`, or null.
    #[schema(required)]
    preference: Option<&'static str>,
    /// Whether the two types disagree.
    disagrees: bool,
    #[schema(required)]
    stable: Option<Seen>,
    #[schema(required)]
    unstable: Option<Seen>,
}

/// What was seen last of one type.
#[derive(Serialize, ToSchema)]
struct Seen {
    /// `enabled`, `disabled`, `unusable` or `absent`.
    content: &'static str,
    /// The record.
    id: Uuid,
    #[schema(required)]
    exchange_id: Option<Uuid>,
    #[schema(format = DateTime)]
    at: String,
    /// Whether it was written then, or else read.
    was_written: bool,
}

/// One change, or one that did not come about.
#[derive(Serialize, ToSchema)]
struct Change<'a> {
    /// What was known before.
    #[schema(required)]
    from: Option<&'static str>,
    /// What was to be stored, or was read.
    #[schema(required)]
    to: Option<&'static str>,
    /// `stored`, `refused`, `not_stored`, `unanswered` or `found`.
    became: &'static str,
    /// Whether the two types disagreed from here to the next change.
    disagrees: bool,
    #[schema(value_type = Described)]
    record: Line<'a>,
}

/// Where what is stored is not what was written, or says two things.
#[derive(Serialize, ToSchema)]
pub(super) struct Drifted {
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
pub(super) struct WouldBreak {
    range: Span,
    violations: Vec<Violations>,
}

/// Who wants key backup, over time.
#[derive(Serialize, ToSchema)]
pub(super) struct Adopted {
    range: Span,
    adoption: Vec<Adoption>,
}

/// RFC 3339, UTC, six decimals, as in exports.
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

// === impl Span ===

impl From<&Range> for Span {
    fn from(range: &Range) -> Self {
        Self {
            since: time(range.span.since),
            until: time(range.span.until),
            by: match range.span.by {
                By::Hour => "hour",
                By::Day => "day",
            },
        }
    }
}

// === impl Overview ===

impl Overview {
    pub(super) fn new(range: &Range, overview: trail::Overview) -> Self {
        let health = overview.reasons.into_iter().map(|reason| Trouble {
            code: reason.code,
            message: reason.message,
        });
        let standing = overview.standing;
        Self {
            range: range.into(),
            trail: Standing {
                health: health.collect(),
                sealed: standing.sealed,
                unsealed: standing.unsealed,
                checkpoint: standing.checkpoint.as_ref().map(|one| Checkpoint {
                    size: one.size.unsigned_abs(),
                    at: time(one.made_at),
                    note: one.note.clone(),
                }),
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

impl From<&store::Adoption> for Adoption {
    fn from(one: &store::Adoption) -> Self {
        Self {
            at: time(one.at),
            enabled: one.enabled,
            disabled: one.disabled,
            unknown: one.unknown,
        }
    }
}

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

impl From<&store::Violations> for Violations {
    fn from(one: &store::Violations) -> Self {
        Self {
            code: one.code.clone(),
            client: one.client.clone(),
            version: one.version.clone(),
            refused: one.refused,
            forwarded: one.forwarded,
            reads: one.reads,
            newest: one.newest,
        }
    }
}

// === impl Records ===

impl<'a> Records<'a> {
    pub(super) fn new(page: &'a trail::Page) -> Self {
        Self {
            records: page.records.iter().map(Line).collect(),
            next: page.next,
        }
    }
}

// === impl Exchange ===

impl<'a> Exchange<'a> {
    pub(super) fn new(id: Uuid, exchange: &'a trail::Exchange) -> Self {
        let newest = exchange.checkpoint.as_ref();
        let covered = newest.map_or(0, |(size, _)| *size);
        let leaves = exchange.records.iter().filter_map(|stored| {
            let (index, hash) = exchange.places.get(&stored.record.id)?;
            Some(Leaf {
                id: stored.record.id,
                leaf_index: index.unsigned_abs(),
                leaf_hash: hex::encode(hash),
                is_covered: index.unsigned_abs() < covered,
            })
        });
        Self {
            id,
            records: exchange.records.iter().map(Line).collect(),
            leaves: leaves.collect(),
            checkpoint: newest.map(|(size, one)| Checkpoint {
                size: *size,
                at: time(one.made_at),
                note: one.note.clone(),
            }),
            told: words::told(&exchange.records).map(|told| Told {
                status: told.status,
                errcode: told.errcode,
                text: told.text,
            }),
        }
    }
}

// === impl Story ===

impl<'a> Story<'a> {
    pub(super) fn new(user: &str, story: &'a trail::Story) -> Self {
        Self {
            user: user.to_owned(),
            profile: story.profile.as_ref().map(Profile::from),
            changes: story.changes.iter().map(Change::new).collect(),
            next: story.next,
        }
    }
}

impl From<&summary::Profile> for Profile {
    fn from(profile: &summary::Profile) -> Self {
        Self {
            preference: profile.preference().map(Preference::as_str),
            disagrees: profile.disagrees(),
            stable: profile.seen(EventType::Stable).map(Seen::from),
            unstable: profile.seen(EventType::Unstable).map(Seen::from),
        }
    }
}

impl From<summary::Seen> for Seen {
    fn from(seen: summary::Seen) -> Self {
        Self {
            content: seen.content.as_str(),
            id: seen.id,
            exchange_id: seen.exchange_id,
            at: time(seen.at),
            was_written: seen.was_written,
        }
    }
}

// === impl Change ===

impl<'a> Change<'a> {
    fn new(change: &'a summary::Change) -> Self {
        Self {
            from: change.from.map(summary::Content::as_str),
            to: change.to.map(summary::Content::as_str),
            became: change.became.as_str(),
            disagrees: change.disagrees,
            record: Line(&change.stored),
        }
    }
}

// === impl Drifted ===

impl Drifted {
    pub(super) fn new(found: &trail::Drifts) -> Self {
        let drifts = found.drifts.iter().map(|one| Drift {
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
    pub(super) fn new(range: &Range, found: &[store::Violations]) -> Self {
        Self {
            range: range.into(),
            violations: found.iter().map(Violations::from).collect(),
        }
    }
}

// === impl Adopted ===

impl Adopted {
    pub(super) fn new(range: &Range, found: &[store::Adoption]) -> Self {
        Self {
            range: range.into(),
            adoption: found.iter().map(Adoption::from).collect(),
        }
    }
}
