//! Puts the parts together, listens, and drains.
//!
//! ```text
//! accept → Front (fields::prepare, rescue) → Guard → Forward → origin
//! ```
//!
//! # Promise
//!
//! It starts with the origin or the database out of reach, red in health, and keeps trying. When it
//! is told to stop, it accepts nothing more, lets open requests end within `server.drain`, and ends
//! only when every guarded write under way has its record.

mod front;
pub mod listen;
mod ready;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_layer::Layer;

use self::front::{Alarm, Front};
use crate::admin::{self, Admin};
use crate::audit::{self, AuditLog, Health};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::guard::{self, GuardLayer, Replay};
use crate::identity::{self, Through};
use crate::proxy::fields::{Hop, Scheme};
use crate::proxy::{self, Forward, InvalidOrigin, Origin, TlsError};

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `origin.url` is not what it should be.
    #[error("origin.url")]
    Origin(#[from] InvalidOrigin),
    /// It is not known how the origin is to be verified.
    #[error("{}", .0.key())]
    Tls(#[from] TlsError),
    /// The trail cannot be opened.
    #[error(transparent)]
    Open(#[from] audit::OpenError),
    /// The database's schema or encoding is not what this build expects, and it may not, or cannot,
    /// change it.
    #[error("{0}")]
    Outdated(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system has no thread left.
    #[error("the gateway could not be started")]
    System(#[from] io::Error),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// What the guard calls, and what it asks about credentials.
type Origins = Forward<Replay<Incoming>>;

/// How long the start waits to hear whether the schema is outdated.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// How long the trail may take to be written to the end, after all requests have ended.
const LAST_WORDS: Duration = Duration::from_secs(8);
/// How long an admin request may take to end at shutdown.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

/// Runs the gateway until `shutdown`, and drains.
///
/// # Errors
///
/// If it cannot start. Nothing ends it once it has.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
    let origin = Origin::parse(config.origin.url.as_deref().unwrap_or_default())?;
    let admin_listener = bind(config.server.admin_listen.as_str()).await?;
    let mut listeners = Vec::new();
    for address in &config.server.listen {
        listeners.push(bind(address.as_str()).await?);
    }
    let mut registry = registry();
    let audit = open_trail(&config, &mut registry).await?;
    let forward = Origins::new(&origin, &config.origin, proxy::Limits::default())?;
    let guard = guard(&config, &audit, &forward, &mut registry);

    let (stop, stopping) = watch::channel(false);
    let admin = admin::router(Admin {
        registry: Arc::new(registry),
        audit: audit.health(),
        ready: ready::probe(forward.clone(), stopping.clone()),
    });
    let (end_admin, admin_ends) = watch::channel(false);
    tracing::info!("listening for administrators on {}", local(&admin_listener));
    let admin = tokio::spawn(
        axum::serve(admin_listener, admin)
            .with_graceful_shutdown(told(admin_ends))
            .into_future(),
    );

    let service = guard.layer(forward);
    let trusted: Arc<[_]> = config
        .server
        .trusted_proxies
        .iter()
        .map(|network| network.0)
        .collect();
    let alarm = Alarm::new();
    let mut serving = JoinSet::new();
    for listener in listeners {
        tracing::info!("listening for clients on {}", local(&listener));
        let (service, trusted) = (service.clone(), Arc::clone(&trusted));
        let alarm = alarm.clone();
        let request_id = config.server.request_id.clone();
        let front = move |peer: std::net::SocketAddr| {
            let hop = Hop {
                peer: Some(peer.ip()),
                scheme: Scheme::Http,
                trusted: Arc::clone(&trusted),
                request_id: request_id.clone(),
            };
            Front::new(service.clone(), hop, alarm.clone())
        };
        let drain = config.server.drain;
        serving.spawn(listen::serve(
            listener,
            front,
            told(stopping.clone()),
            drain,
        ));
    }
    notify(sd_notify::NotifyState::Ready);

    shutdown.await;
    notify(sd_notify::NotifyState::Stopping);
    let _ = stop.send(true);
    let cut: usize = serving.join_all().await.into_iter().sum();
    if cut > 0 {
        tracing::warn!(
            connections = cut,
            "cut what was still open at the end of server.drain"
        );
    }
    // Guarded writes go on without their clients; each has a deadline of its own.
    guard.idle().await;
    audit.stop(LAST_WORDS).await;
    let _ = end_admin.send(true);
    let _ = tokio::time::timeout(ADMIN_DRAIN, admin).await;
    tracing::info!("stopped");
    Ok(())
}

async fn bind(address: &str) -> Result<TcpListener, Error> {
    let listen = |source| Error::Listen {
        address: address.to_owned(),
        source,
    };
    TcpListener::bind(address).await.map_err(listen)
}

fn local(listener: &TcpListener) -> String {
    listener
        .local_addr()
        .map_or_else(|error| error.to_string(), |address| address.to_string())
}

fn registry() -> Registry {
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
async fn open_trail(config: &Config, registry: &mut Registry) -> Result<AuditLog, Error> {
    let instance = gethostname::gethostname().to_string_lossy().into_owned();
    let database = &config.database;
    // Nobody else takes care of a file.
    let migrate = database.migrate || database.url.expose_secret().starts_with("sqlite:");
    let audit = AuditLog::start(
        || audit::open(database).map_err(Error::from),
        &config.audit,
        Arc::new(SystemClock),
        &instance,
        migrate,
        audit::Metrics::new(registry),
    )?;
    let mut health = audit.health();
    let first = health.wait_for(|health| *health != Health::Starting);
    let first = tokio::time::timeout(FIRST_WORD, first).await;
    if let Ok(Ok(health)) = first
        && let Health::Failing {
            code: Health::OUTDATED | Health::NEWER | Health::ENCODING,
            message,
        } = &*health
    {
        return Err(Error::Outdated(message.clone()));
    }
    Ok(audit)
}

fn guard(
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
        limits: config.limits.clone(),
        timeout: config.origin.guarded_timeout,
    };
    let metrics = guard::Metrics::new(registry);
    GuardLayer::new(Arc::new(identify), audit.clone(), &guard_config, metrics)
        .never_sent(proxy::Error::never_sent)
}

/// Ends when `flag` is raised, or nobody is left to raise it.
async fn told(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|raised| *raised).await;
}

/// Tells systemd, if it wants to know.
fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

// === impl Error ===

impl Error {
    /// Whether the operator must change the configuration or the database: starting again will not
    /// help.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Origin(_) | Self::Tls(_) | Self::Open(_) | Self::Outdated(_) => true,
            Self::Listen { .. } | Self::System(_) => false,
        }
    }
}
