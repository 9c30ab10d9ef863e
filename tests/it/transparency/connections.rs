//! Connections: streaming, back-pressure, and how they end.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::task::consume_budget;
use tokio::time::timeout;
use tower_service::Service as _;

use super::{Gateway, PATIENCE, closing, forward};
use crate::origin::{Answer, Origin};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

/// More than all socket buffers on the way can hold.
const PLENTY: usize = 64 << 20;

/// What tokio lets a task do before it has to leave off.
const BUDGET: usize = 128;

#[tokio::test]
async fn the_first_chunk_reaches_the_origin_before_the_last_is_sent() {
    let first_came = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let first_came = Arc::clone(&first_came);
        move |mut connection| {
            let first_came = Arc::clone(&first_came);
            async move {
                connection.head().await;
                let mut framed = Vec::new();
                assert_eq!(
                    connection.chunk(&mut framed).await,
                    Some(Some(b"abc".to_vec()))
                );
                first_came.notify_one();
                assert_eq!(connection.chunk(&mut framed).await, Some(None));
                connection
                    .send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    .await;
            }
        }
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(format!("{CHUNKED}3\r\nabc\r\n")).await;
    timeout(PATIENCE, first_came.notified())
        .await
        .expect("the first chunk is not held back");
    client.send("0\r\n\r\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn the_first_chunk_reaches_the_client_before_the_last_is_sent() {
    let go_on = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let go_on = Arc::clone(&go_on);
        move |mut connection| {
            let go_on = Arc::clone(&go_on);
            async move {
                connection.request().await;
                connection
                    .send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await;
                connection.send(b"3\r\nabc\r\n").await;
                go_on.notified().await;
                connection.send(b"0\r\n\r\n").await;
            }
        }
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(GET).await;
    client.through("abc\r\n").await;
    go_on.notify_one();
    assert_eq!(client.through("0\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        connection
            .send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
            .await;
        connection.gone().await;
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
        .await;
    let answer = client.through("{}").await;
    assert!(answer.starts_with("HTTP/1.1 413 Too Large\r\n"), "{answer}");
}

#[tokio::test]
async fn an_upload_goes_no_faster_than_the_origin_reads() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {PLENTY}\r\n\r\n"
        ))
        .await;
    let sending = client
        .0
        .write_all(&vec![0; PLENTY])
        .await_for(Duration::from_secs(1))
        .await;
    assert!(
        sending.is_none(),
        "the gateway has taken all of a body that nobody reads"
    );
}

#[tokio::test]
async fn a_download_goes_no_faster_than_the_client_reads() {
    let all_sent = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let all_sent = Arc::clone(&all_sent);
        move |mut connection| {
            let all_sent = Arc::clone(&all_sent);
            async move {
                connection.request().await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {PLENTY}\r\n\r\n");
                connection.send(head.as_bytes()).await;
                connection.send(&vec![0; PLENTY]).await;
                all_sent.notify_one();
            }
        }
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send(GET).await;
    client.through("\r\n\r\n").await;
    let sent = all_sent.notified().await_for(Duration::from_secs(1)).await;
    assert!(
        sent.is_none(),
        "the gateway has taken all of an answer that nobody reads"
    );
}

#[tokio::test]
async fn a_client_gone_during_a_poll_ends_it_at_the_origin() {
    let gone = Arc::new(Notify::new());
    let polling = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let (gone, polling) = (Arc::clone(&gone), Arc::clone(&polling));
        move |mut connection| {
            let (gone, polling) = (Arc::clone(&gone), Arc::clone(&polling));
            async move {
                connection.request().await;
                polling.notify_one();
                connection.gone().await;
                gone.notify_one();
            }
        }
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(GET).await;
    timeout(PATIENCE, polling.notified())
        .await
        .expect("the poll reaches the origin");
    drop(client);
    timeout(Duration::from_secs(2), gone.notified())
        .await
        .expect("the poll ends at the origin");
}

#[tokio::test]
async fn a_client_gone_during_a_download_ends_it_at_the_origin() {
    let gone = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let gone = Arc::clone(&gone);
        move |mut connection| {
            let gone = Arc::clone(&gone);
            async move {
                connection.request().await;
                connection
                    .send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
                    .await;
                connection.gone().await;
                gone.notify_one();
            }
        }
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(GET).await;
    client.through("abc").await;
    drop(client);
    timeout(Duration::from_secs(2), gone.notified())
        .await
        .expect("the download ends");
}

