//! `Transfer-Encoding` in its disguises, and `Content-Length` in its own.

use super::Must::{BeRefused, Mean};
use super::{Case, hold};

const HEAD: &str = "POST /a HTTP/1.1\r\nHost: example.org\r\nConnection: close";
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: example.org\r\n\r\n";

/// Before a body in chunks.
const ENCODINGS: &[Case] = &[
    ("plain", "Transfer-Encoding: chunked", Mean("abcde")),
    ("other case", "tRANSFER-eNCODING: CHUNKED", Mean("abcde")),
    ("no space", "Transfer-Encoding:chunked", Mean("abcde")),
    ("spaces", "Transfer-Encoding:   chunked  ", Mean("abcde")),
    ("tabs", "Transfer-Encoding:\tchunked\t", Mean("abcde")),
    (
        "length before",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        Mean("abcde"),
    ),
    (
        "length behind",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        Mean("abcde"),
    ),
    (
        "length of all",
        "Content-Length: 64\r\nTransfer-Encoding: chunked",
        Mean("abcde"),
    ),
    (
        "length zero",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        Mean("abcde"),
    ),
    (
        "bad length",
        "Content-Length: +5\r\nTransfer-Encoding: chunked",
        BeRefused,
    ),
    (
        "two lengths",
        "Content-Length: 5\r\nContent-Length: 6\r\nTransfer-Encoding: chunked",
        BeRefused,
    ),
    (
        "named in Connection",
        "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
        Mean("abcde"),
    ),
    ("identity", "Transfer-Encoding: identity", BeRefused),
    (
        "identity with a length",
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        BeRefused,
    ),
    ("unknown", "Transfer-Encoding: xchunked", BeRefused),
    (
        "unknown with a length",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5",
        BeRefused,
    ),
    ("cut off", "Transfer-Encoding: chunke", BeRefused),
    ("quoted", "Transfer-Encoding: \"chunked\"", BeRefused),
    ("single quotes", "Transfer-Encoding: 'chunked'", BeRefused),
    ("a parameter", "Transfer-Encoding: chunked;x", BeRefused),
    (
        "a parameter with a value",
        "Transfer-Encoding: chunked; q=1",
        BeRefused,
    ),
    ("nothing", "Transfer-Encoding:", BeRefused),
    ("a comma behind", "Transfer-Encoding: chunked,", BeRefused),
    (
        "something behind",
        "Transfer-Encoding: chunked, identity",
        BeRefused,
    ),
    ("gzip behind", "Transfer-Encoding: chunked, gzip", BeRefused),
    (
        "something behind on a line",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        BeRefused,
    ),
    (
        "identity behind on a line",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        BeRefused,
    ),
    ("a comma before", "Transfer-Encoding: ,chunked", BeRefused),
    (
        "identity before",
        "Transfer-Encoding: identity, chunked",
        BeRefused,
    ),
    ("twice", "Transfer-Encoding: chunked, chunked", BeRefused),
    (
        "twice on lines",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        BeRefused,
    ),
    (
        "an empty line before",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        BeRefused,
    ),
    (
        "an empty line behind",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
        BeRefused,
    ),
    ("gzip before", "Transfer-Encoding: gzip, chunked", BeRefused),
    (
        "gzip before on a line",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        BeRefused,
    ),
    ("folded", "Transfer-Encoding:\r\n chunked", BeRefused),
    (
        "folded with a tab",
        "Transfer-Encoding: x,\r\n\tchunked",
        BeRefused,
    ),
    (
        "hidden in a fold",
        "X: a\r\n Transfer-Encoding: chunked",
        BeRefused,
    ),
    (
        "a space before the colon",
        "Transfer-Encoding : chunked",
        BeRefused,
    ),
    (
        "a tab before the colon",
        "Transfer-Encoding\t: chunked",
        BeRefused,
    ),
    ("a NUL behind", "Transfer-Encoding: chunked\0", BeRefused),
    ("a NUL before", "Transfer-Encoding: \0chunked", BeRefused),
    (
        "a NUL in the name",
        "Transfer-Encoding\0: chunked",
        BeRefused,
    ),
    (
        "a vertical tab",
        "Transfer-Encoding: \u{b}chunked",
        BeRefused,
    ),
    ("a form feed", "Transfer-Encoding: chunked\u{c}", BeRefused),
    (
        "a hard space",
        "Transfer-Encoding: \u{a0}chunked",
        BeRefused,
    ),
    (
        "a bare CR before",
        "X: a\rTransfer-Encoding: chunked",
        BeRefused,
    ),
    (
        "a bare CR behind",
        "Transfer-Encoding: chunked\rX: a",
        BeRefused,
    ),
    ("no colon", "Transfer-Encoding chunked", BeRefused),
    ("an odd name", "Transfer-Encodin\u{11f}: chunked", BeRefused),
];

