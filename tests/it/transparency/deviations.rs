//! What hyper forces us to change: each with the README's own words for it.
//!
//! `tests/run transparency` prints these as `differs`. A test here that fails means that the README no
//! longer tells the truth; perhaps the promise can be kept now.

use super::requests::{POST, arrived, refused};
use super::{Gateway, body, closing, lines};
use crate::origin::{Answer, Origin};

/// The tests below, and a phrase of the README's for each.
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "field_names_become_lower_case",
        "Field names become lower-case",
    ),
    (
        "fields_of_different_names_may_change_their_order",
        "fields of different names may change their order",
    ),
    (
        "a_fragment_is_cut_off_in_any_form",
        "A `#fragment` is cut off",
    ),
    (
        "absolute_form_becomes_a_path",
        "`http://host/path` becomes `/path` with that `Host`",
    ),
    (
        "characters_that_no_target_may_have_are_refused",
        "A target with `<`, `>` or a backtick",
    ),
    (
        "informational_answers_but_100_are_not_relayed",
        "102 and 103 of the homeserver are not relayed",
    ),
    (
        "trailers_are_relayed_to_whom_they_are_named",
        "Of trailers, those that `Trailer` names are relayed",
    ),
    (
        "a_304_loses_the_length_of_what_it_does_not_send",
        "A 304 loses its `Content-Length`",
    ),
    (
        "a_reason_phrase_of_other_bytes_is_lost",
        "a reason phrase that is not text",
    ),
    (
        "chunks_are_cut_anew_and_lose_their_extensions",
        "Chunks are cut anew, without their extensions",
    ),
    (
        "a_body_until_the_end_of_the_connection_becomes_chunks",
        "becomes `chunked` for a client of HTTP/1.1",
    ),
    (
        "white_space_and_line_ends_are_made_anew",
        "White space around values is dropped, and a bare LF that ends a line becomes CR LF",
    ),
    (
        "the_same_length_twice_becomes_one",
        "The same `Content-Length` twice becomes one",
    ),
];

#[test]
fn every_deviation_is_in_the_readme() {
    let readme = include_str!("../../../README.md");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = words(readme);
    let missing: Vec<_> = DEVIATIONS
        .iter()
        .filter(|(_, phrase)| !readme.contains(&words(phrase)))
        .collect();
    assert!(missing.is_empty(), "not in the README: {missing:#?}");
}

#[test]
fn every_deviation_has_its_test() {
    let this = include_str!("deviations.rs");
    let tests: Vec<_> = this
        .split("#[tokio::test]\nasync fn ")
        .skip(1)
        .map(|rest| rest.split_once('(').unwrap().0)
        .collect();
    let listed: Vec<_> = DEVIATIONS.iter().map(|(test, _)| *test).collect();
    assert_eq!(tests, listed);
}

#[tokio::test]
async fn field_names_become_lower_case() {
    let request = arrived(format!("{POST}X-MiXeD: a\r\n\r\n")).await;
    let head = String::from_utf8(request.head).unwrap();
    assert!(head.contains("\r\nx-mixed: a\r\n"), "{head}");
}

#[tokio::test]
async fn fields_of_different_names_may_change_their_order() {
    // Those of one name never do, and come together.
    let request = arrived(format!("{POST}X-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n")).await;
    let names: Vec<_> = request.fields.iter().map(|(name, _)| &**name).collect();
    let first = names.iter().position(|name| *name == "x-a").unwrap();
    assert_eq!(names[first + 1], "x-a", "{names:?}");
    assert_eq!(request.lines("x-a"), [b"1", b"3"]);
}

#[tokio::test]
async fn a_fragment_is_cut_off_in_any_form() {
    for target in ["/a?b#c", "/a?b#", "/a?b#c?d#e", "http://example.org/a?b#c"] {
        let request = arrived(closing(&format!("GET {target} HTTP/1.1"))).await;
        assert_eq!(request.target, "/a?b", "{target}");
    }
}

#[tokio::test]
async fn absolute_form_becomes_a_path() {
    let request = arrived(closing("GET http://example.net/a HTTP/1.1")).await;
    assert_eq!(request.target, "/a");
    assert_eq!(request.lines("host"), [b"example.net"]);
}

#[tokio::test]
async fn characters_that_no_target_may_have_are_refused() {
    for target in ["/a<b", "/a>b", "/a`b"] {
        let answer = refused(closing(&format!("GET {target} HTTP/1.1"))).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
        assert_eq!(body(&answer), "");
    }
}

