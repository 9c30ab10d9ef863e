//! The first and the last to see a request: fields are put in order on the way in, and errors become
//! answers on the way out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::guard::Replay;
use crate::matrix::error::{ErrCode, response};
use crate::proxy::fields::{self, Hop, Malformed};
use crate::proxy::{self, Relayed};

/// Stands before everything else on one connection.
pub(super) struct Front<S> {
    inner: S,
    hop: Hop,
    alarm: Alarm,
}

/// How often it is said aloud that the origin did not answer: a stranger could else fill the disk
/// while it is away.
#[derive(Clone)]
pub(super) struct Alarm(Arc<DefaultDirectRateLimiter>);

/// Between two of them.
const PAUSE: Duration = Duration::from_mins(1);

pin_project! {
    #[project = Projected]
    pub(super) enum ResponseFuture<F> {
        Inner { #[pin] inner: F, alarm: Alarm },
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
    response(status, ErrCode::Unknown, text)
}

// === impl Front ===

impl<S> Front<S> {
    pub(super) fn new(inner: S, hop: Hop, alarm: Alarm) -> Self {
        Self { inner, hop, alarm }
    }
}

impl<S> Service<Request<Incoming>> for Front<S>
where
    S: Service<Request<Incoming>, Response = Response<Replay<Relayed>>, Error = proxy::Error>,
{
    type Response = Response<Replay<Relayed>>;
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
                alarm: self.alarm.clone(),
            },
            Err(malformed) => ResponseFuture::Malformed { malformed },
        }
    }
}

// === impl Alarm ===

impl Alarm {
    pub(super) fn new() -> Self {
        let quota = Quota::with_period(PAUSE).expect("a minute is no zero");
        Self(Arc::new(RateLimiter::direct(quota)))
    }

    fn ring(&self, error: &proxy::Error, status: StatusCode) {
        // What a client breaks off is the client's business.
        let is_the_origins = !matches!(error, proxy::Error::ClientBody(_));
        let error = error as &dyn std::error::Error;
        let status = status.as_u16();
        if is_the_origins && self.0.check().is_ok() {
            tracing::warn!({ error, http.status = status }, "the origin did not answer a request");
        } else {
            tracing::debug!({ error, http.status = status }, "the origin did not answer a request");
        }
    }
}

// === impl ResponseFuture ===

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Replay<Relayed>>, proxy::Error>>,
{
    type Output = Result<Response<Replay<Relayed>>, std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.project() {
            Projected::Inner { inner, alarm } => match ready!(inner.poll(context)) {
                Ok(response) => response,
                Err(error) => {
                    let answer = rescue(&error);
                    alarm.ring(&error, answer.status());
                    answer.map(Replay::of)
                }
            },
            Projected::Malformed { malformed } => {
                let text = malformed.to_string();
                response(StatusCode::BAD_REQUEST, ErrCode::Unknown, &text).map(Replay::of)
            }
        }))
    }
}
