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

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use ipnet::IpNet;
use uuid::Uuid;

use crate::client::{self, Client, RequestId};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Hop-by-hop whether or not `Connection` names them: [RFC 9110
/// §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1-7). `Trailer` is not among them.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What `Connection` may name without effect. They say where the request goes and how long it is;
/// without them it would be another request, or two.
const NEVER_AN_OPTION: [HeaderName; 2] = [HOST, CONTENT_LENGTH];

/// The longest request id that is kept.
const REQUEST_ID_LIMIT: usize = 128;

/// The connection that a request came on, and what of it we believe.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The other end; `None` on a unix socket.
    pub peer: Option<IpAddr>,
    /// What the listener speaks.
    pub scheme: Scheme,
    /// Whose `X-Forwarded-*` fields are believed. A unix socket's always are.
    pub trusted: Arc<[IpNet]>,
    /// The field that carries the request id.
    pub request_id: HeaderName,
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
    /// HTTP/1.1 without `Host`.
    #[error("The request has no Host")]
    NoHost,
    /// More than one `Host`.
    #[error("The request has more than one Host")]
    ManyHosts,
    /// A `Host` that is no `HOST[:PORT]`.
    #[error("The Host of the request is not valid")]
    InvalidHost,
    /// `CONNECT`, or a target that is neither a path nor a URL.
    #[error("The request-target must be a path or an http URL")]
    Target,
}

/// Makes `request` what the guard looks at and the origin gets; see the module's promise.
///
/// The target becomes origin-form with its path and query untouched, hop-by-hop fields are removed,
/// the client resolved, and the forwarding fields set. [`Client`] and [`RequestId`] are put into the
/// request's extensions.
///
/// # Errors
///
/// If the request is one that RFC 9112 wants answered with 400; `request` is then half done, and
/// good for nothing but that answer.
pub fn prepare<B>(request: &mut Request<B>, hop: &Hop) -> Result<(), Malformed> {
    check_host(request.headers(), request.version())?;
    make_origin_form(request)?;
    let headers = request.headers_mut();
    // Before hop-by-hop fields go: else a client could name X-Forwarded-For in Connection, and pass
    // for the proxy in front of us.
    let client = resolve(headers, hop);
    let proto = proto(headers, hop);
    let host = host(headers, hop);
    remove_hop_by_hop(headers);
    set(
        headers,
        X_FORWARDED_FOR,
        client
            .forwarded_for()
            .and_then(|value| value.try_into().ok()),
    );
    set(headers, X_FORWARDED_PROTO, Some(proto));
    set(headers, X_FORWARDED_HOST, host);
    let request_id = request_id(headers, &hop.request_id);
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(request_id);
    Ok(())
}

/// Removes the fields that concern one connection only.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // > Intermediaries MUST parse a received Connection header field before a message is forwarded
    // > and, for each connection-option in this field, remove any header or trailer field(s) from
    // > the message with the same name as the connection-option
    //
    // https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1-5
    //
    // The field may come on several lines: all are read before any is removed. Bytes, not text: one
    // odd byte in a line must not hide the options beside it.
    let options: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .filter(|option| !NEVER_AN_OPTION.contains(option))
        .collect();
    for name in options.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// > A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
/// > lacks a Host header field and to any request message that contains more than one Host header
/// > field line or a Host header field with an invalid field value.
///
/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2-6>
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Malformed> {
    let mut lines = headers.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (None, _) if version == Version::HTTP_11 => Err(Malformed::NoHost),
        (None, _) => Ok(()),
        (Some(_), Some(_)) => Err(Malformed::ManyHosts),
        (Some(host), None) if is_authority(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Malformed::InvalidHost),
    }
}

/// Whether `host` has only characters of `uri-host [ ":" port ]`. It may be empty.
fn is_authority(host: &[u8]) -> bool {
    host.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%[]".contains(byte))
}

/// Turns absolute-form into origin-form.
fn make_origin_form<B>(request: &mut Request<B>) -> Result<(), Malformed> {
    if request.method() == Method::CONNECT {
        return Err(Malformed::Target);
    }
    let uri = request.uri();
    let Some(authority) = uri.authority() else {
        return Ok(());
    };
    if uri.scheme().is_none() {
        return Err(Malformed::Target);
    }
    // > When a proxy receives a request with an absolute-form of request-target, the proxy MUST
    // > ignore the received Host header field (if any) and instead replace it with the host
    // > information of the request-target.
    //
    // https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2-8
    let host = authority.as_str();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = HeaderValue::from_str(host).map_err(|_| Malformed::Target)?;
    let target = origin_form(uri, request.method()).ok_or(Malformed::Target)?;
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = target;
    Ok(())
}

/// Path and query of `uri`, byte for byte, with the `/` that an empty path stands for, or the `*`:
/// [RFC 9112 §3.2.4](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.4).
fn origin_form(uri: &Uri, method: &Method) -> Option<Uri> {
    let target = match uri.path_and_query() {
        Some(target) if target.as_str().starts_with('/') => target.clone(),
        Some(target) if target.as_str().starts_with('?') => {
            PathAndQuery::try_from(format!("/{}", target.as_str())).ok()?
        }
        _ if method == Method::OPTIONS => PathAndQuery::from_static("*"),
        _ => PathAndQuery::from_static("/"),
    };
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).ok()
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
    (lines.next().is_none() && hop.peer_is_trusted()).then_some(said)
}

/// Replaces all lines of `name`.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

/// The client's request id, if it can be searched for in a log and harms none; else a fresh one.
fn request_id(headers: &mut HeaderMap, name: &HeaderName) -> RequestId {
    let mut lines = headers.get_all(name).iter();
    let kept = match (lines.next(), lines.next()) {
        (Some(id), None) => id.to_str().ok().filter(|id| is_request_id(id)),
        _ => None,
    };
    if let Some(id) = kept {
        return RequestId(id.into());
    }
    let mut buffer = Uuid::encode_buffer();
    let id = &*Uuid::now_v7().as_hyphenated().encode_lower(&mut buffer);
    let value = HeaderValue::from_str(id).expect("a UUID is hexadecimal digits and hyphens");
    headers.insert(name, value);
    RequestId(id.into())
}

/// `[A-Za-z0-9._~:=-]{1,128}`.
fn is_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_LIMIT).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~:=-".contains(&byte))
}

// === impl Hop ===

impl Hop {
    fn peer_is_trusted(&self) -> bool {
        self.peer.is_none_or(|peer| {
            let peer = peer.to_canonical();
            self.trusted.iter().any(|network| network.contains(&peer))
        })
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
