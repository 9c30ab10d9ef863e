//! Switching protocols: after a 101 both connections are one.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Client, Gateway, PATIENCE, lines};
use crate::origin::{Answer, Origin, RawRequest};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: x\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade, X-Hop\r\nX-Hop: 1\r\nSec-WebSocket-Accept: y\r\n\r\n";

async fn client_of(origin: &Origin) -> Client {
    Gateway::before(origin).await.connect().await
}

/// What the origin gets when a client sends `request`.
async fn arrived(request: &str) -> RawRequest {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let mut client = client_of(&origin).await;
    client.send(request).await;
    client.through("{}").await;
    origin.request()
}

#[tokio::test]
async fn a_101_is_relayed_with_its_upgrade() {
    let origin = Origin::start(|_| Answer::bytes(SWITCH)).await;
    let mut client = client_of(&origin).await;
    client.send(ASK).await;
    let answer = client.through("\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{answer}"
    );
    assert_eq!(lines(&answer, "upgrade"), ["websocket"]);
    assert_eq!(lines(&answer, "connection"), ["Upgrade"]);
    assert_eq!(lines(&answer, "sec-websocket-accept"), ["y"]);
    assert!(lines(&answer, "x-hop").is_empty());
    let request = origin.request();
    assert_eq!(request.lines("upgrade"), [b"websocket"]);
    assert_eq!(request.lines("connection"), [b"Upgrade"]);
    assert_eq!(request.lines("sec-websocket-key"), [b"x"]);
}

#[tokio::test]
async fn after_a_101_bytes_go_both_ways_and_each_side_ends_by_itself() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        // The first bytes of the new protocol come with the 101.
        connection.send(&[SWITCH, b"hello"].concat()).await;
        assert_eq!(connection.body(4).await.as_deref(), Some(&b"\0\xffab"[..]));
        assert!(connection.body(1).await.is_none(), "the client has ended");
        connection.send(b"still here").await;
    })
    .await;
    let mut client = client_of(&origin).await;
    client.send(ASK).await;
    client.through("\r\n\r\nhello").await;
    client.send(b"\0\xffab").await;
    client.0.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "still here");
}

#[tokio::test]
async fn the_origin_may_end_first() {
    let ended = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let ended = Arc::clone(&ended);
        move |mut connection| {
            let ended = Arc::clone(&ended);
            async move {
                connection.head().await;
                connection.send(SWITCH).await;
                connection.end().await;
                assert_eq!(connection.body(3).await.as_deref(), Some(&b"abc"[..]));
                assert!(connection.body(1).await.is_none());
                ended.notify_one();
            }
        }
    })
    .await;
    let mut client = client_of(&origin).await;
    client.send(ASK).await;
    client.through("\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
    client.send("abc").await;
    client.0.shutdown().await.unwrap();
    timeout(PATIENCE, ended.notified())
        .await
        .expect("the origin hears what the client says after that");
}

#[tokio::test]
async fn much_goes_through_a_tunnel_unchanged() {
    const MUCH: usize = 4 << 20;
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        connection.send(SWITCH).await;
        let all = connection.body(MUCH).await.expect("all arrives");
        assert!(all.iter().zip(0_u8..=255).all(|(byte, at)| *byte == at));
        connection.send(&all).await;
    })
    .await;
    let mut client = client_of(&origin).await;
    client.send(ASK).await;
    client.through("\r\n\r\n").await;
    let sent: Vec<u8> = (0..=255).cycle().take(MUCH).collect();
    client.send(&sent).await;
    let mut came = vec![0; MUCH];
    timeout(PATIENCE, client.0.read_exact(&mut came))
        .await
        .expect("all comes back")
        .unwrap();
    assert!(sent == came);
}

#[tokio::test]
async fn a_tunnel_ends_when_the_origin_breaks() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        connection.send(SWITCH).await;
        connection.body(1).await;
        connection.reset();
    })
    .await;
    let mut client = client_of(&origin).await;
    client.send(ASK).await;
    client.through("\r\n\r\n").await;
    client.send("x").await;
    client.rest().await;
}

#[tokio::test]
async fn a_tunnel_ends_when_the_origin_has_left_and_the_client_goes_on() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        connection.send(SWITCH).await;
    })
    .await;
    let mut client = client_of(&origin).await;
    client.send(ASK).await;
    client.through("\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
    let writing = async {
        while client.0.write_all(b"is anybody there?").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, writing)
        .await
        .expect("the client hears that nobody is");
}

#[tokio::test]
async fn a_tunnel_ends_when_the_client_breaks() {
    let gone = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let gone = Arc::clone(&gone);
        move |mut connection| {
            let gone = Arc::clone(&gone);
            async move {
                connection.head().await;
                connection.send(SWITCH).await;
                connection.gone().await;
                gone.notify_one();
            }
        }
    })
    .await;
    let mut client = client_of(&origin).await;
    client.send(ASK).await;
    client.through("\r\n\r\n").await;
    client.0.set_zero_linger().unwrap();
    drop(client);
    timeout(Duration::from_secs(1), gone.notified())
        .await
        .expect("the client's end is the origin's");
}

#[tokio::test]
async fn an_upgrade_that_is_not_taken_is_answered_as_any_request() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let mut client = client_of(&origin).await;
    for _ in 0..2 {
        client.send(ASK).await;
        let answer = client.through("{}").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(lines(&answer, "upgrade").is_empty(), "{answer}");
    }
    assert_eq!(origin.requests().len(), 2);
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn an_upgrade_to_http_2_never_reaches_the_origin() {
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n";
    for upgrade in [
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: H2C\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: HTTP/2.0\r\n",
        "Upgrade: TLS/1.2\r\n",
    ] {
        let request = arrived(&format!("{ask}{upgrade}\r\n")).await;
        for name in ["upgrade", "connection", "http2-settings"] {
            assert!(request.lines(name).is_empty(), "{upgrade}{request:?}");
        }
    }
    let both = "Upgrade: h2c, websocket\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let request = arrived(&format!("{ask}{both}\r\n")).await;
    assert_eq!(request.lines("upgrade"), [b"websocket"]);
    assert!(request.lines("http2-settings").is_empty());
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_a_502() {
    for ask in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let origin = Origin::start(|_| Answer::bytes(SWITCH)).await;
        let mut client = client_of(&origin).await;
        client.send(ask).await;
        let answer = client.through("\r\n\r\n").await;
        assert!(answer.contains(" 502 Bad Gateway\r\n"), "{answer}");
    }
}
