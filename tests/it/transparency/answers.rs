//! The answer: what the origin says is what the client gets.

use tokio::io::AsyncReadExt;

use super::{Gateway, body, closing, lines};
use crate::origin::{Answer, Origin};

/// What a client gets when the origin answers `GET` with these bytes.
async fn relayed(answer: impl AsRef<[u8]>) -> String {
    let answer = Answer::bytes(answer);
    relayed_to(closing("GET / HTTP/1.1"), answer).await
}

async fn relayed_to(request: impl AsRef<[u8]>, answer: Answer) -> String {
    let origin = Origin::start(move |_| answer.clone()).await;
    Gateway::before(&origin).await.ask(request).await
}

#[tokio::test]
async fn head_answer_keeps_its_content_length() {
    let answer = Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    let answer = relayed_to(closing("HEAD / HTTP/1.1"), answer).await;
    assert_eq!(lines(&answer, "content-length"), ["1234"]);
    assert_eq!(body(&answer), "");
}

#[tokio::test]
async fn status_and_reason_phrase_are_kept() {
    for status in [
        "200 Fine by me",
        "299 Odd",
        "404 Not Here",
        "418 I'm a teapot",
        "599 Whatever",
    ] {
        let answer = relayed(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn answers_without_a_body_stay_without() {
    for status in ["204 No Content", "304 Not Modified"] {
        let answer = relayed(format!("HTTP/1.1 {status}\r\nETag: \"a\"\r\n\r\n")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(lines(&answer, "transfer-encoding").is_empty(), "{answer}");
        assert_eq!(lines(&answer, "etag"), ["\"a\""]);
        assert_eq!(body(&answer), "");
    }
}

#[tokio::test]
async fn content_length_zero_of_an_answer_is_kept() {
    let answer = relayed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(lines(&answer, "content-length"), ["0"]);
}

#[tokio::test]
async fn chunked_answer_stays_chunked() {
    let chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = relayed(format!("HTTP/1.1 200 OK\r\n{chunks}")).await;
    assert_eq!(lines(&answer, "transfer-encoding"), ["chunked"]);
    assert!(lines(&answer, "content-length").is_empty());
    assert_eq!(body(&answer), "3\r\nabc\r\n0\r\n\r\n");
}

#[tokio::test]
async fn trailers_reach_the_client() {
    let chunks =
        "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
    let request = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
    let answer = Answer::bytes(format!("HTTP/1.1 200 OK\r\n{chunks}"));
    let answer = relayed_to(request, answer).await.to_ascii_lowercase();
    assert!(answer.ends_with("0\r\nx-sum: 1\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_arrives_whole() {
    let answer = Answer::bytes("HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nabc").close();
    let answer = relayed_to(closing("GET / HTTP/1.1"), answer).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(body(&answer), "3\r\nabc\r\n0\r\n\r\n");
}

#[tokio::test]
async fn set_cookie_lines_stay_apart_and_in_order() {
    let cookies = "Set-Cookie: b=1; Path=/\r\nSet-Cookie: a=2\r\nSet-Cookie: b=1; Path=/\r\n";
    let answer = relayed(format!(
        "HTTP/1.1 200 OK\r\n{cookies}Content-Length: 0\r\n\r\n"
    ))
    .await;
    assert_eq!(
        lines(&answer, "set-cookie"),
        ["b=1; Path=/", "a=2", "b=1; Path=/"]
    );
}

#[tokio::test]
async fn date_and_server_are_relayed_and_never_invented() {
    let fields = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: Synapse/1.163.2\r\n";
    let answer = relayed(format!(
        "HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"
    ))
    .await;
    assert_eq!(lines(&answer, "date"), ["Thu, 01 Jan 1970 00:00:00 GMT"]);
    assert_eq!(lines(&answer, "server"), ["Synapse/1.163.2"]);
    let answer = relayed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    // Content-Length, and the `Connection: close` that the client asked for.
    assert_eq!(answer.trim_ascii_end().lines().count(), 1 + 2, "{answer}");
}

#[tokio::test]
async fn a_compressed_body_is_relayed_as_it_came() {
    let gzip: Vec<u8> = [&b"\x1f\x8b\x08\x00"[..], &(0..=255).collect::<Vec<u8>>()].concat();
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 260\r\n\r\n".to_vec();
    bytes.extend_from_slice(&gzip);
    let answer = relayed(&bytes).await;
    assert_eq!(lines(&answer, "content-encoding"), ["gzip"]);
    assert_eq!(body(&answer), String::from_utf8_lossy(&gzip));
}

#[tokio::test]
async fn hop_by_hop_fields_of_the_answer_are_dropped() {
    let fields = "Connection: X-One\r\nConnection: keep-alive, x-two\r\nX-One: 1\r\nX-Two: 2\r\n\
                  Keep-Alive: timeout=5\r\nUpgrade: h2c\r\nProxy-Connection: close\r\nX-Three: 3\r\n";
    let answer = relayed(format!(
        "HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"
    ))
    .await;
    for gone in [
        "x-one",
        "x-two",
        "keep-alive",
        "upgrade",
        "proxy-connection",
    ] {
        assert!(lines(&answer, gone).is_empty(), "{gone}: {answer}");
    }
    assert_eq!(lines(&answer, "connection"), ["close"]);
    assert_eq!(lines(&answer, "x-three"), ["3"]);
}

#[tokio::test]
async fn the_origin_closing_its_connection_does_not_close_the_clients() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    let answer = Answer::bytes(answer).close();
    let origin = Origin::start(move |_| answer.clone()).await;
    let mut client = Gateway::before(&origin).await.connect().await;
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.through("{}").await;
        assert!(lines(&answer, "connection").is_empty(), "{answer}");
    }
    assert_eq!(origin.connections(), 3);
}

#[tokio::test]
async fn an_empty_reason_phrase_stays_empty() {
    for status in ["200 ", "404 ", "299 "] {
        let answer = relayed(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_head_stays_without_a_body_however_it_is_framed() {
    for (framing, length) in [
        ("", None),
        ("Content-Length: 0\r\n", Some("0")),
        ("Transfer-Encoding: chunked\r\n", None),
    ] {
        let answer = Answer::bytes(format!("HTTP/1.1 200 OK\r\n{framing}ETag: a\r\n\r\n"));
        let answer = relayed_to(closing("HEAD / HTTP/1.1"), answer).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let lengths: Vec<_> = length.into_iter().collect();
        assert_eq!(lines(&answer, "content-length"), lengths, "{framing}");
        assert_eq!(lines(&answer, "etag"), ["a"]);
        assert_eq!(body(&answer), "");
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_any_body_as_it_is() {
    const GET: &str = "GET / HTTP/1.0\r\n\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let length = "Content-Length: 5\r\n\r\nabcde";
    for rest in [chunked, length, "\r\nabcde"] {
        let answer = Answer::bytes(format!("HTTP/1.1 200 OK\r\n{rest}")).close();
        let answer = relayed_to(GET, answer).await;
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        assert!(lines(&answer, "transfer-encoding").is_empty(), "{answer}");
        assert_eq!(body(&answer), "abcde");
    }
}

#[tokio::test]
async fn a_part_of_a_body_stays_a_part() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=1-3\r\nIf-Range: \"x\"\r\n\r\n";
    let answer = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-3/5\r\n\
                  Content-Length: 3\r\nAccept-Ranges: bytes\r\n\r\nbcd";
    let origin = Origin::start(move |_| Answer::bytes(answer)).await;
    let answer = Gateway::before(&origin).await.ask(request).await;
    assert_eq!(origin.request().lines("range"), [b"bytes=1-3"]);
    assert_eq!(origin.request().lines("if-range"), [b"\"x\""]);
    assert!(answer.starts_with("HTTP/1.1 206 Partial Content\r\n"));
    assert_eq!(lines(&answer, "content-range"), ["bytes 1-3/5"]);
    assert_eq!(lines(&answer, "accept-ranges"), ["bytes"]);
    assert_eq!(body(&answer), "bcd");
}

#[tokio::test]
async fn odd_fields_of_an_answer_are_kept() {
    let fields = "!#$%&'*+-.^_`|~: a\r\nX-Empty:\r\nX-A: 2\r\nX-A: 1\r\nX-A: 2\r\nx_y: z\r\n";
    let long = format!("X-Long: {}\r\n", "b".repeat(60 << 10));
    let answer = relayed(format!(
        "HTTP/1.1 200 OK\r\n{fields}{long}Content-Length: 0\r\n\r\n"
    ))
    .await;
    assert_eq!(lines(&answer, "!#$%&'*+-.^_`|~"), ["a"]);
    assert_eq!(lines(&answer, "x-empty"), [""]);
    assert_eq!(lines(&answer, "x-a"), ["2", "1", "2"]);
    assert_eq!(lines(&answer, "x_y"), ["z"]);
    assert_eq!(lines(&answer, "x-long")[0].len(), 60 << 10);
}

#[tokio::test]
async fn every_byte_that_a_value_of_an_answer_may_have_is_kept() {
    let value: Vec<u8> = (0x20..=0xff).filter(|byte| *byte != 0x7f).collect();
    let bytes = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Odd: a",
        &value[..],
        b"\tb\r\n\r\n",
    ];
    let answer = Answer::bytes(bytes.concat());
    let origin = Origin::start(move |_| answer.clone()).await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(closing("GET / HTTP/1.1")).await;
    let mut all = Vec::new();
    client.0.read_to_end(&mut all).await.unwrap();
    let line = [b"x-odd: a", &value[..], b"\tb\r\n"].concat();
    assert!(all.windows(line.len()).any(|window| window == line));
}
