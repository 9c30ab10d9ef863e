//! Where the origin is, who it must be, and what becomes of its connections.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use key_backup_gateway::proxy::{self, Error, Forward, Relayed};
use key_backup_gateway::telemetry;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::{NamedTempFile, TempDir};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tower::Service;

use super::{Gateway, PATIENCE, closing, lines};
use crate::origin::{Answer, Origin};

/// Long enough for whatever happens at once.
const SOON: Duration = Duration::from_secs(1);

pub(super) fn forward(url: &str, ca_file: Option<&NamedTempFile>) -> Forward<Full<Bytes>> {
    let config = proxy::Config {
        ca_file: ca_file.map(|file| file.path().to_owned()),
        connect_timeout: SOON,
        ..proxy::Config::default()
    };
    let origin = proxy::Origin::parse(url).unwrap();
    Forward::new(&origin, &config, proxy::Limits::default()).unwrap()
}

pub(super) async fn ask(
    forward: &Forward<Full<Bytes>>,
    body: Bytes,
) -> Result<Response<Relayed>, Error> {
    let request = Request::put("/a").body(Full::from(body)).unwrap();
    let asking = forward.clone().call(request);
    timeout(PATIENCE, asking).await.expect("it ends in time")
}

pub(super) async fn body_of(answer: Response<Relayed>) -> Bytes {
    let reading = timeout(PATIENCE, answer.into_body().collect());
    let body = reading.await.expect("it ends in time");
    body.expect("all of it comes").to_bytes()
}

/// Reads one request without a body worth the name, and answers.
pub(super) async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    answer: &[u8],
) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0, "{head:?}");
    }
    stream.write_all(answer).await.unwrap();
    stream.flush().await.unwrap();
    String::from_utf8(head).unwrap()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

// --- unix sockets

#[tokio::test]
async fn an_origin_may_be_a_unix_socket() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("synapse.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let first = answer(&mut stream, OK).await;
        let second = answer(&mut stream, OK).await;
        [first, second]
    });
    let forward = forward(&format!("unix:{}", path.display()), None);
    for _ in 0..2 {
        assert_eq!(
            body_of(ask(&forward, Bytes::new()).await.unwrap()).await,
            "{}"
        );
        // It goes back to the pool just after the last byte.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for head in serving.await.unwrap() {
        assert!(head.starts_with("PUT /a HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("host: localhost\r\n"), "{head}");
    }
}

#[tokio::test]
async fn nothing_was_sent_to_a_unix_socket_that_is_not_there() {
    let folder = TempDir::new().unwrap();
    let url = format!("unix:{}", folder.path().join("none").display());
    let error = ask(&forward(&url, None), Bytes::new()).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert!(error.never_sent());
}

#[tokio::test]
async fn a_unix_socket_whose_queue_is_full_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("synapse.sock");
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = tokio::net::UnixStream::connect(&path).await {
        queue.push(connected);
    }
    let forward = forward(&format!("unix:{}", path.display()), None);
    let asking = tokio::spawn(async move { ask(&forward, Bytes::new()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!asking.is_finished(), "a full queue is no error");
    for _ in 0..queue.len() {
        listener.accept().await.unwrap();
    }
    let (mut stream, _) = listener.accept().await.unwrap();
    answer(&mut stream, OK).await;
    assert_eq!(body_of(asking.await.unwrap().unwrap()).await, "{}");
}

// --- TLS

/// A certificate for `names`, and the file with it.
pub(super) fn certificate(names: &[&str]) -> (CertifiedKey<rcgen::KeyPair>, NamedTempFile) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = generate_simple_self_signed(names).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(certificate.cert.pem().as_bytes()).unwrap();
    (certificate, file)
}

/// An origin with that certificate on port 0, which hands each connection to `handler`.
pub(super) async fn tls_origin<F>(
    certificate: &CertifiedKey<rcgen::KeyPair>,
    handler: impl Fn(tokio_rustls::server::TlsStream<tokio::net::TcpStream>) -> F + Send + 'static,
) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
    let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(handler(stream));
            }
        }
    });
    port
}

#[tokio::test]
async fn an_origin_may_speak_tls() {
    let (certificate, file) = certificate(&["localhost", "127.0.0.1"]);
    let port = tls_origin(&certificate, |mut stream| async move {
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
        while stream.read_u8().await.is_ok() {
            answer(&mut stream, OK).await;
        }
    })
    .await;
    for host in ["localhost", "127.0.0.1"] {
        let forward = forward(&format!("https://{host}:{port}"), Some(&file));
        for _ in 0..2 {
            let answer = ask(&forward, Bytes::new()).await.unwrap();
            assert_eq!(body_of(answer).await, "{}");
        }
    }
}

