//! Puts the parts together, listens, and drains.
//!
//! ```text
//! listen → Front (fields::prepare, rescue) → Guard → Forward → origin
//! ```
//!
//! # Promise
//!
//! It starts with the origin or the database out of reach, red in health, and keeps trying. When it
//! is told to stop, it accepts nothing more, lets open requests end within `server.drain`, and ends
//! only when every guarded write under way has its record.

mod alarm;
mod descriptors;
mod error;
mod front;
mod listen;
mod ready;

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_layer::Layer;

use self::alarm::Alarm;
pub use self::error::Error;
use self::front::Front;
use self::listen::body::ClientBody;
pub use self::listen::inherit::Inherited;
use self::listen::metrics::Metrics;
use self::listen::pace::Pace;
use self::listen::socket::Socket;
pub use self::listen::tls::Error as CertificateError;
use self::listen::tls::{self, Certificates};
use self::listen::{Limits, Listener, Peer, Shared, Stage};
use crate::admin::{self, Admin};
use crate::audit::{self, AuditLog, Health};
use crate::clock::SystemClock;
use crate::config::{Address, Config, Listen, Tls};
use crate::guard::{self, GuardLayer, Replay};
use crate::identity::{self, Through};
use crate::proxy::fields::Hop;
use crate::proxy::{self, Forward, Origin};

/// A gateway that listens, and does not serve yet.
pub struct Server {
    config: Config,
    origin: Origin,
    listeners: Vec<Listener>,
    admin: Vec<Socket>,
    certificates: Vec<Certificates>,
}

/// Reads certificates again.
#[derive(Clone)]
pub struct Reload(Vec<Certificates>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// What the guard calls, and what it asks about credentials.
type Origins = Forward<Replay<ClientBody>>;

/// How long the start waits to hear whether the schema is outdated.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// How long the trail may take to be written to the end, after all requests have ended.
const LAST_WORDS: Duration = Duration::from_secs(8);
/// How long an admin request may take to end at shutdown.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

// === impl Server ===

impl Server {
    /// Listens at every address of the configuration; `inherited` are the sockets for `fd:NAME`.
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on, or a certificate cannot be used.
    pub async fn bind(config: Config, mut inherited: Inherited) -> Result<Self, Error> {
        let origin = Origin::parse(config.origin.url.as_deref().unwrap_or_default())?;
        let admin = bind(&config.server.admin_listen, None, &mut inherited).await?;
        let mut listeners = Vec::new();
        let mut all = Vec::new();
        for listen in &config.server.listen {
            let certificates = match &listen.tls {
                Some(files) => Some(read(listen, files)?),
                None => None,
            };
            if let Some(warning) = certificates.as_ref().and_then(Certificates::warning) {
                tracing::warn!("{warning}");
            }
            all.extend(certificates.clone());
            for socket in bind(&listen.address, listen.mode, &mut inherited).await? {
                listeners.push(Listener {
                    socket,
                    certificates: certificates.clone(),
                    proxy_protocol: listen.proxy_protocol,
                });
            }
        }
        for name in inherited.unused() {
            tracing::warn!("systemd passed a socket that server.listen does not name: fd:{name}");
        }
        Ok(Self {
            config,
            origin,
            listeners,
            admin,
            certificates: all,
        })
    }

    /// Where clients come in: `127.0.0.1:8009`, `unix:/run/x.sock`.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let sockets = self.listeners.iter().map(|listener| &listener.socket);
        sockets.map(Socket::address).collect()
    }

    /// Where health and metrics are; the first of the places, if there are several (`localhost`).
    #[must_use]
    pub fn admin_address(&self) -> String {
        self.admin.first().map(Socket::address).unwrap_or_default()
    }

    /// What reads the certificates again while the gateway runs.
    #[must_use]
    pub fn reload(&self) -> Reload {
        Reload(self.certificates.clone())
    }

    /// Runs the gateway until `shutdown`, and drains.
    ///
    /// # Errors
    ///
    /// If it cannot start. Nothing ends it once it has.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Self {
            config,
            origin,
            listeners,
            admin: admin_sockets,
            ..
        } = self;
        descriptors::provide(config.limits.connections);
        let mut registry = registry();
        let audit = open_trail(&config, &mut registry).await?;
        let limits = proxy::Limits {
            fields: config.limits.fields,
            heads: config.limits.heads,
        };
        let forward = Origins::new(&origin, &config.origin, limits)?;
        let guard = guard(&config, &audit, &forward, &mut registry);
        let metrics = Metrics::new(&mut registry);

        let (stop, stopping) = watch::channel(false);
        let router = admin::router(Admin {
            registry: Arc::new(registry),
            audit: audit.health(),
            ready: ready::probe(forward.clone(), stopping),
        });
        let (end_admin, admin_ends) = watch::channel(false);
        let mut admin = JoinSet::new();
        for socket in admin_sockets {
            tracing::info!("listening for administrators on {}", socket.address());
            let serving = axum::serve(socket, router.clone());
            let ends = told(admin_ends.clone());
            admin.spawn(serving.with_graceful_shutdown(ends).into_future());
        }

        let shared = shared(&config, guard.layer(forward), metrics);
        let (stage, stages) = watch::channel(Stage::Serving);
        let mut serving = JoinSet::new();
        for listener in listeners {
            tracing::info!("listening for clients on {}", listener.socket.address());
            serving.spawn(listen::serve(listener, Arc::clone(&shared), stages.clone()));
        }
        notify(sd_notify::NotifyState::Ready);

        shutdown.await;
        notify(sd_notify::NotifyState::Stopping);
        // First red, then deaf: a load balancer that asks just now goes elsewhere.
        let _ = stop.send(true);
        let _ = stage.send(Stage::Draining);
        let all_ended = async { while serving.join_next().await.is_some() {} };
        if timeout(config.server.drain, all_ended).await.is_err() {
            tracing::warn!(
                connections = shared.open(),
                "cut what was still open at the end of server.drain"
            );
            serving.shutdown().await;
        }
        // Guarded writes go on without their clients; each has a deadline of its own.
        guard.idle().await;
        audit.stop(LAST_WORDS).await;
        let _ = end_admin.send(true);
        let _ = timeout(ADMIN_DRAIN, admin.join_all()).await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Reads every certificate and key, and listens nowhere.
