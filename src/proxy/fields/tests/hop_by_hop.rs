use http::header::HeaderMap;
use http::{HeaderName, Version};

use super::super::hop_by_hop::{keep_upgrade_only, name_options, remove};
use super::{hop, lines, prepare, prepared, request};

#[test]
fn fields_named_by_any_connection_line_are_removed() {
    let request = prepared(
        None,
        &[
            ("connection", b"close, X-One"),
            ("connection", b"\xff, x-two ,,X-THREE"),
            ("authorization", b"kept"),
            ("x-one", b"1"),
            ("x-two", b"2"),
            ("x-two", b"2"),
            ("x-three", b"3"),
            ("x-four", b"4"),
        ],
    );
    for gone in ["connection", "x-one", "x-two", "x-three"] {
        assert!(!request.headers().contains_key(gone), "{gone}");
    }
    assert_eq!(lines(request.headers(), "x-four"), [b"4"]);
    assert_eq!(lines(request.headers(), "authorization"), [b"kept"]);
    let request = prepared(
        None,
        &[("connection", b"Authorization"), ("authorization", b"gone")],
    );
    assert!(!request.headers().contains_key("authorization"));
}

#[test]
fn hop_by_hop_fields_are_removed_without_being_named() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        let request = prepared(None, &[(name, b"x"), (name, b"y")]);
        assert!(!request.headers().contains_key(name), "{name}");
    }
    let request = prepared(None, &[("transfer-encoding", b"chunked")]);
    assert!(!request.headers().contains_key("transfer-encoding"));
    let request = prepared(
        None,
        &[("trailer", b"x-checksum"), ("expect", b"100-continue")],
    );
    assert_eq!(lines(request.headers(), "trailer"), [b"x-checksum"]);
    assert_eq!(lines(request.headers(), "expect"), [b"100-continue"]);
}

#[test]
fn connection_cannot_take_host_or_length_away() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "host, content-length"),
        ("host", "a"),
        ("content-length", "5"),
    ] {
        headers.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    remove(&mut headers);
    assert_eq!(headers.len(), 2);
}

/// What became of `lines` of `Upgrade`, which `Connection` names, in HTTP/1.1.
fn upgrades(lines_of_upgrade: &[&str]) -> Vec<String> {
    let mut fields = vec![("connection", &b"keep-alive, Upgrade"[..])];
    fields.extend(
        lines_of_upgrade
            .iter()
            .map(|line| ("upgrade", line.as_bytes())),
    );
    let request = prepared(None, &fields);
    let left = lines(request.headers(), "upgrade");
    left.into_iter()
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect()
}

#[test]
fn an_upgrade_that_connection_names_is_kept_as_it_came() {
    for kept in [
        &["websocket"][..],
        &["WebSocket , IRC/6.9,RTA/x11"],
        &["a", "b/2,c"],
    ] {
        assert_eq!(upgrades(kept), kept);
    }
}

#[test]
fn an_upgrade_to_http_is_dropped_and_what_stands_beside_it_stays() {
    let none: &[&str] = &[];
    for (came, left) in [
        (&["h2c"][..], none),
        (&["H2C"], none),
        (&["h2"], none),
        (&["h2c-14"], none),
        (&["HTTP/2.0"], none),
        (&["http / 3"], none),
        (&["TLS/1.0, HTTP/1.1"], none),
        (&["x h2c"], none),
        (&["h2c", "websocket"], &["websocket"]),
        (&["websocket,\th2c ,x/1"], &["websocket, x/1"]),
        (&["h2c,", ","], &[","]),
    ] {
        assert_eq!(upgrades(came), left, "{came:?}");
    }
}

#[test]
fn an_upgrade_needs_http_1_1_and_connection() {
    let unnamed = prepared(None, &[("upgrade", b"websocket")]);
    assert!(!unnamed.headers().contains_key("upgrade"));
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let fields = [
            ("host", &b"a"[..]),
            ("connection", b"upgrade"),
            ("upgrade", b"websocket"),
        ];
        let mut request = request("/", &fields);
        *request.version_mut() = version;
        prepare(&mut request, &hop(None)).unwrap();
        assert!(!request.headers().contains_key("upgrade"), "{version:?}");
    }
}

#[test]
fn settings_of_http_2_are_dropped() {
    let request = prepared(None, &[("http2-settings", b"AAMAAABkAAQAAP__")]);
    assert!(!request.headers().contains_key("http2-settings"));
}

#[test]
fn te_trailers_is_said_again_and_no_other_coding() {
    for (te, again) in [
        (&b"trailers"[..], true),
        (b"Trailers", true),
        (b"gzip;q=0.5 ,\ttrailers", true),
        (b"\xff,trailers", true),
        (b"gzip", false),
        (b"trailers;q=0.5", false),
        (b"", false),
    ] {
        for connection in [&b"TE"[..], b"close"] {
            let request = prepared(None, &[("te", te), ("connection", connection)]);
            let left = lines(request.headers(), "te");
            assert_eq!(left, [b"trailers"; 1][..usize::from(again)], "{te:?}");
        }
    }
    let lines_of_te: &[(&str, &[u8])] = &[("te", b"gzip"), ("te", b"trailers")];
    let request = prepared(None, lines_of_te);
    assert_eq!(lines(request.headers(), "te"), [b"trailers"]);
}

#[test]
fn what_is_said_again_is_named_in_connection() {
    for (fields, connection) in [
        (&[][..], None),
        (&["te"][..], Some("TE")),
        (&["upgrade"], Some("Upgrade")),
        (&["te", "upgrade"], Some("TE, Upgrade")),
    ] {
        let mut headers = HeaderMap::new();
        for name in fields {
            headers.insert(HeaderName::from_static(name), "x".parse().unwrap());
        }
        name_options(&mut headers);
        let said = headers
            .get("connection")
            .map(|value| value.to_str().unwrap());
        assert_eq!(said, connection);
    }
}

#[test]
fn a_101_keeps_its_upgrade_and_nothing_else_of_its_connection() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "upgrade, x-hop, keep-alive"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "websocket"),
        ("x-hop", "1"),
        ("sec-websocket-accept", "x"),
    ] {
        headers.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    keep_upgrade_only(&mut headers);
    assert_eq!(lines(&headers, "connection"), [b"Upgrade"]);
    assert_eq!(lines(&headers, "upgrade"), [b"websocket"]);
    assert_eq!(lines(&headers, "sec-websocket-accept"), [b"x"]);
    assert_eq!(headers.len(), 3);
}

#[test]
fn an_expectation_of_http_1_0_is_ignored() {
    for (version, kept) in [(Version::HTTP_10, false), (Version::HTTP_11, true)] {
        let mut request = request("/", &[("host", b"a"), ("expect", b"100-continue")]);
        *request.version_mut() = version;
        prepare(&mut request, &hop(None)).unwrap();
        assert_eq!(request.headers().contains_key("expect"), kept);
    }
}
