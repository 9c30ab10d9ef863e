//! The promises of [`Desk`](key_backup_gateway::audit::store::Desk).

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use key_backup_gateway::audit::record::{Facts, Judged, Outcome, Phase, Record};
use key_backup_gateway::audit::store::{
    Adoption, By, Drift, Span, Standing, Summarised, TreeStore, Violations, Writes,
};
use key_backup_gateway::audit::summary::{Content, Profile};
use key_backup_gateway::matrix::{Action, EventType, Preference};

use crate::store::bench::{Bench, Gateway, ids};

/// A source of numbers that are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.roll(at + 1));
        }
    }
}

/// All that a summary says.
#[derive(Debug, PartialEq)]
struct Said {
    users: (u64, u64, u64),
    open_intents: u64,
    records: u64,
    adoption: Vec<Adoption>,
    by_day: Vec<Writes>,
    by_hour: Vec<Writes>,
    violations: Vec<Violations>,
    drifts: Vec<Drift>,
    disagreeing: Vec<Profile>,
    profiles: Vec<Option<Profile>>,
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn span(by: By) -> Span {
    Span {
        since: time("2026-11-10T00:00:00Z"),
        until: time("2026-12-20T00:00:00Z"),
        by,
    }
}

fn user(number: usize) -> String {
    format!("@user{number}:example.org")
}

async fn summarise(store: &dyn TreeStore) {
    while store.summarise(50).await.unwrap() != Summarised::Taken(0) {}
}

async fn said(store: &dyn TreeStore) -> Said {
    let Standing {
        users,
        open_intents,
        summarised,
        unsummarised,
        is_behind,
        ..
    } = store.standing().await.unwrap();
    assert_eq!((unsummarised, is_behind), (0, false));
    let mut profiles = Vec::new();
    for number in 0..5 {
        profiles.push(store.profile(&user(number)).await.unwrap());
    }
    Said {
        users: (users.enabled, users.disabled, users.unknown),
        open_intents,
        records: summarised,
        adoption: store.adoption(&span(By::Day)).await.unwrap(),
        by_day: store.writes(&span(By::Day)).await.unwrap(),
        by_hour: store.writes(&span(By::Hour)).await.unwrap(),
        violations: store.violations(&span(By::Day), 1000).await.unwrap(),
        drifts: store.drifts(None, 1000).await.unwrap(),
        disagreeing: store.disagreeing(None, 1000).await.unwrap(),
        profiles,
    }
}

/// Facts of an exchange of one of four users.
fn some_facts(gateway: &Gateway, dice: &mut Dice) -> Facts {
    let owner = user(dice.roll(4));
    let (verdict, preference) = [
        (Judged::Accept, Some(Preference::Enabled)),
        (Judged::Accept, Some(Preference::Disabled)),
        (Judged::Clear, None),
        (Judged::Refuse, None),
    ][dice.roll(4)];
    let violations = ["not_json", "field_missing", "too_deep"];
    let violations: Vec<_> = (0..=dice.roll(2))
        .map(|_| violations[dice.roll(3)].to_owned())
        .collect();
    Facts {
        exchange_id: Some(gateway.stamp.new_id()),
        event_type: Some([EventType::Stable, EventType::Unstable][dice.roll(2)]),
        claimed_user: Some(owner.clone()),
        authenticated_user: (dice.roll(3) > 0).then_some(owner),
        device_id: Some(format!("DEVICE{}", dice.roll(3))),
        client_address: Some(format!("192.0.2.{}", dice.roll(3))),
        user_agent: Some(format!("Element X/1.{} (iPhone)", dice.roll(2))),
        violations: if verdict == Judged::Refuse {
            violations
        } else {
            vec![]
        },
        verdict: Some(verdict),
        preference,
        duration_us: Some(1000),
        ..Facts::default()
    }
}

/// What some users did within a month.
pub(crate) fn some_traffic(dice: &mut Dice, exchanges: usize) -> Vec<Record> {
    let gateway = Gateway::new();
    let mut records = Vec::new();
    for _ in 0..exchanges {
        let minutes = i64::try_from(dice.roll(200)).unwrap();
        gateway.clock.advance(TimeDelta::minutes(minutes));
        let facts = some_facts(&gateway, dice);
        let record = |facts: Facts, action, phase, outcome, status| {
            gateway.next(Facts {
                action: Some(action),
                phase: Some(phase),
                outcome,
                origin_status: status,
                ..facts
            })
        };
        let answered = Some(Outcome::Answered);
        match dice.roll(10) {
            0..4 => {
                records.push(record(
                    facts.clone(),
                    Action::Write,
                    Phase::Intent,
                    None,
                    None,
                ));
                let (outcome, status) = [
                    (answered, Some(200)),
                    (answered, Some(200)),
                    (answered, Some(403)),
                    (Some(Outcome::Unanswered), None),
                    (Some(Outcome::Failed), None),
                ][dice.roll(5)];
                records.push(record(
                    facts,
                    Action::Write,
                    Phase::Outcome,
                    outcome,
                    status,
                ));
            }
            4 => records.push(record(facts, Action::Clear, Phase::Intent, None, None)),
            5 => {
                let refused = Some(Outcome::Refused);
                let facts = Facts {
                    verdict: Some(Judged::Refuse),
                    violations: vec!["not_json".to_owned()],
                    preference: None,
                    ..facts
                };
                records.push(record(facts, Action::Write, Phase::Outcome, refused, None));
            }
            6 => {
                let facts = Facts {
                    verdict: None,
                    violations: vec![],
                    preference: None,
                    errcode: Some("M_NOT_FOUND".to_owned()),
                    ..facts
                };
                let phase = Phase::Outcome;
                records.push(record(facts, Action::Read, phase, answered, Some(404)));
            }
            _ => {
                let phase = Phase::Outcome;
                records.push(record(facts, Action::Read, phase, answered, Some(200)));
            }
        }
    }
    records
}

pub(crate) async fn whatever_the_order_of_arrival_the_summary_is_the_same(bench: &Bench) {
    let store = bench.migrated().await;
    let mut dice = Dice(0x5eed);
    let mut records = some_traffic(&mut dice, 300);
    // Late, early, and in pieces of any size.
    dice.shuffle(&mut records);
    let mut rest = &records[..];
    while !rest.is_empty() {
        let (some, others) = rest.split_at((1 + dice.roll(40)).min(rest.len()));
        store.append(some).await.unwrap();
        if dice.roll(2) == 0 {
            store.summarise(7).await.unwrap();
        }
        rest = others;
    }
    summarise(&*store).await;
    let as_they_came = said(&*store).await;

    store.forget_summary().await.unwrap();
    let standing = store.standing().await.unwrap();
    assert!(standing.is_behind);
    assert_eq!(standing.summarised, 0);
    summarise(&*store).await;

    let anew = said(&*store).await;
    assert_eq!(as_they_came, anew);
    assert_eq!(anew.records, records.len() as u64);
    assert!(!anew.drifts.is_empty() && !anew.disagreeing.is_empty() && anew.open_intents > 0);
    let (enabled, disabled, unknown) = anew.users;
    assert_eq!(enabled + disabled + unknown, 4);
    let last = anew.adoption.last().unwrap();
    assert_eq!((last.enabled, last.disabled, last.unknown), anew.users);
}

pub(crate) async fn the_summary_counts_what_the_records_say(bench: &Bench) {
    let store = bench.migrated().await;
    let records = some_traffic(&mut Dice(7), 200);
    store.append(&records).await.unwrap();
    // Once more: it is there already.
    store.append(&records).await.unwrap();
    summarise(&*store).await;

    let said = said(&*store).await;
    let mut verdicts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut codes: BTreeMap<String, u64> = BTreeMap::new();
    for record in &records {
        let facts = &record.facts;
        if facts.phase != Some(Phase::Outcome) {
            continue;
        }
        for code in facts
            .violations
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
        {
            *codes.entry(code.clone()).or_default() += 1;
        }
        if facts.action != Some(Action::Read) {
            *verdicts.entry(facts.verdict.unwrap().as_str()).or_default() += 1;
        }
    }
    for rows in [&said.by_day, &said.by_hour] {
        let sum = |of: fn(&Writes) -> u64| rows.iter().map(of).sum::<u64>();
        assert_eq!(sum(|row| row.accept), verdicts["accept"]);
        assert_eq!(sum(|row| row.clear), verdicts["clear"]);
        assert_eq!(sum(|row| row.refuse), verdicts["refuse"]);
    }
    assert_eq!((said.by_day.len(), said.by_hour.len()), (40, 40 * 24));
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for row in &said.violations {
        assert_eq!(row.client, "Element X");
        *counted.entry(row.code.clone()).or_default() += row.refused + row.forwarded + row.reads;
    }
    assert_eq!(counted, codes);
}

pub(crate) async fn several_that_summarise_at_once_count_a_record_once(bench: &Bench) {
    let store = bench.migrated().await;
    let records = some_traffic(&mut Dice(11), 200);
    for some in records.chunks(10) {
        store.append(some).await.unwrap();
    }
    let mut working = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let store = Arc::clone(&store);
        working.spawn(async move {
            for _ in 0..40 {
                // Busy, or whatever a pooler with one connection makes of it.
                let _ = store.summarise(20).await;
            }
        });
    }
    working.join_all().await;
    summarise(&*store).await;
    let at_once = said(&*store).await;
    store.forget_summary().await.unwrap();
    summarise(&*store).await;

