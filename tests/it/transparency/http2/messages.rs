//! What stands in a request and in an answer.

use http::{HeaderMap, HeaderValue, Request};

use super::{H2, arrived, get, plain};
use crate::origin::{Answer, Origin};
use crate::transparency::Gateway;

fn value(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(bytes).unwrap()
}

#[tokio::test]
async fn the_target_reaches_the_origin_untouched() {
    for target in [
        "/",
        "/%zz%2/%00%2F%2f%ff%C3%A9",
        "//a//b/./c/../d/",
        "/a?",
        "/a??b?c=%20&+",
        "/a;b=c,d'(!)*~",
        &format!("/{}", "%2F".repeat(2731)),
    ] {
        assert_eq!(arrived(get(target)).await.target, target);
    }
}

#[tokio::test]
async fn any_method_reaches_the_origin() {
    for method in ["GET", "HEAD", "DELETE", "TRACE", "BREW", "get", "M-SEARCH"] {
        let request = Request::builder().method(method).uri("http://a/b");
        let request = arrived(request).await;
        assert_eq!((&*request.method, &*request.target), (method, "/b"));
    }
}

#[tokio::test]
async fn the_authority_becomes_the_host() {
    let request = arrived(Request::get("http://EXAMPLE.org:8448/a")).await;
    assert_eq!(request.lines("host"), [b"EXAMPLE.org:8448"]);
    assert_eq!(request.lines("x-forwarded-host"), [b"EXAMPLE.org:8448"]);
    assert_eq!(request.lines("x-forwarded-for"), [b"127.0.0.1"]);
    assert_eq!(request.lines("x-forwarded-proto"), [b"http"]);
}

#[tokio::test]
async fn fields_are_kept_byte_for_byte_and_in_order() {
    let odd: Vec<u8> = (0x21..=0xff).filter(|byte| *byte != 0x7f).collect();
    let request = get("/")
        .header("x-odd", value(&odd))
        .header("x-empty", "")
        .header("x-a", "2")
        .header("x-b", "9")
        .header("x-a", "1")
        .header("x-a", "2")
        .header("!#$%&'*+-.^_`|~", "a");
    let request = arrived(request).await;
    assert_eq!(request.lines("x-odd"), [&odd[..]]);
    assert_eq!(request.lines("x-empty"), [b""]);
    assert_eq!(request.lines("x-a"), [b"2", b"1", b"2"]);
    assert_eq!(request.lines("!#$%&'*+-.^_`|~"), [b"a"]);
}

#[tokio::test]
async fn cookies_that_http_2_has_split_are_joined_again() {
    let request = get("/").header("cookie", "a=b").header("cookie", "c=d");
    assert_eq!(arrived(request).await.lines("cookie"), [b"a=b; c=d"]);
}

#[tokio::test]
async fn fields_of_64_kib_reach_the_origin() {
    let long = "a".repeat(16 << 10);
    let request = (0..4).fold(get("/"), |request, _| request.header("x-long", &long));
    let request = arrived(request).await;
    assert_eq!(request.lines("x-long").len(), 4);
    assert!(
        request
            .lines("x-long")
            .iter()
            .all(|it| it.len() == 16 << 10)
    );
}

#[tokio::test]
async fn nothing_is_added_but_the_forwarding_fields() {
    let request = arrived(get("/")).await;
    let mut names: Vec<_> = request.fields.iter().map(|(name, _)| &**name).collect();
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
async fn no_body_stays_no_body() {
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let request = Request::builder().method(method).uri("http://a/");
        let request = arrived(request).await;
        assert_eq!(request.lines("content-length"), [b""; 0], "{method}");
        assert_eq!(request.lines("transfer-encoding"), [b""; 0], "{method}");
    }
}

