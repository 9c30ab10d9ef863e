//! Connections that end before their time: what was sent must not look whole, nor be lost.

use std::time::Duration;

use super::{DRAIN, End, Gateway, PATIENCE};
use crate::origin::{Answer, Origin};

/// More than a connection that was told to end has for it.
const LONG: Duration = Duration::from_secs(4);

/// An origin's answer without a length, of which `abc` comes and then nothing.
async fn endless() -> Origin {
    Origin::start(|_| Answer::bytes("HTTP/1.1 200 OK\r\n\r\nabc").wait(PATIENCE)).await
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_and_is_cut_at_shutdown_does_not_look_whole() {
    let origin = endless().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    client.through("\r\n\r\nabc").await;
    let stopping = tokio::spawn(gateway.stop());
    let (_, end) = tokio::time::timeout(DRAIN * 2, client.rest_and_end())
        .await
        .unwrap();
    assert_eq!(end, End::Rst);
    assert_eq!(stopping.await.unwrap(), 1);
}

/// The answer is more than the kernel holds: hyper has the rest, and has done with its body.
#[tokio::test]
async fn an_answer_that_is_still_being_taken_is_not_cut_to_make_room() {
    const BODY: usize = 5 << 20;
    let origin = Origin::start(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
        Answer::bytes([head.as_bytes(), &vec![b'x'; BODY]].concat())
    })
    .await;
    let gateway = Gateway::with(origin.address(), |config| {
        config.limits.connections = 1;
        config.limits.heads = 16 << 20;
    })
    .await;
    let mut first = gateway.connect_narrow(4096).await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    first.through("\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let second = gateway.connect().await;
    // Longer than one who was told to leave may stay.
    tokio::time::sleep(LONG).await;
    assert_eq!(first.through_length(BODY).await, BODY);
    drop(second);
}

#[tokio::test]
async fn a_tunnel_that_the_origin_resets_is_no_clean_end() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        connection
            .send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
            .await;
        connection.body(1).await;
        connection.reset();
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        .await;
    client.through("\r\n\r\n").await;
    client.send("x").await;
    assert_eq!(client.rest_and_end().await.1, End::Rst);
}