    assert_eq!(at_once, said(&*store).await);
    assert_eq!(at_once.records, records.len() as u64);
}

/// A write that the homeserver stored, or a read of what it has.
fn told(
    gateway: &Gateway,
    action: Action,
    preference: Preference,
    event_type: EventType,
) -> Record {
    gateway.next(Facts {
        exchange_id: Some(gateway.stamp.new_id()),
        action: Some(action),
        phase: Some(Phase::Outcome),
        event_type: Some(event_type),
        claimed_user: Some(user(0)),
        verdict: Some(Judged::Accept),
        preference: Some(preference),
        outcome: Some(Outcome::Answered),
        origin_status: Some(200),
        duration_us: Some(1000),
        ..Facts::default()
    })
}

pub(crate) async fn a_read_of_what_nobody_wrote_is_a_drift(bench: &Bench) {
    use Preference::{Disabled, Enabled};
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let stable = |action, preference| told(&gateway, action, preference, EventType::Stable);
    let records = [
        stable(Action::Write, Enabled),
        stable(Action::Read, Enabled),
        stable(Action::Read, Disabled),
        // Once known, it is no news.
        stable(Action::Read, Disabled),
        stable(Action::Write, Enabled),
        stable(Action::Read, Enabled),
    ];
    store.append(&records).await.unwrap();
    summarise(&*store).await;

    let drifts = store.drifts(None, 10).await.unwrap();
    let [drift] = &drifts[..] else {
        panic!("{drifts:?}");
    };
    assert_eq!(
        (drift.read_id, drift.known_from),
        (records[2].id, records[1].id)
    );
    assert_eq!(
        (drift.expected, drift.found),
        (Content::Enabled, Content::Disabled)
    );
    assert_eq!(drift.user, user(0));
    assert_eq!(store.drifts(Some(drift.read_id), 10).await.unwrap(), []);
    // It is told among the changes; other reads are not.
    let changes = store.changes(&user(0), None, 10).await.unwrap();
    assert_eq!(ids(&changes), [records[4].id, records[2].id, records[0].id]);
    let older = store
        .changes(&user(0), Some(records[4].id), 1)
        .await
        .unwrap();
    assert_eq!(ids(&older), [records[2].id]);
}

