//! A guard around a homeserver double, with a real trail: all in this process, no port.

pub(crate) mod homeserver;
pub(crate) mod store;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use key_backup_gateway::audit::record::Stored;
use key_backup_gateway::audit::store::{Query, Store};
use key_backup_gateway::audit::{self, AuditLog, Backing, OpenError};
use key_backup_gateway::clock::SystemClock;
use key_backup_gateway::guard::{self, Guard, GuardLayer};
use key_backup_gateway::identity::{self, Through};
use prometheus_client::registry::Registry;
use tower::{Layer, Service, ServiceExt};

use self::homeserver::{Broken, Homeserver};
use self::store::Switched;

/// The stable preference of alice.
pub(crate) const ALICE: &str = "/_matrix/client/v3/user/@alice:test/account_data/m.key_backup";
/// The credentials of alice, as the homeserver double knows them.
pub(crate) const TOKEN: &str = "Bearer alice";

/// Long enough for whatever ends, on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Between two looks at what is awaited.
const BRIEFLY: Duration = Duration::from_millis(5);

/// A guard with everything around it.
pub(crate) struct Rig {
    pub(crate) homeserver: Homeserver,
    pub(crate) layer: GuardLayer<Broken>,
    pub(crate) guard: Guard<Homeserver, Broken>,
    pub(crate) audit: AuditLog,
    /// The store, which can be made to fail.
    pub(crate) store: Arc<Switched>,
    registry: Registry,
    folder: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

// === impl Rig ===

impl Rig {
    /// With everything as it is by default.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With what `change` says.
    pub(crate) async fn with(change: impl FnOnce(&mut guard::Config)) -> Self {
        let mut config = guard::Config::default();
        change(&mut config);
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder);
        let mut registry = Registry::with_prefix("keybackup");
        let mut switched = None;
        let audit = AuditLog::start(
            || {
                let backing = audit::backing(&database, &config.audit)?;
                let store = Arc::new(Switched::new(backing.store));
                switched = Some(Arc::clone(&store));
                Ok::<_, Failed>(Backing { store, ..backing })
            },
            &config.audit,
            Arc::new(SystemClock),
            "rig",
            true,
            audit::Metrics::new(&mut registry),
        )
        .unwrap();
        audit
            .health()
            .wait_for(audit::Health::is_recording)
            .await
            .unwrap();

        let homeserver = Homeserver::default();
        let metrics = identity::Metrics::new(&mut registry);
        let identify =
            Through::<_, Full<Bytes>>::new(homeserver.clone(), &config.identity, metrics);
        let metrics = guard::Metrics::new(&mut registry);
        let layer = GuardLayer::new(Arc::new(identify), audit.clone(), &config, metrics)
            .never_sent(|broken| *broken == Broken::NeverSent);
        let guard = layer.layer(homeserver.clone());
        let store = switched.unwrap();
        Self {
            homeserver,
            layer,
            guard,
            audit,
            store,
            registry,
            folder,
        }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.unwrap()
    }

    /// `Err` is the inner service's own error.
    pub(crate) async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Answer, Broken> {
        let mut guard = self.guard.clone();
        let call = async {
            ServiceExt::<Request<Full<Bytes>>>::ready(&mut guard)
                .await?
                .call(request)
                .await
        };
        let response = tokio::time::timeout(SOON, call)
            .await
            .expect("an answer in time")?;
        Ok(Answer::read(response).await)
    }

    /// A PUT of alice's.
    pub(crate) async fn put(&self, body: &str) -> Answer {
        self.send(put(body)).await
    }

    /// All records, oldest first, when nothing is under way any more.
    pub(crate) async fn records(&self) -> Vec<Stored> {
        self.layer.idle().await;
        // What was queued before a record that is durable is durable.
        let marker = audit::record::Facts::default();
        let _receipt = self
            .audit
            .append(marker, audit::Patience::Leave)
            .await
            .unwrap();
        self.stored().await
    }

    /// The records of exchanges that are in the store just now, oldest first.
    pub(crate) async fn stored(&self) -> Vec<Stored> {
        let mut records = self.store.page(&Query::default()).await.unwrap();
        records.retain(|stored| stored.record.facts.exchange_id.is_some());
        records.reverse();
        records
    }

    /// The same, once there are `count` of them, whatever is under way.
    pub(crate) async fn stored_once(&self, count: usize) -> Vec<Stored> {
        let coming = async {
            loop {
                let stored = self.stored().await;
                if stored.len() >= count {
                    return stored;
                }
                tokio::time::sleep(BRIEFLY).await;
            }
        };
        tokio::time::timeout(SOON, coming)
            .await
            .expect("the records are stored in time")
    }

    /// Everything that is in the trail once the gateway has ended, oldest first.
    pub(crate) async fn ended(&self) -> Vec<Stored> {
        self.layer.idle().await;
        self.audit.stop(SOON).await;
        let store = audit::open_existing(&database(&self.folder)).unwrap();
        let mut records = store.page(&Query::default()).await.unwrap();
        store.close().await;
        records.reverse();
        records
    }

    /// How many bytes the trail takes.
    pub(crate) fn bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.map(|it| it.unwrap().metadata().unwrap().len()).sum()
    }

    /// Waits until the homeserver has got a request other than whoami.
    pub(crate) async fn arrival(&self) {
        let arriving = async {
            while self.homeserver.requests().is_empty() {
                tokio::time::sleep(BRIEFLY).await;
            }
        };
        tokio::time::timeout(SOON, arriving)
            .await
            .expect("the request arrives in time");
    }

    /// The value of a metric, by the beginning of its line.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let found = text
            .lines()
            .find_map(|it| it.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no {line} in {text}"))
    }
}

fn database(folder: &tempfile::TempDir) -> audit::store::Config {
    let url = format!("sqlite:{}", folder.path().join("audit.db").display());
    audit::store::Config {
        url: url.into(),
        ..Default::default()
    }
}

/// A PUT of alice's.
pub(crate) fn put(body: &str) -> Request<Full<Bytes>> {
    request("PUT", ALICE, body)
}

/// A request with alice's credentials.
pub(crate) fn request(method: &str, target: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("authorization", TOKEN)
        .body(Full::from(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

#[derive(Debug)]
struct Failed;

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        panic!("{error}")
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        panic!("{error}")
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) async fn read<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// `STATUS BODY`.
    pub(crate) fn text(&self) -> String {
        format!(
            "{} {}",
            self.status.as_u16(),
            String::from_utf8_lossy(&self.body)
        )
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
