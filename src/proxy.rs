//! [`Forward`]: a tower service that takes the request to the origin and brings its answer back.
//!
//! # Promise
//!
//! Nothing is buffered: both bodies stream, each as fast as its reader takes it. A request is sent
//! once. It goes over another connection only if not one byte of it was written to the first; that
//! is how a pooled connection which the origin has closed meanwhile never fails a request.
//!
//! There is a deadline for connecting, and none for the answer: idling for minutes is what a long
//! poll is for. Dropping the future, or the answer's body, closes the connection to the origin, so
//! that a client that leaves frees its poll there.
//!
//! # What differs from what came
//!
//! [`fields::prepare`] has been over the request before. Here the framing is made anew, never passed
//! on as received, and the answer loses its hop-by-hop fields. Status, reason phrase, all other
//! fields and both bodies are the other side's own.

mod dial;
mod error;
pub mod fields;
mod origin;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pin_project_lite::pin_project;

use self::dial::Dial;
pub use self::error::Error;
use self::error::{BodyBroke, BoxError, SwitchedProtocols};
pub use self::origin::{Config, InvalidOrigin, Origin};

/// How long an unused connection to the origin is kept.
///
/// Half of the minute after which Synapse (Twisted's default) closes it: so the closing is ours, and
/// no request meets the origin's. Long enough that a client's next request finds one.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Sends requests to the origin over pooled HTTP/1.1 connections. Clones share the pool.
pub struct Forward<B> {
    client: legacy::Client<Dial, Outgoing<B>>,
    origin: Authority,
    /// For a request that came without one (HTTP/1.0).
    host: HeaderValue,
}

pin_project! {
    /// The origin's answer, once its head is here.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture {
        #[pin]
        inner: legacy::ResponseFuture,
    }
}

pin_project! {
    /// The client's body, whose errors can be told from the origin's afterwards.
    struct Outgoing<B> {
        #[pin]
        body: B,
    }
}

/// The target at the origin: path and query byte for byte.
fn at_origin(uri: &Uri, origin: &Authority) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(origin.clone());
    parts.path_and_query = Some(
        uri.path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
    );
    Uri::from_parts(parts).expect("scheme, authority and path are all there")
}

/// Makes the framing of `body` anew.
///
/// A length is passed on as a length, and what has none as `chunked`: Synapse refuses chunked
/// uploads, so that one may not become the other. Hyper would send a GET without a length without
/// its body; said here, it sends it.
fn frame(headers: &mut HeaderMap, body: &impl Body) {
    // Received values (`identity, chunked`, two lines, an empty one) mean two messages to some
    // origins. Hyper has read the body by its own understanding of them, and this is the only one
    // that goes on.
    headers.remove(TRANSFER_ENCODING);
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

// === impl Forward ===

impl<B> Forward<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// A service that speaks to `origin`. No connection is made before the first request.
    #[must_use]
    pub fn new(origin: &Origin, config: &Config) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            // Only one that hyper gives back unsent, because its pooled connection has ended.
            .retry_canceled_requests(true)
            // The client's `Host` is kept.
            .set_host(false)
            .build(Dial::new(config.connect_timeout));
        Self {
            client,
            origin: origin.authority().clone(),
            host: origin.host().clone(),
        }
    }
}

impl<B> Clone for Forward<B> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            origin: self.origin.clone(),
            host: self.host.clone(),
        }
    }
}

impl<B> std::fmt::Debug for Forward<B> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Forward")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl<B> tower_service::Service<Request<B>> for Forward<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let (mut head, body) = request.into_parts();
        head.uri = at_origin(&head.uri, &self.origin);
        // > Intermediaries that process HTTP messages (i.e., all intermediaries other than those
        // > acting as tunnels) MUST send their own HTTP-version in forwarded messages
        //
        // https://www.rfc-editor.org/rfc/rfc9110#section-6.2-6
        head.version = Version::HTTP_11;
        frame(&mut head.headers, &body);
        head.headers
            .entry(HOST)
            .or_insert_with(|| self.host.clone());
        ResponseFuture {
            inner: self
                .client
                .request(Request::from_parts(head, Outgoing { body })),
        }
    }
}

// === impl ResponseFuture ===

impl Future for ResponseFuture {
    type Output = Result<Response<Incoming>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(self.project().inner.poll(cx)).map_err(Error::classify)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Poll::Ready(Err(Error::Broken(SwitchedProtocols.into())));
        }
        fields::remove_hop_by_hop(response.headers_mut());
        // Else the answer of an HTTP/1.0 origin would end our client's connection.
        *response.version_mut() = Version::HTTP_11;
        Poll::Ready(Ok(response))
    }
}

// === impl Outgoing ===

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
        self.project()
            .body
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