///
/// # Errors
///
/// With the first that cannot be used.
pub fn check(config: &Config) -> Result<(), Error> {
    let listeners = config.server.listen.iter();
    for (listen, files) in listeners.filter_map(|listen| Some((listen, listen.tls.as_ref()?))) {
        tls::check(files).map_err(|source| Error::certificate(listen, source))?;
    }
    Ok(())
}

async fn bind(
    address: &Address,
    mode: Option<u32>,
    inherited: &mut Inherited,
) -> Result<Vec<Socket>, Error> {
    let bound = Socket::bind(address, mode, inherited).await;
    bound.map_err(|source| Error::Listen {
        address: address.to_string(),
        source,
    })
}

fn read(listen: &Listen, files: &Tls) -> Result<Certificates, Error> {
    Certificates::read(files).map_err(|source| Error::certificate(listen, source))
}

/// What all listeners share: what a connection's requests go through.
fn shared<S>(config: &Config, service: S, metrics: Metrics) -> Arc<Shared<Front<S>>>
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
        move |peer: Peer, pace: &Arc<Pace>| Front {
            inner: service.clone(),
            hop: Hop {
                peer: peer.address,
                scheme: peer.scheme,
                trusted: Arc::clone(&trusted),
                request_id: request_id.clone(),
            },
            fields: limits.fields,
            pace: Arc::clone(pace),
            alarm: alarm.clone(),
        }
    };
    Arc::new(Shared::new(Box::new(make), limits, trusted, metrics))
}

// === impl Reload ===

impl Reload {
    /// Reads every certificate and key again. Those that cannot be used are logged, and the ones before
    /// them stay in use; connections that are open keep theirs.
    pub fn reload(&self) {
        for certificates in &self.0 {
            match certificates.reread() {
                Ok(()) => tracing::info!(?certificates, "read a certificate and its key again"),
                Err(error) => tracing::error!(
                    error = &error as &dyn StdError,
                    "a certificate cannot be used; the one before it stays in use"
                ),
            }
        }
    }
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
    let first = timeout(FIRST_WORD, first).await;
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
        limits: config.limits.guard(),
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
