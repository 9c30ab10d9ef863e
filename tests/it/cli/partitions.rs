//! `migrate` on Postgres, by whoever may change the schema.

use sqlx::{Connection as _, PgConnection};

use super::{DONE, Desk};
use crate::cluster;

const PARTITIONS: &str = "
    SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_record'::regclass
";
const DROP_NEWEST: &str = "
    DO $$ BEGIN EXECUTE (
        SELECT 'DROP TABLE ' || max(inhrelid::regclass::text) FROM pg_inherits
        WHERE inhparent = 'audit_record'::regclass AND inhrelid::regclass::text ~ '[0-9]$'
    ); END $$
";

#[tokio::test]
async fn migrate_makes_the_partitions_that_are_missing() {
    let url = cluster::shared::database().await;
    let migrate = format!("migrate --database {url}");
    Desk::new().run(&migrate).expect(DONE);

    let mut connection = PgConnection::connect(&url).await.unwrap();
    let before: i64 = sqlx::query_scalar(PARTITIONS)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    sqlx::query(DROP_NEWEST)
        .execute(&mut connection)
        .await
        .unwrap();
    let dropped: i64 = sqlx::query_scalar(PARTITIONS)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(dropped, before - 1);

    let ran = Desk::new().run(&migrate).expect(DONE);
    assert_eq!(ran.stdout, "the database is up to date\n");
    let after: i64 = sqlx::query_scalar(PARTITIONS)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(after, before);
}
