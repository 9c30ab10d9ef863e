//! What users' records tell.

use std::sync::Arc;

use chrono::TimeDelta;

use super::observation::Observation;
use super::profile::Profile;
use super::{Became, Change, Content, story};
use crate::audit::record::{Facts, Judged, Kind, Outcome, Phase, Record, Stamp, Stored};
use crate::clock::{Clock as _, MockClock};
use crate::matrix::{Action, EventType, Preference};

/// A gateway, and what it has recorded of one user.
struct Telling {
    clock: Arc<MockClock>,
    stamp: Stamp,
    records: Vec<Stored>,
}

impl Telling {
    fn new() -> Self {
        let clock = Arc::new(MockClock::new("2026-11-15T12:00:00Z".parse().unwrap()));
        Self {
            stamp: Stamp::new(Arc::clone(&clock) as _, "gateway-1"),
            clock,
            records: Vec::new(),
        }
    }

    fn after(&mut self, wait: TimeDelta) -> &mut Self {
        self.clock.advance(wait);
        self
    }

    fn record(&mut self, facts: Facts) -> Record {
        self.clock.advance(TimeDelta::milliseconds(5));
        let record = self.stamp.record(Kind::Exchange, facts);
        self.records.push(Stored {
            record: record.clone(),
            stored_at: self.clock.now(),
        });
        record
    }

    fn facts(&self, action: Action, preference: Option<Preference>) -> Facts {
        Facts {
            exchange_id: Some(self.stamp.new_id()),
            action: Some(action),
            event_type: Some(EventType::Stable),
            claimed_user: Some("@a:x".to_owned()),
            verdict: Some(if preference.is_some() {
                Judged::Accept
            } else {
                Judged::Clear
            }),
            preference,
            ..Facts::default()
        }
    }

    fn intent(&mut self, preference: Option<Preference>) -> Facts {
        let facts = self.facts(Action::Write, preference);
        let phase = Some(Phase::Intent);
        self.record(Facts {
            phase,
            ..facts.clone()
        });
        facts
    }

    fn outcome(&mut self, facts: &Facts, outcome: Outcome, status: Option<u16>) -> &mut Self {
        self.record(Facts {
            phase: Some(Phase::Outcome),
            outcome: Some(outcome),
            origin_status: status,
            ..facts.clone()
        });
        self
    }

    fn stored(&mut self, preference: Option<Preference>) -> &mut Self {
        let facts = self.intent(preference);
        self.outcome(&facts, Outcome::Answered, Some(200))
    }

    fn stored_unstable(&mut self, preference: Preference) -> &mut Self {
        let mut facts = self.facts(Action::Write, Some(preference));
        facts.event_type = Some(EventType::Unstable);
        self.outcome(&facts, Outcome::Answered, Some(200))
    }

    fn read(&mut self, preference: Option<Preference>) -> &mut Self {
        let facts = self.facts(Action::Read, preference);
        self.outcome(&facts, Outcome::Answered, Some(200))
    }

    fn told(&self) -> Vec<(Option<Content>, Option<Content>, Became)> {
        let changes = story(&self.records).into_iter();
        changes
            .map(
                |Change {
                     from, to, became, ..
                 }| (from, to, became),
            )
            .collect()
    }

    fn profile(&self) -> Profile {
        let mut profile = Profile::of("@a:x");
        for stored in &self.records {
            if let Some(observation) = Observation::of(&stored.record) {
                profile.take(&observation);
            }
        }
        profile
    }
}

const ON: Option<Preference> = Some(Preference::Enabled);
const OFF: Option<Preference> = Some(Preference::Disabled);
const ENABLED: Option<Content> = Some(Content::Enabled);
const DISABLED: Option<Content> = Some(Content::Disabled);

#[test]
fn a_story_says_from_what_to_what_and_what_became_of_it() {
    let mut telling = Telling::new();
    telling.stored(ON);
    let refused = Facts {
        verdict: Some(Judged::Refuse),
        violations: vec!["not_json".to_owned()],
        ..telling.facts(Action::Write, None)
    };
    telling.outcome(&refused, Outcome::Refused, None);
    let forbidden = telling.intent(OFF);
    telling.outcome(&forbidden, Outcome::Answered, Some(403));
    telling.stored(OFF).read(OFF).stored(None);
    assert_eq!(
        telling.told(),
        [
            (None, ENABLED, Became::Stored),
            (ENABLED, None, Became::Refused),
            (ENABLED, DISABLED, Became::NotStored),
            (ENABLED, DISABLED, Became::Stored),
            (DISABLED, Some(Content::Unusable), Became::Stored),
        ]
    );
}

#[test]
fn an_outcome_that_came_late_counts_and_an_intent_without_one_may_have_happened() {
    let mut telling = Telling::new();
    let closed = telling.intent(ON);
    telling.outcome(&closed, Outcome::Unanswered, None);
    telling.outcome(&closed, Outcome::Answered, Some(200));
    let _open = telling.intent(OFF);
    assert_eq!(
        telling.told(),
        [
            (None, ENABLED, Became::Stored),
            (ENABLED, DISABLED, Became::Unanswered),
        ]
    );
}

