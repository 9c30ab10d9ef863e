//! `Expect: 100-continue`: the body is asked for when the origin asks for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Client, Gateway, PATIENCE, lines};
use crate::origin::{Answer, Connection, Origin};

const HEAD: &str = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// Long enough for whatever would be sent too early.
const A_WHILE: Duration = Duration::from_millis(300);

/// Nothing comes for [`A_WHILE`].
async fn assert_silent(client: &mut Client) {
    let mut byte = [0];
    let read = timeout(A_WHILE, client.0.read(&mut byte)).await;
    assert!(read.is_err(), "something came: {read:?}");
}

/// An origin that says 100 to each request, and then answers.
async fn continuing() -> Origin {
    Origin::start_raw(|mut connection| async move {
        while let Some(length) = expected(&mut connection).await {
            connection.send(CONTINUE).await;
            if connection.body(length).await.is_none() {
                return;
            }
            connection.send(OK).await;
        }
    })
    .await
}

/// The length of the next request's body, if its head says `Expect`.
async fn expected(connection: &mut Connection) -> Option<usize> {
    let head = connection.head().await?;
    assert_eq!(head.lines("expect"), [b"100-continue"], "{head:?}");
    let length = str::from_utf8(head.lines("content-length")[0]).unwrap();
    Some(length.parse().unwrap())
}

#[tokio::test]
async fn our_100_comes_after_the_origins_and_not_before() {
    let go_on = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let go_on = Arc::clone(&go_on);
        move |mut connection| {
            let go_on = Arc::clone(&go_on);
            async move {
                expected(&mut connection).await;
                go_on.notified().await;
                connection.send(CONTINUE).await;
                assert_eq!(connection.body(3).await.as_deref(), Some(&b"abc"[..]));
                connection.send(OK).await;
            }
        }
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(HEAD).await;
    assert_silent(&mut client).await;
    go_on.notify_one();
    let came = client.through("\r\n\r\n").await;
    assert_eq!(came.as_bytes(), CONTINUE);
    client.send("abc").await;
    let answer = client.through("{}").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_the_origin_refuses_is_never_asked_for() {
    let gone = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let gone = Arc::clone(&gone);
        move |mut connection| {
            let gone = Arc::clone(&gone);
            async move {
                expected(&mut connection).await;
                connection
                    .send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
                    .await;
                assert!(connection.body(1).await.is_none(), "a body came");
                gone.notify_one();
            }
        }
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(HEAD).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413 Too Large\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
    assert_eq!(lines(&answer, "connection"), ["close"]);
    timeout(Duration::from_secs(1), gone.notified())
        .await
        .expect("the origin's connection is closed when its answer is over");
}

#[tokio::test]
async fn an_answer_instead_of_a_100_is_relayed_to_its_end() {
    let origin = Origin::start_raw(|mut connection| async move {
        expected(&mut connection).await;
        connection
            .send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            connection.send(b"1\r\nx\r\n").await;
        }
        connection.send(b"0\r\n\r\n").await;
        connection.gone().await;
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(HEAD).await;
    let answer = client.rest().await;
    assert!(answer.ends_with("1\r\nx\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_did_not_wait_arrives() {
    let origin = continuing().await;
    let mut client = Gateway::before(&origin).await.connect().await;
    for _ in 0..3 {
        client.send([HEAD, "abc"].concat()).await;
        let answer = client.through("{}").await;
        assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

/// The close is seen after the connection was taken from the pool, and before the request is written.
#[tokio::test]
async fn a_request_that_is_tried_on_another_connection_expects_there_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(listener.local_addr().unwrap(), &[]).await;
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut pooled, _) = listener.accept().await.unwrap();
    pooled.write_all(OK).await.unwrap();
    client.through("{}").await;
    tokio::time::sleep(Duration::from_millis(20)).await;

    // Without a word to the runtime in between: it sees both at once, the request first.
    assert_eq!(client.0.try_write(HEAD.as_bytes()).unwrap(), HEAD.len());
    drop(pooled);
    let (mut fresh, _) = timeout(PATIENCE, listener.accept())
        .await
        .expect("it is tried again")
        .unwrap();
    assert_silent(&mut client).await;
    fresh.write_all(CONTINUE).await.unwrap();
    let came = client.through("\r\n\r\n").await;
    assert_eq!(came.as_bytes(), CONTINUE);
    client.send("abc").await;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\nabc") {
        assert_ne!(fresh.read_buf(&mut request).await.unwrap(), 0);
    }
    fresh.write_all(OK).await.unwrap();
    client.through("{}").await;
}

/// Five seconds, in a moment: see `idle_sync_outlives_every_timeout_we_have`.
#[tokio::test]
async fn an_origin_that_knows_no_expect_gets_the_body_all_the_same() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send([HEAD, "abc"].concat()).await;
    assert_silent(&mut client).await;
    tokio::time::pause();
    let asked = tokio::time::Instant::now();
    let answer = client.through("{}").await;
    assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(asked.elapsed() >= Duration::from_secs(4));
    assert_eq!(origin.request().body, b"abc");
}

#[tokio::test]
async fn other_expectations_and_requests_without_a_body_do_not_wait() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let gateway = Gateway::before(&origin).await;
    for head in [
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: something\r\n\r\nabc",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        "PUT / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    ] {
        let mut client = gateway.connect().await;
        client.send(head).await;
        let answer = timeout(Duration::from_secs(1), client.through("{}")).await;
        let answer = answer.expect("nobody waits");
        assert!(answer.contains(" 200 OK\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_came_over_http_2_arrives() {
    let origin = continuing().await;
    let Client(client) = Gateway::before(&origin).await.connect().await;
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::put("http://a/")
        .version(Version::HTTP_2)
        .header("expect", "100-continue")
        .header("content-length", "3")
        .body(Full::<Bytes>::from("abc"))
        .unwrap();
    let answer = timeout(PATIENCE, client.send_request(request)).await;
    let answer = answer.expect("it is answered").unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "{}");
}
