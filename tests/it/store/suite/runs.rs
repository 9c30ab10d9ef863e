//! Leases, and the intents that dead runs leave behind.

use chrono::TimeDelta;
use key_backup_gateway::audit::record::{Outcome, Record};
use key_backup_gateway::audit::store::{DEAD_AFTER_SECONDS, Store};
use key_backup_gateway::clock::{Clock as _, SystemClock};
use serde_json::json;
use uuid::Uuid;

use crate::store::bench::{Bench, Gateway, ids};

const RUN: Uuid = Uuid::from_u128(7);

async fn dead(store: &dyn Store) -> Vec<Uuid> {
    let dead = store.dead_runs().await.unwrap();
    dead.iter().map(|run| run.run_id).collect()
}

async fn bury_all(store: &dyn Store) {
    for run in store.dead_runs().await.unwrap() {
        store.bury(&run).await.unwrap();
    }
}

pub(crate) async fn a_run_that_is_renewed_lives(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS - 5).await;

    assert!(dead(&*store).await.is_empty());
}

pub(crate) async fn a_run_that_was_not_renewed_is_dead(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    store.renew(Uuid::max(), "gateway-1").await.unwrap();

    assert_eq!(dead(&*store).await, [RUN]);
}

pub(crate) async fn a_run_that_ended_is_dead_at_once(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    store.end(RUN, false).await.unwrap();

    let dead = store.dead_runs().await.unwrap();
    assert_eq!(dead[0].run_id, RUN);
    assert!(dead[0].ended_at >= Some(dead[0].renewed_at));
}

pub(crate) async fn a_buried_run_is_dead_no_more(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    bury_all(&*store).await;

    assert!(dead(&*store).await.is_empty());
}

pub(crate) async fn a_run_of_which_something_was_heard_meanwhile_is_not_buried(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    let found = store.dead_runs().await.unwrap();
    // Between the question and the burial it lives, says something, and dies.
    store.renew(RUN, "gateway-1").await.unwrap();
    store.bury(&found[0]).await.unwrap();
    assert!(dead(&*store).await.is_empty());
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    assert_eq!(dead(&*store).await, [RUN]);

    // The same with an end in good order.
    let found = store.dead_runs().await.unwrap();
    store.end(RUN, false).await.unwrap();
    store.bury(&found[0]).await.unwrap();
    assert_eq!(dead(&*store).await, [RUN]);
}

pub(crate) async fn a_buried_run_that_is_renewed_lives_again(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    bury_all(&*store).await;
    store.renew(RUN, "gateway-1").await.unwrap();

    assert!(dead(&*store).await.is_empty());
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    assert_eq!(dead(&*store).await, [RUN]);
}

pub(crate) async fn a_buried_run_that_ends_is_looked_at_again(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    store.end(RUN, false).await.unwrap();
    bury_all(&*store).await;
    store.end(RUN, false).await.unwrap();

    assert_eq!(dead(&*store).await, [RUN]);
}

pub(crate) async fn a_run_that_ended_with_nothing_open_is_buried_at_once(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    store.end(RUN, true).await.unwrap();
    assert!(dead(&*store).await.is_empty());

    // It has spoken again, and is not renewed any more.
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    assert_eq!(dead(&*store).await, [RUN]);
}

pub(crate) async fn renewing_says_what_the_databases_clock_says(bench: &Bench) {
    let store = bench.migrated().await;
    let before = SystemClock.now();
    let now = store.renew(RUN, "gateway-1").await.unwrap();
    let again = store.renew(RUN, "gateway-1").await.unwrap();
    let after = SystemClock.now();

    // SQLite's clock has milliseconds.
    let least = before - TimeDelta::milliseconds(1);
    assert!(
        least <= now && now <= again && again <= after,
        "{before} {now} {again} {after}"
    );
}

pub(crate) async fn open_intents_are_those_of_the_run_without_an_outcome(bench: &Bench) {
    let store = bench.migrated().await;
    let (gateway, other) = (Gateway::new(), Gateway::new());
    let (open, answered, closed) = (gateway.intent(), gateway.intent(), gateway.intent());
    let answer = gateway.outcome(&answered, Outcome::Answered);
    // By another run: it closes the intent all the same.
    let closing = other
        .stamp
        .closing(&closed, Outcome::Unanswered, json!(null));
    let batch = [
        open.clone(),
        answered,
        closed,
        answer,
        closing,
        other.intent(),
    ];
    store.append(&batch).await.unwrap();

    let found = store
        .open_intents(gateway.stamp.run_id(), None, 10)
        .await
        .unwrap();
    assert_eq!(found.open.len(), 1);
    assert_eq!(found.open[0].record, open);
    assert_eq!(found.next, None);
}

pub(crate) async fn open_intents_are_looked_for_in_steps_the_newest_first(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let intents: Vec<Record> = (0..5).map(|_| gateway.intent()).collect();
    let outcomes = [1, 3].map(|index| gateway.outcome(&intents[index], Outcome::Answered));
    store.append(&intents).await.unwrap();
    store.append(&outcomes).await.unwrap();

    let mut before = None;
    let mut steps = Vec::new();
    loop {
        let run_id = gateway.stamp.run_id();
        let found = store.open_intents(run_id, before, 2).await.unwrap();
        steps.push(ids(&found.open));
        if found.next.is_none() {
            break;
        }
        before = found.next;
    }
    let id = |index: usize| intents[index].id;
    assert_eq!(steps, [vec![id(4)], vec![id(2)], vec![id(0)]]);
}
