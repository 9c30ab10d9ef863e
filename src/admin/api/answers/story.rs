//! What is known of a user.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::time;
use crate::admin::api::record::{Described, Line};
use crate::admin::trail;
use crate::audit::summary;
use crate::matrix::{EventType, Preference};

/// What is known of a user.
#[derive(Serialize, ToSchema)]
pub(in crate::admin::api) struct Story<'a> {
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
pub(super) struct Profile {
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

// === impl Story ===

impl<'a> Story<'a> {
    pub(in crate::admin::api) fn new(user: &str, story: &'a trail::Story) -> Self {
        Self {
            user: user.to_owned(),
            profile: story.profile.as_ref().map(Profile::from),
            changes: story.changes.iter().map(Change::new).collect(),
            next: story.next,
        }
    }
}

// === impl Profile ===

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

// === impl Seen ===

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
