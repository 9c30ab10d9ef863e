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
mod assemble;
mod descriptors;
mod endpoint;
mod error;
mod front;
mod listen;
mod operation;
mod ready;
mod workers;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_layer::Layer;

use self::alarm::Alarm;
use self::assemble::Origins;
pub use self::error::Error;
pub use self::listen::inherit::Inherited;
use self::listen::metrics::Metrics;
use self::listen::socket::Socket;
pub use self::listen::tls::Error as CertificateError;
use self::listen::tls::{self, Certificates};
use self::listen::{Listener, Stage};
use self::workers::Workers;
use crate::admin::{self, Admin};
use crate::audit::seal;
use crate::config::{Address, Config, Listen, Tls};
use crate::proxy::Origin;
use crate::telemetry;

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

/// How long the trail may take to be written to the end, after all requests have ended.
const LAST_WORDS: Duration = Duration::from_secs(20);
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
        let mut registry = assemble::registry();
        let audit = assemble::open_trail(&config, &mut registry).await?;
        let forward = Origins::new(&origin, &config.origin, config.limits.proxy())?;
        let guard = assemble::guard(&config, &audit, &forward, &mut registry);
        operation::started(&audit, &config);
        let metrics = Metrics::new(&mut registry);

        let (stop, stopping) = watch::channel(false);
        let access = assemble::access(&config, &audit);
        let trail = assemble::desk(&config, &audit)?;
        let router = admin::router(Admin {
            registry: Arc::new(registry),
            audit: audit.health(),
            ready: ready::probe(forward.clone(), stopping),
            config: config.admin.clone(),
            access: access.clone(),
            trail: trail.clone(),
        });
        let (end_admin, admin_ends) = watch::channel(false);
        let mut admin = JoinSet::new();
        for socket in admin_sockets {
            tracing::info!("listening for administrators on {}", socket.address());
            let service = router.clone();
            let service = service.into_make_service_with_connect_info::<admin::Peer>();
            let serving = axum::serve(socket, service);
            let ends = told(admin_ends.clone());
            admin.spawn(serving.with_graceful_shutdown(ends).into_future());
        }

        let (stage, stages) = watch::channel(Stage::Serving);
        let mut workers = Workers::new(stages.clone());
        let crowd = assemble::crowd(&config, &metrics);
        // Said once, not once by each worker.
        let alarm = Alarm::new();
        for _ in 0..config.server.workers().get() {
            let service = guard.layer(forward.apart());
            let shared = assemble::shared(&config, service, &crowd, &alarm, metrics.clone());
            workers.start(&listeners, |listener| {
                listen::serve(listener, Arc::clone(&shared), stages.clone())
            })?;
        }
        for listener in listeners {
            tracing::info!("listening for clients on {}", listener.socket.address());
        }
        notify(sd_notify::NotifyState::Ready);

        shutdown.await;
        notify(sd_notify::NotifyState::Stopping);
        // First red, then deaf: a load balancer that asks just now goes elsewhere.
        let _ = stop.send(true);
        let _ = stage.send(Stage::Draining);
        crowd.drain();
        if timeout(config.server.drain, workers.closed())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = crowd.len(),
                "cut what was still open at the end of server.drain"
            );
            let _ = stage.send(Stage::Cut);
            workers.cut().await;
        }
        // Guarded writes go on without their clients; each has a deadline of its own.
        guard.idle().await;
        let _ = stage.send(Stage::Over);
        workers.join();
        access.write_down().await;
        operation::stopped(&audit).await;
        audit.stop(LAST_WORDS).await;
        let _ = end_admin.send(true);
        let _ = timeout(ADMIN_DRAIN, admin.join_all()).await;
        trail.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Where `checkpoint.endpoint` is, if it is configured.
///
/// # Errors
///
/// If it is no URL, or it is not known how its certificate is to be verified.
pub fn checkpoint_endpoint(config: &Config) -> Result<Option<Arc<dyn seal::Endpoint>>, Error> {
    let endpoint = endpoint::HttpEndpoint::of(config)?;
    Ok(endpoint.map(|endpoint| Arc::new(endpoint) as Arc<dyn seal::Endpoint>))
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

// === impl Reload ===

impl Reload {
    /// Reads every certificate and key again. Those that cannot be used are logged, and the ones before
    /// them stay in use; connections that are open keep theirs.
    pub fn reload(&self) {
        for certificates in &self.0 {
            match certificates.reread() {
                Ok(()) => tracing::info!(?certificates, "read a certificate and its key again"),
                Err(error) => tracing::error!(
                    error = telemetry::with_causes(&error),
                    "a certificate cannot be used; the one before it stays in use"
                ),
            }
        }
    }
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
