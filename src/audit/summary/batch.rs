//! What some records add to the summary, whatever store keeps it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::client::client;
use super::observation::Observation;
use super::profile::{Profile, Surprise};
use crate::audit::record::{Judged, Kind, Outcome, Phase, Record};
use crate::audit::store::Drift;
use crate::matrix::Action;

/// Records that are not in the summary yet, in their order.
pub(in crate::audit) struct Batch {
    records: Vec<Record>,
    /// Whose account data they are about, and the indexes of their records.
    owners: BTreeMap<String, Vec<usize>>,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(in crate::audit) struct Derived {
    /// What is known of users now.
    pub(in crate::audit) profiles: Vec<Profile>,
    /// By how much the number of users with a preference changes on a day.
    pub(in crate::audit) adoption: BTreeMap<(i32, &'static str), i64>,
    /// How many records there are more.
    pub(in crate::audit) hours: BTreeMap<Hour, i64>,
    /// The same of violations, with the newest record.
    pub(in crate::audit) violations: BTreeMap<Violation, (i64, Uuid)>,
    /// Users of whom all drifts are in `drifts`, and those before are void.
    pub(in crate::audit) replayed: Vec<String>,
    /// Reads that gave what nobody had written.
    pub(in crate::audit) drifts: Vec<Drift>,
    /// Intents without an outcome: exchange and record.
    pub(in crate::audit) opened: Vec<(Uuid, Uuid)>,
    /// Exchanges that have one.
    pub(in crate::audit) closed: Vec<Uuid>,
    /// Which users came with which device, address or client: kind, value, claimed user.
    pub(in crate::audit) traits: BTreeSet<(&'static str, String, String)>,
    /// The first and the last day on which each device, address or client was seen, by the time of the ids.
    pub(in crate::audit) trait_days: BTreeMap<(&'static str, String), (i32, i32)>,
    /// Records whose id is of another time than they are.
    pub(in crate::audit) strays: Vec<(Uuid, DateTime<Utc>)>,
}

/// What records are counted by. Words that are not there are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::audit) struct Hour {
    /// Hours since 1970.
    pub(in crate::audit) at: i64,
    pub(in crate::audit) action: &'static str,
    pub(in crate::audit) verdict: &'static str,
    pub(in crate::audit) outcome: &'static str,
}

/// What violations are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::audit) struct Violation {
    /// Hours since 1970.
    pub(in crate::audit) hour: i64,
    pub(in crate::audit) code: String,
    pub(in crate::audit) client: String,
    pub(in crate::audit) version: String,
    /// `refused`, `forwarded` or `read`.
    pub(in crate::audit) became: &'static str,
}

/// By how much the time of an id may differ from that of its record, without it being a stray.
pub(in crate::audit) const STRAY: TimeDelta = TimeDelta::seconds(1);

/// The word for whether key backup is wanted.
fn wanted(wanted: Option<bool>) -> &'static str {
    match wanted {
        Some(true) => "enabled",
        Some(false) => "disabled",
        None => "unknown",
    }
}

// === impl Batch ===

impl Batch {
    pub(in crate::audit) fn new(mut records: Vec<Record>) -> Self {
        records.sort_unstable_by_key(|record| record.id);
        let mut owners: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            if let (Some(_), Some(owner)) = (Observation::of(record), Observation::owner(record)) {
                owners.entry(owner.to_owned()).or_default().push(index);
            }
        }
        Self { records, owners }
    }

    /// Whose profiles it is about.
    pub(in crate::audit) fn users(&self) -> Vec<String> {
        self.owners.keys().cloned().collect()
    }

    /// Those of whom records came late: everything about them must be read again.
    pub(in crate::audit) fn replays(&self, known: &HashMap<String, Profile>) -> Vec<String> {
        let is_late = |(user, indexes): &(&String, &Vec<usize>)| {
            let first = indexes.first().map(|index| self.records[*index].id);
            let profile = known.get(*user);
            profile
                .zip(first)
                .is_some_and(|(profile, first)| !profile.is_before(first))
        };
        let late = self.owners.iter().filter(is_late);
        late.map(|(user, _)| user.clone()).collect()
    }

    /// What is to be written. `known` are the profiles of [`users`](Self::users) as they are, `histories` all records of those
    /// that [`replays`](Self::replays) names.
    pub(in crate::audit) fn derive(
        &self,
        mut known: HashMap<String, Profile>,
        mut histories: HashMap<String, Vec<Record>>,
    ) -> Derived {
        let mut derived = Derived::default();
        for (user, indexes) in &self.owners {
            let before = known.remove(user).unwrap_or_else(|| Profile::of(user));
            let days = before.days.clone();
            let after = if let Some(mut history) = histories.remove(user) {
                history.sort_unstable_by_key(|record| record.id);
                derived.replayed.push(user.clone());
                let own = |record: &&Record| Observation::owner(record) == Some(user);
                derived.replay(Profile::of(user), history.iter().filter(own))
            } else {
                let records = indexes.iter().map(|index| &self.records[*index]);
                derived.replay(before, records)
            };
            derived.adopt(&days, &after.days);
            derived.profiles.push(after);
        }
        for record in &self.records {
            derived.count(record);
            derived.note_traits(record);
            derived.note_stray(record);
        }
        derived.note_open(&self.records);
        derived.adoption.retain(|_, delta| *delta != 0);
        derived
    }
}

