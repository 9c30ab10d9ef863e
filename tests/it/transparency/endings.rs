//! How messages and connections end: what is cut off arrives as cut off, and whoever is left alone is
//! told so within a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Client, End, Gateway, PATIENCE, body, closing, lines};
use crate::origin::{Answer, Connection, Origin};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Bodies of which some is missing, by framing; and what an HTTP/1.1 client must get of them.
const HALVES: [(&str, &str); 2] = [
    ("Content-Length: 9\r\n\r\nabc", "abc"),
    (
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "3\r\nabc\r\n",
    ),
];

/// An origin that says `answer`, waits until it has arrived, and ends.
async fn cutting(answer: String, end: End) -> (Origin, Arc<Notify>) {
    let arrived = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let arrived = Arc::clone(&arrived);
        move |mut connection| {
            let (arrived, answer) = (Arc::clone(&arrived), answer.clone());
            async move {
                connection.request().await;
                connection.send(answer.as_bytes()).await;
                // A reset would overtake it.
                arrived.notified().await;
                if end == End::Rst {
                    connection.reset();
                }
            }
        }
    })
    .await;
    (origin, arrived)
}

/// What a client gets after "abc" when the origin cuts its answer, and how it ends.
async fn after_the_cut(request: &str, answer: &str, end: End) -> (String, End) {
    let (origin, arrived) = cutting(format!("HTTP/1.1 200 OK\r\n{answer}"), end).await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(request).await;
    client.through("abc").await;
    arrived.notify_one();
    client.rest_and_end().await
}

