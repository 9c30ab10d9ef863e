//! Trails with one database and one spool, and what is in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use key_backup_gateway::audit::record::{Facts, Outcome, Phase, Stored};
use key_backup_gateway::audit::store::{self, Query, Store};
use key_backup_gateway::audit::{
    self, AuditLog, Backing, Health, Lost, OpenError, Patience, Receipt, Trouble,
};
use key_backup_gateway::clock::{Clock, SystemClock};
use key_backup_gateway::matrix::{Action, EventType};
use prometheus_client::registry::Registry;
use uuid::Uuid;

use crate::cluster::shared;
use crate::rig::store::Switched;

/// Long enough for whatever comes, on a busy machine.
pub(super) const SOON: Duration = Duration::from_mins(1);
/// Between two looks at what is awaited.
const BRIEFLY: Duration = Duration::from_millis(10);

/// A machine: its folder, and the database that it uses.
pub(super) struct Scene {
    folder: tempfile::TempDir,
    pub(super) database: store::Config,
    pub(super) config: audit::Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) instance: String,
}

/// A run of a gateway, as far as the trail goes.
pub(super) struct Run {
    pub(super) log: AuditLog,
    pub(super) store: Arc<Switched>,
    registry: Registry,
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) enum Failed {
    Open(#[from] OpenError),
    Io(#[from] std::io::Error),
}

/// The intent of a write by `user`.
pub(super) fn intent(log: &AuditLog, user: &str) -> Facts {
    Facts {
        exchange_id: Some(log.new_id()),
        phase: Some(Phase::Intent),
        action: Some(Action::Write),
        event_type: Some(EventType::Stable),
        claimed_user: Some(user.to_owned()),
        authenticated_user: Some(user.to_owned()),
        ..Facts::default()
    }
}

/// That the write of `intent` was answered.
pub(super) fn answered(intent: &Facts) -> Facts {
    Facts {
        phase: Some(Phase::Outcome),
        outcome: Some(Outcome::Answered),
        origin_status: Some(200),
        ..intent.clone()
    }
}

/// Waits until `probe` gives something.
pub(super) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let coming = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(BRIEFLY).await;
        }
    };
    let came = tokio::time::timeout(SOON, coming).await;
    came.unwrap_or_else(|_| panic!("in time: {what}"))
}

// === impl Scene ===

impl Scene {
    /// A machine with a spool, and an empty database.
    pub(super) async fn new() -> Self {
        Self::on(shared::database().await)
    }

    /// A machine with a spool, and the database at `url`.
    pub(super) fn on(url: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = audit::Config {
            spool: Some(folder.path().join("spool.db")),
            deadline: Duration::from_secs(10),
            ..audit::Config::default()
        };
        Self {
            folder,
            database: store::Config {
                url: url.into(),
                ..store::Config::default()
            },
            config,
            clock: Arc::new(SystemClock),
            instance: "gateway-1".to_owned(),
        }
    }

    /// Another machine with the same database.
    pub(super) fn other(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = audit::Config {
            spool: Some(folder.path().join("spool.db")),
            ..self.config.clone()
        };
        Self {
            folder,
            database: self.database.clone(),
            config,
            clock: Arc::clone(&self.clock),
            instance: "gateway-2".to_owned(),
        }
    }

    /// Starts a gateway's trail, and waits until it is well.
    pub(super) async fn start(&self) -> Run {
        let run = self.begin();
        run.log
            .health()
            .wait_for(|health| !health.is_starting())
            .await
            .unwrap();
        run
    }

    /// Starts a gateway's trail.
    pub(super) fn begin(&self) -> Run {
        self.begin_with(|_| {})
    }

    /// Starts a gateway's trail with a store that was made to fail.
    pub(super) fn begin_with(&self, change: impl FnOnce(&Switched)) -> Run {
        let mut registry = Registry::with_prefix("keybackup");
        let mut switched = None;
        let log = AuditLog::start(
            || {
                let backing = audit::backing(&self.database, &self.config)?;
                let store = Arc::new(Switched::new(backing.store));
                change(&store);
                switched = Some(Arc::clone(&store));
                Ok::<_, Failed>(Backing { store, ..backing })
            },
            &self.config,
            Arc::clone(&self.clock),
            &self.instance,
            true,
            audit::Metrics::new(&mut registry),
        )
        .unwrap();
        Run {
            log,
            store: switched.unwrap(),
            registry,
        }
    }

