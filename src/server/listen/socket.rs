//! [`Socket`]: one bound socket, whatever it is and wherever it came from.
//!
//! # Promise
//!
//! A unix socket can be connected to from the moment that its file has its mode, and not before. The
//! file of a gateway that was killed is replaced; that of one that lives is not, nor is a file that is
//! no socket. An IPv6 address is IPv6 alone, so that `[::]:8009` and `0.0.0.0:8009` stand side by
//! side.

mod file;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use socket2::{Domain, Protocol, SockAddr, SockRef, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use self::file::SocketFile;
use super::inherit::{Inherited, Passed};
use super::wire::Wire;
use crate::{admin, config};

/// How many connections the kernel keeps that we have not accepted yet; it cuts it down to
/// `net.core.somaxconn`, which is this by default.
///
/// When a homeserver's clients come back after an outage they come at once, and beyond this number
/// each waits a second or more until its next try.
const BACKLOG: i32 = 4096;

/// How much of an answer the kernel takes before it has sent what it took earlier.
///
/// It would take megabytes, and then nothing until a third of them is gone: whoever reads ten kilobytes a
/// second would look, for minutes, as if they took nothing at all. Twice what a fast link needs
/// while we are woken up.
const UNSENT: u32 = 128 << 10;

/// Until a silent client is asked whether it is there, and between two questions: whoever is gone
/// without a word (a telephone out of reach) frees its poll, and its tunnel, after two minutes.
const KEEPALIVE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(15));

/// The pause after an accept that failed for want of something (descriptors, memory): long enough
/// not to spin, short enough that nobody notices once there is some again.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that listens.
#[derive(Debug)]
pub(crate) struct Socket {
    kind: Kind,
    /// As it is written in the configuration.
    address: String,
    inherited: bool,
    /// The file of a unix socket that we made: gone when the last at this socket is.
    file: Option<Arc<SocketFile>>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

// === impl Socket ===

impl Socket {
    /// Listens at `address`: with several sockets if its host has several addresses (`localhost`), or
    /// if several were passed by its name. For any free port one address of the host is enough.
    ///
    /// # Errors
    ///
    /// If it cannot listen at one of them; save at an address that this machine does not have, if the
    /// host has another one (`localhost` where there is no IPv6).
    pub(crate) async fn bind(
        address: &config::Address,
        mode: Option<u32>,
        inherited: &mut Inherited,
    ) -> io::Result<Vec<Self>> {
        match address {
            config::Address::Tcp(text) => {
                let hosts = tokio::net::lookup_host(text).await?;
                Self::bind_any(hosts, address.is_any_port())
            }
            config::Address::Unix(path) => {
                let mode = mode.unwrap_or(config::Listen::DEFAULT_MODE);
                let (socket, file) = SocketFile::bind(path, mode, BACKLOG)?;
                Ok(vec![Self {
                    kind: Kind::Unix(UnixListener::from_std(socket)?),
                    // The kernel remembers the name that the file had first.
                    address: address.to_string(),
                    inherited: false,
                    file: Some(Arc::new(file)),
                }])
            }
            config::Address::Inherited(name) => {
                let passed = inherited.by_name(name)?;
                passed.into_iter().filter_map(Self::passed).collect()
            }
        }
    }

    fn bind_any(hosts: impl Iterator<Item = SocketAddr>, one: bool) -> io::Result<Vec<Self>> {
        let mut bound: Vec<Self> = Vec::new();
        let mut failed = None;
        // A hosts file may name an address twice.
        let mut seen = Vec::new();
        for host in hosts {
            if seen.contains(&host) || (one && !bound.is_empty()) {
                continue;
            }
            seen.push(host);
            match Self::bind_one(host) {
                Ok(socket) => bound.push(socket),
                Err(error) if is_not_here(&error) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        match failed {
            Some(error) if bound.is_empty() => Err(error),
            None if bound.is_empty() => Err(io::ErrorKind::AddrNotAvailable.into()),
            _ => Ok(bound),
        }
    }

    fn bind_one(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Else a restart would have to wait for the connections of the run before to be forgotten.
        socket.set_reuse_address(true)?;
        inherited_by_connections(&SockRef::from(&socket));
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from_std(socket.into())?;
        Ok(Self {
            // With the port that the kernel chose.
            address: socket.local_addr()?.to_string(),
            kind: Kind::Tcp(socket),
            inherited: false,
            file: None,
        })
    }

    fn passed(passed: Passed) -> Option<io::Result<Self>> {
        let kind = match passed {
            Passed::Tcp(socket) => {
                inherited_by_connections(&SockRef::from(&socket));
                TcpListener::from_std(socket).map(Kind::Tcp)
            }
            Passed::Unix(socket) => UnixListener::from_std(socket).map(Kind::Unix),
            Passed::Other(_) | Passed::Taken => return None,
        };
        let socket = kind.and_then(|kind| {
            Ok(Self {
                address: kind.address()?,
                kind,
                inherited: true,
                file: None,
            })
        });
        Some(socket)
    }

    /// Another at the same socket, for the runtime that it is called on: whoever accepts first has the
    /// connection.
    ///
    /// # Errors
    ///
    /// For want of descriptors.
    pub(crate) fn again(&self) -> io::Result<Self> {
        let kind = match &self.kind {
            Kind::Tcp(socket) => {
                let again = SockRef::from(socket).try_clone()?;
                Kind::Tcp(TcpListener::from_std(again.into())?)
            }
            Kind::Unix(socket) => {
                let again = SockRef::from(socket).try_clone()?;
                Kind::Unix(UnixListener::from_std(again.into())?)
            }
        };
        Ok(Self {
            kind,
            address: self.address.clone(),
            inherited: self.inherited,
            file: self.file.clone(),
        })
    }

    /// The next connection, with the address of its other end; there is none on a unix socket. May be
    /// dropped and called again at any time.
    ///
    /// # Errors
    ///
    /// Those of accept(2): see [`concerns_one_connection`].
    pub(crate) async fn accept(&self) -> io::Result<(Wire, Option<IpAddr>)> {
        match &self.kind {
            Kind::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok(over_tcp(stream, peer.ip()))
            }
            Kind::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((Wire::Unix(stream), None))
            }
        }
    }

