//! The answer: what the origin says is what the client gets.

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
