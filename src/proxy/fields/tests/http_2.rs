use http::{Request, Version};

use super::{Malformed, hop, lines, prepare, prepared, request};

/// A request as hyper hands it over when it came over HTTP/2.
fn over_http_2(target: &str, fields: &[(&str, &[u8])]) -> Result<Request<()>, Malformed> {
    let mut request = request(target, fields);
    *request.version_mut() = Version::HTTP_2;
    prepare(&mut request, &hop(None)).map(|_| request)
}

#[test]
fn the_authority_of_http_2_becomes_the_host() {
    for fields in [&[][..], &[("host", &b"EXAMPLE.org:8448"[..])]] {
        let target = "https://example.org:8448/a%2Fb//c?x=%20&&?";
        let request = over_http_2(target, fields).unwrap();
        assert_eq!(request.uri().to_string(), "/a%2Fb//c?x=%20&&?");
        assert_eq!(lines(request.headers(), "host"), [b"example.org:8448"]);
        assert_eq!(
            lines(request.headers(), "x-forwarded-host"),
            [b"example.org:8448"]
        );
    }
    let request = over_http_2("/a", &[("host", b"example.org")]).unwrap();
    assert_eq!(lines(request.headers(), "host"), [b"example.org"]);
}

#[test]
fn a_request_of_http_2_has_one_host() {
    for (target, fields, why) in [
        ("/", &[][..], Malformed::NoHost),
        (
            "https://a/",
            &[("host", &b"b"[..])][..],
            Malformed::TwoHosts,
        ),
        ("https://a/", &[("host", b"a:443")], Malformed::TwoHosts),
        (
            "https://a/",
            &[("host", b"a"), ("host", b"a")],
            Malformed::ManyHosts,
        ),
        ("/", &[("host", b"a/b")], Malformed::InvalidHost),
        ("https://user@a/", &[], Malformed::InvalidHost),
        ("https://a/", &[("host", b"a b")], Malformed::InvalidHost),
        ("https://a?x", &[], Malformed::Target),
        ("*", &[("host", b"a")], Malformed::Target),
    ] {
        assert_eq!(
            over_http_2(target, fields).unwrap_err(),
            why,
            "{target} {fields:?}"
        );
    }
    let mut connect = request("a:443", &[]);
    *connect.method_mut() = http::Method::CONNECT;
    *connect.version_mut() = Version::HTTP_2;
    assert_eq!(prepare(&mut connect, &hop(None)), Err(Malformed::Target));
}

#[test]
fn cookie_lines_of_http_2_become_one_and_others_stay() {
    let fields: &[(&str, &[u8])] = &[
        ("cookie", b"a=b"),
        ("cookie", b"c=\xe4"),
        ("cookie", b"d=e; f=g"),
        ("x", b"1"),
        ("x", b"2"),
    ];
    let joined = over_http_2("https://a/", fields).unwrap();
    assert_eq!(
        lines(joined.headers(), "cookie"),
        [&b"a=b; c=\xe4; d=e; f=g"[..]]
    );
    assert_eq!(lines(joined.headers(), "x"), [b"1", b"2"]);
    let one = over_http_2("https://a/", &fields[..1]).unwrap();
    assert_eq!(lines(one.headers(), "cookie"), [b"a=b"]);
    let http_1 = prepared(None, fields);
    assert_eq!(lines(http_1.headers(), "cookie").len(), 3);
}

#[test]
fn te_trailers_of_http_2_is_said_again() {
    let request = over_http_2("https://a/", &[("te", b"trailers")]).unwrap();
    assert_eq!(lines(request.headers(), "te"), [b"trailers"]);
}
