//! What "unchanged" means, one test per promise.
//!
//! The gateway here is its forwarding only: listener, [`fields::prepare`], [`Forward`]. Both ends
//! are raw sockets, so that every byte is seen.

mod answers;
mod connections;
mod expect;
mod failures;
mod origins;
mod requests;
mod upgrades;
mod uploads;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use key_backup_gateway::proxy::fields::{self, Hop, Scheme};
use key_backup_gateway::proxy::{self, Forward};
use key_backup_gateway::server::listen;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::Service;

use crate::origin::Origin;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a stopped gateway waits for open requests.
const DRAIN: Duration = Duration::from_millis(500);

/// The forwarding part of the gateway, on port 0.
struct Gateway {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<usize>,
}

/// A raw client's connection.
struct Client(TcpStream);

/// A `Forward` to `address`, as the gateway has it.
fn forward<B>(address: SocketAddr, connect_timeout: Duration) -> Forward<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let origin = proxy::Origin::parse(&format!("http://{address}")).unwrap();
    Forward::new(
        &origin,
        &proxy::Config {
            connect_timeout,
            ..proxy::Config::default()
        },
        proxy::Limits::default(),
    )
    .unwrap()
}

/// Prepares, forwards, and makes answers of errors, as the server will.
async fn handle(
    mut forward: Forward<Incoming>,
    hop: Hop,
    mut request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError> {
    let (status, text) = match fields::prepare(&mut request, &hop) {
        Err(malformed) => (StatusCode::BAD_REQUEST, malformed.to_string()),
        Ok(()) => match forward.call(request).await {
            Ok(answer) => {
                return Ok(answer.map(|body| body.map_err(BoxError::from).boxed_unsync()));
            }
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
        },
    };
    let mut answer = Response::new(Full::from(text).map_err(BoxError::from).boxed_unsync());
    *answer.status_mut() = status;
    Ok(answer)
}

/// `head` with `Host` and `Connection: close`, and the empty line.
fn closing(head: &str) -> Vec<u8> {
    format!("{head}\r\nHost: example.org\r\nConnection: close\r\n\r\n").into_bytes()
}

/// The field lines of an answer by `name` (lower case), in their order.
fn lines<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let fields = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    fields.map(|(_, value)| value.trim()).collect()
}

// === impl Gateway ===

impl Gateway {
    /// A gateway that trusts nobody.
    async fn before(origin: &Origin) -> Self {
        Self::start(origin.address(), &[]).await
    }

    async fn start(origin: SocketAddr, trusted: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let forward = forward(origin, PATIENCE);
        let trusted = trusted
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        let hop = Hop {
            peer: None,
            scheme: Scheme::Http,
            trusted,
            request_id: http::HeaderName::from_static("x-request-id"),
        };
        let make = move |peer: SocketAddr| {
            let hop = Hop {
                peer: Some(peer.ip()),
                ..hop.clone()
            };
            let forward = forward.clone();
            tower::service_fn(move |request| handle(forward.clone(), hop.clone(), request))
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            // A test that drops its handle does not mean to stop the gateway.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let serving = tokio::spawn(listen::serve(listener, make, shutdown, DRAIN));
        Self {
            address,
            stop,
            serving,
        }
    }

    /// Stops it. How many connections were still open after [`DRAIN`]?
    async fn stop(self) -> usize {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap()
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends `request`, which must say `Connection: close`, and reads all that comes.
    async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.send(request).await;
        client.rest().await
    }
}

// === impl Client ===

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// All until the connection ends, however it ends.
    async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let reading = self.0.read_to_end(&mut all);
        let _ = tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("the connection ends");
        String::from_utf8_lossy(&all).into_owned()
    }

    /// All up to and with the first `end`.
    async fn through(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        let reading = async {
            while !all.ends_with(end.as_bytes()) {
                all.push(self.0.read_u8().await.expect("more is to come"));
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("what is awaited comes");
        String::from_utf8_lossy(&all).into_owned()
    }
}
