//! The clock of the machine is wrong, or is set.

use std::sync::Arc;

use chrono::TimeDelta;
use key_backup_gateway::clock::{Clock as _, MockClock, SystemClock};

use super::scene::{Scene, eventually};
use super::shipping::assert_once;

#[tokio::test]
async fn a_clock_that_jumps_back_an_hour_loses_nothing_and_ids_keep_the_order() {
    let mut scene = Scene::new().await;
    let clock = Arc::new(MockClock::new(SystemClock.now()));
    scene.clock = Arc::clone(&clock) as _;
    let run = scene.start().await;
    let mut exchanges = run.writes(10).await;
    clock.advance(-TimeDelta::hours(1));
    exchanges.extend(run.writes(10).await);
    let stored = scene.stored_once(40).await;
    assert_once(&stored, &exchanges);
    // By id, which is how the store gives them back, they stand as they were written.
    let order: Vec<_> = stored
        .iter()
        .map(|it| it.record.facts.exchange_id)
        .collect();
    let written: Vec<_> = exchanges
        .iter()
        .flat_map(|it| [Some(*it), Some(*it)])
        .collect();
    assert_eq!(order, written);
    assert!(stored[39].record.recorded_at < stored[0].record.recorded_at);
    run.stop().await;

    let run = scene.start().await;
    eventually("the skew in the metric", async || {
        let skew: f64 = run.metric("keybackup_clock_skew_seconds ");
        (-3700.0..-3500.0).contains(&skew).then_some(())
    })
    .await;
    run.stop().await;
}
