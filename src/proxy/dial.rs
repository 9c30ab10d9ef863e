//! Connects to the origin, within a deadline.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;

use super::error::{BoxError, ConnectTimeout, Handshake};
use super::link::{Link, Socket};
use super::origin::{Config, Origin, Place};
use super::tls::{self, TlsError};

/// Until a unix socket whose queue is full is tried again: Linux does not wait for room in it, as it
/// does with TCP.
const QUEUE_PAUSE: Duration = Duration::from_millis(10);

/// Until it is tried again when there are no descriptors. Those who accept pause for longer, so that what
/// they give up is not taken by the next client.
const DESCRIPTORS_PAUSE: Duration = Duration::from_millis(10);

/// Until the origin is asked on an idle connection whether it is there, and between two questions: an
/// origin that is gone without a word is noticed after two minutes, however long a poll may idle.
const KEEPALIVE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(15));

/// How much of a request the kernel takes before it has sent what it took earlier. It would take
/// megabytes, and then nothing until a third of them is gone: an origin that reads slowly would look as
/// if it took nothing at all.
const UNSENT: u32 = 128 << 10;

/// A connector whose deadline covers all of it: looking the name up, every address tried, and the TLS
/// handshake.
///
/// [`HttpConnector`]'s own covers neither the lookup nor more than its share of each address.
#[derive(Clone)]
pub(super) struct Dial {
    way: Way,
    timeout: Duration,
}

#[derive(Clone)]
enum Way {
    Tcp(HttpConnector),
    Tls(HttpConnector, TlsConnector, ServerName<'static>),
    Unix(Arc<Path>),
}

// === impl Dial ===

impl Dial {
    pub(super) fn new(origin: &Origin, config: &Config) -> Result<Self, TlsError> {
        let mut connector = HttpConnector::new();
        // A head and a small body are two writes: waiting to join them costs 40 ms.
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE.0));
        connector.set_keepalive_interval(Some(KEEPALIVE.1));
        connector.set_keepalive_retries(Some(4));
        // It is the one that looks the name up, and takes the port from the scheme.
        connector.enforce_http(false);
        let way = match (origin.place(), tls::peer(origin, config)?) {
            (Place::Unix(path), _) => Way::Unix(Arc::clone(path)),
            (Place::Tls | Place::Tcp, Some((tls, name))) => Way::Tls(connector, tls.into(), name),
            (Place::Tls | Place::Tcp, None) => Way::Tcp(connector),
        };
        Ok(Self {
            way,
            timeout: config.connect_timeout,
        })
    }
}

impl Service<Uri> for Dial {
    type Response = Link;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.way {
            Way::Tcp(connector) | Way::Tls(connector, ..) => {
                connector.poll_ready(cx).map_err(Into::into)
            }
            Way::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    /// Boxed: once a connection, not once a request.
    fn call(&mut self, origin: Uri) -> Self::Future {
        let connecting = self.way.clone().connect_when_possible(origin);
        let connecting = tokio::time::timeout(self.timeout, connecting);
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectTimeout.into()),
            }
        })
    }
}

// === impl Way ===

impl Way {
    /// While there are no descriptors, whoever accepts clients sends away those who wait for nothing:
    /// there will be some soon.
    async fn connect_when_possible(self, origin: Uri) -> Result<Link, BoxError> {
        loop {
            match self.clone().connect(origin.clone()).await {
                Err(error) if lacks_descriptors(&*error) => sleep(DESCRIPTORS_PAUSE).await,
                connected => return connected,
            }
        }
    }

    async fn connect(self, origin: Uri) -> Result<Link, BoxError> {
        match self {
            Self::Tcp(mut tcp) => Ok(Link::tcp(connect_tcp(&mut tcp, origin).await?)),
            Self::Tls(mut tcp, tls, name) => {
                let socket = Socket::new(connect_tcp(&mut tcp, origin).await?);
                match tls.connect(name.clone(), socket).await {
                    Ok(stream) => Ok(Link::tls(stream)),
                    Err(why) => Err(Handshake {
                        name: name.to_str().into_owned(),
                        why,
                    }
                    .into()),
                }
            }
            Self::Unix(path) => Ok(Link::unix(connect_unix(&path).await?)),
        }
    }
}

/// Whether it failed because this process, or the machine, has no descriptor left.
fn lacks_descriptors(error: &(dyn StdError + 'static)) -> bool {
    /// `ENFILE` and `EMFILE` of Linux, which the standard library has no kind for.
    const NO_MORE: [i32; 2] = [23, 24];
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
        .any(|code| NO_MORE.contains(&code))
}

async fn connect_tcp(tcp: &mut HttpConnector, origin: Uri) -> Result<TcpStream, BoxError> {
    let stream = tcp.call(origin).await?.into_inner();
    // What the kernel cannot do is no reason not to forward.
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    Ok(stream)
}

async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(QUEUE_PAUSE).await;
            }
            connected => return connected,
        }
    }
}
