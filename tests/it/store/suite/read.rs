//! What [`Query`] asks for, and nothing else, newest first.

use chrono::TimeDelta;
use key_backup_gateway::audit::record::{Facts, Judged, Outcome, Phase, Record};
use key_backup_gateway::audit::store::{Query, Store};
use key_backup_gateway::matrix::Action;
use serde_json::json;
use uuid::Uuid;

use crate::store::bench::{Bench, Gateway, ids, records};

async fn found(store: &dyn Store, query: Query) -> Vec<Uuid> {
    ids(&store.page(&query).await.unwrap())
}

async fn appended(bench: &Bench, facts: Vec<Facts>) -> (std::sync::Arc<dyn Store>, Vec<Record>) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let batch: Vec<Record> = facts.into_iter().map(|facts| gateway.next(facts)).collect();
    store.append(&batch).await.unwrap();
    (store, batch)
}

pub(crate) async fn the_newest_comes_first(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let (a, b, c) = (
        gateway.next(Facts::default()),
        gateway.next(Facts::default()),
        gateway.next(Facts::default()),
    );
    // Whatever the order they arrive in.
    for record in [&b, &c, &a] {
        store.append(std::slice::from_ref(record)).await.unwrap();
    }

    assert_eq!(found(&*store, Query::default()).await, [c.id, b.id, a.id]);
}

pub(crate) async fn pages_meet_without_gap_or_overlap(bench: &Bench) {
    let (store, mut batch) = appended(bench, vec![Facts::default(); 7]).await;
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let query = Query {
            before: seen.last().copied(),
            limit: 3,
            ..Query::default()
        };
        let page = found(&*store, query).await;
        sizes.push(page.len());
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }

    batch.reverse();
    assert_eq!(sizes, [3, 3, 1, 0]);
    assert_eq!(
        seen,
        batch.iter().map(|record| record.id).collect::<Vec<_>>()
    );
}

pub(crate) async fn a_limit_of_zero_is_all(bench: &Bench) {
    let (store, _) = appended(bench, vec![Facts::default(); 250]).await;

    assert_eq!(
        found(
            &*store,
            Query {
                limit: 0,
                ..Query::default()
            }
        )
        .await
        .len(),
        250
    );
    assert_eq!(
        found(
            &*store,
            Query {
                limit: 100,
                ..Query::default()
            }
        )
        .await
        .len(),
        100
    );
}

pub(crate) async fn a_user_is_found_as_claimed_and_as_authenticated(bench: &Bench) {
    let user = |claimed: &str, authenticated: &str| Facts {
        claimed_user: Some(claimed.to_owned()),
        authenticated_user: Some(authenticated.to_owned()),
        ..Facts::default()
    };
    let facts = vec![
        user("@a:x", "@b:x"),
        user("@b:x", "@a:x"),
        user("@b:x", "@b:x"),
        Facts::default(),
    ];
    let (store, batch) = appended(bench, facts).await;
    let by = |user: &str| Query {
        user: Some(user.to_owned()),
        ..Query::default()
    };

    assert_eq!(found(&*store, by("@a:x")).await, [batch[1].id, batch[0].id]);
    // Neither a part of a name nor a pattern.
    assert!(found(&*store, by("@a:")).await.is_empty());
    assert!(found(&*store, by("%")).await.is_empty());
}

pub(crate) async fn since_is_inclusive_and_until_exclusive(bench: &Bench) {
    let (store, batch) = appended(bench, vec![Facts::default(); 3]).await;
    let time = batch[1].recorded_at;
    let micro = TimeDelta::microseconds(1);
    let since = |time| Query {
        since: Some(time),
        ..Query::default()
    };
    let until = |time| Query {
        until: Some(time),
        ..Query::default()
    };

    assert_eq!(
        found(&*store, since(time)).await,
        [batch[2].id, batch[1].id]
    );
    assert_eq!(found(&*store, since(time + micro)).await, [batch[2].id]);
    assert_eq!(found(&*store, until(time)).await, [batch[0].id]);
    assert_eq!(
        found(&*store, until(time + micro)).await,
        [batch[1].id, batch[0].id]
    );
}

pub(crate) async fn each_action_is_found_alone(bench: &Bench) {
    let facts = Action::ALL
        .map(|action| Facts {
            action: Some(action),
            ..Facts::default()
        })
        .into_iter()
        .chain([Facts::default()]);
    let (store, batch) = appended(bench, facts.collect()).await;
    for (record, action) in batch.iter().zip(Action::ALL) {
        let query = Query {
            action: Some(action),
            ..Query::default()
        };
        assert_eq!(found(&*store, query).await, [record.id]);
    }
}

