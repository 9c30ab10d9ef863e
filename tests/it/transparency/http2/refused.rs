//! What is malformed in HTTP/2, or too much, goes no further.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;

use super::raw::{GOAWAY, HEADERS, RST_STREAM, Raw};
use super::{H2, get, plain};
use crate::origin::Origin;
use crate::transparency::Gateway;

const PSEUDO: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "example.org"),
    (":path", "/a"),
];

/// Fields that make a request malformed.
const MALFORMED: &[(&str, &[(&str, &str)])] = &[
    ("Connection", &[("connection", "close")]),
    ("Keep-Alive", &[("keep-alive", "timeout=5")]),
    ("Proxy-Connection", &[("proxy-connection", "close")]),
    ("Transfer-Encoding", &[("transfer-encoding", "chunked")]),
    ("Upgrade", &[("upgrade", "websocket")]),
    ("TE other than trailers", &[("te", "gzip")]),
    ("upper case", &[("X-Upper", "a")]),
    ("a space in a name", &[("x y", "a")]),
    ("a colon in a name", &[("x:y", "a")]),
    ("no name", &[("", "a")]),
    ("a line end in a value", &[("x", "a\r\nContent-Length: 5")]),
    ("a bare LF in a value", &[("x", "a\nb")]),
    ("a NUL in a value", &[("x", "a\0b")]),
    ("a line end in a name", &[("x\r\ny", "a")]),
    ("an unknown pseudo-header field", &[(":x", "a")]),
    ("one of an answer", &[(":status", "200")]),
    ("a path twice", &[(":path", "/b")]),
    (
        "a pseudo-header field behind others",
        &[("x", "a"), (":method", "GET")],
    ),
];

/// Pseudo-header fields that are not those of a request.
const NO_REQUEST: &[(&str, &[(&str, &str)])] = &[
    (
        "no method",
        &[(":scheme", "http"), (":authority", "a"), (":path", "/")],
    ),
    (
        "no path",
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a")],
    ),
    (
        "an empty path",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", ""),
        ],
    ),
    (
        "no scheme",
        &[(":method", "GET"), (":authority", "a"), (":path", "/")],
    ),
    (
        "a space in the path",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/a b"),
        ],
    ),
    (
        "a line end in the path",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/a HTTP/1.1\r\nX: y"),
        ],
    ),
    (
        "a relative path, and no authority",
        &[
            (":method", "PUT"),
            (":scheme", "http"),
            (
                ":path",
                "_matrix/client/v3/user/@a:b/account_data/m.key_backup",
            ),
            ("host", "a"),
        ],
    ),
    (
        "a relative path",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "a"),
        ],
    ),
    (
        "a space in the method",
        &[
            (":method", "GET /b"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/a"),
        ],
    ),
    (
        "a line end in the method",
        &[
            (":method", "GET\r\n"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/a"),
        ],
    ),
    (
        "a line end in the authority",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a\r\nX: y"),
            (":path", "/a"),
        ],
    ),
    (
        "a user in the authority",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "u@a"),
            (":path", "/a"),
        ],
    ),
    (
        "a path in the authority",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a/b"),
            (":path", "/a"),
        ],
    ),
    (
        "neither authority nor Host",
        &[(":method", "GET"), (":scheme", "http"), (":path", "/a")],
    ),
    (
        "another Host",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/a"),
            ("host", "b"),
        ],
    ),
    (
        "two Hosts",
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/a"),
            ("host", "a"),
            ("host", "a"),
        ],
    ),
    (
        "CONNECT",
        &[(":method", "CONNECT"), (":authority", "a:443")],
    ),
    (
        "extended CONNECT",
        &[
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/a"),
        ],
    ),
];

/// Whether this request is answered with an error of its own, or ends its stream or connection.
async fn is_refused(gateway: &Gateway, fields: &[(&str, &str)]) -> bool {
    let mut raw = Raw::to(gateway).await;
    raw.request(1, fields).await;
    match raw.one_of(&[HEADERS, RST_STREAM, GOAWAY]).await {
        // `:status: 400` and `431` by their index in HPACK's static table, or as a literal.
        Some(frame) if frame.kind == HEADERS => {
            frame.payload[0] == 0x8c || frame.payload[0] & 0x80 == 0
        }
        Some(_) | None => true,
    }
}

