//! What the origin is told of the way a request came: by us, and by those whom we trust.

use std::time::Duration;

use key_backup_gateway::audit;
use key_backup_gateway::audit::record::Stored;
use key_backup_gateway::audit::store::Query;

use super::requests::{POST, arrived};
use super::{Gateway, PATIENCE, closing};
use crate::origin::{Answer, Origin, RawRequest};

const LOCAL: &[&str] = &["127.0.0.0/8"];
const FIELDS: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

/// What the origin gets from a gateway that trusts this client, and the networks.
async fn trusted(networks: &[&str], fields: &str) -> RawRequest {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let gateway = Gateway::start(origin.address(), networks).await;
    let answer = gateway.ask(format!("{POST}{fields}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    origin.request()
}

fn told(request: &RawRequest) -> [String; 3] {
    FIELDS.map(|name| {
        let [line] = request.lines(name)[..] else {
            panic!("not one line of {name}: {request:?}");
        };
        String::from_utf8(line.to_vec()).unwrap()
    })
}

#[tokio::test]
async fn the_chain_is_read_from_the_right_as_far_as_it_is_trusted() {
    let networks = [LOCAL, &["10.0.0.0/8", "2001:db8::/32"]].concat();
    let cases = [
        ("", "127.0.0.1"),
        ("203.0.113.9", "203.0.113.9, 127.0.0.1"),
        ("203.0.113.9, 10.0.0.1", "203.0.113.9, 10.0.0.1, 127.0.0.1"),
        // What a stranger wrote left of itself is gone.
        ("10.9.9.9, 203.0.113.9", "203.0.113.9, 127.0.0.1"),
        (
            "evil, 203.0.113.9,10.0.0.1",
            "203.0.113.9, 10.0.0.1, 127.0.0.1",
        ),
        ("203.0.113.9:4711", "203.0.113.9, 127.0.0.1"),
        ("[2001:db8:1::5]:4711", "2001:db8:1::5, 127.0.0.1"),
        ("2001:DB8:0:0::5", "2001:db8::5, 127.0.0.1"),
        ("2a00::1, 2001:db8::5", "2a00::1, 2001:db8::5, 127.0.0.1"),
        ("::ffff:203.0.113.9", "203.0.113.9, 127.0.0.1"),
        // Garbage ends it: the client is the last hop that has an address.
        ("203.0.113.9, unknown, 10.0.0.1", "10.0.0.1, 127.0.0.1"),
        ("203.0.113.9, _hidden", "127.0.0.1"),
        ("203.0.113.9, 10.0.0.256", "127.0.0.1"),
        ("203.0.113.9 10.0.0.1", "127.0.0.1"),
        ("\"203.0.113.9\"", "127.0.0.1"),
        (",, 203.0.113.9 ,", "203.0.113.9, 127.0.0.1"),
    ];
    for (said, expected) in cases {
        let request = trusted(&networks, &format!("X-Forwarded-For: {said}\r\n")).await;
        assert_eq!(told(&request)[0], expected, "{said}");
    }
    assert_eq!(cases.len(), 16);
}

#[tokio::test]
async fn several_lines_are_one_chain() {
    let networks = [LOCAL, &["10.0.0.0/8"]].concat();
    let lines = "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\nX-A: b\r\nx-forwarded-for: 10.0.0.2\r\n\
                 X-FORWARDED-FOR: 10.0.0.1\r\n";
    let request = trusted(&networks, lines).await;
    assert_eq!(
        told(&request)[0],
        "203.0.113.9, 10.0.0.2, 10.0.0.1, 127.0.0.1"
    );
}

#[tokio::test]
async fn odd_bytes_in_the_chain_hide_nothing() {
    let mut request = format!("{POST}X-Forwarded-For: 203.0.113.9, \r\n").into_bytes();
    let at = request.len() - 2;
    request.splice(at..at, *b"\xff\x80");
    request.extend_from_slice(b"\r\n");
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let gateway = Gateway::start(origin.address(), LOCAL).await;
    gateway.ask(request).await;
    assert_eq!(told(&origin.request())[0], "127.0.0.1");
}

#[tokio::test]
async fn the_three_are_always_set_and_always_together() {
    for fields in [
        "",
        "X-Forwarded-For: 203.0.113.9\r\n",
        "X-Forwarded-Proto: https\r\n",
    ] {
        for networks in [&[][..], LOCAL] {
            let request = trusted(networks, fields).await;
            assert!(told(&request).iter().all(|value| !value.is_empty()));
        }
    }
}

#[tokio::test]
async fn nothing_that_a_stranger_says_of_its_way_reaches_the_origin() {
    let once = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
                X-Forwarded-Host: evil.example\r\n";
    for fields in [once, &once.repeat(2), &once.to_ascii_lowercase()] {
        let request = arrived(format!("{POST}{fields}\r\n")).await;
        assert_eq!(told(&request), ["127.0.0.1", "http", "example.org"]);
        let head = String::from_utf8_lossy(&request.head).into_owned();
        assert!(
            !head.contains("192.0.2") && !head.contains("evil"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_stranger_does_not_pass_for_our_proxy_by_naming_the_chain_in_connection() {
    let fields = "Connection: x-forwarded-for, x-forwarded-proto, x-forwarded-host\r\n\
                  X-Forwarded-For: 192.0.2.1\r\n";
    let request = arrived(format!("{POST}{fields}\r\n")).await;
    assert_eq!(told(&request), ["127.0.0.1", "http", "example.org"]);
}

#[tokio::test]
async fn a_trusted_proxys_word_for_scheme_and_host_is_taken_if_it_is_one_word() {
    for (fields, proto, host) in [
        ("X-Forwarded-Proto: HTTPS\r\n", "https", "example.org"),
        (
            "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n",
            "http",
            "example.org",
        ),
        ("X-Forwarded-Proto: ftp\r\n", "http", "example.org"),
        ("X-Forwarded-Proto: https, http\r\n", "http", "example.org"),
        (
            "X-Forwarded-Host: m.example:8448\r\n",
            "http",
            "m.example:8448",
        ),
        (
            "X-Forwarded-Host: a\r\nX-Forwarded-Host: b\r\n",
            "http",
            "example.org",
        ),
        ("X-Forwarded-Host: a b\r\n", "http", "example.org"),
        ("X-Forwarded-Host: \r\n", "http", "example.org"),
    ] {
        let request = trusted(LOCAL, fields).await;
        assert_eq!(told(&request)[1..], [proto, host], "{fields}");
    }
}

#[tokio::test]
async fn a_good_request_id_is_kept_and_a_bad_one_replaced() {
    let longest = "a".repeat(128);
    for good in ["a", "A-9._~:=", &longest] {
        let request = arrived(format!("{POST}X-Request-Id: {good}\r\n\r\n")).await;
        assert_eq!(request.lines("x-request-id"), [good.as_bytes()]);
    }
    let too_long = "a".repeat(129);
    for bad in [
        "",
        "a b",
        "a\"b",
        "a/b",
        "a\r\nX-Request-Id: a",
        "\u{e4}",
        &too_long,
    ] {
        let request = arrived(format!("{POST}X-Request-Id: {bad}\r\n\r\n")).await;
        let [ours] = request.lines("x-request-id")[..] else {
            panic!("{bad}: {request:?}");
        };
        assert_eq!(ours.len(), 36, "{bad}");
    }
}

const WRITE: &str = "PUT /_matrix/client/v3/user/@a:b/account_data/m.key_backup HTTP/1.1";

/// The newest record, when there is one.
async fn record(gateway: &Gateway) -> Stored {
    let store = audit::open(&gateway.database).unwrap();
    let looking = async {
        loop {
            let found = store.page(&Query::default()).await.unwrap_or_default();
            if let Some(last) = found.into_iter().next() {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.expect("a record comes")
}

/// Writes the preference with `fields`. What came to the origin as that write, and its record.
async fn written(gateway: &Gateway, origin: &Origin, fields: &str) -> (RawRequest, Stored) {
    let head = String::from_utf8(closing(WRITE)).unwrap();
    let head = head.trim_end();
    let body = "Content-Length: 16\r\n\r\n{\"enabled\":true}";
    let answer = gateway
        .ask(format!(
            "{head}\r\nAuthorization: Bearer a\r\n{fields}{body}"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let requests = origin.requests();
    let write = requests.into_iter().find(|it| it.method == "PUT").unwrap();
    (write, record(gateway).await)
}

async fn homeserver() -> Origin {
    Origin::start(|request| match request.method.as_str() {
        "GET" => Answer::json("200 OK", r#"{"user_id":"@a:b"}"#),
        _ => Answer::json("200 OK", "{}"),
    })
    .await
}

#[tokio::test]
async fn the_request_id_and_the_trace_reach_origin_and_record() {
    let origin = homeserver().await;
    let gateway = Gateway::before(&origin).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let fields = format!("X-Request-Id: abc-1\r\nTraceparent: {trace}\r\nTracestate: a=b\r\n");
    let (write, stored) = written(&gateway, &origin, &fields).await;
    assert_eq!(write.lines("x-request-id"), [b"abc-1"]);
    assert_eq!(write.lines("traceparent"), [trace.as_bytes()]);
    assert_eq!(write.lines("tracestate"), [b"a=b"]);
    let facts = &stored.record.facts;
    assert_eq!(facts.request_id.as_deref(), Some("abc-1"));
    assert_eq!(facts.traceparent.as_deref(), Some(trace));
}

#[tokio::test]
async fn a_request_id_of_ours_is_the_same_for_origin_and_record() {
    let origin = homeserver().await;
    let gateway = Gateway::before(&origin).await;
    let (write, stored) = written(&gateway, &origin, "").await;
    let ours = stored.record.facts.request_id.unwrap();
    assert_eq!(write.lines("x-request-id"), [ours.as_bytes()]);
}

#[tokio::test]
async fn the_request_id_is_in_the_field_that_is_configured() {
    let origin = homeserver().await;
    let gateway = Gateway::with(origin.address(), |config| {
        config.server.request_id = "x-correlation-id".parse().unwrap();
    })
    .await;
    let fields = "X-Correlation-Id: mine\r\nX-Request-Id: something else/\r\n";
    let (write, stored) = written(&gateway, &origin, fields).await;
    assert_eq!(write.lines("x-correlation-id"), [b"mine"]);
    assert_eq!(write.lines("x-request-id"), [b"something else/"]);
    assert_eq!(stored.record.facts.request_id.as_deref(), Some("mine"));
}
