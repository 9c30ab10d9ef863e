//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them until told to stop.
//!
//! # Promise
//!
//! No error of accepting, of a client or of a service ends it. When it is told to stop it accepts
//! nothing more, lets every open request end, says on each connection that no further one is wanted,
//! and drops what is left when it is told to.
//!
//! # On a connection
//!
//! ```text
//! accept → PROXY header → TLS → first bytes → HTTP/1.1 or HTTP/2 (→ another protocol)
//! ```
//!
//! # A client that leaves
//!
//! drops its request at once, and with it the connection to the origin: a poll that nobody reads
//! must not go on. A client that only shuts its sending side looks the same on the wire and is
//! treated the same, as Synapse (Twisted) and hyper-based homeservers do. What must not die with the
//! client has a task of its own.

mod accept;
pub(super) mod body;
mod connection;
pub(super) mod crowd;
pub(super) mod inherit;
mod line;
pub(super) mod metrics;
pub(super) mod pace;
mod proxy_protocol;
pub(super) mod socket;
mod streams;
pub(super) mod tls;
mod wire;

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tower_service::Service;

use self::accept::Acceptor;
use self::connection::{Http, Protocol};
use self::crowd::{Crowd, Member};
use self::line::Stream;
use self::metrics::Metrics;
use self::pace::Pace;
use self::socket::Socket;
use self::tls::Certificates;
use self::wire::{Rewound, Wire};
use crate::proxy::fields::Scheme;

type BoxError = Box<dyn StdError + Send + Sync>;

/// How long the PROXY header may take: the load balancer sends it with its first packet.
const PROXY_HEADER: Duration = Duration::from_secs(5);

/// How long the TLS handshake may take: three round trips on the slowest link, with lost packets.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How much is taken on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Field lines of a head.
    pub(super) fields: usize,
    /// Bytes of a head.
    pub(super) heads: usize,
}

/// Whether there is to be more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Connections are accepted.
    Serving,
    /// What is open ends.
    Draining,
    /// What is open is dropped.
    Cut,
    /// Nothing is left to do.
    Over,
}

/// A place where clients come in.
pub(super) struct Listener {
    pub(super) socket: Socket,
    pub(super) certificates: Option<Certificates>,
    pub(super) proxy_protocol: bool,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// `None` on a unix socket.
    pub(super) address: Option<IpAddr>,
    /// What the client speaks.
    pub(super) scheme: Scheme,
    /// Whether it may be believed what it says of others. Not if it is a proxy that did not say for
    /// whom it connects: then a stranger speaks.
    pub(super) may_be_believed: bool,
}

/// Makes the service of one connection.
pub(super) type Make<S> = Box<dyn Fn(Peer, &Arc<Pace>) -> S + Send + Sync>;

/// What all listeners of a worker share.
pub(super) struct Shared<S> {
    make: Make<S>,
    http: Http,
    crowd: Arc<Crowd>,
    /// Whose PROXY header is believed.
    trusted: Arc<[IpNet]>,
    metrics: Metrics,
}

// === impl Listener ===

impl Listener {
    /// Another at the same socket, for the runtime that it is called on.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.again()?,
            certificates: self.certificates.clone(),
            proxy_protocol: self.proxy_protocol,
        })
    }
}

// === impl Shared ===

impl<S> Shared<S> {
    pub(super) fn new(
        make: Make<S>,
        limits: Limits,
        trusted: Arc<[IpNet]>,
        crowd: Arc<Crowd>,
        metrics: Metrics,
    ) -> Self {
        Self {
            make,
            http: Http::new(limits),
            crowd,
            trusted,
            metrics,
        }
    }
}

