//! Accepts connections and serves HTTP/1.1 on them until told to stop.
//!
//! # Promise
//!
//! No error of accepting, of a client or of a service ends it. When it is told to stop it accepts
//! nothing more, lets every open request end, closes connections that wait for a next one, and after
//! the drain limit drops what is left.
//!
//! # A client that leaves
//!
//! drops its request at once, and with it the connection to the origin: a poll that nobody reads
//! must not go on. A client that only shuts its sending side looks the same on the wire and is
//! treated the same, as Synapse (Twisted) and hyper-based homeservers do. What must not die with the
//! client has a task of its own.

mod inherit;
mod proxy_protocol;
mod socket;
mod tls;
mod wire;

use std::cell::RefCell;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tower_service::Service;

pub use self::inherit::Inherited;
pub use self::tls::{Error as TlsError, check as check_tls};

type BoxError = Box<dyn StdError + Send + Sync>;

/// How long a connection may wait for the end of a request's head, from its opening or from the end
/// of the request before.
///
/// So it bounds slow senders and idle connections alike. Above the minute for which nginx keeps an
/// unused connection to us by default: so the closing is nginx's, and no request of nginx's meets ours.
const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(75);

/// The pause after an accept that failed for want of something (descriptors, memory): long enough
/// not to spin, short enough that nobody notices once there is some again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves every connection of `listener` with a service that `make` makes for its peer, until
/// `shutdown`; then waits for open requests, at most for `drain`.
///
/// The services must be ready at all times: [`Service::poll_ready`] is not asked.
///
/// Returns how many connections were still open at the end of `drain`, and were dropped. An error of
/// the service closes its connection without an answer.
pub async fn serve<M, S, B>(
    listener: TcpListener,
    mut make: M,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) -> usize
where
    M: FnMut(SocketAddr) -> S,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let http = http();
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut acceptor = Acceptor {
        listener,
        failing: false,
    };
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, peer) = acceptor.accept() => {
                let service = AtOnce(RefCell::new(make(peer)));
                let connection = http.serve_connection(TokioIo::new(stream), service);
                let connection = graceful.watch(connection);
                connections.spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(error = &error as &dyn StdError, "a connection broke");
                    }
                });
            }
            Some(ended) = connections.join_next() => log_panic(ended),
        }
    }
    drop(acceptor);
    let all_ended = async {
        graceful.shutdown().await;
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    // Too late is no error: what is left is counted and dropped.
    let _ = tokio::time::timeout(drain, all_ended).await;
    while let Some(ended) = connections.try_join_next() {
        log_panic(ended);
    }
    let open = connections.len();
    connections.shutdown().await;
    open
}

/// HTTP/1.1 as we serve it.
fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    // `Date` is the origin's business: what is relayed without one goes out without one.
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_TIMEOUT)
        .auto_date_header(false);
    http
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

/// Hands a request to its service the moment that hyper has read its head.
///
/// `hyper_util`'s adapter does so when its future is first polled. By then hyper may have seen that the
/// client is gone, and the request, sent in full, would be dropped unseen: a homeserver would have
/// acted on it.
///
/// The service is its connection's own, and is called by one task: nothing else can have borrowed it.
struct AtOnce<S>(RefCell<S>);

/// A listener that never fails.
struct Acceptor {
    listener: TcpListener,
    /// The last accept failed; said once, not every [`ACCEPT_PAUSE`].
    failing: bool,
}

// === impl AtOnce ===

impl<S> hyper::service::Service<Request<Incoming>> for AtOnce<S>
where
    S: Service<Request<Incoming>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> S::Future {
        self.0.borrow_mut().call(request)
    }
}

// === impl Acceptor ===

impl Acceptor {
    /// The next connection. May be dropped and called again at any time.
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.failing = false;
                    // The last piece of an answer must not wait for the client's acknowledgement of
                    // the one before. Fails only on a connection that is gone already.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    if !self.failing {
                        tracing::warn!(
                            error = &error as &dyn StdError,
                            "cannot accept connections"
                        );
                    }
                    self.failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether it was the connection that failed, not the listener: accept(2) reports both.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
