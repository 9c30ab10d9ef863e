//! The guard around a homeserver that answers at once, in this process.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Request, Response};
use http_body_util::Full;
use key_backup_gateway::audit::record::{Facts, Judged, Outcome, Phase};
use key_backup_gateway::audit::seal::{self, Sealing, keys};
use key_backup_gateway::audit::{self, AuditLog, Durability, Health, Patience, Seal};
use key_backup_gateway::client::{Client, RequestId};
use key_backup_gateway::clock::SystemClock;
use key_backup_gateway::guard::{self, Guard, GuardLayer, Replay};
use key_backup_gateway::identity::{self, Through};
use key_backup_gateway::matrix::{Action, EventType, Preference};
use prometheus_client::registry::Registry;
use tower::util::ServiceFn;
use tower::{Layer, Service, service_fn};

use crate::{database, users};

pub(crate) type Failed = Box<dyn Error + Send + Sync>;
type Body = Full<Bytes>;
type Answer = Ready<Result<Response<Body>, Infallible>>;
type Guarded = Guard<ServiceFn<fn(Request<Replay<Body>>) -> Answer>, Infallible>;

/// As long as the ones of browsers are.
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                     Element/1.12.4 Chrome/140.0.0.0 Electron/38.2.0 Safari/537.36";
const REQUEST: &str = "01930000-0000-7000-8000-000000000000";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 17));
const LONG: Duration = Duration::from_mins(1);

/// A guard, and its trail.
pub(crate) struct Gateway {
    audit: AuditLog,
    layer: GuardLayer<Infallible>,
    registry: Registry,
}

// === impl Gateway ===

impl Gateway {
    /// Ready to record. A receipt means committed in the store. With the file of a `key`, it seals.
    pub(crate) async fn start(url: &str, key: Option<&str>) -> Result<Self, Failed> {
        let sealing = key.map_or(Ok(Seal::No), |key| sealing(url, key))?;
        let gateway = Self::open(url, sealing, |config| {
            config.durability = Some(Durability::Store);
            config.spool = None;
        })?;
        gateway.is_recording().await?;
        Ok(gateway)
    }

    /// Until it records.
    pub(crate) async fn is_recording(&self) -> Result<(), Failed> {
        let mut health = self.audit.health();
        tokio::time::timeout(LONG, health.wait_for(Health::is_recording)).await??;
        Ok(())
    }

    /// With the spool `path`, of at most `limit` bytes; perhaps without a store.
    pub(crate) fn with_spool(url: &str, path: &str, limit: u64) -> Result<Self, Failed> {
        Self::open(url, Seal::No, |config| {
            config.durability = Some(Durability::Spool);
            config.spool = Some(path.into());
            config.spool_limit = limit;
        })
    }

    fn open(
        url: &str,
        sealing: Seal,
        keep: impl FnOnce(&mut audit::Config),
    ) -> Result<Self, Failed> {
        let mut config = guard::Config::default();
        // A disk that is slow for a while is not what is measured, nor is whoami.
        config.audit.deadline = LONG;
        config.identity.cache = Duration::from_hours(1);
        keep(&mut config.audit);
        let mut registry = Registry::default();
        let open = || {
            let mut backing = audit::backing(&database(url), &config.audit)?;
            backing.sealing = sealing;
            Ok::<_, Failed>(backing)
        };
        let audit = AuditLog::start(
            open,
            &config.audit,
            Arc::new(SystemClock),
            "gateway-1.example.org",
            false,
            audit::Metrics::new(&mut registry),
        )?;
        let identify = Through::<_, Body>::new(
            service_fn(|request: Request<Body>| whoami(&request)),
            &config.identity,
            identity::Metrics::new(&mut registry),
        );
        let metrics = guard::Metrics::new(&mut registry);
        let layer = GuardLayer::new(Arc::new(identify), audit.clone(), &config, metrics);
        Ok(Self {
            audit,
            layer,
            registry,
        })
    }

    pub(crate) fn service(&self) -> Guarded {
        self.layer.layer(service_fn(homeserver))
    }

    pub(crate) fn audit(&self) -> AuditLog {
        self.audit.clone()
    }

