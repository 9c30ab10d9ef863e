//! The whole real gateway in this process, on free ports; and raw clients for it.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use key_backup_gateway::audit::store;
use key_backup_gateway::config::{Address, Config, Listen};
use key_backup_gateway::proxy::{self, Forward};
use key_backup_gateway::server::{self, Inherited, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::origin::Origin;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// No test waits longer than this for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a stopped gateway waits for open requests.
pub(super) const DRAIN: Duration = Duration::from_secs(3);

/// The gateway, as operators run it. It goes on without its handle.
pub(super) struct Gateway {
    pub(super) address: SocketAddr,
    /// Health and metrics.
    pub(super) admin: SocketAddr,
    /// Where its trail is.
    pub(super) database: store::Config,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), server::Error>>,
    cut: Arc<AtomicUsize>,
}

/// A raw client's connection.
pub(super) struct Client(pub(super) TcpStream);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// In good order.
    Fin,
    /// By a reset.
    Rst,
}

/// Notices what the gateway says that it cut off.
struct Listening(Arc<AtomicUsize>);

/// A `Forward` to `address`, as the gateway has it.
pub(super) fn forward<B>(address: SocketAddr, connect_timeout: Duration) -> Forward<B>
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
pub(super) fn closing(head: &str) -> Vec<u8> {
    format!("{head}\r\nHost: example.org\r\nConnection: close\r\n\r\n").into_bytes()
}

/// The field lines of an answer by `name` (lower case), in their order.
pub(super) fn lines<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let fields = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    fields.map(|(_, value)| value.trim()).collect()
}

/// What comes after the head of an answer.
pub(super) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// Waits until `happens`.
#[track_caller]
pub(super) fn soon(happens: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let waiting = async {
            while !happens() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "it does not happen: {caller}");
    }
}

// === impl Gateway ===

impl Gateway {
    /// A gateway that trusts nobody.
    pub(super) async fn before(origin: &Origin) -> Self {
        Self::start(origin.address(), &[]).await
    }

    /// A gateway that trusts these networks.
    pub(super) async fn start(origin: SocketAddr, trusted: &[&str]) -> Self {
        let trusted = trusted.iter().map(|network| network.parse().unwrap());
        let trusted = trusted.collect();
        Self::with(origin, |config| config.server.trusted_proxies = trusted).await
    }

    /// A gateway that trusts nobody, with what `change` says.
    pub(super) async fn with(origin: SocketAddr, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = || Address::Tcp("127.0.0.1:0".to_owned());
        let mut config = Config::default();
        config.server.listen = vec![Listen::plain(free())];
        config.server.admin_listen = free();
        config.server.trusted_proxies = Vec::new();
        config.server.drain = DRAIN;
        // On the runtime of the test, whose clock can be stopped.
        config.server.workers = NonZero::new(1);
        config.origin.url = Some(format!("http://{origin}"));
        config.origin.connect_timeout = PATIENCE;
        config.database.url = format!("sqlite:{}/audit.db", folder.path().display()).into();
        change(&mut config);
        let database = config.database.clone();
        let server = Server::bind(config, Inherited::none()).await.unwrap();
        let address = server.addresses()[0].parse().unwrap();
        let admin = server.admin_address().parse().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            // A test that drops its handle does not mean to stop the gateway.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let cut = Arc::<AtomicUsize>::default();
        let listening = tracing_subscriber::registry().with(Listening(Arc::clone(&cut)));
        let running = async move {
            let _folder = folder;
            server.run(shutdown).await
        };
        Self {
            address,
            admin,
            database,
            stop,
            serving: tokio::spawn(running.with_subscriber(listening)),
            cut,
        }
    }

    /// Stops it. How many connections were still open after [`DRAIN`]?
    pub(super) async fn stop(self) -> usize {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
        self.cut.load(Ordering::SeqCst)
    }

    pub(super) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// A client for whom the kernel keeps little, in either direction.
    pub(super) async fn connect_narrow(&self, kept: u32) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(kept).unwrap();
        socket.set_send_buffer_size(kept).unwrap();
        Client(socket.connect(self.address).await.unwrap())
    }

    /// Sends `request`, which must say `Connection: close`, and reads all that comes.
    pub(super) async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.send(request).await;
        client.rest().await
    }
}

// === impl Client ===

impl Client {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// All until the connection ends, however it ends.
    pub(super) async fn rest(&mut self) -> String {
        self.rest_and_end().await.0
    }

    /// All until the connection ends, and how it ends.
    pub(super) async fn rest_and_end(&mut self) -> (String, End) {
        let mut all = Vec::new();
        let reading = self.0.read_to_end(&mut all);
        let end = timeout(PATIENCE, reading)
            .await
            .expect("the connection ends");
        let end = if end.is_ok() { End::Fin } else { End::Rst };
        (String::from_utf8_lossy(&all).into_owned(), end)
    }

    /// All up to and with the first `end`.
    pub(super) async fn through(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        let reading = async {
            while !all.ends_with(end.as_bytes()) {
                all.push(self.0.read_u8().await.expect("more is to come"));
            }
        };
        timeout(PATIENCE, reading)
            .await
            .expect("what is awaited comes");
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Reads `length` bytes, if so many come; how many did.
    pub(super) async fn through_length(&mut self, length: usize) -> usize {
        let mut all = Vec::new();
        let most = u64::try_from(length).unwrap();
        let _ = timeout(PATIENCE, (&mut self.0).take(most).read_to_end(&mut all)).await;
        all.len()
    }

    /// Ends the connection with an RST.
    pub(super) fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }
}

// === impl Listening ===

impl<S: tracing::Subscriber> Layer<S> for Listening {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Connections<'a>(&'a AtomicUsize);
        impl Visit for Connections<'_> {
            fn record_u64(&mut self, field: &Field, value: u64) {
                if field.name() == "connections" {
                    self.0
                        .store(usize::try_from(value).unwrap(), Ordering::SeqCst);
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        event.record(&mut Connections(&self.0));
    }
}
