//! The first and the last to see a request: fields are put in order on the way in, and errors become
//! answers on the way out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::alarm::Alarm;
use super::listen::body::{AnswerBody, ClientBody, ClientBodyError};
use super::listen::pace::{Busy, Pace};
use crate::guard::{self, Replay};
use crate::matrix::error::{ErrCode, response};
use crate::proxy::fields::{self, Hop, Malformed};
use crate::proxy::{self, Relayed, upgrade};
use crate::telemetry;

/// Stands before everything else on one connection.
pub(super) struct Front<S> {
    pub(super) inner: S,
    pub(super) hop: Hop,
    /// How many field lines a request may have. In HTTP/1.1 hyper has counted them.
    pub(super) fields: usize,
    pub(super) pace: Arc<Pace>,
    /// For the origin that does not answer.
    pub(super) alarm: Alarm,
}

pin_project! {
    pub(super) struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
        version: Version,
        // Until the answer's body has it.
        busy: Option<Busy>,
    }
}

pin_project! {
    #[project = Projected]
    enum Kind<F> {
        Inner {
            #[pin]
            inner: F,
            alarm: Alarm,
            // The client's connection, if it asks for another protocol on it.
            switching: Option<OnUpgrade>,
        },
        Refused { refused: Refused },
    }
}

/// Why a request goes no further.
enum Refused {
    Malformed(Malformed),
    TooManyFields,
    TooManyRequests,
}

/// Seconds until there may be room again.
const SOON: HeaderValue = HeaderValue::from_static("1");

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
        proxy::Error::ClientBody(_) if ClientBodyError::is_standstill(error) => (
            StatusCode::REQUEST_TIMEOUT,
            "The body took too long to arrive",
        ),
        // Most likely nobody reads this: whoever sent half a body has left.
        proxy::Error::ClientBody(_) => (StatusCode::BAD_REQUEST, "The body ended before its time"),
    };
    response(status, ErrCode::Unknown, text)
}

/// Says it to the operator: aloud once a minute, if it is the origin's doing.
fn tell(alarm: &Alarm, error: &proxy::Error, status: StatusCode) {
    // What a client breaks off is the client's business.
    let is_the_origins = !matches!(error, proxy::Error::ClientBody(_));
    let error = telemetry::with_causes(error);
    let status = status.as_u16();
    if is_the_origins && alarm.rings() {
        tracing::warn!({ error, http.status = status }, "the origin did not answer a request");
    } else {
        tracing::debug!({ error, http.status = status }, "the origin did not answer a request");
    }
}

// === impl Front ===

impl<S> Service<Request<Incoming>> for Front<S>
where
    S: Service<Request<ClientBody>, Response = Response<Replay<Relayed>>, Error = proxy::Error>,
{
    type Response = Response<AnswerBody<Replay<Relayed>>>;
    // Whatever goes wrong becomes an answer.
    type Error = std::convert::Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A guard around `Forward` is always ready: its pool opens what it needs.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let busy = self.pace.busy();
        let mut request = request.map(|body| ClientBody::new(body, &self.pace));
        let prepared = if busy.is_too_much() {
            Err(Refused::TooManyRequests)
        } else if request.headers().len() > self.fields {
            Err(Refused::TooManyFields)
        } else {
            match fields::prepare(&mut request, &self.hop) {
                Ok(client) => {
                    // Nobody else would look at it.
                    if guard::is_guarded(&request) {
                        fields::note(&mut request, client, &self.hop);
                    }
                    Ok(())
                }
                Err(malformed) => Err(Refused::Malformed(malformed)),
            }
        };
        let kind = match prepared {
            Ok(()) => Kind::Inner {
                switching: upgrade::asked(&mut request),
                inner: self.inner.call(request),
                alarm: self.alarm.clone(),
            },
            Err(refused) => Kind::Refused { refused },
        };
        ResponseFuture {
            kind,
            version,
            busy: Some(busy),
        }
    }
}

// === impl Refused ===

impl Refused {
    fn answer(&self) -> Response<Bytes> {
        let (status, text) = match self {
            Self::Malformed(malformed) => (StatusCode::BAD_REQUEST, malformed.to_string()),
            Self::TooManyFields => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "There are too many header fields".to_owned(),
            ),
            Self::TooManyRequests => (
                StatusCode::SERVICE_UNAVAILABLE,
                "There are too many requests at once".to_owned(),
            ),
        };
        let mut answer = response(status, ErrCode::Unknown, &text);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(RETRY_AFTER, SOON);
        }
        answer
    }
}

// === impl ResponseFuture ===

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Replay<Relayed>>, proxy::Error>>,
{
    type Output = Result<Response<AnswerBody<Replay<Relayed>>>, std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut tunnel = None;
        let mut answer = match this.kind.project() {
            Projected::Inner {
                inner,
                alarm,
                switching,
            } => match ready!(inner.poll(context)) {
                Ok(mut response) => {
                    tunnel = switching.take().zip(upgrade::answered(&mut response));
                    response
                }
                Err(error) => {
                    let answer = rescue(&error);
                    tell(alarm, &error, answer.status());
                    answer.map(Replay::of)
                }
            },
            Projected::Refused { refused } => refused.answer().map(Replay::of),
        };
        let busy = this.busy.take().expect("a future is done once");
        if let Some((client, origin)) = tunnel {
            busy.becomes(Box::pin(upgrade::join(client, origin, busy.cutter())));
        } else if busy.is_closing() && *this.version < Version::HTTP_2 {
            answer
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(
            answer.map(|body| AnswerBody::new(body, busy, *this.version))
        ))
    }
}