/// What a client gets when the origin answers with these bytes, and closes.
async fn relayed(answer: &str) -> String {
    relayed_to("GET / HTTP/1.1", answer.as_bytes()).await
}

async fn relayed_to(request: &str, answer: &[u8]) -> String {
    let answer = Answer::bytes(answer).close();
    let origin = Origin::start(move |_| answer.clone()).await;
    Gateway::before(&origin).await.ask(closing(request)).await
}

#[tokio::test]
async fn informational_answers_but_100_are_not_relayed() {
    let early = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let answer = relayed(&format!(
        "{early}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    ))
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!answer.contains("Hints"), "{answer}");
}

#[tokio::test]
async fn trailers_are_relayed_to_whom_they_are_named() {
    let chunks =
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Named: 1\r\nX-Other: 2\r\n\r\n";
    let request = arrived(format!("{POST}Trailer: X-Named\r\n{chunks}")).await;
    let framed = String::from_utf8(request.framed).unwrap();
    assert!(
        framed
            .to_ascii_lowercase()
            .ends_with("0\r\nx-named: 1\r\n\r\n"),
        "{framed:?}"
    );
    let answer = format!("HTTP/1.1 200 OK\r\nTrailer: X-Named\r\n{chunks}");
    let origin = Origin::start(move |_| Answer::bytes(&answer)).await;
    let gateway = Gateway::before(&origin).await;
    for (fields, end) in [
        ("", "0\r\n\r\n"),
        ("TE: trailers\r\n", "0\r\nx-named: 1\r\n\r\n"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
        let answer = gateway.ask(request).await.to_ascii_lowercase();
        assert!(answer.ends_with(&format!("3\r\nabc\r\n{end}")), "{answer}");
    }
}

#[tokio::test]
async fn a_304_loses_the_length_of_what_it_does_not_send() {
    let answer = relayed("HTTP/1.1 304 Not Modified\r\nETag: a\r\nContent-Length: 9\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 304 Not Modified\r\n"),
        "{answer}"
    );
    assert_eq!(lines(&answer, "content-length"), [""; 0]);
    assert_eq!(lines(&answer, "etag"), ["a"]);
}

#[tokio::test]
async fn a_reason_phrase_of_other_bytes_is_lost() {
    let answer = b"HTTP/1.1 404 Gibt's nicht \xfcberall\r\nContent-Length: 0\r\n\r\n";
    let answer = relayed_to("GET / HTTP/1.1", answer).await;
    assert!(answer.starts_with("HTTP/1.1 404 \r\n"), "{answer}");
}

#[tokio::test]
async fn chunks_are_cut_anew_and_lose_their_extensions() {
    let chunks = "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nabcde\r\n0;c\r\n\r\n";
    let request = arrived(format!("{POST}{chunks}")).await;
    assert_eq!(request.framed, b"5\r\nabcde\r\n0\r\n\r\n");
    let answer = relayed(&format!("HTTP/1.1 200 OK\r\n{chunks}")).await;
    assert_eq!(body(&answer), "5\r\nabcde\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_body_until_the_end_of_the_connection_becomes_chunks() {
    let answer = relayed("HTTP/1.1 200 OK\r\n\r\nabc").await;
    assert_eq!(lines(&answer, "transfer-encoding"), ["chunked"]);
    assert_eq!(body(&answer), "3\r\nabc\r\n0\r\n\r\n");
}

#[tokio::test]
async fn white_space_and_line_ends_are_made_anew() {
    let head = "POST / HTTP/1.1\nHost: a\nConnection: close\nX-A:\t b \nContent-Length:2\n\nab";
    let request = arrived(head).await;
    let head = String::from_utf8(request.head).unwrap();
    assert!(head.contains("\r\nx-a: b\r\n"), "{head:?}");
    assert!(!head.replace("\r\n", "").contains('\n'), "{head:?}");
}

#[tokio::test]
async fn the_same_length_twice_becomes_one() {
    let fields = "Content-Length: 2\r\nContent-Length: 2\r\n";
    let request = arrived(format!("{POST}{fields}\r\nab")).await;
    assert_eq!(request.lines("content-length"), [b"2"]);
    let answer = relayed(&format!("HTTP/1.1 200 OK\r\n{fields}\r\nab")).await;
    assert_eq!(lines(&answer, "content-length"), ["2"]);
}