#[tokio::test]
async fn malformed_fields_are_refused() {
    let origin = plain().await;
    let gateway = Gateway::before(&origin).await;
    for (what, more) in MALFORMED {
        let fields = [&PSEUDO[..], more].concat();
        assert!(is_refused(&gateway, &fields).await, "{what}");
        assert!(
            origin.requests().is_empty(),
            "{what}: {:?}",
            origin.requests()
        );
    }
    assert_eq!(MALFORMED.len(), 18);
    assert!(!is_refused(&gateway, &PSEUDO).await, "what is good is not");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let origin = plain().await;
    let gateway = Gateway::before(&origin).await;
    for (what, fields) in NO_REQUEST {
        assert!(is_refused(&gateway, fields).await, "{what}");
        assert!(
            origin.requests().is_empty(),
            "{what}: {:?}",
            origin.requests()
        );
    }
    assert_eq!(NO_REQUEST.len(), 18);
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_never_reaches_the_origin_as_whole() {
    let origin = plain().await;
    let gateway = Gateway::before(&origin).await;
    for (length, body) in [
        ("5", "abc"),
        ("2", "abc"),
        ("+3", "abc"),
        ("3, 3", "abc"),
        ("x", "abc"),
    ] {
        let mut raw = Raw::to(&gateway).await;
        let mut fields = PSEUDO.to_vec();
        fields[0] = (":method", "POST");
        fields.push(("content-length", length));
        raw.with_body(1, &fields, body).await;
        let frame = raw.one_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
        let good = frame
            .as_ref()
            .is_some_and(|it| it.kind == HEADERS && it.payload[0] == 0x88);
        assert!(!good, "{length}: {frame:?}");
        assert!(
            origin.requests().is_empty(),
            "{length}: {:?}",
            origin.requests()
        );
    }
}

#[tokio::test]
async fn too_many_fields_are_431() {
    let origin = plain().await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let request = (0..501).fold(get("/"), |request, n| request.header("x-n", n));
    let got = client.ask(request.body(()).unwrap()).await;
    assert_eq!(got.status, 431);
    assert!(origin.requests().is_empty());
    let request = (0..490).fold(get("/"), |request, n| request.header("x-n", n));
    assert_eq!(client.ask(request.body(()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn fields_beyond_the_limit_are_431() {
    let origin = plain().await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let long = "a".repeat(16 << 10);
    let request = (0..9).fold(get("/"), |request, _| request.header("x-long", &long));
    let got = client.ask(request.body(()).unwrap()).await;
    assert_eq!(got.status, 431);
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn the_http_1_upgrade_to_http_2_is_not_taken() {
    let origin = plain().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let fields =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    client
        .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
        .await;
    let answer = client.through("{}").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_flood_nobody() {
    const ATTACK: u32 = 2000;
    let begun = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start_raw({
        let begun = Arc::clone(&begun);
        move |mut connection| {
            let begun = Arc::clone(&begun);
            async move {
                while connection.head().await.is_some() {
                    begun.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    let mut raw = Raw::to(&gateway).await;
    for n in 0..ATTACK {
        raw.request(2 * n + 1, &PSEUDO).await;
        raw.reset(2 * n + 1).await;
    }
    let frame = raw.one_of(&[GOAWAY]).await.expect("it is told to go");
    // ENHANCE_YOUR_CALM
    assert_eq!(frame.payload[4..8], 11_u32.to_be_bytes(), "{frame:?}");
    let begun = begun.load(Ordering::SeqCst);
    assert!(begun < 300, "{begun} requests reached the origin");
    let mut other = H2::to(&gateway).await;
    let request = Request::get("http://a/").body(()).unwrap();
    let asking = other.begin(request, true);
    let served = tokio::time::timeout(crate::transparency::PATIENCE, asking).await;
    assert!(served.is_ok(), "others are served");
}
