//! Runs that end, die, are stopped and come back, and those who close what they left open.

use std::fs;
use std::sync::Arc;

use key_backup_gateway::audit::Durability;
use key_backup_gateway::audit::record::{Facts, Kind, Outcome, Phase, Record, Stamp, Stored};
use key_backup_gateway::audit::store::DEAD_AFTER_SECONDS;
use key_backup_gateway::clock::SystemClock;
use uuid::Uuid;

use super::scene::{Scene, answered, eventually, intent};
use super::shipping::assert_once;
use crate::rig::store::Switch;

const AGE: &str = "UPDATE audit_run SET renewed_at = renewed_at - interval '2 minutes'";

fn outcomes(stored: &[Stored]) -> Vec<Option<Outcome>> {
    stored.iter().map(|it| it.record.facts.outcome).collect()
}

#[tokio::test]
async fn two_runs_on_one_spool_lose_nothing_and_close_nothing_of_each_other() {
    let scene = Scene::new().await;
    let old = scene.start().await;
    let mut exchanges = old.writes(5).await;
    let open = intent(&old.log, "@open:test");
    let _receipt = old.append(&open).await.unwrap();
    let new = scene.start().await;
    exchanges.extend(new.writes(5).await);
    exchanges.extend(old.writes(5).await);
    // The lease of the old one looks dead, and its lock says that it is not.
    scene.execute(AGE).await;
    exchanges.extend(new.writes(5).await);
    let _receipt = old.append(&answered(&open)).await.unwrap();
    exchanges.push(open.exchange_id.unwrap());
    // The old one ships for both, until it ends.
    old.stop().await;
    exchanges.extend(new.writes(5).await);
    assert_once(&scene.stored_once(52).await, &exchanges);
    new.stop().await;
    assert_once(&scene.stored().await, &exchanges);
    assert!(scene.beside(".run-").is_empty());
}

#[tokio::test]
async fn an_outcome_that_waits_in_a_spool_never_finds_its_intent_closed() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    let open = intent(&run.log, "@alice:test");
    let _receipt = run.append(&open).await.unwrap();
    scene.stored_once(1).await;
    run.store.switch(Switch::Off);
    let _receipt = run.append(&answered(&open)).await.unwrap();
    // It ends with the outcome in its spool; its machine starts again.
    run.stop().await;
    let run = scene.start().await;
    let stored = scene.stored_once(2).await;
    assert_eq!(outcomes(&stored), [None, Some(Outcome::Answered)]);
    run.stop().await;
    assert_eq!(scene.stored().await.len(), 2, "and nobody closes it later");
}

#[tokio::test]
async fn the_intents_that_a_dead_run_left_open_are_closed_at_once_on_its_own_machine() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    run.store.switch(Switch::Off);
    for _ in 0..3 {
        let open = intent(&run.log, "@alice:test");
        let _receipt = run.append(&open).await.unwrap();
    }
    run.stop().await;
    let run = scene.start().await;
    let stored = scene.stored_once(6).await;
    let closed = outcomes(&stored)
        .into_iter()
        .filter(|it| *it == Some(Outcome::Unanswered));
    assert_eq!(closed.count(), 3);
    run.stop().await;
}

#[tokio::test]
async fn two_closers_at_once_write_one_record_each() {
    let scene = Scene::new().await;
    let gone = scene.start().await;
    for _ in 0..300 {
        let open = intent(&gone.log, "@alice:test");
        let _receipt = gone.append(&open).await.unwrap();
    }
    // Ends in good order, and leaves them open.
    gone.stop().await;
    let mut others = [scene.other(), scene.other(), scene.other()];
    for other in &mut others {
        other.config.durability = Some(Durability::Store);
    }
    let runs = [others[0].begin(), others[1].begin(), others[2].begin()];
    let stored = scene.stored_once(600).await;
    assert_eq!(stored.len(), 600);
    for run in &runs {
        run.stop().await;
    }
    assert_eq!(scene.stored().await.len(), 600);
}

#[tokio::test]
async fn a_run_that_leaves_nothing_open_needs_no_closer() {
    let mut scene = Scene::new().await;
    for durability in [Durability::Spool, Durability::Store] {
        scene.config.durability = Some(durability);
        let run = scene.start().await;
        run.writes(3).await;
        run.stop().await;
        assert_eq!(
            scene.look().dead_runs().await.unwrap(),
            [],
            "{durability:?}"
        );

        let run = scene.start().await;
        let open = intent(&run.log, "@alice:test");
        let _receipt = run.append(&open).await.unwrap();
        run.stop().await;
        let dead = scene.look().dead_runs().await.unwrap();
        assert_eq!(dead.len(), 1, "{durability:?}");
        scene.execute("DELETE FROM audit_run").await;
    }
}

#[tokio::test]
async fn a_run_whose_spool_was_replaced_may_have_left_something_open() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    run.writes(3).await;
    scene.stored_once(6).await;
    fs::remove_file(scene.spool()).unwrap();
    run.writes(1).await;
    run.stop().await;
    assert_eq!(scene.look().dead_runs().await.unwrap().len(), 1);
}

/// The records of a run that has ended: of 3,000 writes each thousandth is open, and its exchange is in
/// the second list.
fn long_run(gone: &Stamp) -> (Vec<Record>, Vec<Uuid>) {
    let (mut records, mut open) = (Vec::new(), Vec::new());
    for number in 0..3000 {
        let exchange_id = gone.new_id();
        let intent = Facts {
            exchange_id: Some(exchange_id),
            phase: Some(Phase::Intent),
            ..Facts::default()
        };
        let outcome = answered(&intent);
        records.push(gone.record(Kind::Exchange, intent));
        if number % 1000 == 7 {
            open.push(exchange_id);
        } else {
            records.push(gone.record(Kind::Exchange, outcome));
        }
    }
    (records, open)
}

