//! Connections to the origin that are used again, and those that end just then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Body as _;
use http_body_util::Full;
use tower_service::Service as _;

use super::{Gateway, PATIENCE, closing, forward};
use crate::origin::{Answer, Connection, Origin};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// Answers one request, and ends its connection some moments later, each time after another pause: so
/// that now and then the end crosses with the next request.
async fn ends_soon(mut connection: Connection, pause: Arc<AtomicU64>, reset: bool) {
    if connection.request().await.is_none() {
        return;
    }
    connection.send(ANSWER).await;
    let pause = pause.fetch_add(70, Ordering::SeqCst) % 3000;
    let pause = tokio::time::sleep(Duration::from_micros(pause));
    tokio::select! {
        () = pause => {}
        // It crossed: the request has come, and is not answered.
        _ = connection.request() => {}
    }
    if reset {
        connection.reset();
    }
}

async fn crossing(reset: bool) {
    const TURNS: usize = 300;
    let pause = Arc::new(AtomicU64::new(0));
    let origin =
        Origin::start_raw(move |connection| ends_soon(connection, Arc::clone(&pause), reset)).await;
    let gateway = Gateway::before(&origin).await;
    let mut good = 0;
    let mut crossed = 0;
    for turn in 0..TURNS {
        let head = closing(&format!("POST /{turn} HTTP/1.1\r\nContent-Length: 0"));
        let answer = gateway.ask(head).await;
        match answer.get(9..12) {
            Some("200") => good += 1,
            Some("502") => crossed += 1,
            _ => panic!("{turn}: {answer:?}"),
        }
    }
    let mut targets: Vec<_> = origin.requests().into_iter().map(|it| it.target).collect();
    let came = targets.len();
    targets.sort_unstable();
    targets.dedup();
    println!("{good} answered, {crossed} crossed, {came} came");
    assert_eq!(targets.len(), came, "a request was sent twice");
    assert_eq!(good + crossed, TURNS);
    assert!(came >= good, "an answer that was not the origin's");
    assert!(good > 0 && crossed > 0, "nothing was put to the test");
}

#[tokio::test]
async fn an_end_that_crosses_a_request_is_a_502_and_nothing_is_sent_twice() {
    crossing(false).await;
}

#[tokio::test]
async fn a_reset_that_crosses_a_request_is_a_502_and_nothing_is_sent_twice() {
    crossing(true).await;
}

#[tokio::test]
async fn a_connection_seen_closed_fails_no_request() {
    for reset in [false, true] {
        let origin = Origin::start_raw(move |mut connection| async move {
            connection.request().await;
            connection.send(ANSWER).await;
            if reset {
                // Else it would overtake the answer.
                tokio::time::sleep(Duration::from_millis(2)).await;
                connection.reset();
            }
        })
        .await;
        let gateway = Gateway::before(&origin).await;
        for turn in 0..50 {
            let answer = gateway
                .ask(closing("POST / HTTP/1.1\r\nContent-Length: 0"))
                .await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{turn}: {answer}");
            tokio::time::sleep(Duration::from_millis(6)).await;
        }
        assert_eq!(origin.requests().len(), 50);
        assert_eq!(origin.connections(), 50);
    }
}

#[tokio::test]
async fn an_unfinished_answer_ends_its_connection_to_the_origin() {
    let origin = Origin::start_raw(|mut connection| async move {
        while let Some(request) = connection.request().await {
            let whole = request.target != "/half";
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
            connection.send(head).await;
            let length = if whole { 1000 } else { 3 };
            connection.send(&vec![b'a'; length]).await;
        }
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.through("aaa").await;
    drop(client);
    for _ in 0..3 {
        let answer = gateway.ask(closing("GET /whole HTTP/1.1")).await;
        assert_eq!(super::body(&answer).len(), 1000);
    }
}

#[tokio::test]
async fn an_unused_connection_that_the_origin_closes_is_closed() {
    let (told, mut closed) = tokio::sync::mpsc::channel(1);
    let origin = Origin::start_raw(move |mut connection| {
        let told = told.clone();
        async move {
            connection.request().await;
            connection.send(ANSWER).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            connection.end().await;
            // Else it would wait for whoever wants to use it.
            connection.gone().await;
            told.send(()).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    gateway.ask(closing("GET / HTTP/1.1")).await;
    let closed = tokio::time::timeout(Duration::from_secs(3), closed.recv()).await;
    assert!(closed.is_ok(), "it is closed within seconds");
}

#[test]
fn an_answer_may_be_dropped_where_there_is_no_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (answer, _forward) = runtime.block_on(async {
        let origin = Origin::start(|_| Answer::json("200 OK", "")).await;
        let request = Request::get("/").body(Full::<Bytes>::default()).unwrap();
        let mut forward = forward(origin.address(), PATIENCE);
        (forward.call(request).await.unwrap(), forward)
    });
    // Its connection is free, and would be kept.
    assert!(answer.body().is_end_stream());
    drop(answer);
}
