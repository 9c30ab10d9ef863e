//! Migrations.

use key_backup_gateway::audit::store::{Error, Query};

use crate::store::bench::{Bench, Gateway, all, full};

pub(crate) async fn an_empty_database_is_outdated(bench: &Bench) {
    let result = bench.store().check_schema().await;

    assert!(
        matches!(
            result,
            Err(Error::Outdated {
                found: 0,
                expected: 1..
            })
        ),
        "{result:?}"
    );
    let store = bench.migrated().await;
    store.check_schema().await.unwrap();
}

pub(crate) async fn nothing_works_on_an_empty_database_and_the_error_says_why(bench: &Bench) {
    // An empty database, and for SQLite an empty file.
    bench.migrated().await.close().await;
    bench
        .execute("DROP TABLE audit_record; DROP TABLE audit_run; DROP TABLE audit_migration")
        .await;
    let store = bench.store();
    let record = Gateway::new().record(full());
    let errors = [
        store.append(&[record]).await.unwrap_err(),
        store.page(&Query::default()).await.unwrap_err(),
        store
            .renew(uuid::Uuid::max(), "gateway-1")
            .await
            .unwrap_err(),
        store.check_schema().await.unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(error, Error::Outdated { found: 0, .. }),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("key-backup-gateway migrate"),
            "{error}"
        );
    }
}

pub(crate) async fn migrating_again_changes_nothing(bench: &Bench) {
    let store = bench.migrated().await;
    let record = Gateway::new().record(full());
    store.append(std::slice::from_ref(&record)).await.unwrap();
    store.migrate().await.unwrap();
    bench.migrated().await;

    assert_eq!(all(&*store).await, [record]);
}

pub(crate) async fn five_may_migrate_at_once(bench: &Bench) {
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let store = bench.store();
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }

    bench.store().check_schema().await.unwrap();
}

pub(crate) async fn a_newer_schema_is_an_error_that_says_so(bench: &Bench) {
    let store = bench.migrated().await;
    bench
        .execute(
            "INSERT INTO audit_migration (version, description, success, checksum, execution_time)
            VALUES (9999, 'of a later build', TRUE, '', 0)",
        )
        .await;
    for result in [store.check_schema().await, store.migrate().await] {
        assert!(
            matches!(result, Err(Error::Newer { found: 9999, .. })),
            "{result:?}"
        );
    }
}

pub(crate) async fn maintaining_a_new_trail_has_nothing_to_say(bench: &Bench) {
    let store = bench.migrated().await;

    assert!(store.maintain().await.unwrap().is_empty());
}