    pub(super) fn spool(&self) -> PathBuf {
        self.config.spool.clone().unwrap()
    }

    /// The files beside the spool whose names go on like this.
    pub(super) fn beside(&self, suffix: &str) -> Vec<PathBuf> {
        let start = format!("spool.db{suffix}");
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut found: Vec<PathBuf> = files
            .map(|it| it.unwrap().path())
            .filter(|path| name(path).starts_with(&start))
            .collect();
        found.sort();
        found
    }

    /// Another look at the database.
    pub(super) fn look(&self) -> Arc<dyn Store> {
        audit::open(&self.database).unwrap()
    }

    /// Everything in the database, oldest first.
    pub(super) async fn stored(&self) -> Vec<Stored> {
        let store = self.look();
        let mut records = store.page(&Query::default()).await.unwrap();
        store.close().await;
        records.reverse();
        records
    }

    /// The same, of exchanges alone, once there are `count`.
    pub(super) async fn stored_once(&self, count: usize) -> Vec<Stored> {
        eventually(&format!("{count} records in the store"), async || {
            let mut stored = self.stored().await;
            stored.retain(|it| it.record.facts.exchange_id.is_some());
            (stored.len() >= count).then_some(stored)
        })
        .await
    }

    /// Runs `sql` in the database, behind everybody's back.
    pub(super) async fn execute(&self, sql: &'static str) {
        use secrecy::ExposeSecret;
        let url = self.database.url.expose_secret();
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

// === impl Run ===

impl Run {
    /// A whole write: intent and outcome, both durable. Returns its exchange.
    pub(super) async fn write(&self, user: &str) -> Uuid {
        let intent = intent(&self.log, user);
        let _receipt = self.append(&intent).await.unwrap();
        let _receipt = self.append(&answered(&intent)).await.unwrap();
        intent.exchange_id.unwrap()
    }

    /// So many writes.
    pub(super) async fn writes(&self, count: usize) -> Vec<Uuid> {
        let mut exchanges = Vec::with_capacity(count);
        for serial in 0..count {
            exchanges.push(self.write(&format!("@user{serial}:test")).await);
        }
        exchanges
    }

    pub(super) async fn append(&self, facts: &Facts) -> Result<Receipt, Lost> {
        self.log.append(facts.clone(), Patience::Leave).await
    }

    /// What is wrong, as `/health/audit` would say it.
    pub(super) fn codes(&self) -> Vec<&'static str> {
        let health = self.log.health();
        let health = health.borrow();
        health.troubles().map(|trouble| trouble.code).collect()
    }

    /// Waits until something is wrong whose code begins so, and returns what is said of it.
    pub(super) async fn trouble(&self, code: &str) -> String {
        eventually(&format!("{code} in health"), async || {
            let health = self.log.health();
            let health = health.borrow();
            let found = health.troubles().find(|it| it.code.starts_with(code));
            found.map(|Trouble { message, .. }| message.clone())
        })
        .await
    }

    /// Waits until nothing is wrong.
    pub(super) async fn is_well(&self) {
        let mut health = self.log.health();
        let well = health.wait_for(Health::is_recording);
        let is_well = tokio::time::timeout(SOON, well).await.is_ok();
        assert!(is_well, "still wrong: {:?}", self.codes());
    }

    pub(super) async fn stop(&self) {
        self.log.stop(SOON).await;
    }

    /// The value of a metric that counts, by the beginning of its line.
    pub(super) fn count(&self, line: &str) -> u64 {
        self.metric(line)
    }

    /// The value of a metric, by the beginning of its line.
    pub(super) fn metric<T: std::str::FromStr>(&self, line: &str) -> T {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let found = text
            .lines()
            .find_map(|it| it.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no {line} in {text}"))
    }
}
