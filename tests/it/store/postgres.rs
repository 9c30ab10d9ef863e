//! What holds for Postgres alone: partitions, roles, synchronous commit, sessions.

use chrono::{Datelike, Months, NaiveDate, Utc};
use key_backup_gateway::audit::postgres::PgStore;
use key_backup_gateway::audit::record::Record;
use key_backup_gateway::audit::store::{Desk, Error, Query, Store, Summarised, Tree};
use sqlx::PgPool;

use super::bench::{Bench, Gateway, all, config, full, records};

/// The first day of the month, `ahead` months from now.
#[expect(clippy::disallowed_methods, reason = "the database has no other clock")]
fn month(ahead: u32) -> NaiveDate {
    let today = Utc::now().date_naive();
    today
        .with_day(1)
        .unwrap()
        .checked_add_months(Months::new(ahead))
        .unwrap()
}

fn partition(month: NaiveDate) -> String {
    month.format("audit_record_%Y_%m").to_string()
}

/// A record of the first microsecond of `day`, and one of the last of the day before.
fn around(day: NaiveDate) -> [Record; 2] {
    [
        Gateway::at(&format!("{day}T00:00:00Z")).record(full()),
        Gateway::at(&format!("{}T23:59:59.999999Z", day.pred_opt().unwrap())).record(full()),
    ]
}

