//! The head of a request: how long it may be, and whatever odd things may stand in it.

use super::requests::{POST, arrived, refused};
use super::{Gateway, closing};
use crate::origin::{Answer, Origin, RawRequest};

/// All characters of a token that are neither letters nor digits.
const ODD: &str = "!#$%&'*+-.^_`|~";

/// `limits.fields` and `limits.heads` as they are by default.
const FIELDS: usize = 500;
const HEADS: usize = 131_072;

/// What the origin gets: how it is framed, and the body.
fn framing(request: &RawRequest) -> (Vec<&[u8]>, Vec<&[u8]>, &[u8]) {
    let lengths = request.lines("content-length");
    (lengths, request.lines("transfer-encoding"), &request.body)
}

#[tokio::test]
async fn a_target_of_8_kib_reaches_the_origin() {
    let target = format!("/{}?{}", "%2F".repeat(1365), "a=b&".repeat(1024));
    assert!(target.len() > 8 << 10);
    let request = arrived(closing(&format!("GET {target} HTTP/1.1"))).await;
    assert_eq!(request.target, target);
}

#[tokio::test]
async fn fields_of_64_kib_reach_the_origin() {
    let line = format!("X-Long: {}\r\n", "a".repeat((16 << 10) - 10));
    let request = arrived(format!("{POST}{}\r\n", line.repeat(4))).await;
    let lines = request.lines("x-long");
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|value| value.len() == (16 << 10) - 10));
    let one = "b".repeat(64 << 10);
    let request = arrived(format!("{POST}X-Long: {one}\r\n\r\n")).await;
    assert_eq!(request.lines("x-long"), [one.as_bytes()]);
}

/// A head with `count` field lines in all.
fn many(count: usize) -> String {
    let others = POST.lines().count() - 1;
    let fields: Vec<_> = (others..count).map(|n| format!("X-N: {n}\r\n")).collect();
    format!("{POST}{}\r\n", fields.concat())
}

#[tokio::test]
async fn five_hundred_fields_reach_the_origin() {
    let request = arrived(many(FIELDS)).await;
    let expected: Vec<_> = (2..FIELDS).map(|n| n.to_string()).collect();
    let expected: Vec<_> = expected.iter().map(String::as_bytes).collect();
    assert_eq!(request.lines("x-n"), expected);
}

#[tokio::test]
async fn one_field_more_than_the_limit_is_431() {
    let answer = refused(many(FIELDS + 1)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_head_longer_than_the_limit_is_431() {
    let answer = refused(format!("{POST}X-Long: {}\r\n\r\n", "a".repeat(HEADS))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_target_longer_than_64_kib_is_414() {
    let answer = refused(closing(&format!("GET /{} HTTP/1.1", "a".repeat(64 << 10)))).await;
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
}

#[tokio::test]
async fn every_byte_that_a_value_may_have_is_kept() {
    let value: Vec<u8> = (0x21..=0xff).filter(|byte| *byte != 0x7f).collect();
    let value = [&value[..], b"\t ", &value[..]].concat();
    let request = [POST.as_bytes(), b"X-Odd: ", &value[..], b"\r\n\r\n"].concat();
    assert_eq!(arrived(request).await.lines("x-odd"), [&value[..]]);
}

#[tokio::test]
async fn odd_field_names_are_kept() {
    let request = arrived(format!("{POST}{ODD}0x: a\r\nx_y: b\r\n{ODD}: c\r\n\r\n")).await;
    assert_eq!(request.lines(&format!("{ODD}0x")), [b"a"]);
    assert_eq!(request.lines("x_y"), [b"b"]);
    assert_eq!(request.lines(ODD), [b"c"]);
}

#[tokio::test]
async fn white_space_around_a_value_is_no_part_of_it() {
    let request = arrived(format!(
        "{POST}X-A:a\r\nX-B: \t b\t \r\nX-C:   \t \r\nX-D:\r\n\r\n"
    ))
    .await;
    for (name, value) in [("x-a", "a"), ("x-b", "b"), ("x-c", ""), ("x-d", "")] {
        assert_eq!(request.lines(name), [value.as_bytes()], "{name}");
    }
}

#[tokio::test]
async fn any_method_token_passes_as_it_is() {
    let long = "LONG".repeat(30);
    for method in [
        "get",
        "Put",
        "M-SEARCH",
        "PROPFIND",
        "0",
        &format!("{ODD}a1"),
        &long,
    ] {
        let request = arrived(closing(&format!("{method} /a HTTP/1.1"))).await;
        assert_eq!(request.method, *method);
    }
}

#[tokio::test]
async fn trace_reaches_the_origin() {
    let request = arrived(closing("TRACE /a HTTP/1.1")).await;
    assert_eq!(
        (&*request.method, &*request.target, &*request.framed),
        ("TRACE", "/a", &b""[..])
    );
}

#[tokio::test]
async fn host_is_kept_as_sent() {
    for host in [
        "EXAMPLE.org:8448",
        "[2001:DB8::1]:80",
        "a_b.example.",
        "127.0.0.1",
        "example.org:",
        "",
    ] {
        let request = arrived(format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .await;
        assert_eq!(request.lines("host"), [host.as_bytes()]);
    }
}

#[tokio::test]
async fn a_body_has_the_same_framing_whatever_the_method() {
    let mut seen = 0;
    for method in [
        "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW",
    ] {
        for (fields, framed, lengths, encodings, body) in [
            ("", "", vec![], vec![], ""),
            ("Content-Length: 0\r\n", "", vec!["0"], vec![], ""),
            ("Content-Length: 3\r\n", "abc", vec!["3"], vec![], "abc"),
            (
                "Transfer-Encoding: chunked\r\n",
                "3\r\nabc\r\n0\r\n\r\n",
                vec![],
                vec!["chunked"],
                "abc",
            ),
            (
                "Transfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
                vec![],
                vec!["chunked"],
                "",
            ),
        ] {
            let head = POST.replace("POST", method);
            let request = arrived(format!("{head}{fields}\r\n{framed}")).await;
            let lengths: Vec<_> = lengths.iter().map(|line: &&str| line.as_bytes()).collect();
            let encodings: Vec<_> = encodings
                .iter()
                .map(|line: &&str| line.as_bytes())
                .collect();
            let expected = (lengths, encodings, body.as_bytes());
            assert_eq!(framing(&request), expected, "{method} {fields}");
            assert_eq!(request.framed, framed.as_bytes(), "{method} {fields}");
            seen += 1;
        }
    }
    assert_eq!(seen, 9 * 5);
}

#[tokio::test]
async fn an_http_1_0_client_may_keep_its_connection() {
    let origin = Origin::start(|request| Answer::json("200 OK", &request.target)).await;
    let mut client = Gateway::before(&origin).await.connect().await;
    for target in ["/a", "/b"] {
        let head = "HTTP/1.0\r\nHost: example.org\r\nConnection: keep-alive\r\n\r\n";
        client.send(format!("GET {target} {head}")).await;
        let answer = client.through(&format!("\r\n\r\n{target}")).await;
        assert_eq!(super::lines(&answer, "connection"), ["keep-alive"]);
    }
    assert_eq!(origin.requests()[0].lines("host"), [b"example.org"]);
}

#[tokio::test]
async fn an_http_1_0_body_reaches_the_origin() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let gateway = Gateway::before(&origin).await;
    let answer = gateway
        .ask("PUT /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    let request = origin.request();
    let length: &[u8] = b"3";
    assert_eq!(framing(&request), (vec![length], vec![], &b"abc"[..]));
}
