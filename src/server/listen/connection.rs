//! One connection, from its first byte to its last: HTTP/1.1 or HTTP/2, with the deadlines of both.

use std::cell::RefCell;
mod speaking;

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

use self::speaking::speak;
use super::Limits;
use super::line::{Line, Stream};
use super::pace::Pace;
use super::streams::Streams;
use super::wire::Rewound;

type BoxError = Box<dyn StdError + Send + Sync>;

/// How long the head of the first request may take, from the connection's opening.
///
/// Six lost packets in a row are survived; whoever says nothing gives up their place.
pub(super) const FIRST_HEAD: Duration = Duration::from_secs(15);

/// How often an HTTP/2 client that says nothing is asked whether it is there, and how long it may take
/// to say so: a poll of a telephone that has left the network ends after a minute and a half.
const PING: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(30));

/// Streams of an HTTP/2 connection at once: as nginx allows, and more than any Matrix client uses.
const STREAMS: u32 = 128;

/// How much of a body an HTTP/2 client may send before the origin takes any, on one stream and on all
/// of a connection. A quarter of a MiB fills 40 Mbit/s at 50 ms.
const WINDOWS: (u32, u32) = (256 << 10, 1 << 20);

/// How much of an answer is held for each HTTP/2 stream.
const HELD: usize = 64 << 10;

/// Streams that a client has reset and that have not been looked at yet, and those that we reset: more
/// is an attack, and ends the connection with GOAWAY.
const RESETS: (usize, usize) = (20, 256);

/// The first bytes of HTTP/2 by prior knowledge: [RFC 9113
/// §3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at first: the head of most requests.
const FIRST_READ: usize = 2048;

/// How HTTP is spoken.
#[derive(Clone)]
pub(super) struct Http {
    one: http1::Builder,
    two: http2::Builder<Streams>,
}

/// Hands a request to its service the moment that hyper has read its head.
///
/// `hyper_util`'s adapter does so when its future is first polled. By then hyper may have seen that the
/// client is gone, and the request, sent in full, would be dropped unseen: a homeserver would have
/// acted on it.
///
/// The service is its connection's own, and is called by one task: nothing else can have borrowed it.
struct AtOnce<S>(RefCell<S>);

/// Which HTTP it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

// === impl Http ===

impl Http {
    pub(super) fn new(limits: Limits) -> Self {
        let mut one = http1::Builder::new();
        // `Date` is the origin's business: what is relayed without one goes out without one.
        // Heads are waited for in `speak`, with one timer for a connection instead of one for each.
        one.header_read_timeout(None)
            .auto_date_header(false)
            .max_headers(limits.fields)
            .max_header_size(limits.heads)
            // Also what is held of a body, in either direction.
            .max_buf_size(limits.heads);
        let mut two = http2::Builder::new(Streams);
        two.timer(TokioTimer::new())
            .auto_date_header(false)
            .max_header_list_size(u32::try_from(limits.heads).unwrap_or(u32::MAX))
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1)
            .max_send_buf_size(HELD)
            .max_pending_accept_reset_streams(RESETS.0)
            .max_local_error_reset_streams(RESETS.1)
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1);
        Self { one, two }
    }

    /// Speaks HTTP on `stream` until it ends.
    pub(super) async fn serve<S, B>(
        &self,
        stream: Stream,
        protocol: Option<Protocol>,
        service: S,
        pace: &Arc<Pace>,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let first_head = Instant::now() + FIRST_HEAD;
        let told = match protocol {
            Some(protocol) => Ok((Rewound::new(stream), protocol)),
            None => {
                tokio::select! {
                    told = tell(stream) => told,
                    () = sleep_until(first_head) => Err(io::ErrorKind::TimedOut.into()),
                    () = pace.dismissed() => return,
                }
            }
        };
        let (stream, protocol) = match told {
            Ok(told) => told,
            Err(error) => {
                tracing::debug!(error = &error as &dyn StdError, "a connection said nothing");
                return;
            }
        };
        let line = TokioIo::new(Line::new(stream, Arc::clone(pace)));
        let service = AtOnce(RefCell::new(service));
        match protocol {
            Protocol::Http1 => {
                let speaking = self.one.serve_connection(line, service).with_upgrades();
                speak(speaking, protocol, first_head, pace).await;
                if let Some(tunnel) = pace.tunnel() {
                    let _busy = pace.busy();
                    tunnel.await;
                }
            }
            Protocol::Http2 => {
                let speaking = self.two.serve_connection(line, service);
                // Boxed: it is large, and most connections are none.
                Box::pin(speak(speaking, protocol, first_head, pace)).await;
            }
        }
    }
}

/// Tells HTTP/2 from HTTP/1.1 by the first bytes: no request of the latter begins like the preface.
async fn tell(mut stream: Stream) -> io::Result<(Rewound<Stream>, Protocol)> {
    let mut first = BytesMut::new();
    let protocol = loop {
        if poll_fn(|context| read_some(&mut stream, context, &mut first)).await? == 0 {
            break Protocol::Http1;
        }
        let length = first.len().min(PREFACE.len());
        if first[..length] != PREFACE[..length] {
            break Protocol::Http1;
        }
        if length == PREFACE.len() {
            break Protocol::Http2;
        }
    };
    Ok((Rewound::with(first.freeze(), stream), protocol))
}

/// Reads once, by way of the stack: what is held is as long as what came.
fn read_some(
    stream: &mut Stream,
    context: &mut Context<'_>,
    into: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let mut read = [MaybeUninit::uninit(); FIRST_READ];
    let mut read = ReadBuf::uninit(&mut read);
    ready!(Pin::new(stream).poll_read(context, &mut read))?;
    into.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
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