// === impl Derived ===

impl Derived {
    fn replay<'a>(
        &mut self,
        mut profile: Profile,
        records: impl Iterator<Item = &'a Record>,
    ) -> Profile {
        for record in records {
            let Some(observation) = Observation::of(record) else {
                continue;
            };
            if let Some(surprise) = profile.take(&observation) {
                self.drifts.push(drift(&profile.user, &surprise));
            }
        }
        profile
    }

    /// What `before` said of a user is no longer so, and what `after` says is.
    fn adopt(&mut self, before: &[(i32, Option<bool>)], after: &[(i32, Option<bool>)]) {
        for (days, sign) in [(before, -1), (after, 1)] {
            let mut last = None;
            for (day, now) in days {
                if let Some(last) = last.replace(*now) {
                    *self.adoption.entry((*day, wanted(last))).or_default() -= sign;
                }
                *self.adoption.entry((*day, wanted(*now))).or_default() += sign;
            }
        }
    }

    fn count(&mut self, record: &Record) {
        let facts = &record.facts;
        if record.kind != Kind::Exchange || facts.phase != Some(Phase::Outcome) {
            return;
        }
        let Some(action) = facts.action else {
            return;
        };
        let hour = record.recorded_at.timestamp().div_euclid(3600);
        let key = Hour {
            at: hour,
            action: action.as_str(),
            verdict: facts.verdict.map_or("", Judged::as_str),
            outcome: facts.outcome.map_or("", Outcome::as_str),
        };
        *self.hours.entry(key).or_default() += 1;
        if facts.violations.is_empty() {
            return;
        }
        let (client, version) = client(facts.user_agent.as_deref());
        for code in facts.violations.iter().collect::<BTreeSet<_>>() {
            let key = Violation {
                hour,
                code: code.clone(),
                client: client.clone(),
                version: version.clone(),
                became: match (action, facts.outcome) {
                    (Action::Read, _) => "read",
                    (_, Some(Outcome::Refused)) => "refused",
                    _ => "forwarded",
                },
            };
            let (count, newest) = self.violations.entry(key).or_insert((0, record.id));
            *count += 1;
            *newest = (*newest).max(record.id);
        }
    }

    fn note_traits(&mut self, record: &Record) {
        let facts = &record.facts;
        let user = facts.claimed_user.as_deref().unwrap_or_default();
        let day = i32::try_from(millis(record) / 86_400_000).unwrap_or(i32::MAX);
        for (kind, value) in [
            ("device", &facts.device_id),
            ("address", &facts.client_address),
            ("client", &facts.user_agent),
        ] {
            if let Some(value) = value {
                self.traits.insert((kind, value.clone(), user.to_owned()));
                let days = self.trait_days.entry((kind, value.clone()));
                let (first, last) = days.or_insert((day, day));
                (*first, *last) = (day.min(*first), day.max(*last));
            }
        }
    }

    fn note_stray(&mut self, record: &Record) {
        let apart = millis(record).saturating_sub(record.recorded_at.timestamp_millis());
        if apart.saturating_abs() >= STRAY.num_milliseconds() {
            self.strays.push((record.id, record.recorded_at));
        }
    }

    fn note_open(&mut self, records: &[Record]) {
        let exchanges = records
            .iter()
            .filter_map(|record| Some((record.facts.exchange_id?, record)));
        let (intents, outcomes): (Vec<_>, Vec<_>) = exchanges
            .filter(|(_, record)| record.facts.phase.is_some())
            .partition(|(_, record)| record.is_intent());
        let answered: HashSet<_> = outcomes.iter().map(|(exchange, _)| *exchange).collect();
        let asked: HashSet<_> = intents.iter().map(|(exchange, _)| *exchange).collect();
        let open = intents
            .iter()
            .filter(|(exchange, _)| !answered.contains(exchange));
        self.opened = open
            .map(|(exchange, record)| (*exchange, record.id))
            .collect();
        self.closed = answered.difference(&asked).copied().collect();
    }
}

/// The time of a record's id, in milliseconds since 1970.
fn millis(record: &Record) -> i64 {
    i64::try_from(record.id.as_u128() >> 80).unwrap_or(i64::MAX)
}

fn drift(user: &str, surprise: &Surprise) -> Drift {
    Drift {
        read_id: surprise.read.id,
        exchange_id: surprise.read.exchange_id,
        at: surprise.read.at,
        user: user.to_owned(),
        event_type: surprise.event_type,
        expected: surprise.known.content,
        known_from: surprise.known.id,
        found: surprise.read.content,
    }
}
