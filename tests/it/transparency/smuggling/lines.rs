//! Line ends, control characters, folds, and what comes before and after a request.

use super::Must::{BeRefused, Mean};
use super::{Case, hold};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: example.org\r\n\r\n";

/// Whole heads, each with `Connection: close`.
const HEADS: &[Case] = &[
    (
        "plain",
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Mean(""),
    ),
    (
        "bare LFs",
        "GET /a HTTP/1.1\nHost: a\nConnection: close\n\n",
        Mean(""),
    ),
    (
        "a bare LF at the end",
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\n",
        Mean(""),
    ),
    (
        "a bare LF between fields",
        "GET /a HTTP/1.1\r\nHost: a\nConnection: close\r\n\r\n",
        Mean(""),
    ),
    (
        "empty lines before",
        "\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Mean(""),
    ),
    (
        "a bare CR between fields",
        "GET /a HTTP/1.1\r\nHost: a\rConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a bare CR behind the request line",
        "GET /a HTTP/1.1\rHost: a\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "CR CR LF",
        "GET /a HTTP/1.1\r\r\nHost: a\r\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a bare CR at the end",
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\r",
        BeRefused,
    ),
    (
        "a NUL in a name",
        "GET /a HTTP/1.1\r\nHost: a\r\nX\0: a\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a NUL in a value",
        "GET /a HTTP/1.1\r\nHost: a\r\nX: a\0b\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "an escape in a value",
        "GET /a HTTP/1.1\r\nHost: a\r\nX: a\u{1b}b\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a DEL in a value",
        "GET /a HTTP/1.1\r\nHost: a\r\nX: a\u{7f}b\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a folded field",
        "GET /a HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a field folded by a tab",
        "GET /a HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a first line that is folded",
        "GET /a HTTP/1.1\r\n Host: a\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a line of spaces",
        "GET /a HTTP/1.1\r\nHost: a\r\n  \r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "no name",
        "GET /a HTTP/1.1\r\nHost: a\r\n: b\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "no colon",
        "GET /a HTTP/1.1\r\nHost: a\r\nX\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a space before a colon",
        "GET /a HTTP/1.1\r\nHost: a\r\nX : b\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a space in a name",
        "GET /a HTTP/1.1\r\nHost: a\r\nX Y: b\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a bracket in a name",
        "GET /a HTTP/1.1\r\nHost: a\r\n(X): b\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a name of other letters",
        "GET /a HTTP/1.1\r\nHost: a\r\nX\u{e4}: b\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "an answer",
        "HTTP/1.1 200 OK\r\nHost: a\r\nConnection: close\r\n\r\n",
        BeRefused,
    ),
    (
        "a TLS hello",
        "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\r\n\r\n",
        BeRefused,
    ),
    ("garbage", "\0\u{1}\u{2}\r\n\r\n", BeRefused),
];

#[tokio::test]
async fn odd_lines_are_refused_or_mean_one_thing() {
    hold(HEADS, |head| format!("{head}{SMUGGLED}").into_bytes()).await;
    assert_eq!(HEADS.len(), 26);
}

/// Bytes that follow a whole request on a connection that is kept: nothing, or no request.
const BEHIND: &[Case] = &[
    ("nothing", "", Mean("")),
    ("empty lines", "\r\n\r\n\r\n", Mean("")),
    (
        "half a request",
        "GET /smuggled HTTP/1.1\r\nHost: a\r\n",
        Mean(""),
    ),
    ("a head without an end", "GET /smuggled HTTP/1.1", Mean("")),
];

#[tokio::test]
async fn what_is_no_whole_request_behind_a_request_is_nothing() {
    hold(BEHIND, |behind| {
        format!("GET /a HTTP/1.1\r\nHost: a\r\n\r\n{behind}").into_bytes()
    })
    .await;
    assert_eq!(BEHIND.len(), 4);
}
