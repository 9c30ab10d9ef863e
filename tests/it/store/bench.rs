//! A database for one test, and records to put in it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
#[cfg(feature = "postgres")]
use key_backup_gateway::audit::postgres::PgStore;
use key_backup_gateway::audit::record::{
    Facts, Judged, Kind, Outcome, Phase, Record, Stamp, Stored,
};
#[cfg(feature = "sqlite")]
use key_backup_gateway::audit::sqlite::SqliteStore;
use key_backup_gateway::audit::store::{Config, Query, Store, TreeStore};
use key_backup_gateway::clock::MockClock;
use key_backup_gateway::matrix::{Action, EventType, Preference};
use secrecy::SecretString;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

#[cfg(feature = "postgres")]
use crate::cluster::{pgbouncer::PgBouncer, shared};

/// A database for one test.
pub(crate) enum Bench {
    #[cfg(feature = "sqlite")]
    Sqlite(tempfile::TempDir),
    #[cfg(feature = "postgres")]
    Postgres(String),
    /// Postgres with a pooler before it, which has one connection.
    #[cfg(feature = "postgres")]
    PgBouncer(String, PgBouncer),
}

/// A stamp whose clock a test can move.
pub(crate) struct Gateway {
    pub(super) clock: Arc<MockClock>,
    pub(super) stamp: Stamp,
}

/// A configuration with this URL.
pub(super) fn config(url: &str) -> Config {
    Config {
        url: SecretString::from(url),
        ..Config::default()
    }
}

/// The ids of `stored`.
pub(super) fn ids(stored: &[Stored]) -> Vec<Uuid> {
    stored.iter().map(|stored| stored.record.id).collect()
}

/// The records of `stored`.
pub(super) fn records(stored: Vec<Stored>) -> Vec<Record> {
    stored.into_iter().map(|stored| stored.record).collect()
}

/// All that is in the store, newest first.
pub(super) async fn all(store: &dyn Store) -> Vec<Record> {
    records(store.page(&Query::default()).await.unwrap())
}

/// Every field that an exchange can say.
pub(super) fn full() -> Facts {
    Facts {
        exchange_id: Some(Uuid::from_u128(0x0193_5c5a_0000_7000_8000_0000_0000_0001)),
        phase: Some(Phase::Outcome),
        action: Some(Action::Write),
        event_type: Some(EventType::Unstable),
        claimed_user: Some("@alice:example.org".to_owned()),
        authenticated_user: Some("@bob:example.org".to_owned()),
        device_id: Some("DEVICE".to_owned()),
        is_guest: Some(true),
        client_address: Some("2001:db8::1".to_owned()),
        client_chain: vec!["192.0.2.1".to_owned(), "127.0.0.1".to_owned()],
        user_agent: Some("Element/1".to_owned()),
        preference: Some(Preference::Disabled),
        verdict: Some(Judged::Refuse),
        violations: vec!["not_json".to_owned(), "of_a_later_version".to_owned()],
        outcome: Some(Outcome::Answered),
        origin_status: Some(403),
        errcode: Some("M_FORBIDDEN".to_owned()),
        request_id: Some("a-1".to_owned()),
        traceparent: Some("00-0af7-b7ad-01".to_owned()),
        body_sha256: Some([0xfe; 32]),
        duration_us: Some(1_234_567),
        detail: Some(serde_json::json!({"why": ["it", {"is": null}], "much": 1.5, "not": -3})),
    }
}

// === impl Bench ===

impl Bench {
    #[cfg(feature = "sqlite")]
    pub(super) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    #[cfg(feature = "postgres")]
    pub(super) async fn postgres() -> Self {
        Self::Postgres(shared::database().await)
    }

    #[cfg(feature = "postgres")]
    pub(super) async fn pgbouncer() -> Self {
        let url = shared::database().await;
        let (_, port) = url.rsplit_once(':').unwrap();
        let (port, _) = port.split_once('/').unwrap();
        let bouncer = PgBouncer::start(port.parse().unwrap()).await;
        Self::PgBouncer(url, bouncer)
    }

    /// The pooler, which there must be.
    #[cfg(feature = "postgres")]
    pub(super) fn bouncer(&mut self) -> &mut PgBouncer {
        match self {
            Self::PgBouncer(_, bouncer) => bouncer,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => panic!("there is no pooler"),
            Self::Postgres(_) => panic!("there is no pooler"),
        }
    }

    /// Another store over the same database, as another process would have it.
    pub(super) fn store(&self) -> Arc<dyn TreeStore> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Arc::new(SqliteStore::open(&config(&self.url())).unwrap()),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => Arc::new(PgStore::open(&config(url)).unwrap()),
            #[cfg(feature = "postgres")]
            Self::PgBouncer(url, bouncer) => {
                Arc::new(PgStore::open(&config(&bouncer.through(url))).unwrap())
            }
        }
    }

    /// A store that is up to date.
    pub(super) async fn migrated(&self) -> Arc<dyn TreeStore> {
        let store = self.store();
        store.migrate().await.unwrap();
        store
    }

    /// Where the database itself is.
    pub(super) fn url(&self) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("trail.db").display()),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) | Self::PgBouncer(url, _) => url.clone(),
        }
    }

    /// Runs `sql` behind the store's back.
    pub(super) async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql);
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                let pool = sqlx::SqlitePool::connect(&self.url()).await.unwrap();
                sqlx::raw_sql(sql).execute(&pool).await.unwrap();
                pool.close().await;
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(url) | Self::PgBouncer(url, _) => {
                let pool = sqlx::PgPool::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&pool).await.unwrap();
                pool.close().await;
            }
        }
    }

    /// Every run was renewed so many seconds earlier than it was.
    pub(super) async fn age_runs(&self, seconds: u32) {
        let sql = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                format!("UPDATE audit_run SET renewed_at = renewed_at - {seconds} * 1000000")
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(..) | Self::PgBouncer(..) => format!(
                "UPDATE audit_run SET renewed_at = renewed_at - make_interval(secs => {seconds})"
            ),
        };
        self.execute(&sql).await;
    }
}

// === impl Gateway ===

impl Gateway {
    /// A gateway in the middle of November 2026.
    pub(super) fn new() -> Self {
        Self::at("2026-11-15T12:00:00.123456Z")
    }

    pub(super) fn at(time: &str) -> Self {
        let now: DateTime<Utc> = time.parse().unwrap();
        let clock = Arc::new(MockClock::new(now));
        Self {
            stamp: Stamp::new(Arc::clone(&clock) as _, "gateway-1"),
            clock,
        }
    }

    pub(super) fn record(&self, facts: Facts) -> Record {
        self.stamp.record(Kind::Exchange, facts)
    }

    /// A record, a second after the last.
    pub(super) fn next(&self, facts: Facts) -> Record {
        self.clock.advance(TimeDelta::seconds(1));
        self.record(facts)
    }

    pub(super) fn intent(&self) -> Record {
        let exchange_id = Some(self.stamp.new_id());
        self.next(Facts {
            exchange_id,
            phase: Some(Phase::Intent),
            ..Facts::default()
        })
    }

    pub(super) fn outcome(&self, intent: &Record, outcome: Outcome) -> Record {
        let phase = Some(Phase::Outcome);
        self.next(Facts {
            phase,
            outcome: Some(outcome),
            ..intent.facts.clone()
        })
    }
}
