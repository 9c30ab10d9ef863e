//! What a page holds does not depend on what the summary knows.

use std::collections::HashSet;

use chrono::TimeDelta;
use key_backup_gateway::audit::record::{Outcome, Phase, Record};
use key_backup_gateway::audit::store::{Query, Summarised, TreeStore};
use uuid::Uuid;

use super::desk::{Dice, some_traffic};
use crate::store::bench::{Bench, Gateway, ids};

/// What the store should find, found the slow way.
fn matching(records: &[Record], query: &Query) -> Vec<Uuid> {
    let answered: HashSet<_> = records
        .iter()
        .filter(|record| record.facts.phase == Some(Phase::Outcome))
        .filter_map(|record| record.facts.exchange_id)
        .collect();
    let is_open = |record: &Record| {
        record.is_intent() && !answered.contains(&record.facts.exchange_id.unwrap())
    };
    let wanted = |record: &&Record| {
        let facts = &record.facts;
        let is =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let begins = |wanted: &Option<String>| {
            let found = facts.user_agent.as_deref().unwrap_or_default();
            wanted
                .as_ref()
                .is_none_or(|wanted| found.starts_with(wanted))
        };
        (is(&query.user, &facts.claimed_user) || is(&query.user, &facts.authenticated_user))
            && is(&query.device, &facts.device_id)
            && is(&query.address, &facts.client_address)
            && begins(&query.client)
            && query.since.is_none_or(|since| record.recorded_at >= since)
            && query.until.is_none_or(|until| record.recorded_at < until)
            && (query.action.is_none() || query.action == facts.action)
            && (query.event_type.is_none() || query.event_type == facts.event_type)
            && (query.verdict.is_none() || query.verdict == facts.verdict)
            && query
                .violation
                .as_ref()
                .is_none_or(|code| facts.violations.contains(code))
            && (query.outcome.is_none()
                || query.outcome == facts.outcome
                || query.outcome == Some(Outcome::Unanswered) && is_open(record))
            && query.before.is_none_or(|before| record.id < before)
    };
    let mut found: Vec<_> = records
        .iter()
        .filter(wanted)
        .map(|record| record.id)
        .collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.truncate(usize::try_from(query.limit).unwrap());
    found
}

/// Filters, each now and then, that some of `records` pass.
pub(crate) fn some_query(records: &[Record], dice: &mut Dice) -> Query {
    let mut like = || &records[dice.roll(records.len())];
    let of = |record: &Record| record.facts.clone();
    let (one, other) = (of(like()), of(like()));
    let (early, late, before) = (like().recorded_at, like().recorded_at, like().id);
    let mut now_and_then = || dice.roll(4) == 0;
    Query {
        user: one.claimed_user.clone().filter(|_| now_and_then()),
        device: one.device_id.clone().filter(|_| now_and_then()),
        address: other.client_address.filter(|_| now_and_then()),
        client: one
            .user_agent
            .filter(|_| now_and_then())
            .map(|it| it[..12].to_owned()),
        since: Some(early).filter(|_| now_and_then()),
        until: Some(late).filter(|_| now_and_then()),
        action: other.action.filter(|_| now_and_then()),
        event_type: one.event_type.filter(|_| now_and_then()),
        verdict: one.verdict.filter(|_| now_and_then()),
        violation: one.violations.first().cloned().filter(|_| now_and_then()),
        outcome: one.outcome.filter(|_| now_and_then()),
        before: Some(before).filter(|_| now_and_then()),
        limit: 20,
    }
}

async fn finds_what_there_is(store: &dyn TreeStore, records: &[Record], dice: &mut Dice) {
    let mut found_some = 0;
    for _ in 0..60 {
        let query = some_query(records, dice);
        let found = ids(&store.page(&query).await.unwrap());
        assert_eq!(found, matching(records, &query), "{query:?}");
        found_some += usize::from(!found.is_empty());
    }
    assert!(found_some > 10, "{found_some}");
}

pub(crate) async fn a_page_is_the_same_whatever_the_summary_knows(bench: &Bench) {
    let store = bench.migrated().await;
    let mut dice = Dice(0xfeed);
    let mut records = some_traffic(&mut dice, 250);
    // Closed much later than they were asked, with an id of then.
    let closer = Gateway::at("2026-12-24T00:00:00Z");
    let open = records.iter().filter(|record| record.is_intent()).take(5);
    let late: Vec<_> = open
        .map(|intent| {
            closer.clock.advance(TimeDelta::hours(1));
            let why = serde_json::json!({});
            closer.stamp.closing(intent, Outcome::Unanswered, why)
        })
        .collect();
    records.extend(late);
    // Nobody's.
    for record in records.iter_mut().step_by(17) {
        record.facts.claimed_user = None;
    }
    dice.shuffle(&mut records);
    for some in records.chunks(9) {
        store.append(some).await.unwrap();
    }

    finds_what_there_is(&*store, &records, &mut dice).await;
    store.summarise(100).await.unwrap();
    finds_what_there_is(&*store, &records, &mut dice).await;
    while store.summarise(100).await.unwrap() != Summarised::Taken(0) {}
    finds_what_there_is(&*store, &records, &mut dice).await;
    store.forget_summary().await.unwrap();
    store.summarise(50).await.unwrap();
    finds_what_there_is(&*store, &records, &mut dice).await;
}

pub(crate) async fn a_page_is_the_same_however_many_share_what_is_looked_for(bench: &Bench) {
    let store = bench.migrated().await;
    let mut dice = Dice(0xc0de);
    let mut records = some_traffic(&mut dice, 250);
    for (number, record) in records.iter_mut().enumerate() {
        // More users than are looked at one by one, and half of what they share was long ago.
        let facts = &mut record.facts;
        let user = format!("@user{}:example.org", number % 150);
        facts.claimed_user = Some(user.clone());
        facts.authenticated_user = facts.authenticated_user.take().map(|_| user);
        if number < 200 {
            facts.client_address = Some("198.51.100.1".to_owned());
            facts.user_agent = Some("Element X/0.9 (iPhone)".to_owned());
        }
    }
    // More statements than are looked into one by one.
    for record in &records {
        store.append(std::slice::from_ref(record)).await.unwrap();
    }

    finds_what_there_is(&*store, &records, &mut dice).await;
    store.summarise(20).await.unwrap();
    finds_what_there_is(&*store, &records, &mut dice).await;
    while store.summarise(100).await.unwrap() != Summarised::Taken(0) {}
    finds_what_there_is(&*store, &records, &mut dice).await;
}
