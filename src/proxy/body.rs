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

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

use super::error::{BodyBroke, BoxError, NotAskedFor};

/// How long the origin may take to say whether it wants a body.
///
/// Clients that need not wait for ever wait for a second (curl) and then send; an origin that is busy
/// may well take longer than that. A 100 too early costs an upload that is refused, and nothing else.
const PATIENCE: Duration = Duration::from_secs(5);

pin_project! {
    /// The client's body, whose errors can be told from the origin's afterwards.
    pub(super) struct Outgoing<B> {
        #[pin]
        body: B,
        gate: Option<Gate>,
    }
}

pin_project! {
    /// The body of the origin's answer.
    #[derive(Debug)]
    pub struct Relayed {
        #[pin]
        body: Incoming,
        // Held until the answer is over, if the client's body was not asked for.
        offer: Option<Offer>,
    }
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
    /// The body of a request with `headers`; and, if the origin is to be asked whether it wants it,
    /// the offer.
    pub(super) fn new(body: B, headers: &HeaderMap) -> (Self, Option<Offer>) {
        if body.is_end_stream() || !expects_continue(headers) {
            return (Self { body, gate: None }, None);
        }
        let (offer, asked) = mpsc::channel(1);
        let patience = sleep(PATIENCE);
        let gate = Gate(Box::pin(Waiting { asked, patience }));
        let gate = Some(gate);
        (Self { body, gate }, Some(Offer(offer)))
    }
}

impl<B> Body for Outgoing<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BodyBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroke>>> {
        let this = self.project();
        if let Some(gate) = this.gate {
            if let Err(error) = ready!(gate.0.as_mut().poll_asked(cx)) {
                return Poll::Ready(Some(Err(BodyBroke(error.into()))));
            }
            *this.gate = None;
        }
        this.body
            .poll_frame(cx)
            .map_err(|error| BodyBroke(error.into()))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Relayed ===

impl Relayed {
    /// `body`, with the offer if the origin has not taken it.
    pub(super) const fn new(body: Incoming, offer: Option<Offer>) -> Self {
        Self { body, offer }
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
