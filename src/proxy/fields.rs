//! What a forwarded request says of its way here: hop-by-hop fields, `X-Forwarded-*`, the request id.
//!
//! # Promise
//!
//! [`prepare`] is the outermost step: guard, identity and judge look at the very request that the
//! origin will get. Were `Connection: Authorization` obeyed later, they would see another one.
//!
//! Of the three `X-Forwarded-*` fields and the request id the origin sees our line and no other;
//! what a stranger claims in them is gone. All other fields pass as they came, `Forwarded` too: we
//! neither write nor read it.
//!
//! Of the hop-by-hop fields two are said again, because the client means them for the origin:
//! `TE: trailers`, and an `Upgrade` that we would tunnel. `Forward` names them in `Connection`.
//!
//! What came over HTTP/2 is from here on as if it had come over HTTP/1.1.

pub(super) mod hop_by_hop;
mod target;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use ipnet::IpNet;
use uuid::Uuid;

use self::hop_by_hop::{Again, Framing};
use self::target::is_authority;
use crate::client::{self, Client, RequestId};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The longest request id that is kept.
const REQUEST_ID_LIMIT: usize = 128;

/// The connection that a request came on, and what of it we believe.
#[derive(Clone, Debug)]
pub struct Hop {
    peer: Option<IpAddr>,
    scheme: Scheme,
    trusted: Arc<[IpNet]>,
    request_id: HeaderName,
    /// The client, if its requests say nothing of others; and what the origin is told of it.
    client: Client,
    forwarded_for: Option<HeaderValue>,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// Why a request cannot be forwarded. The text is for the client, with a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// HTTP/1.1 without `Host`, or HTTP/2 without that and `:authority`.
    #[error("The request has no Host")]
    NoHost,
    /// More than one `Host`.
    #[error("The request has more than one Host")]
    ManyHosts,
    /// A `Host` that is no `HOST[:PORT]`.
    #[error("The Host of the request is not valid")]
    InvalidHost,
    /// A `Host` beside another `:authority`.
    #[error("The Host of the request differs from its :authority")]
    TwoHosts,
    /// `CONNECT`, or a target that is neither a path nor a URL.
    #[error("The request-target must be a path or an http URL")]
    Target,
    /// A `Transfer-Encoding` that is not `chunked`, or says it twice.
    #[error("The Transfer-Encoding of the request must be chunked, and nothing else")]
    TransferEncoding,
}

/// Which fields a head has of those that few have. It is gone through once, not once for each of them.
#[derive(Clone, Copy, Default)]
struct Present {
    hop_by_hop: bool,
    forwarded: bool,
}

/// Makes `request` what the guard looks at and the origin gets; see the module's promise.
///
/// The target becomes origin-form with its path and query untouched, hop-by-hop fields are removed,
/// the client resolved, and the forwarding fields set. Whoever passes the request on to a guard that
/// will look at it says before where it came from: [`note`].
///
/// # Errors
///
/// If the request is one that RFC 9112 or RFC 9113 wants answered with 400; `request` is then half done, and
/// good for nothing but that answer.
pub fn prepare<B>(request: &mut Request<B>, hop: &Hop) -> Result<Client, Malformed> {
    target::settle(request)?;
    let version = request.version();
    let headers = request.headers_mut();
    let present = Present::of(headers);
    // Before hop-by-hop fields go: else a client could name X-Forwarded-For in Connection, and pass
    // for the proxy in front of us.
    let (client, forwarded_for, proto, host) = if present.forwarded {
        let client = resolve(headers, hop);
        let forwarded_for = value_of(&client);
        (
            client,
            forwarded_for,
            proto(headers, hop),
            host(headers, hop),
        )
    } else {
        let (client, forwarded_for) = (hop.client.clone(), hop.forwarded_for.clone());
        (
            client,
            forwarded_for,
            hop.scheme.value(),
            headers.get(HOST).cloned(),
        )
    };
    if present.hop_by_hop {
        if hop_by_hop::framing(headers) == Framing::Odd {
            return Err(Malformed::TransferEncoding);
        }
        let again = Again::of(headers, version);
        hop_by_hop::remove(headers);
        again.put_into(headers);
    }
    // > A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that
    // > expectation.
    //
    // https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1-10
    if version == Version::HTTP_10 {
        headers.remove(EXPECT);
    }
    set(headers, X_FORWARDED_FOR, forwarded_for);
    set(headers, X_FORWARDED_PROTO, Some(proto));
    set(headers, X_FORWARDED_HOST, host);
    identify(headers, &hop.request_id);
    Ok(client)
}

