//! The store is away, slow, silent or forgetful; the spool is not.

use std::time::Duration;

use key_backup_gateway::audit::record::Stored;
use key_backup_gateway::audit::{Durability, Lost, Mode};
use uuid::Uuid;

use super::scene::{Scene, answered, eventually, intent};
use crate::rig::store::Switch;

/// Each exchange with its two records, and no other.
pub(super) fn assert_once(stored: &[Stored], exchanges: &[Uuid]) {
    let mut found: Vec<Uuid> = stored
        .iter()
        .filter_map(|it| it.record.facts.exchange_id)
        .collect();
    found.sort();
    let mut expected = [exchanges, exchanges].concat();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn writes_go_on_while_the_store_is_away_and_are_in_it_once_when_it_is_back() {
    for switch in [Switch::Off, Switch::Hangs, Switch::Mute] {
        let scene = Scene::new().await;
        let run = scene.start().await;
        let mut exchanges = run.writes(3).await;
        scene.stored_once(6).await;
        run.store.switch(switch);
        exchanges.extend(run.writes(20).await);
        let message = run.trouble("store_").await;
        assert!(message.contains("in the spool"), "{message}");
        assert!(
            message.contains("records wait, the oldest for"),
            "{message}"
        );
        eventually("the spool's metrics", async || {
            (run.count("keybackup_spool_records ") >= 20).then_some(())
        })
        .await;
        assert_eq!(
            run.count("keybackup_audit_recording "),
            1,
            "they are durable"
        );

        run.store.switch(Switch::On);
        let stored = scene.stored_once(46).await;
        assert_once(&stored, &exchanges);
        run.is_well().await;
        assert_eq!(run.count("keybackup_spool_records "), 0);
        run.stop().await;
    }
}

#[tokio::test]
async fn a_gateway_that_starts_while_the_store_is_away_takes_writes() {
    let scene = Scene::new().await;
    // Nothing is there yet: no table, no lease.
    let run = scene.begin_with(|store| store.switch(Switch::Gone));
    let exchanges = run.writes(5).await;
    run.store.switch(Switch::On);
    run.is_well().await;
    assert_once(&scene.stored_once(10).await, &exchanges);
    run.stop().await;
}

#[tokio::test]
async fn what_was_not_shipped_is_shipped_by_the_next_run() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    run.store.switch(Switch::Off);
    let exchanges = run.writes(30).await;
    run.stop().await;
    assert!(scene.stored().await.is_empty());
    assert_eq!(scene.beside(".run-").len(), 1, "the run has more to say");

    let run = scene.start().await;
    assert_once(&scene.stored_once(60).await, &exchanges);
    run.stop().await;
    assert!(scene.beside(".run-").is_empty());
    let dead = scene.look().dead_runs().await.unwrap();
    assert!(
        dead.iter().all(|run| run.ended_at.is_some()),
        "both have ended"
    );
}

#[tokio::test]
async fn without_a_spool_what_an_earlier_run_left_in_it_is_shipped_all_the_same() {
    let mut scene = Scene::new().await;
    let run = scene.start().await;
    run.store.switch(Switch::Off);
    let mut exchanges = run.writes(10).await;
    run.stop().await;

    scene.config.durability = Some(Durability::Store);
    let run = scene.start().await;
    exchanges.push(run.write("@late:test").await);
    assert_once(&scene.stored_once(22).await, &exchanges);
    run.stop().await;
}

#[tokio::test]
async fn without_a_spool_none_is_made() {
    let mut scene = Scene::new().await;
    scene.config.durability = Some(Durability::Store);
    let run = scene.start().await;
    run.writes(1).await;
    run.stop().await;
    assert!(scene.beside("").is_empty());
}

#[tokio::test]
async fn a_stop_ships_what_the_spool_holds() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    let exchanges = run.writes(50).await;
    run.stop().await;
    assert_once(&scene.stored().await, &exchanges);
}

#[tokio::test]
async fn a_full_spool_refuses_says_so_and_takes_again_when_the_store_does() {
    let mut scene = Scene::new().await;
    scene.config.spool_limit = 256 * 1024;
    scene.config.deadline = Duration::from_millis(500);
    let run = scene.start().await;
    run.store.switch(Switch::Off);
    let mut taken = Vec::new();
    let refused = loop {
        let facts = intent(&run.log, "@alice:test");
        match run.append(&facts).await {
            Ok(_receipt) => taken.push(facts),
            Err(lost) => break lost,
        }
        assert!(taken.len() < 2000, "the limit holds");
    };
    assert_eq!(refused, Lost::Deadline);
    let message = run.trouble("spool_full").await;
    assert!(message.contains("audit.spool_limit"), "{message}");
    assert_eq!(run.count("keybackup_audit_recording "), 0);
    let size = std::fs::metadata(scene.spool()).unwrap().len();
    assert!(size < 2 * 256 * 1024, "{size} bytes");

    run.store.switch(Switch::On);
    run.is_well().await;
    for intent in &taken {
        let _receipt = run.append(&answered(intent)).await.unwrap();
    }
    // The one that was refused was given up by nobody: the writer went on trying.
    scene.stored_once(2 * taken.len() + 1).await;
    run.stop().await;
}

#[tokio::test]
async fn what_was_shipped_makes_room_before_anything_is_refused() {
    let mut scene = Scene::new().await;
    scene.config.spool_limit = 128 * 1024;
    scene.config.mode = Mode::Required;
    let run = scene.start().await;
    let exchanges = run.writes(300).await;
    assert_once(&scene.stored_once(600).await, &exchanges);
    run.stop().await;
}

#[tokio::test]
async fn what_a_new_server_lacks_is_shipped_again() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    let mut exchanges = run.writes(20).await;
    scene.stored_once(40).await;

    // As a replica that took over before these commits had reached it.
    scene
        .execute(
            "ALTER TABLE audit_record DISABLE TRIGGER ALL;
             DELETE FROM audit_record WHERE id >= (
                 SELECT id FROM audit_record ORDER BY id LIMIT 1 OFFSET 15
             )",
        )
        .await;
    exchanges.extend(run.writes(1).await);
    assert_once(&scene.stored_once(42).await, &exchanges);
    run.stop().await;
}

#[tokio::test]
async fn what_a_new_server_lacks_is_shipped_again_by_the_next_run_too() {
    let mut scene = Scene::new().await;
    let run = scene.start().await;
    let exchanges = run.writes(10).await;
    run.stop().await;
    assert_eq!(scene.stored().await.len(), 20);

    scene.database = Scene::new().await.database;
    let run = scene.start().await;
    assert_once(&scene.stored_once(20).await, &exchanges);
    run.stop().await;
}

#[tokio::test]
async fn what_was_shipped_long_ago_is_thrown_away() {
    let mut scene = Scene::new().await;
    scene.config.keep_shipped = Duration::ZERO;
    let run = scene.start().await;
    run.writes(10).await;
    scene.stored_once(20).await;
    eventually("an empty spool", async || {
        let url = format!("sqlite:{}", scene.spool().display());
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM spool_record")
            .fetch_one(&pool)
            .await
            .unwrap();
        pool.close().await;
        (left == 0).then_some(())
    })
    .await;
    let exchanges = run.writes(1).await;
    let stored = scene.stored_once(22).await;
    assert_once(&stored[20..], &exchanges);
    run.stop().await;
}