async fn partition_of(pool: &PgPool, record: &Record) -> String {
    sqlx::query_scalar("SELECT tableoid::regclass::text FROM audit_record WHERE id = $1")
        .bind(record.id)
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn partitions(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT inhrelid::regclass::text FROM pg_inherits
        WHERE inhparent = 'audit_record'::regclass ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn migrating_makes_this_month_and_three_ahead() {
    let bench = Bench::postgres().await;
    bench.migrated().await;
    let pool = PgPool::connect(&bench.url()).await.unwrap();

    let mut expected: Vec<String> = (0..4).map(|ahead| partition(month(ahead))).collect();
    expected.push("audit_record_default".to_owned());
    assert_eq!(partitions(&pool).await, expected);
}

#[tokio::test]
async fn a_database_that_cannot_hold_all_text_is_refused() {
    let bench = Bench::postgres().await;
    let url = bench.url();
    let (server, name) = url.rsplit_once('/').unwrap();
    let latin = format!("{name}_latin");
    let create = format!(
        "CREATE DATABASE {latin} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    );
    bench.execute(&create).await;
    let store = PgStore::open(&config(&format!("{server}/{latin}"))).unwrap();
    for refused in [store.migrate().await, store.check_schema().await] {
        let error = refused.unwrap_err();
        assert!(
            matches!(&error, Error::Encoding { found } if found == "LATIN1"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_record_goes_to_the_month_of_its_id() {
    let bench = Bench::postgres().await;
    let store = bench.migrated().await;
    let [first, last] = around(month(1));
    let old = Gateway::at("1999-06-01T00:00:00Z").record(full());
    let future = Gateway::at("2099-06-01T00:00:00Z").record(full());
    store
        .append(&[first.clone(), last.clone(), old.clone(), future.clone()])
        .await
        .unwrap();
    let pool = PgPool::connect(&bench.url()).await.unwrap();

    assert_eq!(partition_of(&pool, &first).await, partition(month(1)));
    assert_eq!(partition_of(&pool, &last).await, partition(month(0)));
    assert_eq!(partition_of(&pool, &old).await, "audit_record_default");
    assert_eq!(partition_of(&pool, &future).await, "audit_record_default");
}

#[tokio::test]
async fn maintaining_makes_the_months_that_are_missing() {
    let bench = Bench::postgres().await;
    let store = bench.migrated().await;
    let missing = partition(month(2));
    bench.execute(&format!("DROP TABLE {missing}")).await;
    let pool = PgPool::connect(&bench.url()).await.unwrap();
    assert!(!partitions(&pool).await.contains(&missing));

    assert!(store.maintain().await.unwrap().is_empty());
    assert!(partitions(&pool).await.contains(&missing));
    let [first, _] = around(month(2));
    store.append(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(partition_of(&pool, &first).await, missing);
    // As the others are: to append again finds the id there.
    store.append(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(all(&*store).await, [first]);
}

#[tokio::test]
async fn a_month_whose_rows_lie_in_the_default_partition_stays_there_and_that_is_said() {
    let bench = Bench::postgres().await;
    let store = bench.migrated().await;
    for ahead in [1, 2] {
        bench
            .execute(&format!("DROP TABLE {}", partition(month(ahead))))
            .await;
    }
    let [first, _] = around(month(1));
    store.append(std::slice::from_ref(&first)).await.unwrap();
    let pool = PgPool::connect(&bench.url()).await.unwrap();

    let sentences = store.maintain().await.unwrap();
    assert_eq!(sentences.len(), 1, "{sentences:?}");
    let expected = month(1)
        .format("records of %Y-%m lie in the default partition")
        .to_string();
    assert!(sentences[0].starts_with(&expected), "{sentences:?}");
    // The record is where it was, and the other month was made all the same.
    assert_eq!(partition_of(&pool, &first).await, "audit_record_default");
    assert!(partitions(&pool).await.contains(&partition(month(2))));
    assert_eq!(all(&*store).await, [first]);
}

/// The URL for a new role, with `options`, that may read and append, and nothing else.
pub(super) async fn role(bench: &Bench, options: &str) -> String {
    let name = format!("role_{}", uuid::Uuid::now_v7().simple());
    bench
        .execute(&format!(
            "CREATE ROLE {name} LOGIN {options};
            GRANT SELECT, INSERT ON audit_record TO {name};
            GRANT INSERT ON audit_pending TO {name};
            GRANT SELECT ON audit_migration TO {name}"
        ))
        .await;
    bench.url().replace("postgres@", &format!("{name}@"))
}

/// As the second migration left it.
const WITHOUT_TREE: &str = "
    DROP TABLE audit_pending, audit_leaf, audit_tile, audit_tree_head, audit_checkpoint,
        audit_lost_checkpoint, audit_fresh, audit_summary, audit_user, audit_adoption, audit_hour,
        audit_violation, audit_drift, audit_open, audit_trait, audit_trait_days, audit_stray;
    DROP INDEX audit_record_violation, audit_record_violated, audit_record_no_claimed_user;
    DROP FUNCTION audit_note_fresh CASCADE;
    DELETE FROM audit_migration WHERE version >= 3
";

#[tokio::test]
async fn a_role_that_could_append_can_while_the_tree_is_new() {
    let bench = Bench::postgres().await;
    let owner = bench.migrated().await;
    let name = format!("role_{}", uuid::Uuid::now_v7().simple());
    bench
        .execute(&format!(
            "CREATE ROLE {name} LOGIN;
            GRANT SELECT, INSERT ON audit_record TO {name};
            GRANT SELECT ON audit_migration TO {name};
            {WITHOUT_TREE}"
        ))
        .await;
    owner.migrate().await.unwrap();

    let url = bench.url().replace("postgres@", &format!("{name}@"));
    let store = PgStore::open(&config(&url)).unwrap();
    let record = Gateway::new().record(full());
    store.append(std::slice::from_ref(&record)).await.unwrap();
    assert_eq!(all(&store).await, [record]);
    // It may read the tree, and not make it grow.
    assert!(store.waiting().await.unwrap().is_pending);
    let denied = store.seal(1, i64::MIN, &mut |_| None).await.unwrap_err();
    assert_eq!(denied.code(), "store_denied", "{denied}");
    // It may keep the summary, which proves nothing.
    assert_eq!(store.summarise(10).await.unwrap(), Summarised::Taken(1));
    store.forget_summary().await.unwrap();
    assert_eq!(store.summarise(10).await.unwrap(), Summarised::Taken(1));
}

#[tokio::test]
async fn what_was_there_before_the_summary_is_taken_into_it() {
    let bench = Bench::postgres().await;
    let owner = bench.migrated().await;
    bench.execute(WITHOUT_TREE).await;
    bench.execute("DELETE FROM audit_record").await;
    owner.close().await;
    let gateway = Gateway::new();
    let record = |from: &Gateway| from.next(full());
    let (before, after) = (record(&gateway), record(&gateway));
    // As an earlier version appends.
    bench
        .execute(&format!(
            "INSERT INTO audit_record (id, kind, recorded_at, instance, run_id, version, violations)
            VALUES ('{}', 'heartbeat', now(), 'gateway-1', '{}', '1', '[]')",
            before.id, before.run_id
        ))
        .await;

    let store = bench.migrated().await;
    store.append(std::slice::from_ref(&after)).await.unwrap();
    assert!(store.standing().await.unwrap().is_behind);
    assert_eq!(store.summarise(10).await.unwrap(), Summarised::Due);
    store.forget_summary().await.unwrap();
    assert_eq!(store.summarise(10).await.unwrap(), Summarised::Taken(2));
    let standing = store.standing().await.unwrap();
    assert_eq!((standing.summarised, standing.is_behind), (2, false));
}

#[tokio::test]
async fn whoever_may_read_the_trail_alone_finds_by_time_and_device_all_the_same() {
    let bench = Bench::postgres().await;
    let owner = bench.migrated().await;
    let record = Gateway::new().record(full());
    owner.append(std::slice::from_ref(&record)).await.unwrap();
    let store = PgStore::open(&config(&role(&bench, "").await)).unwrap();
    let query = Query {
        device: full().device_id,
        since: Some(record.recorded_at),
        ..Query::default()
    };
    assert_eq!(records(store.page(&query).await.unwrap()), [record]);
}

#[tokio::test]
async fn a_role_that_may_not_make_tables_appends_and_is_told() {
    let bench = Bench::postgres().await;
    bench.migrated().await;
    bench
        .execute(&format!("DROP TABLE {}", partition(month(3))))
        .await;
    let url = role(&bench, "").await;
    let store = PgStore::open(&config(&url)).unwrap();
    store
        .append(&[Gateway::new().record(full())])
        .await
        .unwrap();

    let sentences = store.maintain().await.unwrap();
    assert_eq!(sentences.len(), 1, "{sentences:?}");
    assert!(sentences[0].contains(&partition(month(3))), "{sentences:?}");
    // The month's records go where there is room.
    let [first, _] = around(month(3));
    store.append(std::slice::from_ref(&first)).await.unwrap();
    let pool = PgPool::connect(&bench.url()).await.unwrap();
    assert_eq!(partition_of(&pool, &first).await, "audit_record_default");
}

#[tokio::test]
async fn every_column_is_explained() {
    let bench = Bench::postgres().await;
    bench.migrated().await;
    let pool = PgPool::connect(&bench.url()).await.unwrap();
    let columns: Vec<(String, bool)> = sqlx::query_as(
        "SELECT attrelid::regclass || '.' || attname, col_description(attrelid, attnum) IS NULL
        FROM pg_attribute
        WHERE attrelid IN ('audit_record'::regclass, 'audit_run'::regclass) AND attnum > 0",
    )
    .fetch_all(&pool)
    .await
    .unwrap();

    assert_eq!(columns.len(), 35 + 6);
    let bare: Vec<_> = columns.iter().filter(|(_, bare)| *bare).collect();
    assert!(bare.is_empty(), "{bare:?}");
}

#[tokio::test]
async fn synchronous_commit_is_raised_and_never_lowered() {
    for (configured, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        let bench = Bench::postgres().await;
        let store = bench.migrated().await;
        let url = bench.url();
        let (_, database) = url.rsplit_once('/').unwrap();
        // What stands in the transaction that inserts.
        bench
            .execute(&format!(
                "ALTER DATABASE {database} SET synchronous_commit = '{configured}';
                CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN NEW.version := current_setting('synchronous_commit'); RETURN NEW; END $$;
                CREATE TRIGGER note BEFORE INSERT ON audit_record
                    FOR EACH ROW EXECUTE FUNCTION note()"
            ))
            .await;
        store.close().await;
        let store = bench.store();
        store
            .append(&[Gateway::new().record(full())])
            .await
            .unwrap();

        assert_eq!(all(&*store).await[0].version, expected, "{configured}");
    }
}

#[tokio::test]
async fn nothing_is_left_in_the_session() {
    let bench = Bench::postgres().await;
    let url = bench.url();
    let mut config = config(&url);
    config.max_connections = 1;
    let store = PgStore::open(&config).unwrap();
    store.migrate().await.unwrap();
    store
        .append(&[Gateway::new().record(full())])
        .await
        .unwrap();
    store.page(&Query::default()).await.unwrap();
    store.renew(uuid::Uuid::max(), "gateway-1").await.unwrap();
    store.maintain().await.unwrap();
    // A trail of its own is what shows a session from within.
    bench
        .execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                NEW.instance := (SELECT count(*) FROM pg_prepared_statements WHERE name <> '');
                RETURN NEW; END $$;
            CREATE TRIGGER note BEFORE INSERT ON audit_run FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .await;
    store.renew(uuid::Uuid::nil(), "gateway-1").await.unwrap();
    let pool = PgPool::connect(&url).await.unwrap();
    let prepared: String = sqlx::query_scalar("SELECT instance FROM audit_run WHERE run_id = $1")
        .bind(uuid::Uuid::nil())
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(prepared, "0");
    let locks: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid WHERE locktype = 'advisory' AND datname = current_database()")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(locks, 0);
}