/// Every open intent of a long run is closed, and nothing else. `oddity` is one more record of it.
async fn assert_all_closed(oddity: Option<Facts>, left: usize) {
    let scene = Scene::new().await;
    let store = scene.look();
    store.migrate().await.unwrap();
    let gone = Stamp::new(Arc::new(SystemClock), "gateway-0");
    let (mut records, open) = long_run(&gone);
    records.extend(oddity.map(|facts| gone.record(Kind::Exchange, facts)));
    for batch in records.chunks(500) {
        store.append(batch).await.unwrap();
    }
    store.renew(gone.run_id(), "gateway-0").await.unwrap();
    store.end(gone.run_id(), false).await.unwrap();

    let run = scene.start().await;
    eventually("all of them are closed", async || {
        let mut closed = scene.stored().await;
        closed.retain(|it| it.record.facts.outcome == Some(Outcome::Unanswered));
        let closed = closed.iter().filter_map(|it| it.record.facts.exchange_id);
        let mut closed: Vec<Uuid> = closed.collect();
        closed.sort_unstable();
        (closed == open).then_some(())
    })
    .await;
    eventually("so many are still looked after", async || {
        let dead = store.dead_runs().await.unwrap();
        (dead.len() == left).then_some(())
    })
    .await;
    // Once more, from its newest intent on.
    run.stop().await;
    scene.start().await.stop().await;
    assert_eq!(store.dead_runs().await.unwrap().len(), left);
}

#[tokio::test]
async fn every_open_intent_of_a_long_run_is_closed_and_nothing_else() {
    assert_all_closed(None, 0).await;
}

#[tokio::test]
async fn an_intent_that_cannot_be_closed_keeps_no_other_open() {
    // Nothing can be its outcome.
    let odd = Facts {
        phase: Some(Phase::Intent),
        ..Facts::default()
    };
    assert_all_closed(Some(odd), 1).await;
}

#[tokio::test]
async fn a_closing_that_the_store_refuses_keeps_no_other_run_open() {
    let mut scene = Scene::new().await;
    scene.config.durability = Some(Durability::Store);
    let one = scene.start().await;
    let open = intent(&one.log, "@poison:test");
    let _receipt = one.append(&open).await.unwrap();
    one.stop().await;
    // From now on the store takes nothing of that user, a closing neither.
    let two = scene.begin_with(|store| store.switch(Switch::Poisoned));
    two.is_well().await;
    let open = intent(&two.log, "@alice:test");
    let _receipt = two.append(&open).await.unwrap();
    two.stop().await;

    let three = scene.begin_with(|store| store.switch(Switch::Poisoned));
    let stored = scene.stored_once(3).await;
    assert_eq!(stored[2].record.facts.exchange_id, open.exchange_id);
    assert_eq!(outcomes(&stored), [None, None, Some(Outcome::Unanswered)]);
    three.stop().await;
}

#[tokio::test]
async fn the_open_intents_of_a_lost_machine_are_closed_and_its_truth_wins_when_it_comes_back() {
    let scene = Scene::new().await;
    let lost = scene.start().await;
    let open = intent(&lost.log, "@alice:test");
    let _receipt = lost.append(&open).await.unwrap();
    scene.stored_once(1).await;
    lost.store.switch(Switch::Off);
    let _receipt = lost.append(&answered(&open)).await.unwrap();
    lost.stop().await;

    // Nobody has its spool. Its lease is old, and it did not end.
    scene.execute(AGE).await;
    let other = scene.other();
    let heir = other.start().await;
    let stored = scene.stored_once(2).await;
    assert_eq!(outcomes(&stored), [None, Some(Outcome::Unanswered)]);
    heir.stop().await;

    // The machine was found: what it has to say stands beside.
    let back = scene.start().await;
    let stored = scene.stored_once(3).await;
    let mut said = outcomes(&stored);
    said.sort_by_key(|it| it.map(Outcome::as_str));
    assert_eq!(
        said,
        [None, Some(Outcome::Answered), Some(Outcome::Unanswered)]
    );
    back.stop().await;
    let whole = scene.look().exchange(open.exchange_id.unwrap()).await;
    assert_eq!(whole.unwrap().len(), 3);
}

#[tokio::test]
async fn after_an_outage_of_the_database_nobody_is_judged_by_an_old_lease() {
    let mut scene = Scene::new().await;
    scene.config.durability = Some(Durability::Store);
    let one = scene.start().await;
    let open = intent(&one.log, "@alice:test");
    let _receipt = one.append(&open).await.unwrap();
    // The database was away for longer than a lease lasts, and comes back.
    scene.execute(AGE).await;
    let other = scene.other();
    let two = other.start().await;
    eventually("the lease of the first is renewed", async || {
        let dead = scene.look().dead_runs().await.unwrap();
        dead.is_empty().then_some(())
    })
    .await;
    assert_eq!(
        scene.stored().await.len(),
        1,
        "{DEAD_AFTER_SECONDS} s are not all"
    );
    let _receipt = one.append(&answered(&open)).await.unwrap();
    one.stop().await;
    two.stop().await;
    assert_eq!(
        outcomes(&scene.stored().await),
        [None, Some(Outcome::Answered)]
    );
}
