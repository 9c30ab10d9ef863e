//! Builds the parts that a request goes through, from the configuration.

use std::sync::Arc;
use std::time::Duration;

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
use super::listen::metrics::Metrics;
use super::listen::pace::Pace;
use super::listen::{Limits, Peer, Shared};
use crate::audit::{self, AuditLog};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::guard::{self, GuardLayer, Replay};
use crate::identity::{self, Through};
use crate::proxy::fields::Hop;
use crate::proxy::{self, Forward};

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
    let audit = AuditLog::start(
        || audit::backing(database, &config.audit).map_err(Error::from),
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

/// What all listeners share: what a connection's requests go through.
pub(super) fn shared<S>(config: &Config, service: S, metrics: Metrics) -> Arc<Shared<Front<S>>>
where
    S: Clone + Send + Sync + 'static,
{
    let server = &config.server;
    let trusted: Arc<[_]> = server.trusted_proxies.iter().map(|it| it.0).collect();
    let limits = Limits {
        connections: config.limits.connections,
        fields: config.limits.fields,
        heads: config.limits.heads,
    };
    let make = {
        let (trusted, request_id) = (Arc::clone(&trusted), server.request_id.clone());
        let alarm = Alarm::new();
        let nobody: Arc<[_]> = Arc::new([]);
        move |peer: Peer, pace: &Arc<Pace>| Front {
            inner: service.clone(),
            hop: Hop {
                peer: peer.address,
                scheme: peer.scheme,
                trusted: Arc::clone(if peer.may_be_believed {
                    &trusted
                } else {
                    &nobody
                }),
                request_id: request_id.clone(),
            },
            fields: limits.fields,
            pace: Arc::clone(pace),
            alarm: alarm.clone(),
        }
    };
    Arc::new(Shared::new(Box::new(make), limits, trusted, metrics))
}
