//! What a user's records tell, in order: from what to what, and what became of it.

use std::collections::HashMap;

use chrono::TimeDelta;
use uuid::Uuid;

use super::observation::{Observation, What};
use super::profile::{Content, Profile, Surprise};
use crate::audit::record::{Judged, Outcome, Phase, Stored};
use crate::matrix::{Action, Preference};

/// Clients write the stable type first, and the unstable one some 50 ms later: so long the two may disagree.
const APART: TimeDelta = TimeDelta::seconds(10);

/// One change, or one that did not come about.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What says so: the outcome, or an intent that has none.
    pub stored: Stored,
    /// What was known of this type before; `None` if nothing was.
    pub from: Option<Content>,
    /// What was to be stored, or was read; `None` if it was refused unread.
    pub to: Option<Content>,
    /// What became of it.
    pub became: Became,
    /// Whether, from here to the next change, the stable and the unstable type disagreed.
    pub disagrees: bool,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// The homeserver has stored it.
    Stored,
    /// The gateway refused it.
    Refused,
    /// The homeserver did not take it, or was not reached.
    NotStored,
    /// It may have been stored.
    Unanswered,
    /// It was found by a read, and nobody wrote it through us.
    Found,
}

/// The changes that `records` of one user tell, in any order, oldest first. Reads are told only where they gave something
/// that nobody wrote.
#[must_use]
pub fn story(records: &[Stored]) -> Vec<Change> {
    let mut sorted: Vec<_> = records.iter().collect();
    sorted.sort_unstable_by_key(|stored| stored.record.id);
    let told = telling(&sorted);
    let mut profile = Profile::default();
    let mut changes = Vec::new();
    for stored in sorted {
        let Some(observation) = Observation::of(&stored.record) else {
            continue;
        };
        let from = profile
            .seen(observation.event_type)
            .map(|seen| seen.content);
        let surprise = profile.take(&observation);
        let disagrees = profile.disagrees();
        let exchange = stored.record.facts.exchange_id.unwrap_or(stored.record.id);
        // Of one exchange the last word counts: an outcome that came late, or the intent if there is none.
        let is_told = told.get(&exchange) == Some(&stored.record.id);
        if let Some(change) = change(stored, from, &observation, surprise).filter(|_| is_told) {
            changes.push(Change {
                disagrees,
                ..change
            });
        } else if let Some(last) = changes.last_mut() {
            last.disagrees = disagrees;
        }
    }
    forgive_the_gap(&mut changes);
    changes
}

/// Which record tells of each exchange.
fn telling(sorted: &[&Stored]) -> HashMap<Uuid, Uuid> {
    let weight = |stored: &Stored| match (stored.record.facts.phase, stored.record.facts.outcome) {
        (Some(Phase::Outcome), Some(Outcome::Unanswered)) => 1,
        (Some(Phase::Outcome), _) => 2,
        _ => 0,
    };
    let mut told: HashMap<Uuid, (u8, Uuid)> = HashMap::new();
    for stored in sorted {
        let id = stored.record.id;
        let exchange = stored.record.facts.exchange_id.unwrap_or(id);
        let best = told.entry(exchange).or_insert((0, id));
        *best = (*best).max((weight(stored), id));
    }
    told.into_iter()
        .map(|(exchange, (_, id))| (exchange, id))
        .collect()
}

fn change(
    stored: &Stored,
    from: Option<Content>,
    observation: &Observation,
    surprise: Option<Surprise>,
) -> Option<Change> {
    let facts = &stored.record.facts;
    let (to, became) = match observation.what {
        What::Gave(content) => {
            surprise?;
            (Some(content), Became::Found)
        }
        What::Wrote(content) => (Some(content), Became::Stored),
        What::Kept if facts.outcome == Some(Outcome::Refused) => (asked(stored), Became::Refused),
        What::Kept => (asked(stored), Became::NotStored),
        What::Asking | What::Perhaps => (asked(stored), Became::Unanswered),
    };
    Some(Change {
        stored: stored.clone(),
        from,
        to,
        became,
        disagrees: false,
    })
}

/// What the client wanted to be stored.
fn asked(stored: &Stored) -> Option<Content> {
    let facts = &stored.record.facts;
    match (facts.verdict, facts.preference) {
        (_, Some(Preference::Enabled)) => Some(Content::Enabled),
        (_, Some(Preference::Disabled)) => Some(Content::Disabled),
        (Some(Judged::Clear), None) => Some(Content::Unusable),
        _ if facts.action == Some(Action::Clear) => Some(Content::Unusable),
        _ => None,
    }
}

/// While the second of two writes is on its way they are no disagreement.
fn forgive_the_gap(changes: &mut [Change]) {
    for at in 1..changes.len() {
        let gap = changes[at].stored.record.recorded_at - changes[at - 1].stored.record.recorded_at;
        if gap < APART && !changes[at].disagrees {
            changes[at - 1].disagrees = false;
        }
    }
}

// === impl Became ===

impl Became {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Refused => "refused",
            Self::NotStored => "not_stored",
            Self::Unanswered => "unanswered",
            Self::Found => "found",
        }
    }
}
