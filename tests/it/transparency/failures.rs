//! When the origin fails: what is said, and what is known to have been sent.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use key_backup_gateway::proxy::{Error, Relayed};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tower::Service;

use super::{Gateway, PATIENCE, closing, forward};
use crate::origin::{Answer, Origin};

/// Long enough to connect to whoever accepts.
const BRIEF: Duration = Duration::from_millis(300);

async fn put(origin: SocketAddr, connect_timeout: Duration) -> Result<Response<Relayed>, Error> {
    let request = Request::put("/a").body(Full::<Bytes>::from("{}")).unwrap();
    let asking = forward(origin, connect_timeout).call(request);
    timeout(PATIENCE, asking).await.expect("it fails in time")
}

#[tokio::test]
async fn nothing_was_sent_to_a_port_that_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = put(address, PATIENCE).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert!(error.never_sent());
}

#[tokio::test]
async fn nothing_was_sent_when_connecting_takes_too_long() {
    // Nobody accepts, and the queue is full: Linux drops further connections' SYNs.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(BRIEF, TcpStream::connect(address)).await {
        queue.push(connected.unwrap());
    }
    let error = put(address, BRIEF).await.unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout), "{error:?}");
    assert!(error.never_sent());
}

#[tokio::test]
async fn the_origin_may_have_acted_when_it_breaks_off() {
    for answer in [
        Answer::default().close(),
        Answer::default().reset(),
        Answer::bytes("HTTP/1.1 200 OK\r\nConte").close(),
        Answer::bytes("SSH-2.0-OpenSSH_9.2\r\n").close(),
        Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        Answer::bytes(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ),
    ] {
        let said = format!("{answer:?}");
        let origin = Origin::start(move |_| answer.clone()).await;
        let error = put(origin.address(), PATIENCE).await.unwrap_err();
        assert!(matches!(error, Error::Broken(_)), "{said}: {error:?}");
        assert!(!error.never_sent(), "{said}");
        assert_eq!(origin.request().body, b"{}", "{said}");
    }
}

#[tokio::test]
async fn a_written_request_is_never_sent_again() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/first" => Answer::json("200 OK", "{}"),
        _ => Answer::default().close(),
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    let answer = gateway.ask(closing("GET /first HTTP/1.1")).await;
    assert!(answer.ends_with("{}"), "{answer}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let answer = gateway.ask(closing("GET /second HTTP/1.1")).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(
        origin.connections(),
        1,
        "the second request came over the first one's connection"
    );
    assert_eq!(origin.requests().len(), 2);
}

/// Yields some data, then an error.
struct Breaks(bool);

impl Body for Breaks {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let first = !std::mem::replace(&mut self.0, true);
        Poll::Ready(Some(if first {
            Ok(Frame::data(Bytes::from_static(b"abc")))
        } else {
            Err(std::io::Error::other("the client is gone"))
        }))
    }
}

#[tokio::test]
async fn a_broken_client_body_is_not_the_origins_fault() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let request = Request::put("/a").body(Breaks(false)).unwrap();
    let error = forward(origin.address(), PATIENCE)
        .call(request)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::ClientBody(_)), "{error:?}");
    assert!(!error.never_sent());
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn bytes_that_are_no_http_are_a_502() {
    let origin = Origin::start(|_| Answer::bytes("\0\x01garbage\r\n\r\n").close()).await;
    let answer = Gateway::before(&origin)
        .await
        .ask(closing("GET / HTTP/1.1"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(!answer.contains("garbage"), "{answer}");
}
