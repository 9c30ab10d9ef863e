//! One connection to the origin, whatever it is made of.
//!
//! # What a failed write means
//!
//! An origin that refuses an upload answers, and closes its side: what we go on to send meets a
//! reset. The answer is here by then, or on its way. Hyper gives a connection up when a write fails,
//! and the answer with it. So a [`Socket`] does not say that a write has failed before all is read: it
//! takes no more, and reading, which goes on, decides how the connection ends.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};
use tokio_rustls::client::TlsStream;

/// How long TLS may take to say goodbye to an origin that takes nothing more: it knows by then what
/// it has, and a client that left must not hold it for longer.
const GOODBYE: Duration = Duration::from_millis(500);

/// A connection to the origin.
pub(super) enum Link {
    Tcp(Socket<TcpStream>),
    Unix(Socket<UnixStream>),
    Tls {
        /// Boxed: it is a kilobyte that the others need not have.
        stream: Box<TlsStream<Socket<TcpStream>>>,
        /// Set once it is being closed.
        goodbye: Option<Pin<Box<Sleep>>>,
    },
}

/// A stream on which a failed write does not keep what was sent before from being read.
pub(super) struct Socket<S> {
    stream: S,
    /// How the first write that failed did.
    failed: Option<io::ErrorKind>,
    /// Nothing more is to be read.
    ended: bool,
    /// Who wants to write all the same.
    writer: Option<Waker>,
}

// === impl Link ===

impl Link {
    pub(super) fn tls(stream: TlsStream<Socket<TcpStream>>) -> Self {
        Self::Tls {
            stream: Box::new(stream),
            goodbye: None,
        }
    }
}

/// Nothing to tell: what hyper would say of it, it would put into every response.
impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls { stream, .. } => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls { stream, .. } => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
            Self::Tls { stream, .. } => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_write_vectored(),
            Self::Unix(socket) => socket.is_write_vectored(),
            Self::Tls { stream, .. } => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls { stream, .. } => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls { stream, goodbye } => {
                if let Poll::Ready(said) = Pin::new(stream).poll_shutdown(cx) {
                    return Poll::Ready(said);
                }
                let goodbye = goodbye.get_or_insert_with(|| Box::pin(sleep(GOODBYE)));
                ready!(goodbye.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

// === impl Socket ===

impl<S: Unpin> Socket<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            failed: None,
            ended: false,
            writer: None,
        }
    }

    /// Writes, unless that has failed: then it waits until all is read, and fails only then.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.failed.is_none() {
            match write(Pin::new(&mut self.stream), cx) {
                Poll::Ready(Err(error)) => self.failed = Some(error.kind()),
                written => return written,
            }
        }
        match self.failed {
            Some(kind) if self.ended => Poll::Ready(Err(kind.into())),
            Some(_) | None => {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// What the end of reading means. `Err` if it was no end.
    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        match self.failed {
            // Linux tells of a reset once: the write has heard it, and to the reader it looks like an
            // end. A broken pipe is a reset after the end, which thus came first.
            Some(kind) if kind != io::ErrorKind::BrokenPipe => Err(kind.into()),
            Some(_) | None => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        let more = buffer.filled().len() > before || buffer.remaining() == 0;
        Poll::Ready(match read {
            Ok(()) if more => Ok(()),
            Ok(()) => self.end(),
            Err(error) => self.end().and(Err(error)),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, AsyncWrite::poll_flush)
    }

    /// Of one that takes no more there is nothing left to shut.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
