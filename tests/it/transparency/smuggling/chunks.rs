//! Chunks: their sizes, extensions, ends and trailers.

use super::Must::{BreakOff, Mean};
use super::{Case, hold};

/// Bodies in chunks.
const CHUNKS: &[Case] = &[
    ("plain", "5\r\nabcde\r\n0\r\n\r\n", Mean("abcde")),
    ("two", "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", Mean("abcde")),
    ("empty", "0\r\n\r\n", Mean("")),
    (
        "zeros before the size",
        "0005\r\nabcde\r\n000\r\n\r\n",
        Mean("abcde"),
    ),
    (
        "upper case",
        "A\r\nabcdefghij\r\n0\r\n\r\n",
        Mean("abcdefghij"),
    ),
    (
        "an extension",
        "5;a=b\r\nabcde\r\n0;c\r\n\r\n",
        Mean("abcde"),
    ),
    (
        "a quoted extension",
        "5;a=\"b;c\"\r\nabcde\r\n0\r\n\r\n",
        Mean("abcde"),
    ),
    (
        "an extension with a size in it",
        "5;\"9\"\r\nabcde\r\n0\r\n\r\n",
        Mean("abcde"),
    ),
    (
        "a space behind the size",
        "5 \r\nabcde\r\n0\r\n\r\n",
        Mean("abcde"),
    ),
    (
        "a trailer",
        "5\r\nabcde\r\n0\r\nX-A: b\r\n\r\n",
        Mean("abcde"),
    ),
    (
        "framing in the trailers",
        "5\r\nabcde\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: b\r\n\r\n",
        Mean("abcde"),
    ),
    (
        "a space before the size",
        " 5\r\nabcde\r\n0\r\n\r\n",
        BreakOff,
    ),
    ("plus", "+5\r\nabcde\r\n0\r\n\r\n", BreakOff),
    ("minus", "-5\r\nabcde\r\n0\r\n\r\n", BreakOff),
    ("0x", "0x5\r\nabcde\r\n0\r\n\r\n", BreakOff),
    ("no size", "\r\nabcde\r\n0\r\n\r\n", BreakOff),
    ("no digit", "g\r\nabcde\r\n0\r\n\r\n", BreakOff),
    (
        "just too much",
        "10000000000000000\r\nabcde\r\n0\r\n\r\n",
        BreakOff,
    ),
    (
        "wraps to five",
        "10000000000000005\r\nabcde\r\n0\r\n\r\n",
        BreakOff,
    ),
    ("more than the size", "3\r\nabcde\r\n0\r\n\r\n", BreakOff),
    ("no end of the chunk", "5\r\nabcde0\r\n\r\n", BreakOff),
    (
        "a bare LF behind the chunk",
        "5\r\nabcde\n0\r\n\r\n",
        BreakOff,
    ),
    (
        "a bare CR behind the chunk",
        "5\r\nabcde\r0\r\n\r\n",
        BreakOff,
    ),
    (
        "a bare LF behind the size",
        "5\nabcde\r\n0\r\n\r\n",
        BreakOff,
    ),
    (
        "a bare CR behind the size",
        "5\rabcde\r\n0\r\n\r\n",
        BreakOff,
    ),
    (
        "an LF in an extension",
        "5;a\nb\r\nabcde\r\n0\r\n\r\n",
        BreakOff,
    ),
    (
        "an LF in a quoted extension",
        "5;a=\"\n\"\r\nabcde\r\n0\r\n\r\n",
        BreakOff,
    ),
    (
        "a CR in an extension",
        "5;a\rb\r\nabcde\r\n0\r\n\r\n",
        BreakOff,
    ),
    ("a bare LF at the end", "5\r\nabcde\r\n0\n\n", BreakOff),
    (
        "a trailer that is none",
        "5\r\nabcde\r\n0\r\nX A\r\n\r\n",
        BreakOff,
    ),
    (
        "a folded trailer",
        "5\r\nabcde\r\n0\r\nX: a\r\n b\r\n\r\n",
        BreakOff,
    ),
];

fn around(body: &str) -> Vec<u8> {
    let head = "POST /a HTTP/1.1\r\nHost: example.org\r\nConnection: close";
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: example.org\r\n\r\n";
    format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n{body}{smuggled}").into_bytes()
}

#[tokio::test]
async fn odd_chunks_break_off_or_mean_one_thing() {
    hold(CHUNKS, around).await;
    assert_eq!(CHUNKS.len(), 31);
}

#[tokio::test]
async fn endless_extensions_and_trailers_break_off() {
    let extension = format!("5;{}\r\nabcde\r\n0\r\n\r\n", "a".repeat(1 << 20));
    let trailers = format!("5\r\nabcde\r\n0\r\n{}\r\n", "X-A: b\r\n".repeat(1 << 17));
    let trailer = format!("5\r\nabcde\r\n0\r\nX-A: {}\r\n\r\n", "b".repeat(1 << 20));
    for (name, body) in [
        ("extension", extension),
        ("trailers", trailers),
        ("trailer", trailer),
    ] {
        let table = [(name, &*body.leak(), BreakOff)];
        hold(&table, around).await;
    }
}
