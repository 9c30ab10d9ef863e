//! The five promises of [`Store`](key_backup_gateway::audit::store::Store).

use chrono::{TimeDelta, Utc};
use key_backup_gateway::audit::record::{Commitment, Facts, Judged, Kind, Outcome, Phase, Record};
use key_backup_gateway::audit::store::{Error, Query};
use key_backup_gateway::matrix::{Action, EventType, Preference};
use serde_json::json;

use crate::store::bench::{Bench, Gateway, all, full, records};

pub(crate) async fn every_field_comes_back_as_it_was(bench: &Bench) {
    let store = bench.migrated().await;
    let record = Gateway::new().record(full());
    store.append(std::slice::from_ref(&record)).await.unwrap();

    assert_eq!(all(&*store).await, std::slice::from_ref(&record));
    // To the microsecond: what is compared above could have been cut before.
    assert_eq!(record.recorded_at.timestamp_subsec_nanos(), 123_456_000);
    assert!(record.claimed.salt.is_some() && record.client.hash.is_some());
}

pub(crate) async fn fields_that_are_not_known_come_back_null(bench: &Bench) {
    let store = bench.migrated().await;
    let record = Gateway::new().record(Facts::default());
    store.append(std::slice::from_ref(&record)).await.unwrap();

    assert_eq!(all(&*store).await, [record]);
}

pub(crate) async fn every_word_comes_back(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let mut batch: Vec<Record> = Kind::ALL
        .iter()
        .map(|kind| gateway.stamp.record(*kind, Facts::default()))
        .collect();
    for n in 0..4 {
        batch.push(
            gateway.record(Facts {
                phase: Phase::ALL.get(n).copied(),
                action: Action::ALL.get(n).copied(),
                event_type: EventType::ALL.get(n).copied(),
                preference: Preference::ALL.get(n).copied(),
                verdict: Judged::ALL.get(n).copied(),
                outcome: Outcome::ALL.get(n).copied(),
                is_guest: Some(n == 0),
                origin_status: [200, 404, 599, 100].get(n).copied(),
                detail: [json!(null), json!([]), json!("text"), json!({})]
                    .get(n)
                    .cloned(),
                ..Facts::default()
            }),
        );
    }
    store.append(&batch).await.unwrap();

    batch.reverse();
    assert_eq!(all(&*store).await, batch);
}

pub(crate) async fn awkward_text_comes_back(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let texts = [
        "",
        " ",
        "null",
        "'; DROP TABLE audit_record; --",
        "{\"a\":1}",
        "\\u0000",
        "😀\u{301}",
        "\"",
        "=1+1",
    ];
    let mut batch: Vec<Record> = texts
        .iter()
        .map(|text| {
            gateway.record(Facts {
                claimed_user: Some((*text).to_owned()),
                user_agent: Some("x".repeat(600)),
                client_chain: vec![(*text).to_owned(); 3],
                violations: vec![(*text).to_owned()],
                detail: Some(json!({ *text: text })),
                ..Facts::default()
            })
        })
        .collect();
    store.append(&batch).await.unwrap();

    batch.reverse();
    assert_eq!(all(&*store).await, batch);
}

pub(crate) async fn a_record_erased_in_part_comes_back(bench: &Bench) {
    let store = bench.migrated().await;
    let mut record = Gateway::new().record(Facts::default());
    record.claimed = Commitment {
        salt: None,
        ..record.claimed
    };
    record.authenticated = Commitment {
        hash: None,
        ..record.authenticated
    };
    store.append(std::slice::from_ref(&record)).await.unwrap();

    assert_eq!(all(&*store).await, [record]);
}

pub(crate) async fn an_empty_batch_is_no_error(bench: &Bench) {
    let store = bench.migrated().await;
    store.append(&[]).await.unwrap();

    assert_eq!(all(&*store).await, []);
}

pub(crate) async fn a_batch_of_many_is_one(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let mut batch: Vec<Record> = (0..1_000).map(|_| gateway.record(full())).collect();
    store.append(&batch).await.unwrap();

    batch.reverse();
    assert_eq!(all(&*store).await, batch);
}

pub(crate) async fn to_append_twice_is_to_append_once(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let (first, second) = (gateway.record(full()), gateway.record(full()));
    store.append(std::slice::from_ref(&first)).await.unwrap();
    // The first again, twice, among others.
    store
        .append(&[first.clone(), second.clone(), first.clone()])
        .await
        .unwrap();
    store
        .append(&[first.clone(), second.clone()])
        .await
        .unwrap();

    assert_eq!(all(&*store).await, [second, first]);
}