#[test]
fn a_read_is_told_only_if_nobody_wrote_what_it_gave() {
    let mut telling = Telling::new();
    telling.read(ON).stored(ON).read(ON).read(OFF).read(OFF);
    assert_eq!(
        telling.told(),
        [
            (ENABLED, ENABLED, Became::Stored),
            (ENABLED, DISABLED, Became::Found),
        ]
    );
}

#[test]
fn what_may_have_been_stored_is_no_surprise() {
    // Nobody knows what became of it.
    let mut telling = Telling::new();
    telling.stored(ON);
    let doubtful = telling.intent(OFF);
    telling
        .outcome(&doubtful, Outcome::Unanswered, None)
        .read(OFF);
    assert!(
        !telling
            .told()
            .iter()
            .any(|(.., became)| *became == Became::Found)
    );
    // It is on its way.
    let mut telling = Telling::new();
    telling.stored(ON);
    let open = telling.intent(OFF);
    telling
        .read(OFF)
        .outcome(&open, Outcome::Answered, Some(200));
    assert!(
        !telling
            .told()
            .iter()
            .any(|(.., became)| *became == Became::Found)
    );
    // A homeserver that broke down may have stored it before.
    let mut telling = Telling::new();
    telling.stored(ON);
    let broken = telling.intent(OFF);
    telling
        .outcome(&broken, Outcome::Answered, Some(502))
        .read(OFF);
    assert!(
        !telling
            .told()
            .iter()
            .any(|(.., became)| *became == Became::Found)
    );
    // The read began before the write was done.
    let mut telling = Telling::new();
    telling.stored(ON);
    let slow = Facts {
        duration_us: Some(60_000_000),
        ..telling.facts(Action::Read, OFF)
    };
    telling.outcome(&slow, Outcome::Answered, Some(200));
    assert!(
        !telling
            .told()
            .iter()
            .any(|(.., became)| *became == Became::Found)
    );
    // To clear is to delete, or not.
    let mut telling = Telling::new();
    telling.stored(None);
    let gone = Facts {
        verdict: None,
        errcode: Some("M_NOT_FOUND".to_owned()),
        ..telling.facts(Action::Read, None)
    };
    telling.outcome(&gone, Outcome::Answered, Some(404));
    assert!(
        !telling
            .told()
            .iter()
            .any(|(.., became)| *became == Became::Found)
    );
}

#[test]
fn the_gap_between_two_writes_is_no_disagreement() {
    let disagrees = |telling: &Telling| -> Vec<bool> {
        let changes = story(&telling.records).into_iter();
        changes.map(|change| change.disagrees).collect()
    };
    let minute = TimeDelta::minutes(1);
    let mut telling = Telling::new();
    telling.stored(ON).stored_unstable(Preference::Enabled);
    telling.after(minute).stored(OFF);
    telling.stored_unstable(Preference::Disabled);
    assert_eq!(disagrees(&telling), [false; 4]);
    telling.after(minute).stored(ON);
    telling.after(minute).stored_unstable(Preference::Enabled);
    assert_eq!(
        disagrees(&telling),
        [false, false, false, false, true, false]
    );
}

#[test]
fn the_stable_type_counts_if_there_is_one_at_all() {
    let mut telling = Telling::new();
    telling.stored_unstable(Preference::Disabled);
    assert_eq!(telling.profile().preference(), OFF);
    telling.stored(ON);
    assert_eq!(telling.profile().preference(), ON);
    assert!(telling.profile().disagrees());
    // Clients that read the stable type see nothing, the others see that it is not wanted.
    telling.stored(None);
    assert_eq!(telling.profile().preference(), None);
    assert!(telling.profile().disagrees());
    let gone = Facts {
        verdict: None,
        errcode: Some("M_NOT_FOUND".to_owned()),
        ..telling.facts(Action::Read, None)
    };
    telling.outcome(&gone, Outcome::Answered, Some(404));
    assert_eq!(telling.profile().preference(), OFF);
    assert!(!telling.profile().disagrees());
}

#[test]
fn a_day_is_noted_when_the_preference_at_its_end_is_another() {
    let mut telling = Telling::new();
    telling.stored(ON).stored(OFF).stored(ON);
    telling.after(TimeDelta::days(1)).stored(ON);
    telling.after(TimeDelta::days(1)).stored(OFF).stored(ON);
    telling.after(TimeDelta::days(1)).stored(OFF);
    let days = telling.profile().days;
    let first = days[0].0;
    assert_eq!(days, [(first, Some(true)), (first + 3, Some(false))]);
}

#[test]
fn a_profile_is_kept_as_it_is() {
    let mut telling = Telling::new();
    telling.stored(ON).stored_unstable(Preference::Disabled);
    let _open = telling.intent(OFF);
    let profile = telling.profile();
    let json = serde_json::to_string(&profile).unwrap();
    assert_eq!(Profile::read("@a:x", &json), Some(profile));
    assert_eq!(Profile::read("@a:x", "{}"), None);
    assert_eq!(story(&[]), []);
}
