//! The request: what the client sends is what the origin gets.

use super::{Gateway, closing};
use crate::origin::{Answer, Origin, RawRequest};

/// What the origin gets when a client sends `request`, which must say `Connection: close`.
async fn arrived(request: impl AsRef<[u8]>) -> RawRequest {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let gateway = Gateway::before(&origin).await;
    let answer = gateway.ask(request.as_ref()).await;
    let request = String::from_utf8_lossy(request.as_ref());
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n"),
        "{request}{answer}"
    );
    origin.request()
}

/// The answer to `request`, which must not reach the origin.
async fn refused(request: impl AsRef<[u8]>) -> String {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let answer = Gateway::before(&origin).await.ask(request).await;
    assert!(origin.requests().is_empty(), "{:#?}", origin.requests());
    answer
}

const POST: &str = "POST / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n";

#[tokio::test]
async fn chunked_request_stays_chunked() {
    let body = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for method in ["POST", "PUT", "GET", "DELETE"] {
        let request = arrived(format!("{POST}{body}").replace("POST", method)).await;
        assert_eq!(request.lines("transfer-encoding"), [b"chunked"], "{method}");
        assert!(request.lines("content-length").is_empty(), "{method}");
        assert_eq!(request.body, b"abcde", "{method}");
    }
}

#[tokio::test]
async fn an_empty_chunked_body_stays_chunked() {
    let request = arrived(format!("{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")).await;
    assert_eq!(request.lines("transfer-encoding"), [b"chunked"]);
    assert_eq!(request.framed, b"0\r\n\r\n");
}

#[tokio::test]
async fn content_length_is_kept() {
    for method in ["POST", "GET"] {
        let request = format!("{POST}Content-Length: 5\r\n\r\nabcde").replace("POST", method);
        let request = arrived(request).await;
        assert_eq!(request.lines("content-length"), [b"5"], "{method}");
        assert!(request.lines("transfer-encoding").is_empty(), "{method}");
        assert_eq!(request.framed, b"abcde", "{method}");
    }
}

#[tokio::test]
async fn content_length_zero_is_kept() {
    for method in ["POST", "PUT", "GET"] {
        let request = format!("{POST}Content-Length: 0\r\n\r\n").replace("POST", method);
        assert_eq!(
            arrived(request).await.lines("content-length"),
            [b"0"],
            "{method}"
        );
    }
}

#[tokio::test]
async fn no_body_stays_no_body() {
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        let request = arrived(format!("{POST}\r\n").replace("POST", method)).await;
        assert_eq!(request.method, method);
        assert!(request.lines("content-length").is_empty(), "{method}");
        assert!(request.lines("transfer-encoding").is_empty(), "{method}");
    }
}

