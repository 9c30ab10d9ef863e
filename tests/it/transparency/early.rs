//! Early answers: an origin that refuses an upload half-way is heard, whatever it does next.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{End, Gateway, PATIENCE};
use crate::origin::{Connection, Origin};

/// How often each is tried: what is lost to a race is lost now and then.
const TIMES: usize = 20;

/// More than all socket buffers on the way hold, so that the client is still sending.
const UPLOAD: usize = 16 << 20;

/// What the origin reads before it has had enough.
const ENOUGH: usize = 100_000;

/// Longer than one packet, shorter than a socket's buffer.
const REASON: usize = 20_000;

/// What the origin does after it has answered.
#[derive(Clone, Copy, Debug)]
enum Then {
    Closes,
    Resets,
    ReadsOn,
    Waits,
}

fn answer() -> Vec<u8> {
    let reason = "x".repeat(REASON);
    format!("HTTP/1.1 413 Too Large\r\nX-A: b\r\nContent-Length: {REASON}\r\n\r\n{reason}")
        .into_bytes()
}

async fn refuses(mut connection: Connection, then: Then) {
    let Some(request) = connection.head().await else {
        return;
    };
    if request.method == "GET" {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        return connection.send(answer).await;
    }
    let mut read = 0;
    while read < ENOUGH {
        let Some(some) = connection.some().await else {
            return;
        };
        read += some.len();
    }
    connection.send(&answer()).await;
    match then {
        Then::Closes => {}
        Then::Resets => connection.reset(),
        Then::ReadsOn => connection.gone().await,
        Then::Waits => std::future::pending().await,
    }
}

/// The client sends all it has, or as much as is taken; and reads beside it.
async fn upload(gateway: &Gateway) -> Vec<u8> {
    let client = gateway.connect().await;
    let (mut reader, mut writer) = client.0.into_split();
    let sending = tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n");
        let _ = writer.write_all(head.as_bytes()).await;
        let piece = vec![0; 64 << 10];
        for _ in 0..UPLOAD / piece.len() {
            if writer.write_all(&piece).await.is_err() {
                break;
            }
        }
        writer
    });
    let mut all = Vec::new();
    let reading = async {
        while whole(&all).is_none() {
            if reader.read_buf(&mut all).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    let _ = timeout(PATIENCE, reading).await;
    sending.abort();
    all
}

/// The body of the answer, if all of it is there.
fn whole(answer: &[u8]) -> Option<usize> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    (answer.len() - at - 4 == REASON).then_some(REASON)
}

async fn is_heard(then: Then) {
    let origin = Origin::start_raw(move |connection| refuses(connection, then)).await;
    let gateway = Gateway::before(&origin).await;
    for turn in 0..TIMES {
        let answer = upload(&gateway).await;
        let text = String::from_utf8_lossy(&answer[..answer.len().min(200)]);
        assert!(
            text.starts_with("HTTP/1.1 413 Too Large\r\n"),
            "{then:?}, {turn}: {text}"
        );
        assert_eq!(whole(&answer), Some(REASON), "{then:?}, {turn}: cut off");
    }
}

#[tokio::test]
async fn a_refusal_is_heard_when_the_origin_closes_after_it() {
    is_heard(Then::Closes).await;
}

#[tokio::test]
async fn a_refusal_is_heard_when_the_origin_resets_after_it() {
    is_heard(Then::Resets).await;
}

#[tokio::test]
async fn a_refusal_is_heard_when_the_origin_reads_on() {
    is_heard(Then::ReadsOn).await;
}

#[tokio::test]
async fn a_refusal_is_heard_when_the_origin_neither_reads_nor_closes() {
    is_heard(Then::Waits).await;
}

