//! The bodies of a connection: the client's, which must move, and the answers', which must not look
//! whole when they are not.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::pace::{Busy, Pace};
use super::streams;

/// How long a client's body may stand still while somebody waits for it.
///
/// A minute, as nginx has it: radio links recover in seconds, and an upload that moves at all, however
/// slowly, is never ended.
const STANDSTILL: Duration = Duration::from_mins(1);

/// A client's body.
pub(in crate::server) struct ClientBody {
    body: Incoming,
    /// Until the end has been seen.
    open: Option<Arc<Pace>>,
    /// Runs while we wait for the client. Boxed: a body that is there at once needs none.
    standstill: Option<Pin<Box<Sleep>>>,
}

/// Why a client's body broke off.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum ClientBodyError {
    /// The connection did.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// Nothing came for a minute.
    #[error("the client sent nothing for {} seconds", STANDSTILL.as_secs())]
    Standstill,
}

pin_project! {
    /// An answer's body, and that its request is under way.
    pub(in crate::server) struct AnswerBody<B> {
        #[pin]
        body: B,
        _busy: Busy,
        stream: Option<Arc<streams::Taking>>,
    }
}

// === impl ClientBody ===

impl ClientBody {
    pub(in crate::server) fn new(body: Incoming, pace: &Arc<Pace>) -> Self {
        let open = (!body.is_end_stream()).then(|| {
            pace.body_opened();
            Arc::clone(pace)
        });
        Self {
            body,
            open,
            standstill: None,
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                this.standstill = None;
                if frame.is_none() || this.body.is_end_stream() {
                    this.open.take().inspect(|pace| pace.body_ended());
                }
                Poll::Ready(frame.map(|frame| frame.map_err(ClientBodyError::from)))
            }
            Poll::Pending => {
                let standstill = this
                    .standstill
                    .get_or_insert_with(|| Box::pin(sleep(STANDSTILL)));
                standstill
                    .as_mut()
                    .poll(context)
                    .map(|()| Some(Err(ClientBodyError::Standstill)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl ClientBodyError ===

impl ClientBodyError {
    /// Whether `error`, or what caused it, is [`Standstill`](Self::Standstill).
    pub(in crate::server) fn is_standstill(error: &(dyn StdError + 'static)) -> bool {
        std::iter::successors(Some(error), |&error| error.source())
            .any(|error| matches!(error.downcast_ref(), Some(Self::Standstill)))
    }
}

// === impl AnswerBody ===

impl<B: Body> AnswerBody<B> {
    /// The body of the answer to a request of `version`.
    pub(in crate::server) fn new(body: B, busy: Busy, version: Version) -> Self {
        // Only the end of the connection ends it: whatever breaks the connection off must not seem to.
        if version < Version::HTTP_11 && body.size_hint().exact().is_none() {
            busy.pace().cut();
        }
        Self {
            body,
            _busy: busy,
            stream: streams::Taking::current(),
        }
    }
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(context);
        if let Some(stream) = this.stream {
            stream.polled(matches!(frame, Poll::Ready(Some(Ok(_)))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