/// Puts into the extensions of `request`, which [`prepare`] has been over, what a guard wants to know of
/// it: `client`, and the [`RequestId`].
pub fn note<B>(request: &mut Request<B>, client: Client, hop: &Hop) {
    let id = request.headers().get(&hop.request_id);
    let id = id.and_then(|id| id.to_str().ok()).map(RequestId::from);
    let extensions = request.extensions_mut();
    extensions.insert(client);
    id.map(|id| extensions.insert(id));
}

fn value_of(client: &Client) -> Option<HeaderValue> {
    client.forwarded_for()?.try_into().ok()
}

fn resolve(headers: &HeaderMap, hop: &Hop) -> Client {
    let lines = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .map(HeaderValue::as_bytes);
    client::resolve(hop.peer, lines, &hop.trusted)
}

/// The scheme by which the client came: what a trusted peer says, if it says one, else the
/// listener's. Without it Synapse takes any request with `X-Forwarded-For` for https.
fn proto(headers: &HeaderMap, hop: &Hop) -> HeaderValue {
    let said = said_by_trusted_peer(headers, &X_FORWARDED_PROTO, hop).map(HeaderValue::as_bytes);
    match said {
        Some(said) if said.eq_ignore_ascii_case(b"https") => Scheme::Https.value(),
        Some(said) if said.eq_ignore_ascii_case(b"http") => Scheme::Http.value(),
        Some(_) | None => hop.scheme.value(),
    }
}

/// The host that the client asked for: what a trusted peer says, if it says one, else `Host`.
fn host(headers: &HeaderMap, hop: &Hop) -> Option<HeaderValue> {
    said_by_trusted_peer(headers, &X_FORWARDED_HOST, hop)
        .filter(|said| !said.is_empty() && is_authority(said.as_bytes()))
        .or_else(|| headers.get(HOST))
        .cloned()
}

/// The one line of `name`, if there is one only and the peer is trusted.
fn said_by_trusted_peer<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    hop: &Hop,
) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let said = lines.next()?;
    (lines.next().is_none() && client::is_trusted(hop.peer, &hop.trusted)).then_some(said)
}

/// Replaces all lines of `name`.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

/// Leaves the client's request id, if it can be searched for in a log and harms none; else sets a fresh
/// one.
fn identify(headers: &mut HeaderMap, name: &HeaderName) {
    let mut lines = headers.get_all(name).iter();
    if let (Some(id), None) = (lines.next(), lines.next())
        && is_request_id(id.as_bytes())
    {
        return;
    }
    let mut buffer = Uuid::encode_buffer();
    let id = &*Uuid::now_v7().as_hyphenated().encode_lower(&mut buffer);
    let value = HeaderValue::from_str(id).expect("a UUID is hexadecimal digits and hyphens");
    headers.insert(name, value);
}

/// `[A-Za-z0-9._~:=-]{1,128}`.
fn is_request_id(id: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~:=-".contains(byte);
    (1..=REQUEST_ID_LIMIT).contains(&id.len()) && id.iter().all(is_allowed)
}

// === impl Hop ===

impl Hop {
    /// A connection of `peer`, `None` on a unix socket, to a listener that speaks `scheme`.
    ///
    /// `trusted` are those whose `X-Forwarded-*` fields are believed; a unix socket's always are.
    /// `request_id` is the field that carries the request id.
    #[must_use]
    pub fn new(
        peer: Option<IpAddr>,
        scheme: Scheme,
        trusted: Arc<[IpNet]>,
        request_id: HeaderName,
    ) -> Self {
        let client = client::resolve(peer, std::iter::empty(), &trusted);
        Self {
            peer,
            scheme,
            trusted,
            request_id,
            forwarded_for: value_of(&client),
            client,
        }
    }
}

// === impl Present ===

impl Present {
    fn of(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            present.hop_by_hop |= hop_by_hop::concerns(name);
            present.forwarded |= name.as_str().starts_with("x-forwarded-");
        }
        present
    }
}

// === impl Scheme ===

impl Scheme {
    const fn value(self) -> HeaderValue {
        match self {
            Self::Http => HeaderValue::from_static("http"),
            Self::Https => HeaderValue::from_static("https"),
        }
    }
}

#[cfg(test)]
mod tests;
