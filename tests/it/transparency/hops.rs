//! Hop-by-hop fields: what concerns one connection goes no further, in either direction.

use super::requests::{POST, arrived};
use super::{Gateway, closing, lines};
use crate::origin::{Answer, Origin};

/// Hop-by-hop whether or not `Connection` names them.
const ALWAYS: [&str; 5] = [
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Upgrade: h2c",
    "TE: gzip",
    "Upgrade: HTTP/2.0",
];

/// `Connection` lines, all of which name `X-One` and `X-Two`.
const NAMING: [&str; 8] = [
    "Connection: X-One, X-Two",
    "Connection: x-one,x-two",
    "Connection: X-ONE\r\nConnection: X-TWO",
    "Connection: keep-alive,X-One,,\t, X-Two ,",
    "connection:\r\nConnection: x-one\r\nCONNECTION: ,x-two",
    "Connection: \"x\", \u{e4}, x-one\r\nConnection: x-two, /",
    "Connection: X-One\r\nX-Other: 1\r\nConnection: X-Two",
    "Connection: content-length, host, x-one, transfer-encoding, x-two",
];

fn name(line: &str) -> String {
    line.split_once(':').unwrap().0.to_ascii_lowercase()
}

#[tokio::test]
async fn hop_by_hop_fields_go_no_further_though_nobody_names_them() {
    for line in ALWAYS {
        let request = arrived(format!("{POST}{line}\r\nX-Kept: k\r\n\r\n")).await;
        assert_eq!(request.lines(&name(line)), [b""; 0], "{line}");
        assert_eq!(request.lines("x-kept"), [b"k"], "{line}");
    }
}

#[tokio::test]
async fn what_any_connection_line_names_goes_no_further() {
    for naming in NAMING {
        let fields = "X-One: 1\r\nX-Two: 2\r\nX-Two: 3\r\nX-Kept: k\r\nContent-Length: 2\r\n";
        let request = arrived(format!("{POST}{naming}\r\n{fields}\r\nab")).await;
        for gone in ["x-one", "x-two", "connection"] {
            assert_eq!(request.lines(gone), [b""; 0], "{naming}: {gone}");
        }
        assert_eq!(request.lines("x-kept"), [b"k"], "{naming}");
        assert_eq!(request.lines("host"), [b"example.org"], "{naming}");
        assert_eq!(request.lines("content-length"), [b"2"], "{naming}");
        assert_eq!(request.body, b"ab", "{naming}");
    }
    assert_eq!(NAMING.len(), 8);
}

#[tokio::test]
async fn what_any_connection_line_of_the_origin_names_goes_no_further() {
    for naming in NAMING {
        let fields = "X-One: 1\r\nX-Two: 2\r\nX-Two: 3\r\nX-Kept: k\r\nContent-Length: 2\r\n";
        let answer = format!("HTTP/1.1 200 OK\r\n{naming}\r\n{fields}\r\nab");
        let origin = Origin::start(move |_| Answer::bytes(&answer)).await;
        let gateway = Gateway::before(&origin).await;
        let answer = gateway.ask(closing("GET / HTTP/1.1")).await;
        for gone in ["x-one", "x-two"] {
            assert_eq!(lines(&answer, gone), [""; 0], "{naming}: {gone}");
        }
        assert_eq!(lines(&answer, "connection"), ["close"], "{naming}");
        assert_eq!(lines(&answer, "x-kept"), ["k"], "{naming}");
        assert_eq!(lines(&answer, "content-length"), ["2"], "{naming}");
        assert!(answer.ends_with("\r\n\r\nab"), "{naming}");
    }
}

#[tokio::test]
async fn hop_by_hop_fields_of_the_origin_go_no_further_though_nobody_names_them() {
    for line in ALWAYS {
        let answer = format!("HTTP/1.1 200 OK\r\n{line}\r\nX-Kept: k\r\nContent-Length: 0\r\n\r\n");
        let origin = Origin::start(move |_| Answer::bytes(&answer)).await;
        let gateway = Gateway::before(&origin).await;
        let answer = gateway.ask(closing("GET / HTTP/1.1")).await;
        assert_eq!(lines(&answer, &name(line)), [""; 0], "{line}");
        assert_eq!(lines(&answer, "x-kept"), ["k"], "{line}");
    }
}

#[tokio::test]
async fn an_upgrade_to_http_2_never_reaches_the_origin() {
    for protocols in [
        "h2c",
        "H2C",
        "h2c, websocket",
        "websocket, h2c",
        "HTTP/2.0",
        "h2",
    ] {
        let fields = format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocols}\r\n\
             HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
        );
        let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
        let gateway = Gateway::before(&origin).await;
        let mut client = gateway.connect().await;
        client
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
            .await;
        client.through("{}").await;
        let request = origin.request();
        assert_eq!(request.lines("http2-settings"), [b""; 0], "{protocols}");
        let upgrades = request.lines("upgrade");
        let upgrades: Vec<_> = upgrades.into_iter().map(String::from_utf8_lossy).collect();
        let upgrades = upgrades.join(",").to_ascii_lowercase();
        assert!(!upgrades.contains("h2"), "{protocols}: {upgrades}");
        assert!(!upgrades.contains("http/2"), "{protocols}: {upgrades}");
    }
}

#[tokio::test]
async fn the_guard_sees_the_request_that_the_origin_gets() {
    // Named in Connection, the credentials go no further: so nobody may be asked whose they are.
    let origin = Origin::start(|_| Answer::json("401 Unauthorized", "{}")).await;
    let gateway = Gateway::before(&origin).await;
    let target = "/_matrix/client/v3/user/@a:b/account_data/m.key_backup";
    let fields = "Authorization: Bearer a\r\nConnection: Authorization\r\nContent-Length: 2\r\n";
    let head = closing(&format!("PUT {target} HTTP/1.1"));
    let head = String::from_utf8(head).unwrap();
    let head = head.trim_end();
    let answer = gateway.ask(format!("{head}\r\n{fields}\r\n{{}}")).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    for request in origin.requests() {
        assert_eq!(request.lines("authorization"), [b""; 0], "{request:?}");
    }
    assert!(!origin.requests().is_empty());
}
