//! Makes of what a store has counted what was asked for: every step of a span, in order, those without any included.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::profile::{Content, Profile, day_of};
use crate::audit::store::{
    Adoption, By, Drift, Span, Standing, StoredCheckpoint, Violations, Writes,
};
use crate::matrix::EventType;

/// User and profile.
pub(in crate::audit) type ProfileRow = (String, String);

/// Code, client, version; refused, forwarded, reads; the newest record.
pub(in crate::audit) type ViolationRow = (String, String, String, i64, i64, i64, Uuid);

/// In the order of [`Drift`]: the read, its exchange and time; user, type; what was expected, since when, what was found.
pub(in crate::audit) type DriftRow = (
    Uuid,
    Option<Uuid>,
    DateTime<Utc>,
    String,
    String,
    String,
    Uuid,
    String,
);

/// The steps of one span.
#[derive(Clone, Copy, Debug)]
pub(in crate::audit) struct Rows<'a>(&'a Span);

/// A span has no more steps than this: four years by the hour.
const MOST: usize = 40_000;

/// Of `counts`: sealed, summarised, unsealed, open, unsummarised; enabled, disabled, unknown.
pub(in crate::audit) fn standing(
    counts: [i64; 8],
    is_behind: bool,
    checkpoint: Option<StoredCheckpoint>,
    now: DateTime<Utc>,
) -> Standing {
    let counts = counts.map(|count| u64::try_from(count).unwrap_or_default());
    let [
        sealed,
        summarised,
        unsealed,
        open_intents,
        fresh,
        enabled,
        disabled,
        unknown,
    ] = counts;
    Standing {
        sealed,
        unsealed,
        checkpoint,
        open_intents,
        users: Adoption {
            at: now,
            enabled,
            disabled,
            unknown,
        },
        summarised,
        unsummarised: fresh.min(Standing::ENOUGH),
        is_behind,
        now,
    }
}

pub(in crate::audit) fn violations(found: Vec<ViolationRow>) -> Vec<Violations> {
    let found = found.into_iter();
    let made = found.map(
        |(code, client, version, refused, forwarded, reads, newest)| Violations {
            code,
            client,
            version,
            refused: refused.unsigned_abs(),
            forwarded: forwarded.unsigned_abs(),
            reads: reads.unsigned_abs(),
            newest,
        },
    );
    made.collect()
}

/// Nothing of what no version of this program has written.
pub(in crate::audit) fn profiles(found: &[ProfileRow]) -> Vec<Profile> {
    let found = found.iter();
    found
        .filter_map(|(user, profile)| Profile::read(user, profile))
        .collect()
}

/// Nothing of what no version of this program has written.
pub(in crate::audit) fn drifts(found: impl Iterator<Item = DriftRow>) -> Vec<Drift> {
    let drift =
        |(read_id, exchange_id, at, user, event_type, expected, known_from, found): DriftRow| {
            Some(Drift {
                read_id,
                exchange_id,
                at,
                user,
                event_type: EventType::parse(&event_type)?,
                expected: Content::parse(&expected)?,
                known_from,
                found: Content::parse(&found)?,
            })
        };
    found.filter_map(drift).collect()
}

// === impl Rows ===

impl<'a> Rows<'a> {
    pub(in crate::audit) fn of(span: &'a Span) -> Self {
        Self(span)
    }

    /// The first day, and the one after the last: since 1970, UTC.
    pub(in crate::audit) fn days(self) -> (i32, i32) {
        let last = day_of(self.0.until - TimeDelta::microseconds(1));
        (day_of(self.0.since), last.saturating_add(1))
    }

    /// The first hour, and the one after the last: since 1970.
    pub(in crate::audit) fn hours(self) -> (i64, i64) {
        let hour = |at: DateTime<Utc>| at.timestamp().div_euclid(3600);
        let last = hour(self.0.until - TimeDelta::microseconds(1));
        (hour(self.0.since), last + 1)
    }

    /// How many hours a step of it has.
    pub(in crate::audit) fn step(self) -> i64 {
        match self.0.by {
            By::Hour => 1,
            By::Day => 24,
        }
    }

    /// Of how many users more or fewer there were with a preference on a day, those before the span on the day before it,
    /// how many there are at the end of each.
    pub(in crate::audit) fn adoption(self, found: Vec<(i32, String, i64)>) -> Vec<Adoption> {
        let (first, end) = self.days();
        let mut users = [0_i64; 3];
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable();
        let mut changes = found.into_iter().peekable();
        let days = first.saturating_sub(1)..end;
        let counted = days.map(|day| {
            while let Some((_, preference, delta)) = changes.next_if(|(at, _, _)| *at <= day) {
                let at = match preference.as_str() {
                    "enabled" => 0,
                    "disabled" => 1,
                    _ => 2,
                };
                users[at] += delta;
            }
            let count = |at: usize| u64::try_from(users[at]).unwrap_or_default();
            Adoption {
                at: DateTime::from_timestamp(i64::from(day) * 86_400, 0).unwrap_or_default(),
                enabled: count(0),
                disabled: count(1),
                unknown: count(2),
            }
        });
        counted.skip(1).take(MOST).collect()
    }

    /// Of how many writes there were in a step with a verdict, given by the step's first hour, how many there were in each.
    pub(in crate::audit) fn writes(self, found: Vec<(i64, String, i64)>) -> Vec<Writes> {
        let ((first, end), step) = (self.hours(), self.step());
        let first = first.div_euclid(step);
        let steps = first..(end + step - 1).div_euclid(step);
        let mut rows: Vec<Writes> = steps
            .take(MOST)
            .map(|at| Writes {
                at: DateTime::from_timestamp(at * step * 3600, 0).unwrap_or_default(),
                ..Writes::default()
            })
            .collect();
        for (hour, verdict, records) in found {
            let at = usize::try_from(hour.div_euclid(step) - first).unwrap_or(usize::MAX);
            let Some(row) = rows.get_mut(at) else {
                continue;
            };
            let count = match verdict.as_str() {
                "accept" => &mut row.accept,
                "clear" => &mut row.clear,
                _ => &mut row.refuse,
            };
            *count += records.unsigned_abs();
        }
        rows
    }
}
