//! Leases, and the intents that dead runs leave behind.

use key_backup_gateway::audit::record::Outcome;
use key_backup_gateway::audit::store::DEAD_AFTER_SECONDS;
use serde_json::json;
use uuid::Uuid;

use crate::store::bench::{Bench, Gateway, ids};

const RUN: Uuid = Uuid::from_u128(7);

pub(crate) async fn a_run_that_is_renewed_lives(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS - 5).await;

    assert!(store.dead_runs().await.unwrap().is_empty());
}

pub(crate) async fn a_run_that_was_not_renewed_is_dead(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    store.renew(Uuid::max(), "gateway-1").await.unwrap();

    assert_eq!(store.dead_runs().await.unwrap(), [RUN]);
}

pub(crate) async fn a_run_that_ended_is_dead_at_once(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    store.end(RUN).await.unwrap();

    assert_eq!(store.dead_runs().await.unwrap(), [RUN]);
}

pub(crate) async fn a_buried_run_is_dead_no_more(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    store.bury(RUN).await.unwrap();

    assert!(store.dead_runs().await.unwrap().is_empty());
}

pub(crate) async fn a_living_run_cannot_be_buried(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    store.bury(RUN).await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;

    assert_eq!(store.dead_runs().await.unwrap(), [RUN]);
}

pub(crate) async fn a_run_renewed_after_it_was_thought_dead_lives_again(bench: &Bench) {
    let store = bench.migrated().await;
    store.renew(RUN, "gateway-1").await.unwrap();
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    assert_eq!(store.dead_runs().await.unwrap(), [RUN]);
    // Between the question and the burial.
    store.renew(RUN, "gateway-1").await.unwrap();
    store.bury(RUN).await.unwrap();
    assert!(store.dead_runs().await.unwrap().is_empty());
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    assert_eq!(store.dead_runs().await.unwrap(), [RUN]);

    // And after it.
    store.bury(RUN).await.unwrap();
    store.renew(RUN, "gateway-1").await.unwrap();
    assert!(store.dead_runs().await.unwrap().is_empty());
    bench.age_runs(DEAD_AFTER_SECONDS + 1).await;
    assert_eq!(store.dead_runs().await.unwrap(), [RUN]);
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

    let intents = store
        .open_intents(gateway.stamp.run_id(), 10)
        .await
        .unwrap();
    assert_eq!(intents.len(), 1);
    assert_eq!(intents[0].record, open);
}

pub(crate) async fn open_intents_stop_at_the_limit(bench: &Bench) {
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let batch = [gateway.intent(), gateway.intent(), gateway.intent()];
    store.append(&batch).await.unwrap();

    let intents = store.open_intents(gateway.stamp.run_id(), 2).await.unwrap();
    assert_eq!(ids(&intents), [batch[0].id, batch[1].id]);
}
