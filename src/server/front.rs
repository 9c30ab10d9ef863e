//! The first and the last to see a request: fields are put in order on the way in, and errors become
//! answers on the way out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::guard::Replay;
use crate::matrix::error::{ErrCode, response};
use crate::proxy::fields::{self, Hop, Malformed};
use crate::proxy::{self};

/// Stands before everything else on one connection.
#[derive(Clone)]
pub(super) struct Front<S> {
    inner: S,
    hop: Hop,
    origin: OriginState,
}

/// Whether the origin answered last. It is said once when it goes and once when it is back, not for
/// every request: a stranger could fill the disk while the origin is away.
#[derive(Clone, Default)]
pub(super) struct OriginState(Arc<AtomicBool>);

pin_project! {
    #[project = Projected]
    pub(super) enum ResponseFuture<F> {
        Inner { #[pin] inner: F, origin: OriginState },
        Malformed { malformed: Malformed },
    }
}

/// The only place where a failed exchange with the origin becomes an answer. What the client reads
/// is a fixed text; what the operator reads is the chain of causes.
fn rescue(error: &proxy::Error) -> Response<Bytes> {
    let (status, text) = match error {
        proxy::Error::Connect(_) | proxy::Error::Broken(_) => {
            (StatusCode::BAD_GATEWAY, "The homeserver did not answer")
        }
        proxy::Error::ConnectTimeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "The homeserver took too long to answer",
        ),
        // Most likely nobody reads this: whoever sent half a body has left.
        proxy::Error::ClientBody(_) => (StatusCode::BAD_REQUEST, "The body ended before its time"),
    };
    tracing::debug!(
        error = error as &dyn std::error::Error,
        http.status = status.as_u16(),
        "a request was not answered by the origin",
    );
    response(status, ErrCode::Unknown, text)
}

// === impl Front ===

impl<S> Front<S> {
    pub(super) fn new(inner: S, hop: Hop, origin: OriginState) -> Self {
        Self { inner, hop, origin }
    }
}

impl<S> Service<Request<Incoming>> for Front<S>
where
    S: Service<Request<Incoming>, Response = Response<Replay<Incoming>>, Error = proxy::Error>,
{
    type Response = Response<Replay<Incoming>>;
    // Whatever goes wrong becomes an answer.
    type Error = std::convert::Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A guard around `Forward` is always ready: its pool opens what it needs.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        match fields::prepare(&mut request, &self.hop) {
            Ok(()) => ResponseFuture::Inner {
                inner: self.inner.call(request),
                origin: self.origin.clone(),
            },
            Err(malformed) => ResponseFuture::Malformed { malformed },
        }
    }
}

// === impl OriginState ===

impl OriginState {
    fn answered(&self) {
        // Read first: to write is dear when many connections share it.
        if self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed) {
            tracing::info!("the origin answers again");
        }
    }

    fn failed(&self, error: &proxy::Error) {
        let is_the_origins = !matches!(error, proxy::Error::ClientBody(_));
        if is_the_origins && !self.0.swap(true, Ordering::Relaxed) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "the origin does not answer");
        }
    }
}

// === impl ResponseFuture ===

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Replay<Incoming>>, proxy::Error>>,
{
    type Output = Result<Response<Replay<Incoming>>, std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.project() {
            Projected::Inner { inner, origin } => match ready!(inner.poll(context)) {
                Ok(response) => {
                    origin.answered();
                    response
                }
                Err(error) => {
                    origin.failed(&error);
                    rescue(&error).map(Replay::of)
                }
            },
            Projected::Malformed { malformed } => {
                let text = malformed.to_string();
                response(StatusCode::BAD_REQUEST, ErrCode::Unknown, &text).map(Replay::of)
            }
        }))
    }
}
