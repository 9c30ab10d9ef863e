//! Streams: that one neither holds up nor ends another, and how each ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::{H2, get, read};
use crate::origin::{Answer, Connection, Origin};
use crate::transparency::{Gateway, PATIENCE};

const SECOND: Duration = Duration::from_secs(1);
const BIG: usize = 64 << 20;

/// Answers `/poll` never and says when its connection is gone, `/big` with a lot, and others at once.
async fn homeserver(polling: Arc<Notify>, gone: Arc<Notify>) -> Origin {
    Origin::start_raw(move |connection| serve(connection, Arc::clone(&polling), Arc::clone(&gone)))
        .await
}

async fn serve(mut connection: Connection, polling: Arc<Notify>, gone: Arc<Notify>) {
    while let Some(request) = connection.request().await {
        match &*request.target {
            "/poll" => {
                polling.notify_one();
                connection.gone().await;
                gone.notify_one();
            }
            "/big" => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n");
                connection.send(head.as_bytes()).await;
                connection.send(&vec![0; BIG]).await;
                gone.notify_one();
            }
            "/half" => {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
                connection.send(head).await;
                return;
            }
            target => {
                let length = target.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}");
                connection.send(head.as_bytes()).await;
            }
        }
    }
}

#[tokio::test]
async fn two_hundred_requests_at_once_are_all_answered() {
    let origin = homeserver(Arc::default(), Arc::default()).await;
    let client = H2::to(&Gateway::before(&origin).await).await;
    let asking: Vec<_> = (0..200)
        .map(|n| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let target = format!("/{n}");
                let got = client.ask(get(&target).body(()).unwrap()).await;
                assert_eq!(got.body, target.as_bytes());
            })
        })
        .collect();
    for asked in asking {
        asked.await.unwrap();
    }
    assert_eq!(origin.requests().len(), 200);
}

#[tokio::test]
async fn a_cancelled_stream_ends_its_poll_within_a_second_and_no_other() {
    let (polling, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let origin = homeserver(Arc::clone(&polling), Arc::clone(&gone)).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let (_kept, _kept_stream) = client.begin(get("/poll").body(()).unwrap(), true).await;
    polling.notified().await;
    let (answer, mut stream) = client.begin(get("/poll").body(()).unwrap(), true).await;
    polling.notified().await;
    stream.send_reset(h2::Reason::CANCEL);
    drop(answer);
    timeout(SECOND, gone.notified()).await.expect("it is left");
    let got = client.ask(get("/other").body(()).unwrap()).await;
    assert_eq!(got.body, b"/other");
    let other = timeout(Duration::from_millis(300), gone.notified()).await;
    assert!(other.is_err(), "the other poll has ended, too");
}

#[tokio::test]
async fn a_client_gone_ends_all_its_polls_within_a_second() {
    let (polling, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let origin = homeserver(Arc::clone(&polling), Arc::clone(&gone)).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let (answer, stream) = client.begin(get("/poll").body(()).unwrap(), true).await;
    polling.notified().await;
    drop((client, answer, stream));
    timeout(SECOND, gone.notified()).await.expect("it is left");
}

#[tokio::test]
async fn an_answer_cut_by_the_origin_is_a_reset_stream() {
    let origin = homeserver(Arc::default(), Arc::default()).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let (answer, _) = client.begin(get("/half").body(()).unwrap(), true).await;
    let error = read(answer).await.unwrap_err();
    assert!(error.is_reset(), "{error:?}");
    let got = client.ask(get("/other").body(()).unwrap()).await;
    assert_eq!(got.body, b"/other", "the connection goes on");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    let origin = homeserver(Arc::default(), Arc::default()).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let (answer, _) = client.begin(get("/big").body(()).unwrap(), true).await;
    let unread = timeout(PATIENCE, answer).await.unwrap().unwrap();
    // The connection's own window, of which the stream took its part, is another's to fill.
    for _ in 0..20 {
        let asked = Instant::now();
        let got = client.ask(get("/other").body(()).unwrap()).await;
        assert_eq!(got.body, b"/other");
        assert!(asked.elapsed() < SECOND);
    }
    drop(unread);
}

#[tokio::test]
async fn an_upload_that_the_origin_does_not_read_is_held_to_its_window() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let request = Request::post("http://a/").body(()).unwrap();
    let (_answer, mut stream) = client.begin(request, false).await;
    let mut sent = 0;
    let sending = async {
        while sent < BIG {
            stream.reserve_capacity(16 << 10);
            let capacity = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
            let piece = Bytes::from(vec![0; capacity.unwrap().unwrap()]);
            sent += piece.len();
            stream.send_data(piece, false).unwrap();
        }
    };
    let stopped = timeout(SECOND, sending).await;
    assert!(stopped.is_err(), "all of it was taken");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        connection.some().await;
        let answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}";
        connection.send(answer).await;
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    for _ in 0..20 {
        let mut client = H2::to(&gateway).await;
        let request = Request::post("http://a/").header("content-length", "1000000");
        let (answer, mut stream) = client.begin(request.body(()).unwrap(), false).await;
        let piece = Bytes::from(vec![0; 50_000]);
        stream.send_data(piece, false).unwrap();
        let got = read(answer).await.unwrap();
        assert_eq!((got.status.as_u16(), &*got.body), (413, &b"{}"[..]));
    }
}

#[tokio::test]
async fn an_upload_cut_by_the_client_never_looks_whole() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    for length in [Some("9"), None] {
        let mut request = Request::post("http://a/");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let (answer, mut stream) = client.begin(request.body(()).unwrap(), false).await;
        stream.send_data(Bytes::from("abc"), false).unwrap();
        // So that it is on its way.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(origin.connections(), 2);
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
}
