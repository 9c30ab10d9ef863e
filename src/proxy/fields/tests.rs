mod hop_by_hop;
mod http_2;

use http::header::HeaderMap;
use http::{HeaderName, Request, Version};

use super::{Hop, Malformed, Scheme, note, prepare};
use crate::client::{Client, RequestId};

const STRANGER: &str = "198.51.100.7";

fn hop(peer: Option<&str>) -> Hop {
    Hop::new(
        peer.map(|peer| peer.parse().unwrap()),
        Scheme::Http,
        ["127.0.0.0/8".parse().unwrap()].into(),
        HeaderName::from_static("x-request-id"),
    )
}

fn request(target: &str, fields: &[(&str, &[u8])]) -> Request<()> {
    let mut request = Request::builder().uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// A request with a Host and these fields, after it came from `peer`.
fn prepared(peer: Option<&str>, fields: &[(&str, &[u8])]) -> Request<()> {
    let fields = [&[("host", &b"example.org"[..])], fields].concat();
    let mut request = request("/", &fields);
    let client = prepare(&mut request, &hop(peer)).unwrap();
    note(&mut request, client, &hop(peer));
    request
}

fn malformed(target: &str, fields: &[(&str, &[u8])]) -> Option<Malformed> {
    prepare(&mut request(target, fields), &hop(None)).err()
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect()
}

#[test]
fn a_request_has_one_host() {
    assert_eq!(malformed("/", &[]), Some(Malformed::NoHost));
    assert_eq!(
        malformed("http://example.org/", &[]),
        Some(Malformed::NoHost)
    );
    assert_eq!(
        malformed("/", &[("host", b"a"), ("host", b"a")]),
        Some(Malformed::ManyHosts)
    );
    for bad in [&b"a b"[..], b"a/b", b"a@b", b"a?b", b"a\"b", b"\xe4"] {
        assert_eq!(
            malformed("/", &[("host", bad)]),
            Some(Malformed::InvalidHost),
            "{bad:?}"
        );
    }
    for good in [&b"example.org"[..], b"example.org:8448", b"[::1]:80", b""] {
        assert_eq!(malformed("/", &[("host", good)]), None, "{good:?}");
    }
}

#[test]
fn a_body_in_any_other_coding_than_chunks_is_refused() {
    let coded = |lines: &[&'static [u8]]| {
        let lines = lines.iter().map(|line| ("transfer-encoding", *line));
        let fields: Vec<_> = [("host", &b"a"[..])].into_iter().chain(lines).collect();
        malformed("/", &fields)
    };
    assert_eq!(coded(&[]), None);
    assert_eq!(coded(&[b"chunked"]), None);
    assert_eq!(coded(&[b"Chunked"]), None);
    for odd in [
        &b"gzip, chunked"[..],
        b"identity, chunked",
        b",chunked",
        b"",
        b"chunked;a",
    ] {
        assert_eq!(coded(&[odd]), Some(Malformed::TransferEncoding));
    }
    let twice = coded(&[b"chunked", b"chunked"]);
    assert_eq!(twice, Some(Malformed::TransferEncoding));
}

#[test]
fn http_1_0_needs_no_host() {
    let mut request = request("/", &[]);
    *request.version_mut() = Version::HTTP_10;
    assert!(prepare(&mut request, &hop(Some(STRANGER))).is_ok());
    assert!(!request.headers().contains_key("x-forwarded-host"));
}

#[test]
fn absolute_form_becomes_origin_form_with_the_host_of_the_target() {
    for (target, origin_form) in [
        (
            "http://example.org/a%2Fb//c/../d?x=%20&&?",
            "/a%2Fb//c/../d?x=%20&&?",
        ),
        ("HTTP://user:secret@example.org/", "/"),
        ("http://example.org", "/"),
        ("http://example.org?x", "/?x"),
    ] {
        let mut request = request(target, &[("host", b"elsewhere.example")]);
        prepare(&mut request, &hop(None)).unwrap();
        assert_eq!(request.uri().to_string(), origin_form);
        assert_eq!(lines(request.headers(), "host"), [b"example.org"]);
        assert_eq!(
            lines(request.headers(), "x-forwarded-host"),
            [b"example.org"]
        );
    }
}

#[test]
fn authority_form_is_no_target() {
    assert_eq!(
        malformed("example.org:443", &[("host", b"a")]),
        Some(Malformed::Target)
    );
    let mut connect = request("example.org:443", &[("host", b"a")]);
    *connect.method_mut() = http::Method::CONNECT;
    assert_eq!(prepare(&mut connect, &hop(None)), Err(Malformed::Target));
}

#[test]
fn a_stranger_cannot_say_where_it_comes_from() {
    let request = prepared(
        Some(STRANGER),
        &[
            ("x-forwarded-for", b"127.0.0.1"),
            ("x-forwarded-for", b"10.0.0.1"),
            ("x-forwarded-proto", b"https"),
            ("x-forwarded-host", b"evil.example"),
            ("forwarded", b"for=127.0.0.1"),
        ],
    );
    let headers = request.headers();
    assert_eq!(lines(headers, "x-forwarded-for"), [STRANGER.as_bytes()]);
    assert_eq!(lines(headers, "x-forwarded-proto"), [b"http"]);
    assert_eq!(lines(headers, "x-forwarded-host"), [b"example.org"]);
    assert_eq!(lines(headers, "forwarded"), [b"for=127.0.0.1"]);
    assert_eq!(
        request.extensions().get::<Client>().unwrap().address,
        STRANGER.parse().ok()
    );
}

#[test]
fn a_trusted_peer_is_believed() {
    let request = prepared(
        Some("127.0.0.1"),
        &[
            ("x-forwarded-for", b"192.0.2.66, 203.0.113.9:4711"),
            ("x-forwarded-proto", b"HTTPS"),
            ("x-forwarded-host", b"matrix.example.org:8448"),
        ],
    );
    let headers = request.headers();
    assert_eq!(
        lines(headers, "x-forwarded-for"),
        [b"203.0.113.9, 127.0.0.1"]
    );
    assert_eq!(lines(headers, "x-forwarded-proto"), [b"https"]);
    assert_eq!(
        lines(headers, "x-forwarded-host"),
        [b"matrix.example.org:8448"]
    );
}

#[test]
fn what_a_trusted_peer_says_must_make_sense() {
    for (proto, host) in [
        (&b"gopher"[..], &b"a b"[..]),
        (b"", b""),
        (b"https, http", b"a/b"),
    ] {
        let fields = [("x-forwarded-proto", proto), ("x-forwarded-host", host)];
        let request = prepared(None, &fields);
        assert_eq!(lines(request.headers(), "x-forwarded-proto"), [b"http"]);
        assert_eq!(
            lines(request.headers(), "x-forwarded-host"),
            [b"example.org"]
        );
        assert!(!request.headers().contains_key("x-forwarded-for"));
    }
    let twice: &[(&str, &[u8])] = &[
        ("x-forwarded-proto", b"https"),
        ("x-forwarded-proto", b"http"),
    ];
    assert_eq!(
        lines(prepared(None, twice).headers(), "x-forwarded-proto"),
        [b"http"]
    );
}

#[test]
fn connection_cannot_make_a_client_pass_for_its_proxy() {
    let request = prepared(
        Some("127.0.0.1"),
        &[
            ("connection", b"x-forwarded-for"),
            ("x-forwarded-for", b"203.0.113.9"),
        ],
    );
    assert_eq!(
        request.extensions().get::<Client>().unwrap().address,
        "203.0.113.9".parse().ok()
    );
    assert_eq!(
        lines(request.headers(), "x-forwarded-for"),
        [b"203.0.113.9, 127.0.0.1"]
    );
}

#[test]
fn a_good_request_id_is_kept_and_any_other_replaced() {
    let longest = [b'a'; 128];
    for kept in [&b"a"[..], b"1f.2_~:=-Z", &longest] {
        let request = prepared(None, &[("x-request-id", kept)]);
        assert_eq!(lines(request.headers(), "x-request-id"), [kept]);
        assert_eq!(
            request
                .extensions()
                .get::<RequestId>()
                .unwrap()
                .0
                .as_bytes(),
            kept
        );
    }
    let too_long = [b'a'; 129];
    for bad in [&b""[..], b"a b", b"a,b", b"<a>", b"\xe4", &too_long] {
        let request = prepared(None, &[("x-request-id", bad)]);
        assert_fresh_id(&request);
    }
    assert_fresh_id(&prepared(None, &[]));
    assert_fresh_id(&prepared(
        None,
        &[("x-request-id", b"a"), ("x-request-id", b"a")],
    ));
}

#[track_caller]
fn assert_fresh_id(request: &Request<()>) {
    let id = request.extensions().get::<RequestId>().unwrap();
    assert!(id.0.parse::<uuid::Uuid>().is_ok(), "{id:?}");
    assert_eq!(lines(request.headers(), "x-request-id"), [id.0.as_bytes()]);
}
