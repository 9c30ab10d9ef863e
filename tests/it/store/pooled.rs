//! Through `PgBouncer`, which has one connection for all: what the suite does not say.

use super::bench::{Bench, Gateway, all, full};

#[tokio::test]
async fn two_gateways_share_the_only_connection() {
    let bench = Bench::pgbouncer().await;
    let stores = [bench.migrated().await, bench.migrated().await];
    let tasks: Vec<_> = (0..40)
        .map(|turn| {
            let store = std::sync::Arc::clone(&stores[turn % 2]);
            let record = Gateway::new().record(full());
            tokio::spawn(async move { store.append(&[record]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }

    assert_eq!(all(&*stores[0]).await.len(), 40);
}

#[tokio::test]
async fn a_pooler_that_is_started_again_is_found_again() {
    let mut bench = Bench::pgbouncer().await;
    let store = bench.migrated().await;
    let gateway = Gateway::new();
    let first = gateway.next(full());
    store.append(std::slice::from_ref(&first)).await.unwrap();
    bench.bouncer().kill9();
    let second = gateway.next(full());
    let gone = store.append(std::slice::from_ref(&second)).await;
    assert_eq!(gone.unwrap_err().code(), "store_unreachable");
    bench.bouncer().restart().await;

    store.append(std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(all(&*store).await, [second, first]);
}
