//! What is believed of where a request came from: its address, its scheme, and the page that sent it.

use std::net::IpAddr;

use axum::extract::ConnectInfo;
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::client;

/// The other end of an administrator's connection; `None` on a unix socket. The listener says it
/// (`into_make_service_with_connect_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub Option<IpAddr>);

/// Where a request came from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sender {
    /// The address behind all trusted proxies, if it is known.
    pub(super) address: Option<IpAddr>,
    /// Whether a trusted proxy says that it came by TLS; this listener itself has none.
    pub(super) is_secure: bool,
    /// Whether a page of another site sent it.
    pub(super) is_foreign: bool,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

// === impl Sender ===

impl Sender {
    /// Who sent the request with the head `parts`, to a gateway that believes `trusted`.
    pub(super) fn of(parts: &Parts, trusted: &[IpNet]) -> Self {
        let headers = &parts.headers;
        let Some(ConnectInfo(Peer(peer))) = parts.extensions.get::<ConnectInfo<Peer>>() else {
            // A listener that does not say who is there makes nobody trustworthy.
            return Self {
                address: None,
                is_secure: false,
                is_foreign: is_foreign(headers, None),
            };
        };
        let lines = headers.get_all(X_FORWARDED_FOR).iter();
        let lines = lines.map(http::HeaderValue::as_bytes).collect::<Vec<_>>();
        let address = client::resolve(*peer, lines.into_iter(), trusted).address;
        let is_believed = client::is_trusted(*peer, trusted);
        let said = |name| only(headers, name).filter(|_| is_believed);
        Self {
            address,
            is_secure: said(&X_FORWARDED_PROTO).is_some_and(|it| it.eq_ignore_ascii_case("https")),
            is_foreign: is_foreign(headers, said(&X_FORWARDED_HOST)),
        }
    }
}

/// Whether a browser says that a page of another site sent this. Who says nothing is no browser of these
/// years, or was never on another site; then the cookie's `SameSite` and the field `csrf` must do.
///
/// > The `Sec-Fetch-Site` HTTP request header exposes the relationship between a request initiator's origin
/// > and its target's origin.
///
/// <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>
///
/// No script can write it, and no proxy spoils it, as some do `Host`. Browsers leave it out without TLS; then
/// they say `Origin`.
fn is_foreign(headers: &HeaderMap, forwarded_host: Option<&str>) -> bool {
    if headers.contains_key(SEC_FETCH_SITE) {
        return !matches!(only(headers, &SEC_FETCH_SITE), Some("same-origin" | "none"));
    }
    if !headers.contains_key(ORIGIN) {
        return false;
    }
    let origin = only(headers, &ORIGIN).and_then(|origin| origin.split_once("://"));
    // `null` is the origin of what hides it.
    let Some((scheme, authority)) = origin else {
        return true;
    };
    let own = [only(headers, &HOST), forwarded_host];
    let is_same = |own: &str| {
        let own = without_default_port(own, scheme);
        own.eq_ignore_ascii_case(without_default_port(authority, scheme))
    };
    !own.into_iter().flatten().any(is_same)
}

/// Browsers leave the port out that the scheme stands for; a proxy may write it.
fn without_default_port<'a>(authority: &'a str, scheme: &str) -> &'a str {
    let port = match scheme {
        "https" => ":443",
        _ => ":80",
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// The value of a field that has one line.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    lines.next().is_none().then(|| line.to_str().ok())?
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const PROXY: Peer = Peer(Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)));

    fn sender(peer: Option<Peer>, fields: &[(&str, &str)]) -> Sender {
        let mut request = Request::get("/audit/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        if let Some(peer) = peer {
            request = request.extension(ConnectInfo(peer));
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Sender::of(&parts, &["127.0.0.0/8".parse().unwrap()])
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let fields = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
        ];
        let stranger = Peer(Some("203.0.113.1".parse().unwrap()));
        for (peer, address, is_secure) in [
            (Some(PROXY), Some("192.0.2.7"), true),
            (Some(Peer(None)), Some("192.0.2.7"), true),
            (Some(stranger), Some("203.0.113.1"), false),
            (None, None, false),
        ] {
            let sender = sender(peer, &fields);
            let address = address.map(|text| text.parse().unwrap());
            assert_eq!((sender.address, sender.is_secure), (address, is_secure));
        }
        let twice = [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-proto", "http"),
        ];
        assert!(!sender(Some(PROXY), &twice).is_secure);
        assert!(!sender(Some(PROXY), &[]).is_secure);
    }

    #[test]
    fn a_page_of_another_site_is_known_by_what_the_browser_says() {
        let host = ("host", "audit.example.org");
        for (fields, is_foreign) in [
            (&[][..], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("origin", "https://audit.example.org")], false),
            (&[("origin", "https://audit.example.org:443")], false),
            (&[("origin", "https://AUDIT.example.org")], false),
            (&[("origin", "http://audit.example.org:443")], true),
            (&[("origin", "https://audit.example.org:8443")], true),
            (&[("origin", "https://evil.example.org")], true),
            (&[("origin", "null")], true),
            (
                &[
                    ("origin", "https://proxied.example.org"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
        ] {
            let fields = [&[host], fields].concat();
            let sender = sender(Some(PROXY), &fields);
            assert_eq!(sender.is_foreign, is_foreign, "{fields:?}");
        }
        let proxied = [
            host,
            ("origin", "https://desk.example.org"),
            ("x-forwarded-host", "desk.example.org"),
        ];
        assert!(!sender(Some(PROXY), &proxied).is_foreign);
        assert!(sender(None, &proxied).is_foreign);
    }
}
