//! The two bodies of an exchange with the origin, and `Expect: 100-continue`, which ties one to the
//! other.
//!
//! # `Expect: 100-continue`
//!
//! Hyper's server sends its 100 when the body is first polled. So it is polled when the origin has sent
//! its own, and not before. If the origin answers at once, the client is never asked for the body, and
//! its connection is closed after the answer: nobody can say whether its next bytes would be the body
//! or a request.
//!
//! An origin that knows nothing of `Expect` would wait for the body for ever, as we for its word. So
//! after [`PATIENCE`] the body is asked for all the same.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

use super::connection::Held;
use super::error::{BodyBroke, BoxError, NotAskedFor};

/// How long the origin may take to say whether it wants a body.
///
/// Clients that need not wait for ever wait for a second (curl) and then send; an origin that is busy
/// may well take longer than that. A 100 too early costs an upload that is refused, and nothing else.
const PATIENCE: Duration = Duration::from_secs(5);

/// The client's body, whose errors can be told from the origin's afterwards; `None` if it has none.
///
/// Boxed: few requests have one, and hyper makes room for 32 requests on each connection to the origin.
pub(super) struct Outgoing<B>(Option<Box<Upload<B>>>);

struct Upload<B> {
    body: B,
    gate: Option<Gate>,
    _sending: Arc<()>,
}

/// Tells whether a body is still being sent.
pub(super) struct Sending(Arc<()>);

/// The body of the origin's answer.
pub struct Relayed {
    body: Incoming,
    /// The connection that it is read from, unless that goes on by itself.
    held: Option<Box<dyn Held>>,
    ended: bool,
    /// Why it broke off, until what came before is on its way.
    failed: Option<hyper::Error>,
    /// Held until the answer is over, if the client's body was not asked for.
    _offer: Option<Offer>,
}

/// Keeps a body from being polled before it is asked for. Boxed: few requests have one.
struct Gate(Pin<Box<Waiting>>);

pin_project! {
    struct Waiting {
        asked: mpsc::Receiver<()>,
        #[pin]
        patience: Sleep,
    }
}

/// A body that was offered to the origin. When the last copy of this is gone, and nobody has asked, it
/// never will be asked for.
#[derive(Clone, Debug)]
pub(super) struct Offer(mpsc::Sender<()>);

/// Whether the client waits to hear that its body is wanted.
fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

// === impl Outgoing ===

impl<B: Body> Outgoing<B> {
    /// The body of a request with `headers`, what tells of its end, if it has not ended yet; and, if
    /// the origin is to be asked whether it wants it, the offer.
    pub(super) fn new(body: B, headers: &HeaderMap) -> (Self, Option<Sending>, Option<Offer>) {
        if body.is_end_stream() {
            return (Self(None), None, None);
        }
        let sending = Arc::new(());
        let mut upload = Box::new(Upload {
            body,
            gate: None,
            _sending: Arc::clone(&sending),
        });
        let sending = Some(Sending(sending));
        if !expects_continue(headers) {
            return (Self(Some(upload)), sending, None);
        }
        let (offer, asked) = mpsc::channel(1);
        let patience = sleep(PATIENCE);
        upload.gate = Some(Gate(Box::pin(Waiting { asked, patience })));
        (Self(Some(upload)), sending, Some(Offer(offer)))
    }
}

impl<B> Body for Outgoing<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BodyBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroke>>> {
        let Some(upload) = &mut self.get_mut().0 else {
            return Poll::Ready(None);
        };
        if let Some(gate) = &mut upload.gate {
            if let Err(error) = ready!(gate.0.as_mut().poll_asked(cx)) {
                return Poll::Ready(Some(Err(BodyBroke(error.into()))));
            }
            upload.gate = None;
        }
        Pin::new(&mut upload.body)
            .poll_frame(cx)
            .map_err(|error| BodyBroke(error.into()))
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|upload| upload.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let upload = self.0.as_ref();
        upload.map_or_else(|| SizeHint::with_exact(0), |upload| upload.body.size_hint())
    }
}

// === impl Sending ===

impl Sending {
    /// Whether all of it was sent, or nothing more will be.
    pub(super) fn is_over(&self) -> bool {
        // Hyper drops a body when it has done with it.
        Arc::strong_count(&self.0) == 1
    }
}

// === impl Relayed ===

impl Relayed {
    /// `body`, the connection that it is read from, and the offer if the origin has not taken it.
    pub(super) fn new(body: Incoming, held: Option<Box<dyn Held>>, offer: Option<Offer>) -> Self {
        Self {
            body,
            held,
            ended: false,
            failed: None,
            _offer: offer,
        }
    }

    /// What has come.
    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let body = Pin::new(&mut self.body);
        match &self.held {
            // Nothing comes but what the connection brings, and that is polled by us.
            Some(held) => held
                .bell()
                .hushed(|| body.poll_frame(&mut Context::from_waker(Waker::noop()))),
            None => body.poll_frame(context),
        }
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut frame = this.poll_body(context);
        if frame.is_pending()
            && let Some(held) = &mut this.held
        {
            if held.poll(context).is_ready() {
                this.held = None;
            }
            frame = this.poll_body(context);
        }
        let frame = ready!(frame);
        if let Some(Err(error)) = frame {
            // Hyper drops what it has not written when it hears of it. So it may write first.
            this.failed = Some(error);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Nobody asks again after trailers.
        this.ended = !matches!(&frame, Some(Ok(frame)) if frame.is_data());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        if (self.ended || self.body.is_end_stream())
            && let Some(held) = self.held.take()
        {
            held.release();
        }
    }
}

impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.body.fmt(f)
    }
}

// === impl Waiting ===

impl Waiting {
    fn poll_asked(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NotAskedFor>> {
        let this = self.project();
        match this.asked.poll_recv(cx) {
            Poll::Ready(Some(())) => Poll::Ready(Ok(())),
            Poll::Ready(None) => Poll::Ready(Err(NotAskedFor)),
            Poll::Pending => this.patience.poll(cx).map(Ok),
        }
    }
}

// === impl Offer ===

impl Offer {
    /// Hears an interim answer of the origin's.
    pub(super) fn hear(&self, status: StatusCode) {
        if status == StatusCode::CONTINUE {
            // Full: it was asked for before. Closed: nobody waits any more.
            let _ = self.0.try_send(());
        }
    }

    /// Whether the body was asked for, or will not wait for that any longer.
    pub(super) fn is_taken(&self) -> bool {
        self.0.is_closed() || self.0.capacity() == 0
    }
}
