//! What "unchanged" means, one test per promise.
//!
//! The gateway here is all of it, as operators run it. Both ends are raw sockets, so that every byte
//! is seen.

mod answers;
mod connections;
mod expect;
mod failures;
mod origins;
mod requests;
mod upgrades;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use key_backup_gateway::config::{Config, Listen};
use key_backup_gateway::proxy::{self, Forward};
use key_backup_gateway::server::{Inherited, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

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
    serving: JoinHandle<()>,
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
        Self::with(origin, |config| {
            let trusted = trusted.iter().map(|network| network.parse().unwrap());
            config.server.trusted_proxies = trusted.collect();
        })
        .await
    }

    /// A gateway that trusts nobody, but for what `change` says.
    async fn with(origin: SocketAddr, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.listen = vec![Listen::plain("127.0.0.1:0".parse().unwrap())];
        config.server.admin_listen = "127.0.0.1:0".parse().unwrap();
        config.server.trusted_proxies = Vec::new();
        config.server.drain = DRAIN;
        config.origin.url = Some(format!("http://{origin}"));
        config.database.url = format!("sqlite:{}", folder.path().join("audit.db").display()).into();
        change(&mut config);
        let server = Server::bind(config, Inherited::none()).await.unwrap();
        let address = server.addresses()[0].parse().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            // A test that drops its handle does not mean to stop the gateway.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let serving = tokio::spawn(async move {
            server.run(shutdown).await.unwrap();
            drop(folder);
        });
        Self {
            address,
            stop,
            serving,
        }
    }

    /// Stops it.
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
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