pub(crate) async fn a_record_never_changes(bench: &Bench) {
    let store = bench.migrated().await;
    let record = Gateway::new().record(full());
    store.append(std::slice::from_ref(&record)).await.unwrap();
    let before = store.page(&Query::default()).await.unwrap();
    let mut other = record.clone();
    other.facts.claimed_user = Some("@mallory:example.org".to_owned());
    store.append(&[other]).await.unwrap();

    assert_eq!(store.page(&Query::default()).await.unwrap(), before);
}

pub(crate) async fn a_batch_with_a_bad_record_leaves_nothing(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let good = gateway.record(full());
    let mut bad = gateway.record(full());
    bad.facts.detail = Some(json!({ "deep": ["\0"] }));
    let result = store.append(&[good.clone(), bad]).await;

    assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");
    assert_eq!(all(&*store).await, []);
    // And the store still works.
    store.append(std::slice::from_ref(&good)).await.unwrap();
    assert_eq!(all(&*store).await, [good]);
}

pub(crate) async fn a_nul_is_refused(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let spoilt: [fn(&mut Record); 5] = [
        |record| record.facts.detail = Some(json!("\0")),
        |record| record.facts.detail = Some(json!({ "\0": 1 })),
        |record| record.facts.claimed_user = Some("a\0b".to_owned()),
        |record| record.facts.client_chain = vec!["a\0b".to_owned()],
        |record| record.version.push('\0'),
    ];
    for spoil in spoilt {
        let mut record = gateway.record(full());
        spoil(&mut record);
        let result = store.append(&[record]).await;
        assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");
    }
    assert_eq!(all(&*store).await, []);
}

pub(crate) async fn two_closers_write_one_record(bench: &Bench) {
    let store = bench.migrated().await;
    let dead = Gateway::new();
    let intent = dead.intent();
    store.append(std::slice::from_ref(&intent)).await.unwrap();
    for _ in 0..2 {
        let closer = Gateway::at("2026-11-15T13:00:00Z");
        let why = json!({ "run": "dead" });
        let closing = closer.stamp.closing(&intent, Outcome::Unanswered, why);
        store.append(&[closing]).await.unwrap();
    }

    let all = all(&*store).await;
    assert_eq!(all.len(), 2);
    let outcomes = all
        .iter()
        .filter(|record| record.facts.outcome == Some(Outcome::Unanswered));
    assert_eq!(outcomes.count(), 1);
}

pub(crate) async fn appending_at_once_loses_nothing(bench: &Bench) {
    bench.migrated().await;
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let store = bench.store();
            tokio::spawn(async move {
                let gateway = Gateway::new();
                for _ in 0..10 {
                    let batch = [gateway.next(full()), gateway.next(full())];
                    store.append(&batch).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }

    assert_eq!(all(&*bench.store()).await.len(), 5 * 10 * 2);
}

pub(crate) async fn what_was_appended_is_there_for_the_next_process(bench: &Bench) {
    let store = bench.migrated().await;
    let record = Gateway::new().record(full());
    store.append(std::slice::from_ref(&record)).await.unwrap();
    assert!(store.connections().0 > 0);
    store.close().await;
    assert_eq!(store.connections().0, 0);
    let closed = store.append(std::slice::from_ref(&record)).await;
    assert!(matches!(closed, Err(Error::Unavailable(_))), "{closed:?}");

    assert_eq!(all(&*bench.store()).await, [record]);
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is the real clock that is compared with"
)]
pub(crate) async fn stored_at_is_the_databases_clock(bench: &Bench) {
    let store = bench.migrated().await;
    let record = Gateway::at("2020-01-01T00:00:00Z").record(full());
    let before = Utc::now();
    store.append(&[record]).await.unwrap();
    let stored = store.page(&Query::default()).await.unwrap();

    // SQLite's clock counts milliseconds.
    let slack = TimeDelta::milliseconds(2);
    assert!(stored[0].stored_at >= before - slack && stored[0].stored_at <= Utc::now() + slack);
}

pub(crate) async fn records_of_any_year_are_kept(bench: &Bench) {
    let store = bench.migrated().await;
    let mut batch: Vec<Record> = [
        "1999-06-01T00:00:00Z",
        "2026-11-15T12:00:00Z",
        "2099-06-01T00:00:00Z",
    ]
    .map(|time| Gateway::at(time).record(full()))
    .into();
    store.append(&batch).await.unwrap();

    batch.reverse();
    assert_eq!(records(store.page(&Query::default()).await.unwrap()), batch);
}