#[tokio::test]
async fn an_answer_cut_by_the_origin_arrives_as_cut() {
    let mut seen = 0;
    for (half, _) in HALVES {
        for end in [End::Fin, End::Rst] {
            // Its framing says that it is not whole, however the connection ends.
            let (rest, _) = after_the_cut(GET, half, end).await;
            assert!(["", "\r\n"].contains(&&*rest), "{half} {end:?}: {rest:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}

#[tokio::test]
async fn an_answer_cut_by_the_origin_is_no_clean_end_for_http_1_0() {
    let mut seen = 0;
    for (half, _) in HALVES {
        for end in [End::Fin, End::Rst] {
            let (rest, how) = after_the_cut("GET / HTTP/1.0\r\n\r\n", half, end).await;
            assert_eq!(rest, "", "{half} {end:?}");
            // A length says by itself that something is missing; chunks are lost on HTTP/1.0.
            assert!(
                half.starts_with("Content-Length") || how == End::Rst,
                "{half} {end:?}"
            );
            seen += 1;
        }
    }
    // What only a reset can tell from a whole body.
    let (rest, how) = after_the_cut("GET / HTTP/1.0\r\n\r\n", "\r\nabc", End::Rst).await;
    assert_eq!((&*rest, how), ("", End::Rst));
    assert_eq!(seen, 4);
}

#[tokio::test]
async fn all_that_was_sent_of_an_answer_that_is_cut_arrives() {
    const HALF: usize = 1 << 20;
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * HALF);
        connection.send(head.as_bytes()).await;
        connection.send(&vec![b'x'; HALF]).await;
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(GET).await;
    client.through("\r\n\r\n").await;
    // The end comes while the client still looks at the beginning.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(client.rest().await.len(), HALF);
}

#[tokio::test]
async fn a_body_without_a_length_that_ends_in_order_is_whole() {
    let (rest, how) = after_the_cut("GET / HTTP/1.0\r\n\r\n", "\r\nabc", End::Fin).await;
    assert_eq!((&*rest, how), ("", End::Fin));
    let (rest, how) = after_the_cut(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "\r\nabc",
        End::Fin,
    )
    .await;
    assert_eq!((&*rest, how), ("\r\n0\r\n\r\n", End::Fin));
}

#[tokio::test]
async fn a_whole_answer_ends_in_order() {
    for whole in [
        "Content-Length: 3\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let (rest, how) = after_the_cut(request, whole, End::Fin).await;
        assert!(["", "\r\n0\r\n\r\n"].contains(&&*rest), "{whole}: {rest:?}");
        assert_eq!(how, End::Fin, "{whole}");
    }
}

/// What the origin has got of a request when its connection ends.
async fn read_to_the_end(mut connection: Connection, ended: Arc<Notify>, got: Arc<AtomicUsize>) {
    while let Some(some) = connection.some().await {
        got.fetch_add(some.len(), Ordering::SeqCst);
        // Would make the message look whole.
        assert!(!some.ends_with(b"0\r\n\r\n"));
    }
    ended.notify_one();
}

#[tokio::test]
async fn an_upload_cut_by_the_client_arrives_as_cut() {
    let mut seen = 0;
    for (half, _) in HALVES {
        for end in [End::Fin, End::Rst] {
            let (ended, got) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
            let origin = Origin::start_raw({
                let (ended, got) = (Arc::clone(&ended), Arc::clone(&got));
                move |connection| read_to_the_end(connection, Arc::clone(&ended), Arc::clone(&got))
            })
            .await;
            let mut client = Gateway::before(&origin).await.connect().await;
            client.send(format!("{HEAD}{half}")).await;
            super::soon(|| got.load(Ordering::SeqCst) > 0).await;
            end_with(client, end);
            timeout(Duration::from_secs(1), ended.notified())
                .await
                .unwrap_or_else(|_| panic!("{half} {end:?}: the origin still waits"));
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}

#[tokio::test]
async fn a_client_that_ends_its_upload_early_is_told_that_it_was_not_whole() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client
        .send(format!("{HEAD}Content-Length: 9\r\n\r\nabc"))
        .await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.0)
        .await
        .unwrap();
    let answer = client.rest().await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
        "{answer}"
    );
    assert!(origin.requests().is_empty());
}

fn end_with(client: Client, end: End) {
    match end {
        End::Fin => drop(client),
        End::Rst => client.reset(),
    }
}

/// When a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    BeforeTheAnswer,
    DuringTheAnswer,
    DuringTheUpload,
}

/// Plays the origin up to `moment`, says that it has come, and then that the connection has ended.
async fn until(mut connection: Connection, moment: Moment, come: Arc<Notify>, gone: Arc<Notify>) {
    match moment {
        Moment::BeforeTheAnswer => {
            connection.request().await;
        }
        Moment::DuringTheAnswer => {
            connection.request().await;
            connection
                .send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
                .await;
        }
        Moment::DuringTheUpload => {
            connection.head().await;
            connection.some().await;
        }
    }
    come.notify_one();
    connection.gone().await;
    gone.notify_one();
}

#[tokio::test]
async fn the_origin_is_left_within_a_second_when_the_client_is_gone() {
    let mut seen = 0;
    for moment in [
        Moment::BeforeTheAnswer,
        Moment::DuringTheAnswer,
        Moment::DuringTheUpload,
    ] {
        for end in [End::Fin, End::Rst] {
            let (come, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let origin = Origin::start_raw({
                let (come, gone) = (Arc::clone(&come), Arc::clone(&gone));
                move |connection| until(connection, moment, Arc::clone(&come), Arc::clone(&gone))
            })
            .await;
            let mut client = Gateway::before(&origin).await.connect().await;
            client
                .send(if moment == Moment::DuringTheUpload {
                    format!("{HEAD}Content-Length: 9\r\n\r\nabc")
                } else {
                    GET.to_owned()
                })
                .await;
            timeout(PATIENCE, come.notified()).await.expect("it comes");
            if moment == Moment::DuringTheAnswer {
                client.through("abc").await;
            }
            end_with(client, end);
            timeout(Duration::from_secs(1), gone.notified())
                .await
                .unwrap_or_else(|_| panic!("{moment:?}, {end:?}: the origin is not left"));
            seen += 1;
        }
    }
    assert_eq!(seen, 6);
}

#[tokio::test]
async fn a_client_gone_while_the_origin_sends_ends_it_though_nobody_reads() {
    let gone = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let gone = Arc::clone(&gone);
        move |mut connection| {
            let gone = Arc::clone(&gone);
            async move {
                connection.request().await;
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nabc";
                connection.send(head).await;
                // More than is taken: it returns when the connection breaks.
                connection.send(&vec![0; 100_000_000]).await;
                gone.notify_one();
            }
        }
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client.send(GET).await;
    client.through("abc").await;
    drop(client);
    timeout(Duration::from_secs(1), gone.notified())
        .await
        .expect("the origin is left");
}

#[tokio::test]
async fn an_answer_that_says_close_ends_in_order_when_the_client_still_sends() {
    let origin = Origin::start_raw(|mut connection| async move {
        connection.head().await;
        connection
            .send(b"HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\n{}")
            .await;
    })
    .await;
    let mut client = Gateway::before(&origin).await.connect().await;
    client
        .send(format!("{HEAD}Content-Length: 100000\r\n\r\nabc"))
        .await;
    let (answer, end) = client.rest_and_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 No\r\n"), "{answer}");
    assert_eq!(lines(&answer, "connection"), ["close"]);
    assert_eq!((body(&answer), end), ("{}", End::Fin));
}

#[tokio::test]
async fn bytes_after_an_answer_are_nobodys() {
    let extra = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nevil!!!";
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}{extra}");
    let origin = Origin::start(move |request| match request.target.as_str() {
        "/split" => Answer::bytes(&answer),
        _ => Answer::json("200 OK", "good"),
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    for _ in 0..20 {
        let answer = gateway.ask(closing("GET /split HTTP/1.1")).await;
        assert_eq!(body(&answer), "{}");
        let answer = gateway.ask(closing("GET /other HTTP/1.1")).await;
        assert_eq!(body(&answer), "good", "{answer}");
    }
}
