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
//! fields and both bodies are the other side's own. Of trailers hyper sends, in either direction, those
//! that `Trailer` names, and none to a client without `TE: trailers`.

mod body;
mod dial;
mod error;
pub mod fields;
mod link;
mod origin;
mod tls;
pub mod upgrade;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pin_project_lite::pin_project;

pub use self::body::Relayed;
use self::body::{Offer, Outgoing};
use self::dial::Dial;
pub use self::error::Error;
use self::error::{BoxError, OddFraming, SwitchedProtocols};
use self::fields::hop_by_hop::{self, Framing};
pub use self::origin::{Config, InvalidOrigin, Origin};
pub use self::tls::{TlsError, check};

/// How long an unused connection to the origin is kept.
///
/// Half of the minute after which Synapse (Twisted's default) closes it: so the closing is ours, and
/// no request meets the origin's. Long enough that a client's next request finds one.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The smallest that hyper takes for [`Limits::heads`].
const LEAST_HEADS: usize = 8192;

/// How much of an answer is taken at once.
///
/// Each connection to the origin holds at most `heads` bytes that were read and not yet relayed, and as
/// many (with one piece of a body above it) that were not yet written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fields of a head. With more, the answer is a 502.
    pub fields: usize,
    /// Bytes of a head. With more, the answer is a 502. At least 8192.
    pub heads: usize,
}

/// Sends requests to the origin over pooled HTTP/1.1 connections. Clones share the pool.
pub struct Forward<B> {
    client: legacy::Client<Dial, Outgoing<B>>,
    scheme: Scheme,
    authority: Authority,
    /// For a request that came without one (HTTP/1.0).
    host: HeaderValue,
}

pin_project! {
    /// The origin's answer, once its head is here.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture {
        #[pin]
        inner: legacy::ResponseFuture,
        switches: bool,
        is_http_2: bool,
        offer: Option<Offer>,
    }
}

/// The target at the origin: path and query byte for byte.
fn at_origin(uri: &Uri, scheme: &Scheme, authority: &Authority) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority.clone());
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

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        // As many fields as Synapse takes: what it would refuse is its business to refuse. Room for
        // 64 KiB of them and a target of 8 KiB: four times what it takes.
        Self {
            fields: 500,
            heads: 128 * 1024,
        }
    }
}

// === impl Forward ===

impl<B> Forward<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// A service that speaks to `origin`. No connection is made before the first request.
    ///
    /// # Errors
    ///
    /// As [`check`].
    pub fn new(origin: &Origin, config: &Config, limits: Limits) -> Result<Self, TlsError> {
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            // Only one that hyper gives back unsent, because its pooled connection has ended.
            .retry_canceled_requests(true)
            // The client's `Host` is kept.
            .set_host(false)
            .http1_max_headers(limits.fields)
            .http1_max_buf_size(limits.heads.max(LEAST_HEADS))
            .build(Dial::new(origin, config)?);
        Ok(Self {
            client,
            scheme: origin.scheme(),
            authority: origin.authority().clone(),
            host: origin.host().clone(),
        })
    }
}

impl<B> Clone for Forward<B> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            host: self.host.clone(),
        }
    }
}

impl<B> std::fmt::Debug for Forward<B> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Forward")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl<B> tower_service::Service<Request<B>> for Forward<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Relayed>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let (mut head, body) = request.into_parts();
        head.uri = at_origin(&head.uri, &self.scheme, &self.authority);
        let is_http_2 = head.version == Version::HTTP_2;
        // > Intermediaries that process HTTP messages (i.e., all intermediaries other than those
        // > acting as tunnels) MUST send their own HTTP-version in forwarded messages
        //
        // https://www.rfc-editor.org/rfc/rfc9110#section-6.2-6
        head.version = Version::HTTP_11;
        frame(&mut head.headers, &body);
        hop_by_hop::name_options(&mut head.headers);
        head.headers
            .entry(HOST)
            .or_insert_with(|| self.host.clone());
        let switches = head.headers.contains_key(UPGRADE);
        let (body, offer) = Outgoing::new(body, &head.headers);
        let mut request = Request::from_parts(head, body);
        if let Some(offer) = offer.clone() {
            hyper::ext::on_informational(&mut request, move |answer| offer.hear(answer.status()));
        }
        ResponseFuture {
            inner: self.client.request(request),
            switches,
            is_http_2,
            offer,
        }
    }
}

// === impl ResponseFuture ===

impl Future for ResponseFuture {
    type Output = Result<Response<Relayed>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx)).map_err(Error::classify)?;
        match hop_by_hop::framing(response.headers()) {
            Framing::Plain => {}
            // > the Transfer-Encoding overrides the Content-Length.
            //
            // https://www.rfc-editor.org/rfc/rfc9112#section-6.3-2.3
            Framing::Chunked => drop(response.headers_mut().remove(CONTENT_LENGTH)),
            Framing::Odd => return Poll::Ready(Err(Error::Broken(OddFraming.into()))),
        }
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS if *this.switches => {
                hop_by_hop::keep_upgrade_only(response.headers_mut());
            }
            StatusCode::SWITCHING_PROTOCOLS => {
                return Poll::Ready(Err(Error::Broken(SwitchedProtocols.into())));
            }
            _ => hop_by_hop::remove(response.headers_mut()),
        }
        // Else the answer of an HTTP/1.0 origin would end our client's connection.
        *response.version_mut() = Version::HTTP_11;
        let offer = this.offer.take().filter(|offer| !offer.is_taken());
        if offer.is_some() && !*this.is_http_2 {
            // The client may send its body now, or not: what comes next has no clear beginning.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Poll::Ready(Ok(response.map(|body| Relayed::new(body, offer))))
    }
}
