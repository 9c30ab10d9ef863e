//! The byte stream under HTTP: notices a client that takes nothing, and ends as it should.
//!
//! # Ends
//!
//! - *In good order*: what is left is sent, then the end (FIN; `close_notify` before it with TLS).
//!   What the client is still sending is read and dropped for a moment: an operating system that
//!   closes a socket with unread bytes resets it, and a reset destroys an answer on its way.
//! - *Cut*: an answer whose body broke off ends in a reset, and so do a tunnel that broke and, whatever
//!   ends its connection early, a body without a length: that ends with its connection, so that a FIN
//!   would make it look whole.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::pace::Pace;
use super::wire::{Rewound, Wire};

/// How long a client may take nothing of what is being sent.
///
/// A minute, as nginx has it: radio links recover in seconds, and whoever takes anything at all is
/// served to the end.
const STANDSTILL: Duration = Duration::from_mins(1);

/// How long the rest of what a client sends is read and dropped. A round trip is enough, for a client
/// that reads the answer and stops.
const LINGER: Duration = Duration::from_secs(2);

/// What is dropped at once.
const DROPPED: usize = 4096;

/// What HTTP is spoken on.
pub(super) enum Stream {
    Plain(Rewound<Wire>),
    Tls(Box<TlsStream<Rewound<Wire>>>),
}

/// The same, with its ends.
pub(super) struct Line {
    stream: Rewound<Stream>,
    pace: Arc<Pace>,
    /// Runs while the client takes nothing. Boxed: most never need one.
    standstill: Option<Pin<Box<Sleep>>>,
    lingers: Option<Pin<Box<Sleep>>>,
    /// It ended in good order.
    ended: bool,
}

// === impl Stream ===

impl Stream {
    fn wire(&self) -> &Wire {
        match self {
            Self::Plain(wire) => wire.get_ref(),
            Self::Tls(tls) => tls.get_ref().0.get_ref(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_read(context, into),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write_vectored(context, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(wire) => wire.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}

// === impl Line ===

impl Line {
    pub(super) fn new(stream: Rewound<Stream>, pace: Arc<Pace>) -> Self {
        Self {
            stream,
            pace,
            standstill: None,
            lingers: None,
            ended: false,
        }
    }

    /// `written` as it is, or an error if nothing has been taken for too long.
    fn watch<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        self.pace.hold_up(written.is_pending());
        if written.is_ready() {
            self.standstill = None;
            return written;
        }
        let standstill = self
            .standstill
            .get_or_insert_with(|| Box::pin(sleep(STANDSTILL)));
        ready!(standstill.as_mut().poll(context));
        // The kernel still holds some of it.
        self.pace.cut();
        let text = "the client took nothing of its answer for a minute";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }

    /// Whether there is nothing to do but to close it: all is sent, nothing more comes, and there is
    /// nobody in between who wants to hear of the end.
    fn is_over(&self) -> bool {
        let is_plain = matches!(self.stream.get_ref(), Stream::Plain(_));
        is_plain && !self.pace.is_tunnel() && !self.pace.may_have_more()
    }

    /// Reads and drops what still comes.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let lingers = self.lingers.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if lingers.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let mut dropped = [0; DROPPED];
        loop {
            let mut into = ReadBuf::new(&mut dropped);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut into)) {
                Ok(()) if !into.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if into.filled().len() > before {
            self.pace.heard();
        }
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingers.is_none() {
            if self.is_over() {
                // Closing says the same, without being said twice.
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            let shut = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.watch(shut, context))?;
            self.ended = true;
            // In a tunnel the other direction goes on.
            if self.pace.is_tunnel() || !self.pace.may_have_more() {
                return Poll::Ready(Ok(()));
            }
        }
        self.linger(context).map(Ok)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.pace.is_cut() && !self.ended {
            self.stream.get_ref().wire().reset_on_close();
        }
    }
}