pub(crate) async fn each_verdict_is_found_alone(bench: &Bench) {
    let facts = Judged::ALL
        .iter()
        .map(|verdict| Facts {
            verdict: Some(*verdict),
            ..Facts::default()
        })
        .chain([Facts::default()]);
    let (store, batch) = appended(bench, facts.collect()).await;
    for (record, verdict) in batch.iter().zip(Judged::ALL) {
        let query = Query {
            verdict: Some(*verdict),
            ..Query::default()
        };
        assert_eq!(found(&*store, query).await, [record.id]);
    }
}

pub(crate) async fn each_outcome_is_found_alone(bench: &Bench) {
    let facts = Outcome::ALL
        .iter()
        .map(|outcome| Facts {
            outcome: Some(*outcome),
            ..Facts::default()
        })
        .chain([Facts::default()]);
    let (store, batch) = appended(bench, facts.collect()).await;
    for (record, outcome) in batch.iter().zip(Outcome::ALL) {
        let query = Query {
            outcome: Some(*outcome),
            ..Query::default()
        };
        assert_eq!(found(&*store, query).await, [record.id]);
    }
}

pub(crate) async fn filters_add_up(bench: &Bench) {
    let facts = |user: &str, action, verdict| Facts {
        claimed_user: Some(user.to_owned()),
        action: Some(action),
        verdict: Some(verdict),
        outcome: Some(Outcome::Answered),
        ..Facts::default()
    };
    let (store, batch) = appended(
        bench,
        vec![
            facts("@a:x", Action::Write, Judged::Accept),
            facts("@a:x", Action::Write, Judged::Accept),
            facts("@b:x", Action::Write, Judged::Accept),
            facts("@a:x", Action::Read, Judged::Accept),
            facts("@a:x", Action::Write, Judged::Clear),
        ],
    )
    .await;
    let query = Query {
        user: Some("@a:x".to_owned()),
        since: Some(batch[1].recorded_at),
        until: Some(batch[4].recorded_at + TimeDelta::seconds(1)),
        action: Some(Action::Write),
        verdict: Some(Judged::Accept),
        outcome: Some(Outcome::Answered),
        before: Some(Uuid::max()),
        limit: 5,
        ..Query::default()
    };

    assert_eq!(found(&*store, query).await, [batch[1].id]);
}

pub(crate) async fn an_open_intent_reads_as_unanswered(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let (open, answered, closed) = (gateway.intent(), gateway.intent(), gateway.intent());
    let answer = gateway.outcome(&answered, Outcome::Answered);
    let closing = gateway
        .stamp
        .closing(&closed, Outcome::Unanswered, json!(null));
    let batch = [
        open.clone(),
        answered,
        closed,
        answer.clone(),
        closing.clone(),
    ];
    store.append(&batch).await.unwrap();
    let query = |outcome| Query {
        outcome: Some(outcome),
        ..Query::default()
    };

    assert_eq!(
        found(&*store, query(Outcome::Unanswered)).await,
        [closing.id, open.id]
    );
    assert_eq!(found(&*store, query(Outcome::Answered)).await, [answer.id]);
}

pub(crate) async fn an_exchange_is_both_its_records_oldest_first(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let (intent, other) = (gateway.intent(), gateway.intent());
    let outcome = gateway.outcome(&intent, Outcome::Answered);
    store
        .append(&[outcome.clone(), other, intent.clone()])
        .await
        .unwrap();
    let exchange_id = intent.facts.exchange_id.unwrap();

    let exchange = records(store.exchange(exchange_id).await.unwrap());
    assert_eq!(exchange, [intent, outcome]);
    assert_eq!(exchange[0].facts.phase, Some(Phase::Intent));
    assert!(store.exchange(Uuid::nil()).await.unwrap().is_empty());
}

pub(crate) async fn what_is_missing_is_named(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let (there, gone) = (gateway.intent(), gateway.intent());
    store.append(std::slice::from_ref(&there)).await.unwrap();

    assert_eq!(
        store.missing(&[there.id, gone.id]).await.unwrap(),
        [gone.id]
    );
    assert!(store.missing(&[there.id]).await.unwrap().is_empty());
    assert!(store.missing(&[]).await.unwrap().is_empty());
}
