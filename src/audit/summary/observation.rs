//! What a record says about what the homeserver has stored.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::profile::Content;
use crate::audit::record::{Facts, Judged, Kind, Outcome, Phase, Record};
use crate::matrix::{Action, EventType, Preference};

/// What a record says about what the homeserver has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) struct Observation {
    /// The record.
    pub(super) id: Uuid,
    pub(super) exchange_id: Option<Uuid>,
    /// When it was recorded.
    pub(super) at: DateTime<Utc>,
    /// When the request came in.
    pub(super) began: DateTime<Utc>,
    pub(super) event_type: EventType,
    pub(super) what: What,
}

/// What is known from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The homeserver is about to be asked to store something.
    Asking,
    /// It has stored this.
    Wrote(Content),
    /// It has stored nothing.
    Kept,
    /// It may have stored something.
    Perhaps,
    /// It has this.
    Gave(Content),
}

// === impl Observation ===

impl Observation {
    /// What `record` says, if it says anything.
    pub(in crate::audit) fn of(record: &Record) -> Option<Self> {
        let facts = &record.facts;
        let (Kind::Exchange, Some(event_type)) = (record.kind, facts.event_type) else {
            return None;
        };
        let what = match (facts.action?, facts.phase?) {
            (Action::Write | Action::Clear, Phase::Intent) => What::Asking,
            (Action::Write | Action::Clear, Phase::Outcome) => written(facts)?,
            (Action::Read, Phase::Outcome) => read(facts)?,
            (Action::Read, Phase::Intent) => return None,
        };
        let took = TimeDelta::microseconds(facts.duration_us.unwrap_or_default());
        Some(Self {
            id: record.id,
            exchange_id: facts.exchange_id,
            at: record.recorded_at,
            began: record
                .recorded_at
                .checked_sub_signed(took)
                .unwrap_or(record.recorded_at),
            event_type,
            what,
        })
    }

    /// Whose account data `record` is about: the homeserver's word goes before the path's.
    pub(in crate::audit) fn owner(record: &Record) -> Option<&str> {
        let facts = &record.facts;
        facts
            .authenticated_user
            .as_deref()
            .or(facts.claimed_user.as_deref())
    }
}

fn written(facts: &Facts) -> Option<What> {
    Some(match facts.outcome? {
        Outcome::Refused | Outcome::Failed => What::Kept,
        Outcome::Unanswered => What::Perhaps,
        Outcome::Answered => match facts.origin_status? {
            200..300 => What::Wrote(stored(facts)),
            // A server that broke down may have stored it before.
            500.. => What::Perhaps,
            _ => What::Kept,
        },
    })
}

fn read(facts: &Facts) -> Option<What> {
    match (facts.outcome?, facts.origin_status?) {
        // Without a verdict nothing was looked at: HEAD, or too long.
        (Outcome::Answered, 200..300) => facts.verdict.map(|_| What::Gave(stored(facts))),
        (Outcome::Answered, 404) => {
            (facts.errcode.as_deref() == Some("M_NOT_FOUND")).then_some(What::Gave(Content::Absent))
        }
        _ => None,
    }
}

fn stored(facts: &Facts) -> Content {
    match (facts.verdict, facts.preference) {
        (Some(Judged::Accept), Some(Preference::Enabled)) => Content::Enabled,
        (Some(Judged::Accept), Some(Preference::Disabled)) => Content::Disabled,
        _ => Content::Unusable,
    }
}
