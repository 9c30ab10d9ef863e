//! Uploads that come to nothing: refused, left, or not taken.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use key_backup_gateway::proxy::{Error, Forward, Relayed};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tower::Service;

use super::PATIENCE;
use super::origins::{answer, ask, body_of, certificate, forward, tls_origin};
use crate::origin::Origin;

/// An answer that does not fit into one read, but into what the gateway's kernel holds: a reset
/// destroys what is still on its way.
fn long_refusal() -> Vec<u8> {
    let body = "x".repeat(LONG);
    let length = body.len();
    format!("HTTP/1.1 413 Too Large\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

const LONG: usize = 40_000;

/// More than all buffers on the way.
fn an_upload() -> Bytes {
    Bytes::from(vec![b'u'; 64 << 20])
}

async fn assert_refused_whole(forward: &Forward<Full<Bytes>>) {
    let answer = ask(forward, an_upload()).await.unwrap();
    assert_eq!(answer.status(), 413);
    // Until now nothing of the body was asked for, and the write has failed long ago.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(body_of(answer).await.len(), LONG);
}

#[tokio::test]
async fn an_origin_that_refuses_an_upload_and_closes_is_heard_to_the_end() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        // With most of the upload unread, so that closing is a reset.
        connection.send(&long_refusal()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    })
    .await;
    let forward = forward(&format!("http://{}", origin.address()), None);
    for _ in 0..5 {
        assert_refused_whole(&forward).await;
    }
}

#[tokio::test]
async fn a_unix_socket_that_refuses_an_upload_and_closes_is_heard_to_the_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("synapse.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, &long_refusal()).await;
        }
    });
    let forward = forward(&format!("unix:{}", path.display()), None);
    for _ in 0..5 {
        assert_refused_whole(&forward).await;
    }
}

#[tokio::test]
async fn a_tls_origin_that_refuses_an_upload_and_closes_is_heard_to_the_end() {
    let (certificate, file) = certificate(&["localhost"]);
    let port = tls_origin(&certificate, |mut stream| async move {
        answer(&mut stream, &long_refusal()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    })
    .await;
    let forward = forward(&format!("https://localhost:{port}"), Some(&file));
    for _ in 0..5 {
        assert_refused_whole(&forward).await;
    }
}

#[tokio::test]
async fn a_reset_that_a_write_has_heard_is_no_clean_end() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        // Without a length: its end is the connection's.
        connection.send(b"HTTP/1.1 413 Too Large\r\n\r\nabc").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        connection.reset();
    })
    .await;
    let forward = forward(&format!("http://{}", origin.address()), None);
    for _ in 0..5 {
        let answer = ask(&forward, an_upload()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let body = timeout(PATIENCE, answer.into_body().collect()).await;
        assert!(body.expect("it ends").is_err(), "a reset became an end");
    }
}

/// What an origin has read to the end, after it was told to read.
struct Reading {
    go_on: Notify,
    /// How much there was, and whether it ended well.
    ended: Mutex<Option<(usize, bool)>>,
}

impl Reading {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            go_on: Notify::new(),
            ended: Mutex::new(None),
        })
    }

    async fn read(&self, stream: &mut (impl AsyncRead + Unpin)) {
        self.go_on.notified().await;
        let mut all = Vec::new();
        let well = stream.read_to_end(&mut all).await.is_ok();
        *self.ended.lock().unwrap() = Some((all.len(), well));
    }

    async fn end(&self) -> (usize, bool) {
        self.go_on.notify_one();
        loop {
            if let Some(ended) = *self.ended.lock().unwrap() {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// An upload that meets an origin which does not read.
async fn stuck(forward: &Forward<Full<Bytes>>) -> JoinHandle<Result<Response<Relayed>, Error>> {
    let request = Request::put("/a").body(Full::from(an_upload())).unwrap();
    let asking = tokio::spawn(forward.clone().call(request));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!asking.is_finished());
    asking
}

#[tokio::test]
async fn an_origin_that_takes_nothing_for_a_minute_has_not_answered() {
    let origin = Origin::start_raw(|connection| async move {
        let _held = connection;
        std::future::pending::<()>().await;
    })
    .await;
    let asking = stuck(&forward(&format!("http://{}", origin.address()), None)).await;
    tokio::time::pause();
    let began = Instant::now();
    let answer = timeout(Duration::from_mins(2), asking).await;
    let error = answer.expect("it ends").unwrap().unwrap_err();
    assert!(matches!(error, Error::Broken(_)), "{error:?}");
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(58), "{waited:?}");
    assert!(waited < Duration::from_secs(62), "{waited:?}");
}

#[tokio::test]
async fn an_upload_that_its_client_has_left_does_not_wait_for_the_origin_for_ever() {
    let (certificate, file) = certificate(&["localhost"]);
    let by_tls = Reading::new();
    let port = tls_origin(&certificate, {
        let by_tls = Arc::clone(&by_tls);
        move |mut stream| {
            let by_tls = Arc::clone(&by_tls);
            async move { by_tls.read(&mut stream).await }
        }
    })
    .await;
    let by_tcp = Reading::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn({
        let by_tcp = Arc::clone(&by_tcp);
        async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            by_tcp.read(&mut stream).await;
        }
    });
    let tls = forward(&format!("https://localhost:{port}"), Some(&file));
    let tcp = forward(&format!("http://{address}"), None);
    for (forward, reading) in [(tls, by_tls), (tcp, by_tcp)] {
        stuck(&forward).await.abort();
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(62)).await;
        tokio::time::resume();
        let (length, _) = timeout(PATIENCE, reading.end()).await.expect("it ends");
        assert!(length < an_upload().len(), "{length} is all of it");
    }
}
