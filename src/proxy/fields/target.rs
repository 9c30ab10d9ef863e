//! Which resource of which host a request is for, said in one way only: a path, and `Host`.

use http::header::{COOKIE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};

use super::Malformed;

/// Makes the target of `request` a path, and its host one line of `Host`.
pub(super) fn settle<B>(request: &mut Request<B>) -> Result<(), Malformed> {
    if request.method() == Method::CONNECT {
        return Err(Malformed::Target);
    }
    if request.version() == Version::HTTP_2 {
        settle_http_2(request)
    } else {
        check_host(request.headers(), request.version() == Version::HTTP_11)?;
        make_origin_form(request)
    }
}

/// > A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
/// > lacks a Host header field and to any request message that contains more than one Host header
/// > field line or a Host header field with an invalid field value.
///
/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2-6>
fn check_host(headers: &HeaderMap, is_needed: bool) -> Result<(), Malformed> {
    let mut lines = headers.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (None, _) if is_needed => Err(Malformed::NoHost),
        (None, _) => Ok(()),
        (Some(_), Some(_)) => Err(Malformed::ManyHosts),
        (Some(host), None) if is_authority(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Malformed::InvalidHost),
    }
}

/// Whether `host` has only characters of `uri-host [ ":" port ]`. It may be empty.
pub(super) fn is_authority(host: &[u8]) -> bool {
    host.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%[]".contains(byte))
}

/// Turns absolute-form into origin-form.
fn make_origin_form<B>(request: &mut Request<B>) -> Result<(), Malformed> {
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

/// Says in the words of HTTP/1.1 what HTTP/2 says in its own.
fn settle_http_2<B>(request: &mut Request<B>) -> Result<(), Malformed> {
    // > This pseudo-header field MUST NOT be empty for "http" or "https" URIs; "http" or "https" URIs
    // > that do not contain a path component MUST include a value of '/'.
    //
    // https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1-2.4.1
    //
    // What has no "/" would be given one on its way out, behind the back of the guard.
    let path = request.uri().path_and_query().map(PathAndQuery::as_str);
    match path {
        Some(path) if path.starts_with('/') => {}
        Some("*") if request.method() == Method::OPTIONS => {}
        Some(_) | None => return Err(Malformed::Target),
    }
    let authority = request.uri().authority();
    check_host(request.headers(), authority.is_none())?;
    if let Some(authority) = authority {
        let authority = authority.as_str();
        if !is_authority(authority.as_bytes()) {
            return Err(Malformed::InvalidHost);
        }
        // > A server SHOULD treat a request as malformed if it contains a Host header field that
        // > identifies an entity that differs from the entity in the ":authority"
        // > pseudo-header field.
        //
        // https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1-2.3.2
        let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
        if host.is_some_and(|host| !host.eq_ignore_ascii_case(authority.as_bytes())) {
            return Err(Malformed::TwoHosts);
        }
        let host = HeaderValue::from_str(authority).map_err(|_| Malformed::InvalidHost)?;
        let target = origin_form(request.uri(), request.method()).ok_or(Malformed::Target)?;
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = target;
    }
    join_cookies(request.headers_mut());
    Ok(())
}

/// > If there are multiple Cookie header fields after decompression, these MUST be concatenated into
/// > a single octet string using the two-octet delimiter of 0x3b, 0x20 (the ASCII string "; ")
/// > before being passed into a non-HTTP/2 context
///
/// <https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3-3>
fn join_cookies(headers: &mut HeaderMap) {
    let lines = headers.get_all(COOKIE).iter();
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    if lines.len() > 1 {
        let one = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
            .expect("values with a semicolon between them are a value");
        headers.insert(COOKIE, one);
    }
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
