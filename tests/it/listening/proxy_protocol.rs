//! The PROXY protocol: who is believed to speak for whom, and what comes after the header.

use super::*;

const V1: &str = "PROXY TCP4 203.0.113.7 198.51.100.1 1000 443\r\n";
const V1_V6: &str = "PROXY TCP6 2001:db8::7 2001:db8::1 1000 443\r\n";

/// Version 2 for 203.0.113.7.
fn v2() -> Vec<u8> {
    const HEAD: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    [HEAD, &[203, 0, 113, 7, 198, 51, 100, 1, 3, 232, 1, 187]].concat()
}

/// Version 2 in which the proxy speaks for itself.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";

fn proxied(listen: Listen) -> Listen {
    Listen {
        proxy_protocol: true,
        ..listen
    }
}

/// A gateway that takes headers from `trusted`.
async fn gateway(origin: &Origin, listen: Listen, trusted: &[&str]) -> Gateway {
    Gateway::start(origin, |config| {
        config.server.listen = vec![proxied(listen)];
        let trusted = trusted.iter().map(|network| network.parse().unwrap());
        config.server.trusted_proxies = trusted.collect();
    })
    .await
}

fn http(client: &str) -> (String, String) {
    (client.to_owned(), "http".to_owned())
}

#[tokio::test]
async fn the_client_is_whom_a_trusted_proxy_speaks_for() {
    let local = "127.0.0.1";
    for (header, expected) in [
        (V1.as_bytes(), "203.0.113.7"),
        (V1_V6.as_bytes(), "2001:db8::7"),
        (&v2(), "203.0.113.7"),
        // Then it is the proxy itself.
        (V2_LOCAL, local),
        (b"PROXY UNKNOWN\r\n", local),
    ] {
        let origin = origin().await;
        let gateway = gateway(&origin, plain("127.0.0.1:0"), &["127.0.0.0/8"]).await;
        let bytes = [header, GET.as_bytes()].concat();
        assert_answered(&ask(gateway.connect().await, bytes).await);
        assert_eq!(forwarded(&origin.request()), http(expected));
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_know_its_client_does_not_vouch_for_it() {
    for header in [V2_LOCAL, b"PROXY UNKNOWN\r\n"] {
        let origin = origin().await;
        let gateway = gateway(&origin, plain("127.0.0.1:0"), &["127.0.0.0/8"]).await;
        let forged = "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\n\r\n";
        let request = GET.replace("\r\n\r\n", &format!("\r\n{forged}"));
        let bytes = [header, request.as_bytes()].concat();
        assert_answered(&ask(gateway.connect().await, bytes).await);
        assert_eq!(forwarded(&origin.request()), http("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_header_in_single_bytes_is_a_header() {
    let origin = origin().await;
    let gateway = gateway(&origin, plain("127.0.0.1:0"), &["127.0.0.0/8"]).await;
    for header in [V1.as_bytes(), &v2()] {
        let mut wire = gateway.connect().await;
        for byte in header {
            wire.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_answered(&ask(wire, GET).await);
    }
    for request in origin.requests() {
        assert_eq!(forwarded(&request), http("203.0.113.7"));
    }
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn nobody_else_speaks_for_anybody() {
    let origin = origin().await;
    let gateway = gateway(&origin, plain("127.0.0.1:0"), &["203.0.113.0/24"]).await;
    for header in [V1.as_bytes(), &v2(), V2_LOCAL, b""] {
        let bytes = [header, GET.as_bytes()].concat();
        assert_eq!(ask(gateway.connect().await, bytes).await, "");
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_connection_without_its_header_is_dropped() {
    let origin = origin().await;
    let gateway = gateway(&origin, plain("127.0.0.1:0"), &["127.0.0.0/8"]).await;
    for bytes in [GET, "PROXY TCP4 nobody nobody 1 1\r\n", "\x16\x03\x01\x02"] {
        assert_eq!(ask(gateway.connect().await, bytes).await, "");
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_header_where_none_is_expected_is_no_request() {
    let origin = origin().await;
    let gateway = Gateway::start(&origin, |config| {
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    for header in [V1.as_bytes(), &v2()] {
        let bytes = [header, GET.as_bytes()].concat();
        let answer = ask(gateway.connect().await, bytes).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
    }
    assert_eq!(origin.connections(), 0);
}

/// The client writes the field, the proxy the header: they are of different trust.
#[tokio::test]
async fn what_the_client_writes_is_believed_only_if_it_is_a_trusted_proxy_too() {
    let request = "GET /a HTTP/1.1\r\nHost: example.org\r\nX-Forwarded-For: 192.0.2.9\r\n\
                   Connection: close\r\n\r\n";
    let bytes = [V1, request].concat();
    for (trusted, expected) in [
        (&["127.0.0.0/8"][..], "203.0.113.7"),
        (&["127.0.0.0/8", "203.0.113.0/24"], "192.0.2.9, 203.0.113.7"),
    ] {
        let origin = origin().await;
        let gateway = gateway(&origin, plain("127.0.0.1:0"), trusted).await;
        assert_answered(&ask(gateway.connect().await, &bytes).await);
        assert_eq!(forwarded(&origin.request()), http(expected));
    }
}

#[tokio::test]
async fn the_header_comes_first_then_tls_then_http() {
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, folder.tls(), &["127.0.0.0/8"]).await;
    let mut wire = gateway.connect().await;
    wire.write_all(&v2()).await.unwrap();
    let tls = folder.shake_hands(wire, &["http/1.1"]).await.unwrap();
    assert_answered(&ask(tls, GET).await);
    let expected = ("203.0.113.7".to_owned(), "https".to_owned());
    assert_eq!(forwarded(&origin.request()), expected);

    // Within TLS it is too late.
    let wire = gateway.connect().await;
    assert!(folder.shake_hands(wire, &["http/1.1"]).await.is_err());
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn header_and_handshake_may_come_at_once() {
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, folder.tls(), &["127.0.0.0/8"]).await;
    // What is written is held back, and goes out as one.
    let mut wire = tokio::io::BufWriter::new(gateway.connect().await);
    wire.write_all(V1.as_bytes()).await.unwrap();
    let tls = folder.shake_hands(wire, &[]).await.unwrap();
    assert_answered(&ask(tls, GET).await);
    assert_eq!(forwarded(&origin.request()).0, "203.0.113.7");
}

#[tokio::test]
async fn a_proxy_at_a_unix_socket_is_trusted() {
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, plain(&folder.socket("s")), &[]).await;
    let bytes = [&v2(), GET.as_bytes()].concat();
    assert_answered(&ask(gateway.connect().await, bytes).await);
    assert_eq!(forwarded(&origin.request()), http("203.0.113.7"));
}

/// The deadline of the header is 5 s.
#[tokio::test]
async fn a_proxy_that_does_not_say_for_whom_is_let_go() {
    let origin = origin().await;
    let gateway = gateway(&origin, plain("127.0.0.1:0"), &["127.0.0.0/8"]).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(ask(gateway.connect().await, &V1[..20]).await, "");
    let waited = begun.elapsed();
    assert!(
        waited > Duration::from_secs(4) && waited < Duration::from_secs(10),
        "{waited:?}"
    );
}