/// Serves every connection of `listener` with a service of its own, until `stage` says otherwise; then
/// ends when the last connection has. Dropped, it drops them.
///
/// The services must be ready at all times: [`Service::poll_ready`] is not asked. An error of the
/// service closes its connection without an answer.
pub(super) async fn serve<S, B>(
    listener: Listener,
    shared: Arc<Shared<S>>,
    mut stage: watch::Receiver<Stage>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut connections = JoinSet::new();
    let Listener {
        socket,
        certificates,
        proxy_protocol,
    } = listener;
    let door = Door {
        certificates,
        proxy_protocol,
    };
    let door = Arc::new(door);
    let mut acceptor = Acceptor::new(socket, Arc::clone(&shared.crowd), shared.metrics.clone());
    loop {
        tokio::select! {
            _ = stage.wait_for(|stage| *stage != Stage::Serving) => break,
            (wire, peer, member) = acceptor.accept() => {
                let (shared, door) = (Arc::clone(&shared), Arc::clone(&door));
                connections.spawn(connection(wire, peer, member, shared, door));
            }
            Some(ended) = connections.join_next() => log_panic(ended),
        }
    }
    while let Some((wire, peer, member)) = acceptor.left_over().await {
        let (shared, door) = (Arc::clone(&shared), Arc::clone(&door));
        connections.spawn(connection(wire, peer, member, shared, door));
    }
    drop(acceptor);
    while let Some(ended) = connections.join_next().await {
        log_panic(ended);
    }
}

/// What stands between a byte stream and HTTP.
struct Door {
    certificates: Option<Certificates>,
    proxy_protocol: bool,
}

/// One connection, to its end.
async fn connection<S, B>(
    wire: Wire,
    peer: Option<IpAddr>,
    member: Member,
    shared: Arc<Shared<S>>,
    door: Arc<Door>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let pace = member.pace();
    // Boxed: a handshake is large, and soon over.
    let entered = tokio::select! {
        entered = Box::pin(door.enter(wire, peer, &shared.trusted)) => entered,
        () = pace.dismissed() => return,
    };
    match entered {
        Ok((stream, peer, protocol)) => {
            let service = (shared.make)(peer, pace);
            shared.http.serve(stream, protocol, service, pace).await;
        }
        Err(error) => tracing::debug!(error = &error as &dyn StdError, "a connection was refused"),
    }
}

// === impl Door ===

impl Door {
    async fn enter(
        &self,
        mut wire: Wire,
        peer: Option<IpAddr>,
        trusted: &[IpNet],
    ) -> io::Result<(Stream, Peer, Option<Protocol>)> {
        let mut address = peer;
        let mut beyond = Bytes::new();
        let mut may_be_believed = true;
        if self.proxy_protocol {
            if !crate::client::is_trusted(peer, trusted) {
                return Err(io::Error::other(
                    "the PROXY protocol is spoken by server.trusted_proxies only",
                ));
            }
            let header = proxy_protocol::read_header(&mut wire);
            let (source, rest) = timeout(PROXY_HEADER, header).await??;
            address = source.or(peer);
            may_be_believed = source.is_some();
            beyond = rest;
        }
        let wire = Rewound::with(beyond, wire);
        let Some(certificates) = &self.certificates else {
            let peer = Peer {
                address,
                scheme: Scheme::Http,
                may_be_believed,
            };
            return Ok((Stream::Plain(wire), peer, None));
        };
        let tls = timeout(HANDSHAKE, certificates.accept(wire)).await??;
        // > "h2" … "http/1.1"
        //
        // https://www.rfc-editor.org/rfc/rfc9113#section-3.2
        let protocol = match tls.get_ref().1.alpn_protocol() {
            Some(b"h2") => Some(Protocol::Http2),
            Some(_) => Some(Protocol::Http1),
            None => None,
        };
        let peer = Peer {
            address,
            scheme: Scheme::Https,
            may_be_believed,
        };
        Ok((Stream::Tls(Box::new(tls)), peer, protocol))
    }
}

/// A panic of one connection's task has been printed by the panic hook, and has closed that
/// connection only. All others go on.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            error = &error as &dyn StdError,
            "a connection's task ended badly"
        );
    }
}
