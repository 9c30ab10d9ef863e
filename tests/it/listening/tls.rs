//! TLS: what is spoken within it, and certificates that are renewed.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

async fn gateway(origin: &Origin, folder: &Folder) -> Gateway {
    let listen = folder.tls();
    Gateway::start(origin, |config| config.server.listen = vec![listen]).await
}

fn get(uri: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(uri).header("host", "example.org");
    request.body(Empty::new()).unwrap()
}

#[tokio::test]
async fn http_1_within_tls_reaches_the_origin_as_https() {
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, &folder).await;
    for offered in [&["http/1.1"][..], &[]] {
        let wire = gateway.connect().await;
        let tls = folder.shake_hands(wire, offered).await.unwrap();
        let alpn = tls.get_ref().1.alpn_protocol();
        assert_eq!(alpn, offered.first().map(|name| name.as_bytes()));
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(get("/%7Ea?b")).await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_11);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "{}");
        connection.abort();
    }
    for request in origin.requests() {
        assert_eq!(request.target, "/%7Ea?b");
        assert_eq!(
            forwarded(&request),
            ("127.0.0.1".to_owned(), "https".to_owned())
        );
    }
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn http_2_within_tls_reaches_the_origin_as_https() {
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, &folder).await;
    // By ALPN, and by prior knowledge.
    for offered in [&["h2", "http/1.1"][..], &[]] {
        let wire = gateway.connect().await;
        let tls = folder.shake_hands(wire, offered).await.unwrap();
        let alpn = tls.get_ref().1.alpn_protocol();
        assert_eq!(alpn, offered.first().map(|name| name.as_bytes()));
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(tls));
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get("https://example.org/%7Ea?b");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "{}");
        connection.abort();
    }
    for request in origin.requests() {
        assert_eq!(request.target, "/%7Ea?b");
        assert_eq!(request.lines("host"), [b"example.org"]);
        assert_eq!(
            forwarded(&request),
            ("127.0.0.1".to_owned(), "https".to_owned())
        );
    }
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn what_was_agreed_on_is_what_is_spoken() {
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, &folder).await;
    let wire = gateway.connect().await;
    let tls = folder.shake_hands(wire, &["h2"]).await.unwrap();
    let answer = ask(tls, GET).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let wire = gateway.connect().await;
    assert!(folder.shake_hands(wire, &["spdy/3"]).await.is_err());
    assert_eq!(origin.requests(), []);
}

#[tokio::test]
async fn the_end_of_an_answer_within_tls_cannot_be_forged() {
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, &folder).await;
    let wire = gateway.connect().await;
    let mut tls = folder.shake_hands(wire, &[]).await.unwrap();
    tls.write_all(GET.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // Without `close_notify` this is an error (UnexpectedEof).
    tls.read_to_string(&mut answer).await.unwrap();
    assert_answered(&answer);
}

#[tokio::test]
async fn plain_http_is_not_spoken_where_tls_is() {
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, &folder).await;
    let answer = ask(gateway.connect().await, GET).await;
    assert!(!answer.contains("HTTP/"), "{answer}");
    assert_eq!(origin.requests(), []);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_open_ones_go_on() {
    const KEPT: &str = "GET /a HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, &folder).await;
    let wire = gateway.connect().await;
    let mut open = folder.shake_hands(wire, &[]).await.unwrap();
    let mut answer = async |request: &str| {
        open.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"{}") {
            answer.push(open.read_u8().await.expect("the connection is open"));
        }
    };
    answer(KEPT).await;

    // A certificate without its key: the one before stays.
    let renewed = Folder::new();
    let copy = |from, to| std::fs::copy::<std::path::PathBuf, _>(from, to).unwrap();
    copy(
        renewed.files().certificate_file,
        folder.files().certificate_file,
    );
    gateway.reload.reload();
    let wire = gateway.connect().await;
    let tls = folder.shake_hands(wire, &[]).await.unwrap();
    assert_answered(&ask(tls, GET).await);
    answer(KEPT).await;

    copy(renewed.files().key_file, folder.files().key_file);
    gateway.reload.reload();
    let wire = gateway.connect().await;
    assert!(folder.shake_hands(wire, &[]).await.is_err());
    let wire = gateway.connect().await;
    let tls = renewed.shake_hands(wire, &[]).await.unwrap();
    assert_answered(&ask(tls, GET).await);
    answer(KEPT).await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_a_mistake_in_the_configuration() {
    let origin = origin().await;
    let (folder, another) = (Folder::new(), Folder::new());
    std::fs::copy(another.files().key_file, folder.files().key_file).unwrap();
    let listen = folder.tls();
    let bound = Gateway::bind(&origin, folder.folder.path(), |config| {
        config.server.listen = vec![listen];
    });
    let Err(error) = bound.await else {
        panic!("it is taken");
    };
    assert!(error.is_configuration());
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("key.pem is not that of the first certificate"),
        "{cause}"
    );
}

/// A client that never begins gives its place to others; the deadline of TLS is 10 s.
#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_let_go() {
    let origin = origin().await;
    let folder = Folder::new();
    let gateway = gateway(&origin, &folder).await;
    let begun = tokio::time::Instant::now();
    let mut wire = gateway.connect().await;
    // The beginning of a record.
    wire.write_all(b"\x16\x03\x01\x02\0").await.unwrap();
    assert_eq!(rest(wire).await, "");
    let waited = begun.elapsed();
    assert!(
        waited > Duration::from_secs(9) && waited < Duration::from_secs(15),
        "{waited:?}"
    );
}
