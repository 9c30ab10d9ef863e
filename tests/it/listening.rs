//! Where clients come in: sockets of all kinds, TLS and the PROXY protocol, on the whole gateway.

mod inherited;
mod proxy_protocol;
mod sockets;
mod tls;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use key_backup_gateway::config::{Config, Listen, Tls};
use key_backup_gateway::server::{Error, Inherited, Reload, Server};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::origin::{Answer, Origin, RawRequest};

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request after whose answer the connection ends.
const GET: &str = "GET /a HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n";

/// The whole gateway, on ports of the kernel's choice.
struct Gateway {
    addresses: Vec<String>,
    admin: String,
    reload: Reload,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

/// A folder for sockets, and for a certificate of `localhost` with its key.
struct Folder {
    folder: TempDir,
    certificate: CertificateDer<'static>,
}

/// Either end of what a client may speak through.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An origin that answers everything with `{}`.
async fn origin() -> Origin {
    Origin::start(|_| Answer::json("200 OK", "{}")).await
}

/// What `request` says of whom it is for, and how they came.
fn forwarded(request: &RawRequest) -> (String, String) {
    let only = |name| match request.lines(name)[..] {
        [line] => String::from_utf8(line.to_vec()).unwrap(),
        ref lines => panic!("{name}: {lines:?}"),
    };
    (only("x-forwarded-for"), only("x-forwarded-proto"))
}

async fn connect(address: &str) -> Box<dyn Wire> {
    match address.strip_prefix("unix:") {
        Some(path) => Box::new(UnixStream::connect(path).await.unwrap()),
        None => Box::new(TcpStream::connect(address).await.unwrap()),
    }
}

/// Sends `bytes`, and reads all until the connection ends, however it ends.
async fn ask(mut wire: impl Wire, bytes: impl AsRef<[u8]>) -> String {
    wire.write_all(bytes.as_ref()).await.unwrap();
    wire.flush().await.unwrap();
    rest(wire).await
}

async fn rest(mut wire: impl Wire) -> String {
    let mut all = Vec::new();
    let reading = wire.read_to_end(&mut all);
    let _ = tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("the connection ends");
    String::from_utf8_lossy(&all).into_owned()
}

#[track_caller]
fn assert_answered(answer: &str) {
    let is_whole = answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n{}");
    assert!(is_whole, "{answer:?}");
}

// === impl Gateway ===

impl Gateway {
    /// A gateway that trusts nobody and listens at any port, but for what `change` says.
    async fn start(origin: &Origin, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Self::bind(origin, folder.path(), change).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            // A test that drops its handle does not mean to stop the gateway.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Self {
            addresses: server.addresses(),
            admin: server.admin_address(),
            reload: server.reload(),
            stop,
            serving: tokio::spawn(async move {
                server.run(shutdown).await.unwrap();
                drop(folder);
            }),
        }
    }

    async fn bind(
        origin: &Origin,
        folder: &Path,
        change: impl FnOnce(&mut Config),
    ) -> Result<Server, Error> {
        let mut config = Config::default();
        config.server.listen = vec![plain("127.0.0.1:0")];
        config.server.admin_listen = "127.0.0.1:0".parse().unwrap();
        config.server.trusted_proxies = Vec::new();
        config.origin.url = Some(format!("http://{}", origin.address()));
        config.database.url = format!("sqlite:{}", folder.join("audit.db").display()).into();
        change(&mut config);
        Server::bind(config, Inherited::none()).await
    }

    /// Connects to its only listener.
    async fn connect(&self) -> Box<dyn Wire> {
        let [address] = &self.addresses[..] else {
            panic!("{:?}", self.addresses)
        };
        connect(address).await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
    }
}

fn plain(address: &str) -> Listen {
    Listen::plain(address.parse().unwrap())
}

// === impl Folder ===

impl Folder {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = Self {
            folder: tempfile::tempdir().unwrap(),
            certificate: cert.der().clone(),
        };
        folder.write(&cert.pem(), &signing_key);
        folder
    }

    fn write(&self, certificate: &str, key: &KeyPair) {
        std::fs::write(self.files().certificate_file, certificate).unwrap();
        std::fs::write(self.files().key_file, key.serialize_pem()).unwrap();
    }

    fn files(&self) -> Tls {
        Tls {
            certificate_file: self.folder.path().join("certificate.pem"),
            key_file: self.folder.path().join("key.pem"),
        }
    }

    /// `unix:PATH` of a socket in it.
    fn socket(&self, name: &str) -> String {
        format!("unix:{}", self.folder.path().join(name).display())
    }

    /// A listener at any port that speaks TLS.
    fn tls(&self) -> Listen {
        Listen {
            tls: Some(self.files()),
            ..plain("127.0.0.1:0")
        }
    }

    /// Speaks TLS on `wire`, offering `protocols`, and believes the certificate of this folder only.
    async fn shake_hands<W: Wire>(
        &self,
        wire: W,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<W>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let bytes = |name: &&str| name.as_bytes().to_vec();
        config.alpn_protocols = protocols.iter().map(bytes).collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, wire)
            .await
    }
}
