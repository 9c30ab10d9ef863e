//! Postgres killed, silent, locked, read-only, without its standby: nothing is lost, nothing hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use key_backup_gateway::audit::postgres::PgStore;
use key_backup_gateway::audit::record::Record;
use key_backup_gateway::audit::store::{Query, Store};
use sqlx::{PgPool, Postgres, Transaction};

use super::bench::{Bench, Gateway, all, config, full};
use crate::cluster::Cluster;

/// Somebody else's transaction, which has locked the table.
async fn locked(bench: &Bench) -> Transaction<'static, Postgres> {
    let pool = PgPool::connect(&bench.url()).await.unwrap();
    let mut other = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE audit_record")
        .execute(&mut *other)
        .await
        .unwrap();
    other
}

#[tokio::test]
async fn appended_records_survive_a_server_that_is_killed() {
    let mut cluster = Cluster::start().await;
    let store = PgStore::open(&config(&cluster.database().await)).unwrap();
    store.migrate().await.unwrap();
    let gateway = Gateway::new();
    let mut appended: Vec<Record> = Vec::new();
    for _ in 0..10 {
        let record = gateway.next(full());
        store.append(std::slice::from_ref(&record)).await.unwrap();
        appended.push(record);
    }
    cluster.kill9();
    let gone = store.append(&[gateway.next(full())]).await;
    assert_eq!(gone.unwrap_err().code(), "store_unreachable");
    cluster.restart().await;

    // The same store finds the server again.
    appended.reverse();
    assert_eq!(all(&store).await, appended);
}

#[tokio::test]
async fn a_silent_server_is_unavailable_in_time_and_found_again() {
    let cluster = Cluster::start().await;
    let store = Arc::new(PgStore::open(&config(&cluster.database().await)).unwrap());
    store.migrate().await.unwrap();
    let record = Gateway::new().record(full());
    store.append(std::slice::from_ref(&record)).await.unwrap();
    cluster.stop_signal();
    // More than there are connections: none may be lost to it.
    let begun = Instant::now();
    let appends = (0..6).map(|_| {
        let (store, record) = (Arc::clone(&store), record.clone());
        tokio::spawn(async move { store.append(&[record]).await })
    });
    for append in appends.collect::<Vec<_>>() {
        let silent = append.await.unwrap().unwrap_err();
        assert_eq!(silent.code(), "store_silent", "{silent:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    cluster.cont_signal();

    store.append(std::slice::from_ref(&record)).await.unwrap();
    assert_eq!(all(&*store).await, [record]);
}

#[tokio::test]
async fn those_who_give_up_hold_no_connections() {
    let bench = Bench::postgres().await;
    let store = bench.migrated().await;
    let record = Gateway::new().record(full());
    let other = locked(&bench).await;
    let brief = Duration::from_millis(300);
    let appends = (0..10).map(|_| {
        let (store, record) = (Arc::clone(&store), record.clone());
        tokio::spawn(async move { tokio::time::timeout(brief, store.append(&[record])).await })
    });
    for append in appends.collect::<Vec<_>>() {
        assert!(append.await.unwrap().is_err(), "the table is locked");
    }

    // The server still waits for the lock on behalf of those who left.
    let begun = Instant::now();
    store.renew(uuid::Uuid::max(), "gateway-1").await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    other.rollback().await.unwrap();
    store.append(std::slice::from_ref(&record)).await.unwrap();
    assert_eq!(all(&*store).await, [record]);
}

#[tokio::test]
async fn a_table_that_is_locked_is_unavailable_in_time() {
    let bench = Bench::postgres().await;
    let store = bench.migrated().await;
    let _other = locked(&bench).await;
    let begun = Instant::now();
    let result = store.append(&[Gateway::new().record(full())]).await;

    assert_eq!(result.unwrap_err().code(), "store_locked");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_database_that_is_read_only_is_unavailable() {
    let bench = Bench::postgres().await;
    bench.migrated().await.close().await;
    let url = bench.url();
    let (_, database) = url.rsplit_once('/').unwrap();
    bench
        .execute(&format!(
            "ALTER DATABASE {database} SET default_transaction_read_only = on"
        ))
        .await;
    let store = bench.store();
    let append = store.append(&[Gateway::new().record(full())]).await;
    let migrate = store.migrate().await;

    assert_eq!(append.unwrap_err().code(), "store_read_only");
    assert_eq!(migrate.unwrap_err().code(), "store_read_only");
    assert!(store.page(&Query::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_commit_that_the_standby_does_not_confirm_is_no_receipt() {
    let cluster = Cluster::start().await;
    let url = cluster.database().await;
    let store = PgStore::open(&config(&url)).unwrap();
    store.migrate().await.unwrap();
    let pool = PgPool::connect(&url).await.unwrap();
    // Nobody of that name will ever come.
    for sql in [
        "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
        "SELECT pg_reload_conf()",
    ] {
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    }
    while sqlx::query_scalar::<_, String>("SHOW synchronous_standby_names")
        .fetch_one(&pool)
        .await
        .unwrap()
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let result = store.append(&[Gateway::new().record(full())]).await;

    assert_eq!(result.unwrap_err().code(), "store_silent");
}