/// Before the body `abcde`.
const LENGTHS: &[Case] = &[
    ("plain", "Content-Length: 5", Mean("abcde")),
    ("no space", "Content-Length:5", Mean("abcde")),
    ("spaces", "Content-Length:  5 ", Mean("abcde")),
    ("tabs", "Content-Length:\t5\t", Mean("abcde")),
    ("zeros before", "Content-Length: 0005", Mean("abcde")),
    ("zero", "Content-Length: 0", Mean("")),
    (
        "the same twice",
        "Content-Length: 5\r\nContent-Length: 5",
        Mean("abcde"),
    ),
    (
        "named in Connection",
        "Connection: content-length\r\nContent-Length: 5",
        Mean("abcde"),
    ),
    ("two", "Content-Length: 5\r\nContent-Length: 6", BeRefused),
    (
        "two, with zeros",
        "Content-Length: 5\r\nContent-Length: 50",
        BeRefused,
    ),
    ("a list", "Content-Length: 5,5", BeRefused),
    ("a list of others", "Content-Length: 5, 6", BeRefused),
    ("a comma", "Content-Length: 5,", BeRefused),
    ("nothing", "Content-Length:", BeRefused),
    (
        "nothing before",
        "Content-Length:\r\nContent-Length: 5",
        BeRefused,
    ),
    ("plus", "Content-Length: +5", BeRefused),
    ("minus", "Content-Length: -5", BeRefused),
    ("minus one", "Content-Length: -1", BeRefused),
    ("minus zero", "Content-Length: -0", BeRefused),
    ("hexadecimal", "Content-Length: 0x5", BeRefused),
    ("a letter behind", "Content-Length: 5a", BeRefused),
    ("a point", "Content-Length: 5.0", BeRefused),
    ("an exponent", "Content-Length: 5e0", BeRefused),
    ("underscore", "Content-Length: 0_5", BeRefused),
    ("quoted", "Content-Length: \"5\"", BeRefused),
    ("spaces within", "Content-Length: 0 5", BeRefused),
    (
        "just too much",
        "Content-Length: 18446744073709551616",
        BeRefused,
    ),
    (
        "wraps to five",
        "Content-Length: 18446744073709551621",
        BeRefused,
    ),
    (
        "long",
        "Content-Length: 99999999999999999999999999999999999999999",
        BeRefused,
    ),
    ("other digits", "Content-Length: \u{665}", BeRefused),
    ("folded", "Content-Length:\r\n 5", BeRefused),
    ("a space before the colon", "Content-Length : 5", BeRefused),
    ("a NUL behind", "Content-Length: 5\0", BeRefused),
    ("a bare CR behind", "Content-Length: 5\rX: a", BeRefused),
];

#[tokio::test]
async fn transfer_encoding_in_its_disguises_is_refused_or_means_one_thing() {
    let chunks = "5\r\nabcde\r\n0\r\n\r\n";
    hold(ENCODINGS, |fields| {
        format!("{HEAD}\r\n{fields}\r\n\r\n{chunks}{SMUGGLED}").into_bytes()
    })
    .await;
    assert_eq!(ENCODINGS.len(), 50);
}

#[tokio::test]
async fn content_length_in_its_disguises_is_refused_or_means_one_thing() {
    hold(LENGTHS, |fields| {
        format!("{HEAD}\r\n{fields}\r\n\r\nabcde{SMUGGLED}").into_bytes()
    })
    .await;
    assert_eq!(LENGTHS.len(), 34);
}

/// As `HTTP/1.0`, which knows no transfer coding.
const OF_HTTP_1_0: &[Case] = &[
    ("chunked", "Transfer-Encoding: chunked", BeRefused),
    (
        "both",
        "Transfer-Encoding: chunked\r\nContent-Length: 15",
        BeRefused,
    ),
    (
        "keep-alive",
        "Connection: keep-alive\r\nTransfer-Encoding: chunked",
        BeRefused,
    ),
    ("nothing", "X: a", Mean("")),
];

#[tokio::test]
async fn http_1_0_with_a_transfer_encoding_is_refused() {
    hold(OF_HTTP_1_0, |fields| {
        let head = "POST /a HTTP/1.0\r\nHost: example.org";
        format!("{head}\r\n{fields}\r\n\r\n5\r\nabcde\r\n0\r\n\r\n{SMUGGLED}").into_bytes()
    })
    .await;
    assert_eq!(OF_HTTP_1_0.len(), 4);
}

/// Kept alive: what comes behind it is not looked at, whoever would have sent it.
const CLOSES: &[Case] = &[
    (
        "length before",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        Mean("abcde"),
    ),
    (
        "length behind",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        Mean("abcde"),
    ),
];

#[tokio::test]
async fn a_request_framed_twice_is_the_last_on_its_connection() {
    hold(CLOSES, |fields| {
        let head = "POST /a HTTP/1.1\r\nHost: example.org";
        format!("{head}\r\n{fields}\r\n\r\n5\r\nabcde\r\n0\r\n\r\n{SMUGGLED}").into_bytes()
    })
    .await;
    assert_eq!(CLOSES.len(), 2);
}
