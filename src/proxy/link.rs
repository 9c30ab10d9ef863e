//! One connection to the origin, whatever it is made of.
//!
//! # What a failed write means
//!
//! An origin that refuses an upload answers, and closes its side: what we go on to send meets a
//! reset. The answer is here by then, or on its way. Hyper gives a connection up when a write fails,
//! and the answer with it. So a [`Socket`] does not say that a write has failed before all is read: it
//! takes no more, and reading, which goes on, decides how the connection ends.
//!
//! # An origin that takes nothing
//!
//! ends its connection after [`STALL`]. Hyper writes what it holds before it closes, so this is also
//! how long a connection may outlive the client who left in the middle of an upload.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::client::TlsStream;

/// How long nothing may move on a connection that we want to write on. As nginx's `proxy_send_timeout`:
/// an origin that reads at all, however slowly, does so more often.
const STALL: Duration = Duration::from_mins(1);

/// A connection to the origin.
pub(super) struct Link {
    made_of: Made,
    /// All that came has been read.
    ended: bool,
    /// Nothing has moved since a write had to wait.
    is_stalled: bool,
    /// The end of [`STALL`]; made when first needed.
    stall: Option<Pin<Box<Sleep>>>,
}

enum Made {
    Tcp(Socket<TcpStream>),
    Unix(Socket<UnixStream>),
    /// Boxed: it is a kilobyte that the others need not have.
    Tls(Box<TlsStream<Socket<TcpStream>>>),
}

/// A stream on which a failed write does not keep what was sent before from being read.
pub(super) struct Socket<S> {
    stream: S,
    failed: Option<Failed>,
}

/// The first write that failed.
struct Failed {
    kind: io::ErrorKind,
    /// Who waits to write all the same.
    writer: Waker,
}

// === impl Link ===

impl Link {
    const fn new(made_of: Made) -> Self {
        Self {
            made_of,
            ended: false,
            is_stalled: false,
            stall: None,
        }
    }

    pub(super) const fn tcp(stream: TcpStream) -> Self {
        Self::new(Made::Tcp(Socket::new(stream)))
    }

    pub(super) const fn unix(stream: UnixStream) -> Self {
        Self::new(Made::Unix(Socket::new(stream)))
    }

    pub(super) fn tls(stream: TlsStream<Socket<TcpStream>>) -> Self {
        Self::new(Made::Tls(Box::new(stream)))
    }

    fn failed(&self) -> Option<&Failed> {
        match &self.made_of {
            Made::Tcp(socket) => socket.failed.as_ref(),
            Made::Unix(socket) => socket.failed.as_ref(),
            Made::Tls(stream) => stream.get_ref().0.failed.as_ref(),
        }
    }

    /// How writing has failed, once that is no secret any more.
    fn failure(&self) -> io::Result<()> {
        match self.failed() {
            Some(failed) if self.ended => Err(failed.kind.into()),
            Some(_) | None => Ok(()),
        }
    }

    /// The outcome of a write, unless it has waited for too long.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_stalled = false;
            return written;
        }
        let stall = match &mut self.stall {
            Some(stall) => stall,
            none => none.insert(Box::pin(sleep(STALL))),
        };
        if !self.is_stalled {
            self.is_stalled = true;
            stall.as_mut().reset(Instant::now() + STALL);
        }
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_read_any(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.made_of {
            Made::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Made::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
            Made::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(self.poll_read_any(cx, buffer));
        self.is_stalled = false;
        if read.is_err() || is_end(buffer, before) {
            self.ended = true;
            if let Some(failed) = self.failed() {
                failed.writer.wake_by_ref();
            }
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.failure()?;
        let written = match &mut self.made_of {
            Made::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Made::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            Made::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.failure()?;
        let written = match &mut self.made_of {
            Made::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
            Made::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
            Made::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        };
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.made_of {
            Made::Tcp(socket) => socket.is_write_vectored(),
            Made::Unix(socket) => socket.is_write_vectored(),
            Made::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.failure()?;
        let written = match &mut self.made_of {
            Made::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Made::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Made::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.in_time(cx, written)
    }

    /// Of one that takes no more there is nothing left to shut.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed().is_some() {
            return Poll::Ready(Ok(()));
        }
        let shut = match &mut self.made_of {
            Made::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Made::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Made::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        };
        self.in_time(cx, shut)
    }
}

/// Whether a read that began at `before` found the end.
fn is_end(buffer: &ReadBuf<'_>, before: usize) -> bool {
    buffer.filled().len() == before && buffer.remaining() > 0
}

// === impl Socket ===

impl<S: Unpin> Socket<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            failed: None,
        }
    }

    /// Writes, unless that has failed, or fails now: then it is as if there was no room.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Some(failed) = &mut self.failed {
            failed.writer.clone_from(cx.waker());
            return Poll::Pending;
        }
        match write(Pin::new(&mut self.stream), cx) {
            Poll::Ready(Err(error)) => {
                self.failed = Some(Failed {
                    kind: error.kind(),
                    writer: cx.waker().clone(),
                });
                Poll::Pending
            }
            written @ (Poll::Ready(Ok(_)) | Poll::Pending) => written,
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
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        match &self.failed {
            // Linux tells of a reset once: the write has heard it, and to the reader it looks like an
            // end. A broken pipe is a reset after the end, which thus came first.
            Some(failed) if failed.kind != io::ErrorKind::BrokenPipe && is_end(buffer, before) => {
                Poll::Ready(Err(failed.kind.into()))
            }
            Some(_) | None => Poll::Ready(Ok(())),
        }
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

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
