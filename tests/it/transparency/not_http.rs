//! What an origin says that is no HTTP, or could be read in two ways: a 502, and nothing of it
//! reaches the client.

use super::{Gateway, closing};
use crate::origin::{Answer, Origin};

/// What is said in place of an answer.
const NO_ANSWER: &[(&str, &str)] = &[
    ("nothing", ""),
    ("HTTP/0.9", "<html>hello</html>"),
    ("garbage", "\0\x01\x02 garbage\r\n\r\n"),
    ("TLS", "\x15\x03\x03\0\x02\x02\x28"),
    (
        "a later version",
        "HTTP/3.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("half a head", "HTTP/1.1 200 OK\r\nContent-Len"),
    ("no status", "HTTP/1.1 OK\r\nContent-Length: 5\r\n\r\nhello"),
    (
        "a status of two digits",
        "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
    ),
    (
        "two lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ),
    (
        "two lengths on a line",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
    ),
    (
        "a length with a sign",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    ),
    (
        "a negative length",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    ),
    (
        "a length in hexadecimal",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
    ),
    (
        "a length beyond counting",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
    ),
    (
        "an empty length",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello",
    ),
    (
        "a NUL in a value",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello",
    ),
    (
        "a space before the colon",
        "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length : 5\r\n\r\nhello",
    ),
    (
        "a line without a colon",
        "HTTP/1.1 200 OK\r\nhello\r\nContent-Length: 5\r\n\r\nhello",
    ),
    (
        "chunks of no size at once",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhello",
    ),
];

#[tokio::test]
async fn what_is_no_answer_is_a_502() {
    let mut wrong = Vec::new();
    for (what, said) in NO_ANSWER {
        let origin = Origin::start(move |_| Answer::bytes(said).close()).await;
        let gateway = Gateway::before(&origin).await;
        let answer = gateway.ask(closing("GET / HTTP/1.1")).await;
        if !answer.starts_with("HTTP/1.1 502 ") || answer.contains("hello") {
            wrong.push(format!("{what}: {answer}"));
        }
        assert_eq!(origin.requests().len(), 1, "{what}: asked again");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(NO_ANSWER.len(), 19);
}

/// Bodies that break off, after a head that was good.
const BROKEN_BODY: &[(&str, &str)] = &[
    ("no size", "hello\r\n0\r\n\r\n"),
    ("a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    (
        "a size beyond counting",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ),
    ("more than the size", "3\r\nhello\r\n0\r\n\r\n"),
    ("a bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
];

#[tokio::test]
async fn a_bad_chunk_is_never_the_end_of_a_body() {
    for (what, chunks) in BROKEN_BODY {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let origin = Origin::start(move |_| Answer::bytes(&answer).close()).await;
        let gateway = Gateway::before(&origin).await;
        let answer = gateway.ask(closing("GET / HTTP/1.1")).await;
        assert!(!answer.ends_with("0\r\n\r\n"), "{what}: {answer}");
    }
    assert_eq!(BROKEN_BODY.len(), 6);
}

#[tokio::test]
async fn an_answer_framed_twice_has_one_meaning() {
    // > If a message is received with both a Transfer-Encoding and a Content-Length header field, the
    // > Transfer-Encoding overrides the Content-Length.
    //
    // https://www.rfc-editor.org/rfc/rfc9112#section-6.3-2.3
    let fields = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let said = format!("HTTP/1.1 200 OK\r\n{fields}\r\n5\r\nhello\r\n0\r\n\r\n");
    let origin = Origin::start(move |_| Answer::bytes(&said).close()).await;
    let gateway = Gateway::before(&origin).await;
    let answer = gateway.ask(closing("GET / HTTP/1.1")).await;
    if !answer.starts_with("HTTP/1.1 502 ") {
        assert_eq!(super::lines(&answer, "content-length"), [""; 0]);
        assert_eq!(super::lines(&answer, "transfer-encoding"), ["chunked"]);
        assert_eq!(super::body(&answer), "5\r\nhello\r\n0\r\n\r\n");
    }
}
