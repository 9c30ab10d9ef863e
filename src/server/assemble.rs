//! Builds the parts that a request goes through, from the configuration.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::alarm::Alarm;
use super::error::Error;
use super::front::Front;
use super::listen::body::ClientBody;
use super::listen::crowd::Crowd;
use super::listen::metrics::Metrics;
use super::listen::pace::Pace;
use super::listen::{Limits, Peer, Shared};
use crate::admin::{Access, Trail};
use crate::audit::seal::Sealing;
use crate::audit::{self, AuditLog, Seal};
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::guard::{self, GuardLayer, Replay};
use crate::identity::{self, Through};
use crate::proxy::fields::Hop;
use crate::proxy::{self, Forward};
use crate::telemetry;

/// What the guard calls, and what it asks about credentials.
pub(super) type Origins = Forward<Replay<ClientBody>>;

/// How long the start waits to hear whether the schema is outdated.
const FIRST_WORD: Duration = Duration::from_secs(5);
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

pub(super) fn registry() -> Registry {
    let mut registry = Registry::with_prefix("keybackup");
    // A gauge that is always 1: readers of the older text format know no `info`.
    let build = Family::<Build, Gauge>::default();
    build
        .get_or_create(&Build {
            version: env!("CARGO_PKG_VERSION"),
        })
        .set(1);
    registry.register("build_info", "Which build of the gateway this is", build);
    registry
}

/// Opens the trail, and waits a little to hear whether its schema is outdated.
pub(super) async fn open_trail(
    config: &Config,
    registry: &mut Registry,
) -> Result<AuditLog, Error> {
    let instance = gethostname::gethostname().to_string_lossy().into_owned();
    let database = &config.database;
    // Nobody else takes care of a file.
    let migrate = database.migrate || database.url.expose_secret().starts_with("sqlite:");
    let sealing = sealing(config, &instance)?;
    let open = || {
        let mut backing = audit::backing(database, &config.audit)?;
        backing.sealing = sealing;
        Ok::<_, Error>(backing)
    };
    let audit = AuditLog::start(
        open,
        &config.audit,
        Arc::new(SystemClock),
        &instance,
        migrate,
        audit::Metrics::new(registry),
    )?;
    let mut health = audit.health();
    let first = health.wait_for(|health| !health.is_starting());
    let first = timeout(FIRST_WORD, first).await;
    if let Ok(Ok(health)) = first
        && let Some(trouble) = health.troubles().find(|trouble| trouble.is_lasting())
    {
        return Err(Error::Outdated(trouble.message.clone()));
    }
    Ok(audit)
}

/// How the trail is sealed, if there are keys for it.
fn sealing(config: &Config, instance: &str) -> Result<Seal, Error> {
    let checkpoint = &config.checkpoint;
    let default_name = format!("key-backup-gateway/{}", key_name(instance));
    let signers = match checkpoint.signers(&config.database, &default_name) {
        Ok(Some(signers)) => signers,
        Ok(None) => {
            tracing::warn!(
                "records are not sealed: make a key with `key-backup-gateway audit keygen`, and name its file \
                 in checkpoint.key_file"
            );
            return Ok(Seal::No);
        }
        // The folder of the database may come back, and so do we.
        Err(error) if checkpoint.key_file.is_none() && error.is_file() => {
            return Ok(Seal::Failed(telemetry::with_causes(&error)));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Seal::Yes(Box::new(Sealing {
        database: config.database.clone(),
        signers,
        interval: checkpoint.interval,
        file: checkpoint.file.clone(),
        endpoint: super::checkpoint_endpoint(config)?,
    })))
}

/// What of a host's name a key may be named.
fn key_name(instance: &str) -> String {
    let is_odd = |char: char| char.is_whitespace() || char.is_control() || char == '+';
    instance.replace(is_odd, "-")
}

pub(super) fn guard(
    config: &Config,
    audit: &AuditLog,
    forward: &Origins,
    registry: &mut Registry,
) -> GuardLayer<proxy::Error> {
    let metrics = identity::Metrics::new(registry);
    let identify = Through::new(forward.clone(), &config.identity, metrics);
    let guard_config = guard::Config {
        policy: config.policy.clone(),
        audit: config.audit.clone(),
        identity: config.identity.clone(),
        limits: config.limits.guard(),
        timeout: config.origin.guarded_timeout,
    };
    let metrics = guard::Metrics::new(registry);
    GuardLayer::new(Arc::new(identify), audit.clone(), &guard_config, metrics)
        .never_sent(proxy::Error::never_sent)
}

/// How many connections the auditor's desk has at most.
const DESK_CONNECTIONS: u32 = 4;

/// Who may look at the trail.
pub(super) fn access(config: &Config, audit: &AuditLog) -> Access {
    let trusted = trusted(&config.server);
    Access::new(&config.admin, audit.clone(), Arc::new(SystemClock), trusted)
}

/// What the auditor's desk reads: a store of its own, so that no record waits for whoever looks. It connects when it is
/// asked something.
pub(super) fn desk(config: &Config, audit: &AuditLog) -> Result<Trail, Error> {
    let mut database = config.database.clone();
    database.max_connections = database.max_connections.min(DESK_CONNECTIONS);
    let store = audit::open(&database)?;
    Ok(Trail::new(store, Arc::new(SystemClock), audit.health()))
}

fn trusted(server: &config::Server) -> Arc<[IpNet]> {
    server.trusted_proxies.iter().map(|it| it.0).collect()
}

/// All clients' connections.
pub(super) fn crowd(config: &Config, metrics: &Metrics) -> Arc<Crowd> {
    Crowd::new(config.limits.connections, metrics.clone())
}

/// What all listeners of a worker share: what a connection's requests go through. `alarm` is of the origin
/// that does not answer.
pub(super) fn shared<S>(
    config: &Config,
    service: S,
    crowd: &Arc<Crowd>,
    alarm: &Alarm,
    metrics: Metrics,
) -> Arc<Shared<Front<S>>>
where
    S: Clone + Send + Sync + 'static,
{
    let server = &config.server;
    let trusted = trusted(server);
    let limits = Limits {
        fields: config.limits.fields,
        heads: config.limits.heads,
    };
    let make = {
        let (trusted, request_id) = (Arc::clone(&trusted), server.request_id.clone());
        let alarm = alarm.clone();
        let nobody: Arc<[_]> = Arc::new([]);
        move |peer: Peer, pace: &Arc<Pace>| Front {
            inner: service.clone(),
            hop: Hop::new(
                peer.address,
                peer.scheme,
                Arc::clone(if peer.may_be_believed {
                    &trusted
                } else {
                    &nobody
                }),
                request_id.clone(),
            ),
            fields: limits.fields,
            pace: Arc::clone(pace),
            alarm: alarm.clone(),
        }
    };
    let (make, crowd) = (Box::new(make), Arc::clone(crowd));
    Arc::new(Shared::new(make, limits, trusted, crowd, metrics))
}