#[tokio::test]
async fn disguised_transfer_encodings_never_reach_the_origin() {
    let mut seen = 0;
    for disguise in [
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: \r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: CHUNKED",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "TE: chunked\r\nTransfer-Encoding: chunked",
    ] {
        let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
        let gateway = Gateway::before(&origin).await;
        let request = format!("{POST}{disguise}\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        let answer = gateway.ask(request).await;
        // Refused, or made anew.
        let Some(request) = origin.requests().pop() else {
            assert!(answer.starts_with("HTTP/1.1 400 "), "{disguise}: {answer}");
            continue;
        };
        seen += 1;
        assert_eq!(origin.requests().len(), 1, "{disguise}");
        assert_eq!(
            request.lines("transfer-encoding"),
            [b"chunked"],
            "{disguise}"
        );
        assert!(request.lines("content-length").is_empty(), "{disguise}");
        assert!(request.lines("te").is_empty(), "{disguise}");
        assert_eq!(request.body, b"abc", "{disguise}");
    }
    assert!(seen > 0);
}

#[tokio::test]
async fn trailers_reach_the_origin() {
    let trailers = "Trailer: X-Checksum\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3\r\nabc\r\n0\r\nX-Checksum: 1\r\n\r\n";
    let request = arrived(format!("{POST}{trailers}")).await;
    let framed = String::from_utf8(request.framed)
        .unwrap()
        .to_ascii_lowercase();
    assert!(framed.ends_with("0\r\nx-checksum: 1\r\n\r\n"), "{framed:?}");
}

#[tokio::test]
async fn percent_encoding_reaches_the_origin_untouched() {
    for target in [
        "/",
        "/_matrix/client/v3/user/%40alice%3Alocalhost/account_data/m%2Ekey%5Fbackup",
        "/%zz%2/%00%2F%2f%ff%C3%A9",
        "//a//b/./c/../d/",
        "/a?",
        "/a??b?c",
        "/?x=%20&y=+&&;z",
        "/a;b=c,d'(!)*~",
        "/\"^{|}",
        "/a\\b",
        "/?/../x",
    ] {
        let request = arrived(closing(&format!("GET {target} HTTP/1.1"))).await;
        assert_eq!(request.target, target);
    }
}

#[tokio::test]
async fn a_fragment_is_cut_off() {
    let request = arrived(closing("GET /a%23b?x#fragment HTTP/1.1")).await;
    assert_eq!(request.target, "/a%23b?x");
}

#[tokio::test]
async fn the_asterisk_is_kept() {
    assert_eq!(arrived(closing("OPTIONS * HTTP/1.1")).await.target, "*");
}

#[tokio::test]
async fn unknown_methods_pass() {
    assert_eq!(arrived(closing("BREW /pot HTTP/1.1")).await.method, "BREW");
}

#[tokio::test]
async fn absolute_form_is_forwarded_in_origin_form() {
    let request = arrived(closing(
        "GET http://elsewhere.example:8448/a%2Fb?x HTTP/1.1",
    ))
    .await;
    assert_eq!(request.target, "/a%2Fb?x");
    assert_eq!(request.lines("host"), [b"elsewhere.example:8448"]);
}

#[tokio::test]
async fn field_values_are_kept_byte_for_byte() {
    let mut request = format!("{POST}X-Odd: ").into_bytes();
    request.extend_from_slice(b"\xe4\xff\t \"a,  b\";=\x80\r\nX-Empty:\r\n\r\n");
    let request = arrived(request).await;
    assert_eq!(request.lines("x-odd"), [b"\xe4\xff\t \"a,  b\";=\x80"]);
    assert_eq!(request.lines("x-empty"), [b""]);
}

#[tokio::test]
async fn lines_of_one_field_keep_their_order() {
    let fields = "X-A: 3\r\nX-B: 9\r\nX-A: 1\r\nX-A: 2\r\nX-A: 1\r\n";
    let request = arrived(format!("{POST}{fields}\r\n")).await;
    assert_eq!(request.lines("x-a"), [b"3", b"1", b"2", b"1"]);
    assert_eq!(request.lines("x-b"), [b"9"]);
}

#[tokio::test]
async fn credentials_reach_the_origin_as_they_came() {
    let fields =
        "Authorization: Bearer a\r\nAuthorization: bearer  b\r\nCookie: c\r\nCookie: d\r\n";
    let request = arrived(format!("{POST}{fields}\r\n")).await;
    assert_eq!(
        request.lines("authorization"),
        [&b"Bearer a"[..], b"bearer  b"]
    );
    assert_eq!(request.lines("cookie"), [b"c", b"d"]);
}

#[tokio::test]
async fn fields_named_by_any_connection_line_are_dropped() {
    let fields = "Connection: X-One , TE\r\nX-Kept: k\r\nConnection: x-two\r\nX-One: 1\r\n\
                  X-Two: 2\r\nX-Two: 2\r\nTE: gzip\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n\
                  Proxy-Connection: keep-alive\r\n";
    let request = arrived(format!("{POST}{fields}\r\n")).await;
    for gone in [
        "connection",
        "x-one",
        "x-two",
        "te",
        "keep-alive",
        "upgrade",
        "proxy-connection",
    ] {
        assert!(request.lines(gone).is_empty(), "{gone}");
    }
    assert_eq!(request.lines("x-kept"), [b"k"]);
}

#[tokio::test]
async fn connection_cannot_smuggle_by_taking_the_length_away() {
    let fields = "Connection: content-length, host\r\nContent-Length: 5\r\n";
    let request = arrived(format!("{POST}{fields}\r\nabcde")).await;
    assert_eq!(request.lines("content-length"), [b"5"]);
    assert_eq!(request.lines("host"), [b"example.org"]);
}

#[tokio::test]
async fn nothing_is_added_but_the_forwarding_fields() {
    let request = arrived(closing("GET / HTTP/1.1")).await;
    let mut names: Vec<&str> = request
        .fields
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    let ours = [
        "host",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
    ];
    assert_eq!(names, ours);
}

#[tokio::test]
async fn a_stranger_cannot_forge_its_address() {
    let fields = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n\
                  X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n";
    let request = arrived(format!("{POST}{fields}\r\n")).await;
    assert_eq!(request.lines("x-forwarded-for"), [b"127.0.0.1"]);
    assert_eq!(request.lines("x-forwarded-proto"), [b"http"]);
    assert_eq!(request.lines("x-forwarded-host"), [b"example.org"]);
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let gateway = Gateway::start(origin.address(), &["127.0.0.0/8"]).await;
    let fields = "X-Forwarded-For: 127.0.0.9, 203.0.113.9\r\nX-Forwarded-For: [::ffff:127.0.0.8]:1\r\n\
                  X-Forwarded-Proto: https\r\nX-Forwarded-Host: matrix.example.org\r\n";
    gateway.ask(format!("{POST}{fields}\r\n")).await;
    let request = origin.request();
    assert_eq!(
        request.lines("x-forwarded-for"),
        [b"203.0.113.9, 127.0.0.8, 127.0.0.1"]
    );
    assert_eq!(request.lines("x-forwarded-proto"), [b"https"]);
    assert_eq!(request.lines("x-forwarded-host"), [b"matrix.example.org"]);
}

#[tokio::test]
async fn a_request_without_a_host_is_400() {
    let answer = refused("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let answer = refused(format!("{POST}Host: example.org\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let answer = refused(closing("CONNECT example.org:443 HTTP/1.1")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn http_1_0_is_served_without_a_host() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let gateway = Gateway::before(&origin).await;
    let answer = gateway.ask("GET /a HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    let request = origin.request();
    assert!(request.head.starts_with(b"GET /a HTTP/1.1\r\n"));
    assert_eq!(
        request.lines("host"),
        [origin.address().to_string().as_bytes()]
    );
}