#[tokio::test]
async fn a_body_keeps_its_length_or_has_none() {
    let origin = plain().await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    for method in ["POST", "GET", "DELETE"] {
        let request = || Request::builder().method(method).uri("http://a/");
        let with = request().header("content-length", "3").body(()).unwrap();
        client.tell(with, "abc", None).await;
        client.tell(request().body(()).unwrap(), "abc", None).await;
        let zero = request().header("content-length", "0").body(()).unwrap();
        client.ask(zero).await;
        let requests = origin.requests();
        let [with, without, zero] = &requests[requests.len() - 3..] else {
            unreachable!();
        };
        assert_eq!(with.lines("content-length"), [b"3"], "{method}");
        assert_eq!(with.framed, b"abc", "{method}");
        assert_eq!(without.lines("transfer-encoding"), [b"chunked"], "{method}");
        assert_eq!(without.lines("content-length"), [b""; 0], "{method}");
        assert_eq!(without.body, b"abc", "{method}");
        assert_eq!(zero.lines("content-length"), [b"0"], "{method}");
    }
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let chunks =
        "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
    let origin =
        Origin::start(move |_| Answer::bytes(format!("HTTP/1.1 200 OK\r\n{chunks}"))).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", value(b"2"));
    let request = Request::post("http://a/").header("te", "trailers");
    let request = request.header("trailer", "x-check").body(()).unwrap();
    let got = client.tell(request, "abc", Some(trailers)).await;
    let framed = String::from_utf8(origin.request().framed).unwrap();
    assert!(framed.ends_with("0\r\nx-check: 2\r\n\r\n"), "{framed:?}");
    assert_eq!(origin.request().lines("te"), [b"trailers"]);
    assert_eq!(got.body, b"abc");
    assert_eq!(got.trailers.unwrap()["x-sum"], "1");
}

#[tokio::test]
async fn an_answer_is_relayed_as_it_came() {
    let answer = "HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\nSet-Cookie: b=1\r\nSet-Cookie: a=2\r\n\
                  Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: Synapse\r\nX-Empty:\r\n\r\nabc";
    let origin = Origin::start(move |_| Answer::bytes(answer)).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let got = client.ask(get("/").body(()).unwrap()).await;
    assert_eq!(got.status, 206);
    assert_eq!(got.body, b"abc");
    let cookies: Vec<_> = got.fields.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["b=1", "a=2"]);
    assert_eq!(got.fields["date"], "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(got.fields["server"], "Synapse");
    assert_eq!(got.fields["x-empty"], "");
    assert_eq!(got.fields["content-length"], "3");
    assert_eq!(got.fields.len(), 6, "{:?}", got.fields);
}

#[tokio::test]
async fn hop_by_hop_fields_of_the_origin_do_not_reach_http_2() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: X-One, keep-alive\r\nX-One: 1\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Connection: close\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let origin = Origin::start(move |_| Answer::bytes(answer)).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let got = client.ask(get("/").body(()).unwrap()).await;
    assert!(got.fields.is_empty(), "{:?}", got.fields);
}

#[tokio::test]
async fn head_answer_keeps_its_content_length() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n";
    let origin = Origin::start(move |_| Answer::bytes(answer)).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let request = Request::head("http://a/").body(()).unwrap();
    let got = client.ask(request).await;
    assert_eq!(got.fields["content-length"], "1234");
    assert_eq!(got.body, b"");
}

#[tokio::test]
async fn answers_without_a_body_stay_without() {
    for status in ["204 No Content", "304 Not Modified"] {
        let answer = format!("HTTP/1.1 {status}\r\nETag: a\r\n\r\n");
        let origin = Origin::start(move |_| Answer::bytes(&answer)).await;
        let mut client = H2::to(&Gateway::before(&origin).await).await;
        let got = client.ask(get("/").body(()).unwrap()).await;
        assert!(status.starts_with(got.status.as_str()));
        assert_eq!((got.fields.len(), &*got.body), (1, &b""[..]));
    }
}

#[tokio::test]
async fn what_is_no_answer_is_a_502() {
    let origin = Origin::start(|_| Answer::bytes("garbage\r\n\r\n").close()).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let got = client.ask(get("/").body(()).unwrap()).await;
    assert_eq!(got.status, 502);
}