    /// How many records are durable.
    pub(crate) fn appended(&self) -> Result<u64, Failed> {
        self.metric("records_appended_total")
    }

    /// Ends everything.
    ///
    /// # Errors
    ///
    /// If records were lost: then whatever was measured means nothing.
    pub(crate) async fn stop(self) -> Result<(), Failed> {
        self.layer.idle().await;
        self.audit.stop(LONG).await;
        match self.metric("records_lost_total")? {
            0 => Ok(()),
            lost => Err(format!("{lost} records were lost").into()),
        }
    }

    /// The sum of a metric over its labels.
    pub(crate) fn metric(&self, name: &str) -> Result<u64, Failed> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        let mut sum = 0;
        for line in text.lines() {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_default();
            if sample.split('{').next() == Some(name) {
                sum += value.parse::<u64>()?;
            }
        }
        Ok(sum)
    }
}

/// As an operator has it who configures nothing but the key.
fn sealing(url: &str, key: &str) -> Result<Seal, Failed> {
    Ok(Seal::Yes(Box::new(Sealing {
        database: database(url),
        signers: keys::read(Path::new(key))?,
        interval: seal::Config::default().interval,
        file: None,
        endpoint: None,
    })))
}

/// One guarded write, which succeeds.
pub(crate) async fn write(guarded: Guarded, number: u64) -> Result<(), Failed> {
    match try_to_write(guarded, number).await? {
        200 => Ok(()),
        status => Err(format!("a write was answered {status}").into()),
    }
}

/// One guarded write; returns the status of its answer.
pub(crate) async fn try_to_write(mut guarded: Guarded, number: u64) -> Result<u16, Failed> {
    let user = users::spread(number);
    let path =
        format!("/_matrix/client/v3/user/%40user{user}%3Aexample.org/account_data/m.key_backup");
    let client = Client {
        address: Some(ADDRESS),
        chain: Arc::new([ADDRESS.to_string()]),
    };
    let request = Request::put(path)
        .header(AUTHORIZATION, format!("Bearer {user}"))
        .header(USER_AGENT, AGENT)
        .extension(client)
        .extension(RequestId(REQUEST.into()))
        .body(Body::from(r#"{"enabled":true}"#))?;
    let Ok(response) = guarded.call(request).await;
    Ok(response.status().as_u16())
}

/// The two records that a guarded write makes, straight into the trail.
pub(crate) async fn append(audit: AuditLog, number: u64) -> Result<(), Failed> {
    let user = users::name(users::spread(number));
    let intent = Facts {
        exchange_id: Some(audit.new_id()),
        phase: Some(Phase::Intent),
        action: Some(Action::Write),
        event_type: Some(EventType::Stable),
        claimed_user: Some(user.clone()),
        authenticated_user: Some(user),
        device_id: Some("ABCDEFGHIJ".to_owned()),
        is_guest: Some(false),
        client_address: Some(ADDRESS.to_string()),
        client_chain: vec![ADDRESS.to_string()],
        user_agent: Some(AGENT.to_owned()),
        preference: Some(Preference::Enabled),
        verdict: Some(Judged::Accept),
        request_id: Some(REQUEST.to_owned()),
        body_sha256: Some([7; 32]),
        duration_us: Some(4321),
        ..Facts::default()
    };
    let outcome = Facts {
        phase: Some(Phase::Outcome),
        outcome: Some(Outcome::Answered),
        origin_status: Some(200),
        ..intent.clone()
    };
    for facts in [intent, outcome] {
        let _receipt = audit.append(facts, Patience::Leave).await?;
    }
    Ok(())
}

/// Answers at once.
fn homeserver(_: Request<Replay<Body>>) -> Answer {
    ready(Ok(Response::new(Body::from("{}"))))
}

/// A token is the number of its user.
fn whoami(request: &Request<Body>) -> Answer {
    let token = request.headers().get(AUTHORIZATION);
    let number = token
        .and_then(|line| line.to_str().ok()?.strip_prefix("Bearer ")?.parse().ok())
        .unwrap_or_default();
    let user_id = users::name(number);
    let body = serde_json::json!({
        "user_id": user_id, "device_id": "ABCDEFGHIJ", "is_guest": false,
    });
    ready(Ok(Response::new(Body::from(body.to_string()))))
}