    /// The next connection that the kernel has queued, without waiting; `None` if there is none.
    ///
    /// The kernel itself is asked: what the runtime knows of the socket may be older.
    pub(crate) fn try_accept(&self) -> Option<io::Result<(Wire, Option<IpAddr>)>> {
        let accepted = match &self.kind {
            Kind::Tcp(socket) => SockRef::from(socket).accept(),
            Kind::Unix(socket) => SockRef::from(socket).accept(),
        };
        match accepted.and_then(|(socket, peer)| self.taken(socket, &peer)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            accepted => Some(accepted),
        }
    }

    fn taken(
        &self,
        socket: socket2::Socket,
        peer: &SockAddr,
    ) -> io::Result<(Wire, Option<IpAddr>)> {
        socket.set_nonblocking(true)?;
        match &self.kind {
            Kind::Tcp(_) => {
                let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
                Ok(over_tcp(TcpStream::from_std(socket.into())?, peer.ip()))
            }
            Kind::Unix(_) => Ok((Wire::Unix(UnixStream::from_std(socket.into())?), None)),
        }
    }

    /// Whether the socket outlives us: what is queued there waits for the next run.
    pub(crate) const fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// Where it listens, as it is written in the configuration; with the port that port 0 became.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }
}

/// For the administrators' requests, which axum serves.
impl Listener for Socket {
    type Io = Wire;
    type Addr = Option<IpAddr>;

    async fn accept(&mut self) -> (Wire, Option<IpAddr>) {
        loop {
            match Self::accept(self).await {
                Ok(accepted) => return accepted,
                Err(error) if concerns_one_connection(&error) => {}
                // Clients meet the same, and the log says it once for them.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Option<IpAddr>> {
        Ok(None)
    }
}

impl Connected<IncomingStream<'_, Socket>> for admin::Peer {
    fn connect_info(stream: IncomingStream<'_, Socket>) -> Self {
        Self(*stream.remote_addr())
    }
}

// === impl Kind ===

impl Kind {
    fn address(&self) -> io::Result<String> {
        match self {
            Self::Tcp(socket) => Ok(socket.local_addr()?.to_string()),
            Self::Unix(socket) => {
                let address = socket.local_addr()?;
                Ok(match (address.as_pathname(), address.as_abstract_name()) {
                    (Some(path), _) => format!("unix:{}", path.display()),
                    (None, Some(name)) => format!("unix:@{}", name.escape_ascii()),
                    (None, None) => "unix:".to_owned(),
                })
            }
        }
    }
}

/// Whether it was the connection that failed, not the listener: accept(2) reports both.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Whether this machine has no such address, or does not even know its kind.
fn is_not_here(error: &io::Error) -> bool {
    /// `EAFNOSUPPORT` of Linux, which the standard library has no kind for.
    const NO_SUCH_FAMILY: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_SUCH_FAMILY)
}

/// Says to a listener what all its connections are to have: once, and not for each of them. What the
/// kernel cannot do is no reason not to listen.
fn inherited_by_connections(listener: &SockRef<'_>) {
    // The last piece of an answer must not wait for the client's acknowledgement of the one before.
    let _ = listener.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE.0);
    let keepalive = keepalive.with_interval(KEEPALIVE.1).with_retries(4);
    let _ = listener.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = listener.set_tcp_notsent_lowat(UNSENT);
}

fn over_tcp(stream: TcpStream, peer: IpAddr) -> (Wire, Option<IpAddr>) {
    // IPv4 comes inside IPv6 on a socket that serves both, as systemd makes them.
    (Wire::Tcp(stream), Some(peer.to_canonical()))
}

#[cfg(test)]
mod tests;
