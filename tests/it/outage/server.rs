//! A real server that is killed, stopped and started again.

use super::scene::{Scene, eventually};
use super::shipping::assert_once;
use crate::cluster::Cluster;

#[tokio::test]
async fn a_server_that_is_killed_or_stopped_fails_no_write_and_lacks_none_afterwards() {
    let mut cluster = Cluster::start().await;
    let scene = Scene::on(cluster.database().await);
    let run = scene.start().await;
    let mut exchanges = run.writes(10).await;
    scene.stored_once(20).await;

    cluster.kill9();
    exchanges.extend(run.writes(20).await);
    eventually("the trouble in health", async || {
        (!run.codes().is_empty()).then_some(())
    })
    .await;
    assert_eq!(run.count("keybackup_audit_recording "), 1);
    cluster.restart().await;
    scene.stored_once(60).await;
    run.is_well().await;

    cluster.stop_signal();
    exchanges.extend(run.writes(20).await);
    eventually("the trouble in health", async || {
        (!run.codes().is_empty()).then_some(())
    })
    .await;
    cluster.cont_signal();
    assert_once(&scene.stored_once(100).await, &exchanges);
    run.is_well().await;
    run.stop().await;
}

#[tokio::test]
async fn what_the_replica_lacks_that_took_over_is_shipped_again() {
    let mut primary = Cluster::start().await;
    let url = primary.database().await;
    let scene = Scene::on(url.clone());
    let run = scene.start().await;
    let mut exchanges = run.writes(10).await;
    scene.stored_once(20).await;
    run.stop().await;

    let replica = primary.replica().await;
    replica.catch_up_with(&primary).await;
    let name = url.rsplit_once('/').unwrap().1;
    let (one, two) = (primary.port(), replica.port());
    let both = format!("postgres://postgres@127.0.0.1:{one},127.0.0.1:{two}/{name}");
    let mut scene = scene;
    scene.database.url = both.into();
    let run = scene.start().await;
    replica.stop_receiving().await;
    // The primary says that it has these, and takes them with it.
    exchanges.extend(run.writes(10).await);
    scene.stored_once(40).await;
    primary.kill9();
    exchanges.extend(run.writes(5).await);
    replica.promote().await;
    exchanges.extend(run.writes(5).await);

    scene.database.url = replica.url(name).into();
    assert_once(&scene.stored_once(60).await, &exchanges);
    run.is_well().await;
    run.stop().await;
}