pub(crate) async fn types_that_disagree_are_found_until_they_agree(bench: &Bench) {
    use Preference::{Disabled, Enabled};
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let write = |preference, event_type| told(&gateway, Action::Write, preference, event_type);
    store
        .append(&[
            write(Enabled, EventType::Stable),
            write(Disabled, EventType::Unstable),
        ])
        .await
        .unwrap();
    summarise(&*store).await;
    let found = store.disagreeing(None, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].preference(), Some(Enabled));
    assert_eq!(store.disagreeing(Some(&user(0)), 10).await.unwrap(), []);
    let seen = found[0].seen(EventType::Unstable).unwrap();
    assert_eq!(seen.content, Content::Disabled);

    store
        .append(&[write(Enabled, EventType::Unstable)])
        .await
        .unwrap();
    summarise(&*store).await;
    assert_eq!(store.disagreeing(None, 10).await.unwrap(), []);
}

pub(crate) async fn an_empty_trail_has_an_empty_summary(bench: &Bench) {
    let store = bench.migrated().await;
    assert_eq!(store.summarise(10).await.unwrap(), Summarised::Taken(0));
    let said = said(&*store).await;
    assert_eq!(said.users, (0, 0, 0));
    assert_eq!(said.by_day.iter().map(|row| row.accept).sum::<u64>(), 0);
    assert_eq!(said.adoption.len(), 40);
    assert_eq!((said.violations, said.drifts), (vec![], vec![]));
    assert_eq!(store.changes(&user(0), None, 10).await.unwrap(), []);
    assert_eq!(store.profile(&user(0)).await.unwrap(), None);
}
