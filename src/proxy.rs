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

mod bell;
mod body;
mod connection;
mod dial;
mod error;
pub mod fields;
mod link;
mod origin;
mod pool;
mod response;
mod tls;
pub mod upgrade;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use http_body::Body;
use hyper::client::conn::http1::Builder;

use self::body::Outgoing;
pub use self::body::Relayed;
use self::dial::Dial;
use self::error::BoxError;
pub use self::error::Error;
use self::fields::hop_by_hop;
pub use self::origin::{Config, InvalidOrigin, Origin};
use self::pool::Pool;
pub use self::response::ResponseFuture;
pub use self::tls::{TlsError, check};

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
pub struct Forward<B: Body + 'static> {
    pool: Arc<Pool<B>>,
}

/// How the origin is reached and spoken to.
struct Route {
    dial: Dial,
    builder: Builder,
    /// What is dialled.
    uri: Uri,
    authority: Authority,
    /// For a request that came without one (HTTP/1.0).
    host: HeaderValue,
}

/// The target at the origin: path and query byte for byte.
fn at_origin(uri: &mut Uri) {
    let target = uri.path_and_query().map(PathAndQuery::as_str);
    if uri.authority().is_none() && target.is_some_and(|target| !target.is_empty()) {
        return;
    }
    let target = uri.path_and_query().cloned();
    *uri = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
}

/// Makes the framing of `body` anew; the received `Transfer-Encoding` is gone.
///
/// A length is passed on as a length, and what has none as `chunked`: Synapse refuses chunked
/// uploads, so that one may not become the other. Hyper would send a GET without a length without
/// its body; said here, it sends it.
fn frame(headers: &mut HeaderMap, body: &impl Body) {
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
        let mut builder = Builder::new();
        builder
            .max_headers(limits.fields)
            .max_buf_size(limits.heads.max(LEAST_HEADS));
        let route = Route {
            dial: Dial::new(origin, config)?,
            builder,
            uri: dialled(origin.scheme(), origin.authority().clone()),
            authority: origin.authority().clone(),
            host: origin.host().clone(),
        };
        Ok(Self {
            pool: Pool::new(Arc::new(route)),
        })
    }

    /// The same, with connections of its own: a thread that has those it uses to itself waits for no
    /// other.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            pool: Pool::new(Arc::clone(self.pool.route())),
        }
    }
}

fn dialled(scheme: Scheme, authority: Authority) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).expect("scheme, authority and path are all there")
}

impl<B: Body> Clone for Forward<B> {
    fn clone(&self) -> Self {
        Self {
            pool: Arc::clone(&self.pool),
        }
    }
}

impl<B> std::fmt::Debug for Forward<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Forward")
            .field("authority", &self.pool.route().authority)
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
    type Future = ResponseFuture<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<B> {
        let (mut head, body) = request.into_parts();
        at_origin(&mut head.uri);
        let is_http_2 = head.version == Version::HTTP_2;
        // > Intermediaries that process HTTP messages (i.e., all intermediaries other than those
        // > acting as tunnels) MUST send their own HTTP-version in forwarded messages
        //
        // https://www.rfc-editor.org/rfc/rfc9110#section-6.2-6
        head.version = Version::HTTP_11;
        // Most have none of them: then nothing has to be looked up.
        let mut switches = false;
        if head.headers.keys().any(hop_by_hop::concerns) {
            // Received values (`identity, chunked`, two lines, an empty one) mean two messages to some
            // origins. Hyper has read the body by its own understanding of them, and this is the only
            // one that goes on.
            head.headers.remove(TRANSFER_ENCODING);
            hop_by_hop::name_options(&mut head.headers);
            switches = head.headers.contains_key(UPGRADE);
        }
        frame(&mut head.headers, &body);
        if !head.headers.contains_key(HOST) {
            head.headers.insert(HOST, self.pool.route().host.clone());
        }
        let (body, sending, offer) = Outgoing::new(body, &head.headers);
        let mut request = Request::from_parts(head, body);
        if let Some(offer) = offer.clone() {
            hyper::ext::on_informational(&mut request, move |answer| offer.hear(answer.status()));
        }
        let exchange = response::Exchange {
            switches,
            is_http_2,
            offer,
            sending,
        };
        ResponseFuture::new(request, exchange, self.clone())
    }
}