#[tokio::test]
async fn a_client_that_reads_only_when_it_has_sent_all_hears_the_refusal() {
    // Little enough for what is read and dropped after the answer.
    const SMALL: usize = 4 << 20;
    let origin = Origin::start_raw(|connection| refuses(connection, Then::Closes)).await;
    let gateway = Gateway::before(&origin).await;
    for turn in 0..TIMES {
        let mut client = gateway.connect().await;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SMALL}\r\n\r\n");
        client.send(head).await;
        let body = vec![0; SMALL];
        let sending = client.0.write_all(&body);
        let sent = timeout(PATIENCE, sending).await.expect("it is taken");
        assert!(sent.is_ok(), "{turn}: {sent:?}");
        let mut all = Vec::new();
        let reading = async {
            while whole(&all).is_none() {
                if client.0.read_buf(&mut all).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        };
        let _ = timeout(PATIENCE, reading).await;
        assert_eq!(whole(&all), Some(REASON), "{turn}");
        // And what comes next is the next request, or nothing.
        client
            .send("GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        let (next, end) = client.rest_and_end().await;
        assert!(
            next.is_empty() || next.starts_with("HTTP/1.1 200 OK\r\n"),
            "{turn}: {next}"
        );
        assert_eq!(end, End::Fin, "{turn}");
    }
}

#[tokio::test]
async fn an_answer_may_begin_before_the_upload_ends_and_end_after_it() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        let mut framed = Vec::new();
        connection.chunk(&mut framed).await;
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        connection.send(head).await;
        // An echo: what comes is sent back until it ends.
        while let Some(Some(chunk)) = connection.chunk(&mut framed).await {
            let chunk = [b"1\r\n", &chunk[..], b"\r\n"].concat();
            connection.send(&chunk).await;
        }
        connection.send(b"0\r\n\r\n").await;
        connection.gone().await;
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        .await;
    client.through("3\r\nabc\r\n").await;
    for letter in ["b", "c"] {
        client.send(format!("1\r\n{letter}\r\n")).await;
        assert_eq!(
            client.through(&format!("{letter}\r\n")).await,
            format!("1\r\n{letter}\r\n")
        );
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.through("0\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test]
async fn the_client_of_a_refused_upload_is_told_within_a_second() {
    let origin = Origin::start_raw(|connection| refuses(connection, Then::Waits)).await;
    let gateway = Gateway::before(&origin).await;
    let asked = tokio::time::Instant::now();
    let answer = upload(&gateway).await;
    assert_eq!(whole(&answer), Some(REASON));
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn after_a_refused_upload_the_connection_ends_in_order() {
    // What is left of it is read and dropped for a moment: the client is slow to hear, and sends on.
    let origin = Origin::start_raw(|connection| refuses(connection, Then::Closes)).await;
    let gateway = Gateway::before(&origin).await;
    for turn in 0..TIMES {
        let mut client = gateway.connect().await;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n");
        client.send(head).await;
        client.send(vec![0; 2 * ENOUGH]).await;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            client.send(vec![0; 1000]).await;
        }
        let mut all = Vec::new();
        let reading = client.0.read_to_end(&mut all);
        let ended = timeout(PATIENCE, reading).await.expect("it ends");
        assert!(ended.is_ok(), "{turn}: {ended:?}");
        assert_eq!(whole(&all), Some(REASON), "{turn}");
    }
}

/// An answer that nobody reads yet must not keep the upload from going on: some clients read only when
/// they have sent everything.
#[tokio::test]
async fn an_upload_goes_on_while_its_early_answer_waits_for_the_client() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {UPLOAD}\r\n\r\n");
        let (mut read, mut write) = connection.into_stream().into_split();
        let answering = async {
            write.write_all(head.as_bytes()).await.unwrap();
            write.write_all(&vec![b'y'; UPLOAD]).await.unwrap();
        };
        let mut nowhere = tokio::io::sink();
        let reading = tokio::io::copy(&mut read, &mut nowhere);
        let _ = tokio::join!(answering, reading);
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n");
    client.send(head).await;
    let sent = timeout(PATIENCE, client.send(vec![b'x'; UPLOAD])).await;
    sent.expect("all of it is taken");
    let head = client.through("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(client.through_length(UPLOAD).await, UPLOAD);
}
