//! What is known of one user, and how a record changes it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::observation::{Observation, What};
use crate::matrix::{EventType, Preference};

/// What the homeserver has stored of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Key backup is wanted.
    Enabled,
    /// It is not.
    Disabled,
    /// Something that clients must ignore: `{}`, or malformed.
    Unusable,
    /// Nothing.
    Absent,
}

/// Of one type, what was seen last, and in which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What it was.
    pub content: Content,
    /// The record.
    pub id: Uuid,
    /// Its exchange.
    pub exchange_id: Option<Uuid>,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// Whether it was written then, or else read.
    pub was_written: bool,
}

/// What is known of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The user ID.
    #[serde(skip)]
    pub user: String,
    /// The stable type.
    stable: Slot,
    /// The unstable type.
    unstable: Slot,
    /// The last record that was taken in.
    pub(in crate::audit) last: Uuid,
    /// The days (since 1970, UTC) at whose end the preference was another than the day before, and whether key backup was
    /// wanted then; `None` where that is not known.
    pub(in crate::audit) days: Vec<(i32, Option<bool>)>,
}

/// What is known of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    seen: Option<Seen>,
    /// Writes of which it is not known yet what became of them.
    open: Vec<Uuid>,
    /// A write may have been stored since.
    is_doubtful: bool,
}

/// A read that gave something else than what was known: what, and what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) struct Surprise {
    pub(in crate::audit) read: Seen,
    pub(in crate::audit) event_type: EventType,
    pub(in crate::audit) known: Seen,
}

/// How many open writes are remembered; with more of them nothing is certain anyway.
const MOST_OPEN: usize = 16;

// === impl Content ===

impl Content {
    /// What it says, if it says anything.
    #[must_use]
    pub fn preference(self) -> Option<Preference> {
        match self {
            Self::Enabled => Some(Preference::Enabled),
            Self::Disabled => Some(Preference::Disabled),
            Self::Unusable | Self::Absent => None,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Unusable => "unusable",
            Self::Absent => "absent",
        }
    }

    /// The reverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Disabled, Self::Unusable, Self::Absent]
            .into_iter()
            .find(|content| content.as_str() == text)
    }
}

// === impl Profile ===

impl Profile {
    /// Nothing is known of `user` yet.
    pub(in crate::audit) fn of(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            ..Self::default()
        }
    }

    /// What a store kept of `user`; `None` if no version of this program has written it.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(in crate::audit) fn read(user: &str, json: &str) -> Option<Self> {
        let profile: Self = serde_json::from_str(json).ok()?;
        Some(Self {
            user: user.to_owned(),
            ..profile
        })
    }

    /// What was seen last of `event_type`.
    #[must_use]
    pub fn seen(&self, event_type: EventType) -> Option<Seen> {
        match event_type {
            EventType::Stable => self.stable.seen,
            EventType::Unstable => self.unstable.seen,
        }
    }

    /// What clients make of it: the stable type counts if there is one at all.
    #[must_use]
    pub fn preference(&self) -> Option<Preference> {
        match self.stable.seen.map(|seen| seen.content) {
            None | Some(Content::Absent) => {
                self.unstable.seen.and_then(|it| it.content.preference())
            }
            Some(content) => content.preference(),
        }
    }

    /// Whether the two types disagree, so that clients which read one see something else than those which read the other.
    #[must_use]
    pub fn disagrees(&self) -> bool {
        let (Some(stable), Some(unstable)) = (self.stable.seen, self.unstable.seen) else {
            return false;
        };
        let (stable, unstable) = (stable.content, unstable.content);
        stable != Content::Absent
            && unstable != Content::Absent
            && stable.preference() != unstable.preference()
    }

    /// Whether a record with this id comes after all that were taken in.
    pub(in crate::audit) fn is_before(&self, id: Uuid) -> bool {
        self.last < id
    }

    /// Takes in a record that comes after all others; a read that gave something else than what was known is returned.
    pub(in crate::audit) fn take(&mut self, observation: &Observation) -> Option<Surprise> {
        self.last = observation.id;
        let slot = match observation.event_type {
            EventType::Stable => &mut self.stable,
            EventType::Unstable => &mut self.unstable,
        };
        let surprise = slot.take(observation);
        self.note_day(observation.at);
        surprise
    }

    /// Notes what the preference is at the end of the day of `at`, as far as is known.
    fn note_day(&mut self, at: DateTime<Utc>) {
        let wanted = self.preference().map(|it| it == Preference::Enabled);
        let day = day_of(at);
        // A clock that was set back must not make an earlier day follow a later one.
        let day = self.days.last().map_or(day, |(last, _)| day.max(*last));
        if self.days.last().is_some_and(|(last, _)| *last == day) {
            self.days.pop();
        }
        if self.days.last().is_none_or(|(_, before)| *before != wanted) {
            self.days.push((day, wanted));
        }
    }
}

/// Days since 1970, UTC.
pub(in crate::audit) fn day_of(at: DateTime<Utc>) -> i32 {
    i32::try_from(at.timestamp().div_euclid(86_400)).unwrap_or(i32::MAX)
}

// === impl Slot ===

impl Slot {
    fn take(&mut self, observation: &Observation) -> Option<Surprise> {
        let seen = |content, was_written| Seen {
            content,
            id: observation.id,
            exchange_id: observation.exchange_id,
            at: observation.at,
            was_written,
        };
        match observation.what {
            What::Asking => {
                if self.open.len() >= MOST_OPEN {
                    self.open.remove(0);
                    self.is_doubtful = true;
                }
                self.open.extend(observation.exchange_id);
                None
            }
            What::Wrote(content) => {
                self.close(observation);
                self.is_doubtful = false;
                self.seen = Some(seen(content, true));
                None
            }
            What::Kept => {
                self.close(observation);
                None
            }
            What::Perhaps => {
                self.close(observation);
                self.is_doubtful = true;
                None
            }
            What::Gave(content) => self.gave(seen(content, false), observation),
        }
    }

    fn gave(&mut self, read: Seen, observation: &Observation) -> Option<Surprise> {
        let known = self.seen.replace(read)?;
        // Else the read and a write were on their way at once, and either may have been first.
        let is_certain = self.open.is_empty() && !self.is_doubtful && observation.began > known.at;
        self.is_doubtful &= !self.open.is_empty();
        let is_same = known.content == read.content
            // Whether `{}` is stored or deletes is the homeserver's choice.
            || known.content.preference().is_none() && read.content.preference().is_none();
        (is_certain && !is_same).then_some(Surprise {
            read,
            event_type: observation.event_type,
            known,
        })
    }

    fn close(&mut self, observation: &Observation) {
        self.open
            .retain(|open| Some(*open) != observation.exchange_id);
    }
}
