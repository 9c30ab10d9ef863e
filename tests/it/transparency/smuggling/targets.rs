//! Request lines: targets, versions, methods, and the Host beside them.

use super::Must::{BeRefused, Mean};
use super::{Case, hold};
use crate::origin::{Answer, Origin};
use crate::transparency::Gateway;
use crate::transparency::requests::arrived;

/// Request lines with their Hosts.
const LINES: &[Case] = &[
    ("plain", "GET /a HTTP/1.1\r\nHost: a", Mean("")),
    ("TRACE", "TRACE /a HTTP/1.1\r\nHost: a", Mean("")),
    ("the asterisk", "OPTIONS * HTTP/1.1\r\nHost: a", Mean("")),
    (
        "CONNECT",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443",
        BeRefused,
    ),
    (
        "CONNECT to a path",
        "CONNECT /a HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    (
        "CONNECT to a URL",
        "CONNECT http://a/ HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    (
        "an authority without CONNECT",
        "GET a:443 HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    (
        "a relative target",
        "GET a/b HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    (
        "a target without a path",
        "GET ?a HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    ("no target", "GET  HTTP/1.1\r\nHost: a", BeRefused),
    (
        "a space in the target",
        "GET /a b HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    (
        "a tab in the target",
        "GET /a\tb HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    (
        "a NUL in the target",
        "GET /a\0b HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    (
        "a DEL in the target",
        "GET /a\u{7f} HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    ("two spaces", "GET /a  HTTP/1.1\r\nHost: a", BeRefused),
    (
        "two spaces before",
        "GET  /a HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
    ("a space before", " GET /a HTTP/1.1\r\nHost: a", BeRefused),
    ("a space behind", "GET /a HTTP/1.1 \r\nHost: a", BeRefused),
    ("a tab between", "GET\t/a\tHTTP/1.1\r\nHost: a", BeRefused),
    ("no method", "/a HTTP/1.1\r\nHost: a", BeRefused),
    ("an odd method", "G(T /a HTTP/1.1\r\nHost: a", BeRefused),
    ("HTTP/0.9", "GET /a\r\nHost: a", BeRefused),
    ("HTTP/1.2", "GET /a HTTP/1.2\r\nHost: a", BeRefused),
    ("HTTP/2.0", "GET /a HTTP/2.0\r\nHost: a", BeRefused),
    ("HTTP/1.10", "GET /a HTTP/1.10\r\nHost: a", BeRefused),
    ("HTTP/11", "GET /a HTTP/11\r\nHost: a", BeRefused),
    ("http/1.1", "GET /a http/1.1\r\nHost: a", BeRefused),
    ("another protocol", "GET /a RTSP/1.0\r\nHost: a", BeRefused),
    ("no Host", "GET /a HTTP/1.1\r\nX: a", BeRefused),
    (
        "two Hosts",
        "GET /a HTTP/1.1\r\nHost: a\r\nHost: b",
        BeRefused,
    ),
    (
        "the same Host twice",
        "GET /a HTTP/1.1\r\nHost: a\r\nHost: a",
        BeRefused,
    ),
    (
        "a Host with a path",
        "GET /a HTTP/1.1\r\nHost: a/b",
        BeRefused,
    ),
    (
        "a Host with a user",
        "GET /a HTTP/1.1\r\nHost: u@a",
        BeRefused,
    ),
    (
        "a Host with a space",
        "GET /a HTTP/1.1\r\nHost: a b",
        BeRefused,
    ),
    (
        "a Host with a query",
        "GET /a HTTP/1.1\r\nHost: a?b",
        BeRefused,
    ),
    (
        "a Host with quotes",
        "GET /a HTTP/1.1\r\nHost: \"a\"",
        BeRefused,
    ),
    (
        "a Host of other letters",
        "GET /a HTTP/1.1\r\nHost: \u{e4}",
        BeRefused,
    ),
    (
        "a URL and two Hosts",
        "GET http://b/a HTTP/1.1\r\nHost: a\r\nHost: b",
        BeRefused,
    ),
    (
        "a URL without a Host field",
        "GET http://b/a HTTP/1.1\r\nX: a",
        BeRefused,
    ),
    ("a URL", "GET http://b/a HTTP/1.1\r\nHost: b", Mean("")),
    (
        "a URL of another host",
        "GET http://b/a HTTP/1.1\r\nHost: a",
        Mean(""),
    ),
    (
        "a URL with a user",
        "GET http://u:p@b/a HTTP/1.1\r\nHost: a",
        Mean(""),
    ),
    (
        "a URL without a path",
        "GET http://b HTTP/1.1\r\nHost: b",
        Mean(""),
    ),
    (
        "a URL with only a query",
        "GET http://b?x HTTP/1.1\r\nHost: b",
        Mean(""),
    ),
    (
        "a URL of no host",
        "GET http:///a HTTP/1.1\r\nHost: a",
        BeRefused,
    ),
];

#[tokio::test]
async fn odd_request_lines_are_refused_or_mean_one_thing() {
    hold(LINES, |line| {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: example.org\r\n\r\n";
        format!("{line}\r\nConnection: close\r\n\r\n{smuggled}").into_bytes()
    })
    .await;
    assert_eq!(LINES.len(), 45);
}

#[tokio::test]
async fn absolute_form_overrides_host_for_everybody() {
    for (target, host, path) in [
        ("http://b/a", "b", "/a"),
        ("http://B:8448/a%2F?x", "B:8448", "/a%2F?x"),
        ("http://user:pass@b/a", "b", "/a"),
        ("https://b", "b", "/"),
        ("http://b?x", "b", "/?x"),
        ("http://[::1]:80//a/../b", "[::1]:80", "//a/../b"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let request = arrived(head).await;
        assert_eq!(request.lines("host"), [host.as_bytes()], "{target}");
        assert_eq!(request.lines("x-forwarded-host"), [host.as_bytes()]);
        assert_eq!(request.target, path, "{target}");
    }
}

#[tokio::test]
async fn bytes_behind_a_body_are_the_next_request() {
    let origin = Origin::start(|request| Answer::json("200 OK", &request.target)).await;
    let mut client = Gateway::before(&origin).await.connect().await;
    let requests = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
                    PUT /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n0\r\n\r\n\
                    \r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\n\
                    DELETE /d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\
                    GET /never HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(requests).await;
    let answers = client.rest().await;
    // No body ends in a line end: the next status line follows at once.
    let bodies = answers.lines().filter(|line| line.starts_with('/'));
    let bodies: Vec<_> = bodies.map(|line| &line[..2]).collect();
    assert_eq!(bodies, ["/a", "/b", "/c", "/d"], "{answers}");
    let seen: Vec<_> = origin
        .requests()
        .into_iter()
        .map(|it| (it.method, it.target, String::from_utf8(it.body).unwrap()))
        .collect();
    let expected = [
        ("POST", "/a", "abc"),
        ("PUT", "/b", "d"),
        ("GET", "/c", ""),
        ("DELETE", "/d", ""),
    ];
    assert_eq!(seen.len(), 4, "{seen:?}");
    for ((method, target, body), (m, t, b)) in seen.iter().zip(expected) {
        assert_eq!((&**method, &**target, &**body), (m, t, b));
    }
}
