//! A replica takes over: the store leaves the old primary, and finds the new one.

use std::time::{Duration, Instant};

use key_backup_gateway::audit::postgres::PgStore;
use key_backup_gateway::audit::record::Record;
use key_backup_gateway::audit::store::{Error, Query, Store};

use super::bench::{Gateway, all, config, full};
use crate::chaos::{Mood, Relay};
use crate::cluster::Cluster;

const LIMIT: Duration = Duration::from_secs(30);

/// A primary with the trail, and a replica that has it, too.
async fn pair() -> (Cluster, Cluster, String) {
    let primary = Cluster::start().await;
    let url = primary.database().await;
    let (_, name) = url.rsplit_once('/').unwrap();
    let store = PgStore::open(&config(&url)).unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    let replica = primary.replica().await;
    replica.catch_up_with(&primary).await;
    (primary, replica, name.to_owned())
}

/// A store that knows the servers on these ports, in this order.
fn store(ports: &[u16], name: &str) -> PgStore {
    let hosts: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let url = format!("postgres://postgres@{}/{name}", hosts.join(","));
    PgStore::open(&config(&url)).unwrap()
}

async fn append(store: &PgStore, record: &Record) -> Result<(), Error> {
    store.append(std::slice::from_ref(record)).await
}

#[tokio::test]
async fn the_replica_takes_over_from_a_primary_that_was_killed() {
    let (mut primary, replica, name) = pair().await;
    let store = store(&[primary.port(), replica.port()], &name);
    let gateway = Gateway::new();
    let (kept, lost, next) = (
        gateway.next(full()),
        gateway.next(full()),
        gateway.next(full()),
    );
    append(&store, &kept).await.unwrap();
    replica.catch_up_with(&primary).await;
    replica.stop_receiving().await;
    append(&store, &lost).await.unwrap();
    primary.kill9();
    let gone = append(&store, &next).await.unwrap_err();
    // The connection that was open, or the standby that is not yet promoted.
    assert!(
        ["store_unreachable", "store_read_only"].contains(&gone.code()),
        "{gone:?}"
    );
    replica.promote().await;

    append(&store, &next).await.unwrap();
    assert_eq!(
        store.missing(&[kept.id, lost.id, next.id]).await.unwrap(),
        [lost.id]
    );
    assert_eq!(all(&store).await, [next, kept]);
}

#[tokio::test]
async fn a_primary_that_became_read_only_is_left() {
    let (primary, replica, name) = pair().await;
    let store = store(&[primary.port(), replica.port()], &name);
    let gateway = Gateway::new();
    append(&store, &gateway.next(full())).await.unwrap();
    replica.promote().await;
    primary
        .execute("ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()")
        .await;
    // Until the open connection has heard of it.
    let deadline = Instant::now() + LIMIT;
    let refused = loop {
        assert!(Instant::now() < deadline, "nothing was refused");
        match append(&store, &gateway.next(full())).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.code(), "store_read_only", "{refused:?}");

    let next = gateway.next(full());
    append(&store, &next).await.unwrap();
    let new = PgStore::open(&config(&replica.url(&name))).unwrap();
    assert!(all(&new).await.contains(&next));
}

#[tokio::test]
async fn a_standby_is_passed_over_and_alone_it_can_be_read() {
    let (primary, replica, name) = pair().await;
    let both = store(&[replica.port(), primary.port()], &name);
    let record = Gateway::new().record(full());
    append(&both, &record).await.unwrap();
    replica.catch_up_with(&primary).await;

    for ports in [&[replica.port()][..], &[replica.port(), replica.port()]] {
        let reader = store(ports, &name);
        assert_eq!(all(&reader).await, std::slice::from_ref(&record));
        let refused = append(&reader, &record).await.unwrap_err();
        assert_eq!(refused.code(), "store_read_only", "{refused:?}");
        assert!(refused.to_string().contains("primary"), "{refused}");
    }
}

#[tokio::test]
async fn a_host_that_is_silent_is_passed_over() {
    let cluster = Cluster::start().await;
    let url = cluster.database().await;
    let (_, name) = url.rsplit_once('/').unwrap();
    let relay = Relay::start(cluster.port()).await;
    let store = store(&[relay.port(), cluster.port()], name);
    store.migrate().await.unwrap();
    relay.set(Mood::Swallow);
    assert!(store.page(&Query::default()).await.unwrap().is_empty());

    append(&store, &Gateway::new().record(full()))
        .await
        .unwrap();
}
