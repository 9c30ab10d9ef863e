//! What ails a store has a name, and the name is the right one.

use key_backup_gateway::audit::postgres::PgStore;
use key_backup_gateway::audit::store::{Error, Store};

use super::bench::{Bench, Gateway, config, full};
use super::postgres::role;

async fn append(store: &dyn Store) -> Error {
    let record = Gateway::new().record(full());
    store.append(&[record]).await.unwrap_err()
}

/// What appending says when the server raises an error of this code.
async fn raised(bench: &Bench, sqlstate: &str) -> Error {
    bench
        .execute(&format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$;
            CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON audit_record
                FOR EACH ROW EXECUTE FUNCTION fail()"
        ))
        .await;
    append(&*bench.store()).await
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    for url in [
        // Port 9 is the discard service's: nobody is there.
        "postgres://postgres@127.0.0.1:9/trail",
        "postgres://postgres@nobody.invalid/trail",
        "postgres:///trail?host=/not/there",
        "postgres://postgres@127.0.0.1:9,[::1]:9/trail",
    ] {
        let store = PgStore::open(&config(url)).unwrap();
        let error = append(&store).await;
        assert_eq!(error.code(), "store_unreachable", "{url}: {error:?}");
        let error = store.migrate().await.unwrap_err();
        assert_eq!(error.code(), "store_unreachable", "{url}: {error:?}");
        assert!(error.to_string().contains("database.url"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_unreachable_and_the_next_one_works() {
    let bench = Bench::postgres().await;
    let store = bench.migrated().await;
    let record = Gateway::new().record(full());
    store.append(std::slice::from_ref(&record)).await.unwrap();
    bench
        .execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    let error = append(&*store).await;
    assert_eq!(error.code(), "store_unreachable", "{error:?}");

    store.append(&[record]).await.unwrap();
}

#[tokio::test]
async fn a_role_with_all_its_connections_in_use_has_too_many() {
    let bench = Bench::postgres().await;
    bench.migrated().await;
    let url = role(&bench, "CONNECTION LIMIT 1").await;
    let first = PgStore::open(&config(&url)).unwrap();
    first.check_schema().await.unwrap();
    let error = append(&PgStore::open(&config(&url)).unwrap()).await;

    assert_eq!(error.code(), "store_too_many_connections", "{error:?}");
    assert!(error.to_string().contains("max_connections"), "{error}");
}

#[tokio::test]
async fn a_role_without_a_grant_is_denied() {
    let bench = Bench::postgres().await;
    bench.migrated().await;
    let store = PgStore::open(&config(&role(&bench, "").await)).unwrap();
    let error = store
        .renew(uuid::Uuid::max(), "gateway-1")
        .await
        .unwrap_err();

    assert_eq!(error.code(), "store_denied", "{error:?}");
}

#[tokio::test]
async fn what_the_server_raises_is_told_apart() {
    let bench = Bench::postgres().await;
    bench.migrated().await;
    for (sqlstate, code) in [
        ("53100", "store_disk_full"),
        ("53300", "store_too_many_connections"),
        ("57P01", "store_unreachable"),
        ("55P03", "store_locked"),
        ("25006", "store_read_only"),
        ("XX001", "store_unavailable"),
        ("22021", "store_refused"),
        ("23502", "store_refused"),
    ] {
        let error = raised(&bench, sqlstate).await;
        assert_eq!(error.code(), code, "{sqlstate}: {error:?}");
    }
}

#[tokio::test]
async fn a_record_for_which_there_is_no_partition_is_not_at_fault() {
    let bench = Bench::postgres().await;
    bench.migrated().await;
    bench.execute("DROP TABLE audit_record_default").await;
    let record = Gateway::at("1999-06-01T00:00:00Z").record(full());
    let error = bench.store().append(&[record]).await.unwrap_err();

    assert_eq!(error.code(), "store_unavailable", "{error:?}");
}