#[tokio::test]
async fn an_origin_of_another_name_gets_nothing_and_is_named() {
    let (certificate, file) = certificate(&["synapse.example"]);
    let port = tls_origin(&certificate, |_| async { panic!("it was trusted") }).await;
    let forward = forward(&format!("https://localhost:{port}"), Some(&file));
    let error = ask(&forward, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert!(error.never_sent());
    let said = telemetry::with_causes(&error);
    assert!(said.contains("must name \"localhost\""), "{said}");
    assert!(said.contains("synapse.example"), "{said}");
}

#[tokio::test]
async fn an_origin_that_no_ca_vouches_for_gets_nothing() {
    let (certificate, _) = certificate(&["localhost"]);
    let (_, of_another) = self::certificate(&["localhost"]);
    let port = tls_origin(&certificate, |_| async { panic!("it was trusted") }).await;
    let forward = forward(&format!("https://localhost:{port}"), Some(&of_another));
    let error = ask(&forward, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    let said = telemetry::with_causes(&error);
    assert!(said.contains("invalid peer certificate"), "{said}");
}

#[tokio::test]
async fn an_origin_without_tls_is_no_https_origin() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let (_, file) = certificate(&["127.0.0.1"]);
    let forward = forward(&format!("https://{}", origin.address()), Some(&file));
    let error = ask(&forward, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert!(error.never_sent());
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_a_connection_that_does() {
    let origin = Origin::start_raw(|mut connection| async move { connection.gone().await }).await;
    let (_, file) = certificate(&["127.0.0.1"]);
    let forward = forward(&format!("https://{}", origin.address()), Some(&file));
    let error = ask(&forward, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout), "{error:?}");
    assert!(error.never_sent());
}

// --- pooled connections

/// Posts 200 times through the gateway, with `pause` between, to an origin that ends its connection
/// after each answer, and does not say so. Every one must be answered, and arrive once.
async fn post_often(pause: Duration, last: fn(Answer) -> Answer) {
    let origin = Origin::start(move |_| last(Answer::bytes(OK))).await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for turn in 0..200 {
        let post = format!("POST /{turn} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}");
        client.send(post).await;
        let answer = client.through("{}").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n"),
            "{turn}: {answer}"
        );
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    let targets = origin.requests().into_iter().map(|request| request.target);
    let expected = (0..200).map(|turn| format!("/{turn}"));
    assert!(targets.eq(expected), "each arrives once, in order");
    assert_eq!(origin.connections(), 200);
}

#[tokio::test]
async fn an_origin_that_closes_after_each_answer_never_fails_a_request() {
    post_often(Duration::from_millis(2), Answer::close).await;
}

#[tokio::test]
async fn an_origin_that_resets_after_each_answer_never_fails_a_request() {
    // Before the reset the answer must have been read: it would overtake it.
    post_often(Duration::from_millis(20), |answer| {
        answer.wait(Duration::from_millis(5)).reset()
    })
    .await;
}

/// The origin's close may cross the next request, which then fails; but it is not sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_crosses_a_close_is_never_sent_twice() {
    let origin = Origin::start(|_| Answer::bytes(OK).close()).await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let mut failed = 0;
    for turn in 0..300 {
        let post = format!("POST /{turn} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}");
        client.send(post).await;
        let head = client.through("\r\n\r\n").await;
        if head.starts_with("HTTP/1.1 200 OK\r\n") {
            client.through("{}").await;
        } else {
            assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
            failed += 1;
            client = gateway.connect().await;
        }
    }
    let mut targets: Vec<_> = origin.requests();
    let arrived = targets.len();
    targets.sort_by(|a, b| a.target.cmp(&b.target));
    targets.dedup_by(|a, b| a.target == b.target);
    assert_eq!(targets.len(), arrived, "none arrives twice");
    println!("{failed} of 300 crossed a close; {arrived} arrived");
    assert!(arrived >= 300 - failed, "what is answered has arrived");
    assert!(failed < 300, "few cross");
}

// --- limits of answers

async fn answered(answer: Vec<u8>) -> String {
    let origin = Origin::start(move |_| Answer::bytes(&answer)).await;
    let gateway = Gateway::before(&origin).await;
    gateway.ask(closing("GET / HTTP/1.1")).await
}

#[tokio::test]
async fn an_answer_may_have_500_fields_and_64_kib_of_them() {
    for (fields, length, status) in [
        (499, 1, "200"),
        (501, 1, "502"),
        (64, 1000, "200"),
        (400, 1000, "502"),
    ] {
        let mut head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".to_vec();
        for field in 0..fields {
            head.extend(format!("X-{field}: {}\r\n", "x".repeat(length)).bytes());
        }
        head.extend(b"\r\n{}");
        let answer = answered(head).await;
        let said = &answer[..answer.len().min(30)];
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{fields} of {length}: {said}"
        );
    }
}

// --- trailers

#[tokio::test]
async fn te_trailers_is_said_to_the_origin() {
    let origin = Origin::start(|_| Answer::bytes(OK)).await;
    let gateway = Gateway::before(&origin).await;
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, TE\r\nTE: gzip, trailers\r\n\r\n";
    gateway.ask(head).await;
    let request = origin.request();
    assert_eq!(request.lines("te"), [b"trailers"]);
    assert_eq!(request.lines("connection"), [b"TE"]);
}

#[tokio::test]
async fn trailers_that_are_not_announced_or_not_wanted_do_not_break_the_body() {
    let announced = "Trailer: X-Sum\r\n";
    let te = "TE: trailers\r\n";
    for (trailer, te, arrives) in [
        (announced, te, true),
        (announced, "", false),
        ("", te, false),
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{trailer}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
        );
        let origin = Origin::start(move |_| Answer::bytes(&answer)).await;
        let gateway = Gateway::before(&origin).await;
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{te}\r\n");
        let answer = gateway.ask(head).await;
        let end = if arrives {
            "0\r\nx-sum: 1\r\n\r\n"
        } else {
            "0\r\n\r\n"
        };
        assert!(
            answer.ends_with(&format!("3\r\nabc\r\n{end}")),
            "{trailer}{te}{answer}"
        );
        assert_eq!(lines(&answer, "trailer").is_empty(), trailer.is_empty());
    }
}
