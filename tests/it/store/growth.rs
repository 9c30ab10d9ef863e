//! What is asked of a long trail in Postgres does not read all of it.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use key_backup_gateway::audit::record::{Judged, Outcome};
use key_backup_gateway::audit::store::{Query, Summarised};
use key_backup_gateway::clock::{Clock as _, SystemClock};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use super::bench::Bench;

const PATIENCE: Duration = Duration::from_secs(30);

/// So many that an index is worth its while: of 400 users and one run, with neither a refusal nor a failure.
const FILL: &str = "
    INSERT INTO audit_record (
        id, kind, exchange_id, phase, recorded_at, instance, run_id, version, action,
        claimed_user, authenticated_user, verdict, violations, outcome, device_id, client_address, user_agent
    )
    SELECT
        (left(audit_first_id(clock_timestamp())::text, 13) || '-7000-8'
            || lpad(to_hex(number), 15, '0'))::uuid,
        'exchange', gen_random_uuid(), CASE number % 2 WHEN 0 THEN 'intent' ELSE 'outcome' END,
        clock_timestamp(), 'gateway-1', '00000000-0000-7000-8000-000000000007', '1', 'write', '@user' || number % 400, '@user' || number % 400, 'accept', '[]', 'answered', 'D' || number % 400, '192.0.2.' || number % 250, 'Element/' || number % 400
    FROM generate_series(1, 20000) AS number;
    ANALYZE audit_record;
";

/// Whose records they are.
const RUN: Uuid = Uuid::from_u128(0x7000_8000_0000_0000_0007);

/// Of all partitions that have records: how often they were read from end to end, and by an index.
const SCANS: &str = "
    SELECT coalesce(sum(seq_scan), 0)::bigint, coalesce(sum(idx_scan), 0)::bigint
    FROM pg_stat_user_tables WHERE relname LIKE 'audit_record%' AND n_live_tup > 0
";

const OTHERS: &str = "
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
";

#[tokio::test]
async fn no_question_to_a_long_trail_reads_all_of_it() {
    let bench = Bench::postgres().await;
    let store = bench.migrated().await;
    bench.execute(FILL).await;
    while store.summarise(2000).await.unwrap() != Summarised::Taken(0) {}
    store.close().await;
    bench.execute("ANALYZE").await;
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect(&bench.url()).await.unwrap();
    let asked = Query {
        limit: 100,
        ..Query::default()
    };
    let long_ago = SystemClock.now() - TimeDelta::days(300);
    let queries = [
        asked.clone(),
        Query {
            user: Some("@user7".to_owned()),
            ..asked.clone()
        },
        Query {
            verdict: Some(Judged::Refuse),
            ..asked.clone()
        },
        Query {
            outcome: Some(Outcome::Failed),
            ..asked.clone()
        },
        Query {
            device: Some("D7".to_owned()),
            ..asked.clone()
        },
        Query {
            address: Some("not one of them".to_owned()),
            ..asked.clone()
        },
        Query {
            client: Some("Element/39".to_owned()),
            ..asked.clone()
        },
        Query {
            violation: Some("not_json".to_owned()),
            ..asked.clone()
        },
        Query {
            since: Some(long_ago),
            until: Some(long_ago + TimeDelta::days(1)),
            ..asked
        },
    ];
    let (sequential, by_index) = scans(&pool).await;
    let store = bench.store();

    for query in &queries {
        store.page(query).await.unwrap();
    }
    store.exchange(Uuid::now_v7()).await.unwrap();
    store.missing(&[Uuid::now_v7()]).await.unwrap();
    store.changes("@user7", None, 100).await.unwrap();
    store.profile("@user7").await.unwrap();
    store.drifts(None, 100).await.unwrap();
    let found = store.open_intents(RUN, None, 100).await.unwrap();
    assert_eq!(found.open.len(), 100);
    // The sealer's and the verifier's.
    let from = Uuid::from_u128(u128::MAX / 2);
    store.adopt(from, 100).await.unwrap();
    store.strays(Uuid::nil(), 100).await.unwrap();
    store.leaves(0, 100).await.unwrap();
    store.seal(100, i64::MIN, &mut |_| None).await.unwrap();
    store.close().await;

    let after = scans(&pool).await;
    assert!(after.1 > by_index);
    assert_eq!(after.0, sequential);
}

/// The counts of all that others did: each says it at the latest when it leaves.
async fn scans(pool: &PgPool) -> (i64, i64) {
    let deadline = Instant::now() + PATIENCE;
    while sqlx::query_scalar::<_, i64>(OTHERS)
        .fetch_one(pool)
        .await
        .unwrap()
        > 0
    {
        assert!(Instant::now() < deadline, "somebody stays connected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sqlx::query_as(SCANS).fetch_one(pool).await.unwrap()
}