#[tokio::test]
async fn a_body_that_the_origin_cuts_arrives_as_cut() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    for (half, end) in [(length, "abc"), (chunked, "3\r\nabc\r\n")] {
        for answer in [Answer::bytes(half).close(), Answer::bytes(half).reset()] {
            let origin = Origin::start(move |_| answer.clone()).await;
            let answer = Gateway::before(&origin)
                .await
                .ask(closing("GET / HTTP/1.1"))
                .await;
            // A reset may overtake what was sent before it; it never makes an end of it.
            let cut = answer.ends_with(end) || !answer.contains("abc");
            assert!(cut && !answer.ends_with("0\r\n\r\n"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_reset_in_a_body_without_a_length_is_no_clean_end() {
    let arrived = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let arrived = Arc::clone(&arrived);
        move |mut connection| {
            let arrived = Arc::clone(&arrived);
            async move {
                connection.request().await;
                connection.send(b"HTTP/1.1 200 OK\r\n\r\nabc").await;
                // A reset would overtake it.
                arrived.notified().await;
                connection.reset();
            }
        }
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(GET).await;
    client.through("3\r\nabc\r\n").await;
    arrived.notify_one();
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn connections_to_the_origin_are_used_again() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let gateway = Gateway::before(&origin).await;
    for _ in 0..5 {
        let mut client = gateway.connect().await;
        client.send(GET).await;
        client.through("{}").await;
        // The connection goes back to the pool just after the answer's last byte.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_pooled_connection_that_the_origin_closed_never_fails_a_request() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let origin = Origin::start(move |_| Answer::bytes(answer).close()).await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for _ in 0..20 {
        client
            .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
            .await;
        let answer = client.through("{}").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(origin.requests().len(), 20);
    assert_eq!(origin.connections(), 20);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|request| Answer::json("200 OK", &request.target)).await;
    let request = [&GET.replace("/ ", "/a "), &GET.replace("/ ", "/b "), ""].concat();
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(request).await;
    client.through("\r\n\r\n/a").await;
    client.through("\r\n\r\n/b").await;
}

/// An hour, in a moment: the clock is stopped, and tokio moves it on whenever nothing else can
/// happen. Any deadline on the way would strike.
#[tokio::test]
async fn idle_sync_outlives_every_timeout_we_have() {
    const HOUR: Duration = Duration::from_hours(1);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let origin = Origin::start(move |_| Answer::after(HOUR, answer)).await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(GET).await;
    arrival(&origin).await;
    tokio::time::pause();
    let asked = tokio::time::Instant::now();
    let mut bytes = [0; 15];
    tokio::io::AsyncReadExt::read_exact(&mut client.0, &mut bytes)
        .await
        .unwrap();
    assert_eq!(&bytes, b"HTTP/1.1 200 OK");
    assert!(asked.elapsed() + PATIENCE >= HOUR);
}

#[tokio::test]
async fn a_stopping_gateway_lets_open_requests_end() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let origin = Origin::start(move |_| Answer::after(Duration::from_millis(200), answer)).await;
    let gateway = Gateway::before(&origin).await;
    let mut idle = gateway.connect().await;
    let mut busy = gateway.connect().await;
    busy.send(GET).await;
    arrival(&origin).await;
    let address = gateway.address;
    let stopping = tokio::spawn(gateway.stop());
    let answer = busy.rest().await;
    assert!(answer.ends_with("{}"), "{answer}");
    assert_eq!(idle.rest().await, "");
    assert_eq!(stopping.await.unwrap(), 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stopping_gateway_drops_what_outlives_the_limit() {
    let origin = Origin::start(|_| Answer::stall()).await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send(GET).await;
    arrival(&origin).await;
    assert_eq!(gateway.stop().await, 1);
    assert_eq!(client.rest().await, "");
}

/// Waits for the first request.
async fn arrival(origin: &Origin) {
    let arriving = async {
        while origin.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, arriving)
        .await
        .expect("the request reaches the origin");
}

/// `None` if it takes longer.
trait AwaitFor: Future + Sized {
    async fn await_for(self, limit: Duration) -> Option<Self::Output> {
        timeout(limit, self).await.ok()
    }
}

impl<F: Future> AwaitFor for F {}

/// A task that has done much has to leave off somewhere, and to be woken then: wherever that is.
#[tokio::test]
async fn an_answer_is_noticed_however_much_its_task_has_done_before() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let mut forward = forward::<Full<Bytes>>(origin.address(), PATIENCE);
    for (done, is_tired_first) in (0..=BUDGET).flat_map(|done| [(done, false), (done, true)]) {
        let asked = async {
            let request = Request::get("/").body(Full::default()).unwrap();
            let answer = forward.call(request).await.unwrap();
            answer.into_body().collect().await.unwrap().to_bytes()
        };
        let mut asked = pin!(asked);
        let mut is_tired = !is_tired_first;
        let asked = poll_fn(|context| {
            is_tired = !is_tired;
            for _ in 0..if is_tired { done } else { 0 } {
                let _ = pin!(consume_budget()).poll(context);
            }
            asked.as_mut().poll(context)
        });
        let answer = timeout(PATIENCE, asked).await;
        assert_eq!(answer.expect("it is noticed"), "{}", "{done} done before");
    }
}
