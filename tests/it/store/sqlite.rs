//! What holds for SQLite alone.

use std::os::unix::fs::PermissionsExt;

use key_backup_gateway::audit::sqlite::SqliteStore;
use key_backup_gateway::audit::store::{Error, Query, Store};
use sqlx::Connection;

use super::bench::{Bench, Gateway, all, config, full};

#[tokio::test]
async fn the_file_and_its_companions_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("trail.db").display());
    let store = SqliteStore::open(&config(&url)).unwrap();
    store.migrate().await.unwrap();
    store
        .append(&[Gateway::new().record(full())])
        .await
        .unwrap();

    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{entry:?}"
        );
        seen.push(entry.file_name().into_string().unwrap());
    }
    seen.sort();
    assert_eq!(seen, ["trail.db", "trail.db-shm", "trail.db-wal"]);
}

#[tokio::test]
async fn only_migrate_makes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trail.db");
    let store = SqliteStore::open(&config(&format!("sqlite:{}", file.display()))).unwrap();
    let append = store.append(&[Gateway::new().record(full())]).await;
    let page = store.page(&Query::default()).await;

    assert!(matches!(append, Err(Error::Unavailable(_))), "{append:?}");
    assert!(matches!(page, Err(Error::Unavailable(_))), "{page:?}");
    assert!(!file.exists());
}

#[tokio::test]
async fn nothing_is_written_to_a_file_that_was_removed_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trail.db");
    let url = format!("sqlite:{}", file.display());
    let store = SqliteStore::open(&config(&url)).unwrap();
    store.migrate().await.unwrap();
    // Else the tables are in the write-ahead log, which whoever closes last may fold into the copy.
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let fold = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
    fold.execute(&pool).await.unwrap();
    pool.close().await;
    let (records, aside) = (
        [Gateway::new().record(full())],
        folder.path().join("aside.db"),
    );

    std::fs::rename(&file, &aside).unwrap();
    let removed = store.append(&records).await;
    std::fs::copy(&aside, &file).unwrap();
    let replaced = store.append(&records).await;
    std::fs::rename(&aside, &file).unwrap();
    let put_back = store.append(&records).await;

    assert!(matches!(removed, Err(Error::Unavailable(_))), "{removed:?}");
    assert!(
        matches!(replaced, Err(Error::Unavailable(_))),
        "{replaced:?}"
    );
    put_back.unwrap();
    assert_eq!(all(&store).await, records);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not/there/trail.db");
    let store = SqliteStore::open(&config(&format!("sqlite:{}", file.display()))).unwrap();
    let result = store.migrate().await;

    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
}

#[tokio::test]
async fn a_reader_reads_beside_a_writer_and_after_it_and_changes_nothing() {
    let bench = Bench::sqlite();
    let store = bench.migrated().await;
    let record = Gateway::new().record(full());
    store.append(std::slice::from_ref(&record)).await.unwrap();
    let reader = SqliteStore::open_existing(&config(&bench.url())).unwrap();
    assert_eq!(all(&reader).await, std::slice::from_ref(&record));
    reader.check_schema().await.unwrap();
    let result = reader.append(&[Gateway::new().record(full())]).await;
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    reader.close().await;
    store.close().await;

    let reader = SqliteStore::open_existing(&config(&bench.url())).unwrap();
    assert_eq!(all(&reader).await, [record]);
}

#[tokio::test]
async fn what_ails_the_file_has_a_name() {
    let bench = Bench::sqlite();
    let store = bench.migrated().await;
    let record = Gateway::new().record(full());
    let reader = SqliteStore::open_existing(&config(&bench.url())).unwrap();
    let refused = reader.append(std::slice::from_ref(&record)).await;
    assert_eq!(refused.unwrap_err().code(), "store_read_only");
    let pool = sqlx::SqlitePool::connect(&bench.url()).await.unwrap();
    let mut full_disk = pool.acquire().await.unwrap();
    let fill = "PRAGMA max_page_count = 1; CREATE TABLE more (text)";
    let error = sqlx::raw_sql(fill).execute(&mut *full_disk).await;
    assert_eq!(Error::from(error.unwrap_err()).code(), "store_disk_full");

    let mut other = pool.acquire().await.unwrap();
    let other = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let locked = store.append(&[record]).await.unwrap_err();
    assert_eq!(locked.code(), "store_locked", "{locked:?}");
    drop(other);
}
