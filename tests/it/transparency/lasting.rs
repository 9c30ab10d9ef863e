//! Deadlines, limits and the end: who is sent away and when, and who never is.
//!
//! Where a test waits for minutes the clock is stopped: tokio moves it on when nothing else can happen.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, pause, resume, sleep, timeout};

use super::{Client, DRAIN, Gateway, PATIENCE, body, lines, soon};
use crate::origin::{Answer, Origin};

const SECOND: Duration = Duration::from_secs(1);
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn plain() -> Origin {
    Origin::start(|request| match &*request.target {
        "/poll" => Answer::stall(),
        _ => Answer::json("200 OK", "{}"),
    })
    .await
}

/// What still comes until the connection ends, and how long that takes by the stopped clock.
async fn ends_after(client: &mut Client) -> (String, Duration) {
    let begun = Instant::now();
    let mut all = Vec::new();
    let _ = client.0.read_to_end(&mut all).await;
    (String::from_utf8_lossy(&all).into_owned(), begun.elapsed())
}

#[track_caller]
fn assert_about(time: Duration, seconds: u64) {
    let expected = Duration::from_secs(seconds);
    let near = expected.saturating_sub(SECOND)..=expected + 4 * SECOND;
    assert!(near.contains(&time), "{time:?}, not {expected:?}");
}

/// A served gateway and a client, and the clock stopped.
async fn stopped(origin: &Origin) -> (Gateway, Client) {
    let gateway = Gateway::before(origin).await;
    // So that all has begun that will.
    gateway.ask(super::closing("GET / HTTP/1.1")).await;
    let client = gateway.connect().await;
    pause();
    (gateway, client)
}

#[tokio::test]
async fn a_connection_that_says_nothing_ends_after_15_seconds() {
    let origin = plain().await;
    let (_gateway, mut client) = stopped(&origin).await;
    let (said, time) = ends_after(&mut client).await;
    assert_eq!(said, "");
    assert_about(time, 15);
}

#[tokio::test]
async fn a_first_head_that_drips_ends_after_15_seconds() {
    let origin = plain().await;
    let (_gateway, client) = stopped(&origin).await;
    let (mut reader, mut writer) = client.0.into_split();
    let dripping = tokio::spawn(async move {
        for byte in GET.as_bytes() {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(2 * SECOND).await;
        }
    });
    let begun = Instant::now();
    let mut all = Vec::new();
    let _ = reader.read_to_end(&mut all).await;
    assert_about(begun.elapsed(), 15);
    assert!(!String::from_utf8_lossy(&all).contains("200 OK"));
    dripping.abort();
}

#[tokio::test]
async fn an_idle_connection_ends_after_75_seconds_and_not_before() {
    let origin = plain().await;
    let (_gateway, mut client) = stopped(&origin).await;
    for _ in 0..3 {
        client.send(GET).await;
        resume();
        client.through("{}").await;
        pause();
        sleep(Duration::from_secs(70)).await;
    }
    client.send(GET).await;
    resume();
    client.through("{}").await;
    pause();
    let (said, time) = ends_after(&mut client).await;
    assert_eq!(said, "");
    assert_about(time, 75);
}

#[tokio::test]
async fn an_idle_http_2_connection_is_told_to_go_after_75_seconds() {
    let origin = plain().await;
    let (gateway, _client) = stopped(&origin).await;
    resume();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::get("http://a/").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    drop(answer);
    pause();
    let begun = Instant::now();
    let _kept: h2::client::SendRequest<bytes::Bytes> = client;
    let _ = connection.await.unwrap();
    assert_about(begun.elapsed(), 75);
}

#[tokio::test]
async fn an_upload_that_stands_still_for_a_minute_is_408() {
    let gone = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let gone = Arc::clone(&gone);
        move |mut connection| {
            let gone = Arc::clone(&gone);
            async move {
                if connection.head().await.unwrap().method == "GET" {
                    connection
                        .send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                        .await;
                    return;
                }
                connection.gone().await;
                gone.notify_one();
            }
        }
    })
    .await;
    let (_gateway, mut client) = stopped(&origin).await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        .await;
    let (answer, time) = ends_after(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_about(time, 60);
    gone.notified().await;
}

#[tokio::test]
async fn an_upload_that_moves_is_never_ended() {
    let origin = plain().await;
    let (_gateway, mut client) = stopped(&origin).await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
        .await;
    for _ in 0..20 {
        sleep(Duration::from_secs(55)).await;
        client.send("a").await;
    }
    resume();
    assert!(client.through("{}").await.starts_with("HTTP/1.1 200 "));
    let upload = origin.requests().pop().unwrap();
    assert_eq!(upload.body.len(), 20);
}

/// An origin that answers `/big` with more than all sockets on the way hold.
async fn big(size: usize, gone: Arc<Notify>) -> Origin {
    Origin::start_raw(move |mut connection| {
        let gone = Arc::clone(&gone);
        async move {
            while let Some(request) = connection.request().await {
                let size = if request.target == "/big" { size } else { 2 };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                connection.send(head.as_bytes()).await;
                connection.send(&vec![b'x'; size]).await;
            }
            gone.notify_one();
        }
    })
    .await
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_left_after_a_minute() {
    let gone = Arc::new(Notify::new());
    let origin = big(64 << 20, Arc::clone(&gone)).await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.through("\r\n\r\n").await;
    // Until all that fits has come.
    sleep(SECOND / 2).await;
    pause();
    let begun = Instant::now();
    gone.notified().await;
    assert_about(begun.elapsed(), 60);
    let (rest, end) = client.rest_and_end().await;
    assert_eq!(end, super::End::Rst, "it looks whole: {}", rest.len());
}

#[tokio::test]
async fn a_client_that_takes_anything_of_its_answer_is_served_to_the_end() {
    const SIZE: usize = 24 << 20;
    // The kernel tells a sender of no less room than a sixteenth of what it keeps, at most 6 MiB.
    const PIECE: usize = 1 << 20;
    let origin = big(SIZE, Arc::default()).await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.through("\r\n\r\n").await;
    sleep(SECOND / 2).await;
    let mut piece = vec![0; PIECE];
    let begun = Instant::now();
    for _ in 0..SIZE / PIECE {
        pause();
        sleep(Duration::from_secs(50)).await;
        resume();
        client.0.read_exact(&mut piece).await.unwrap();
        // The kernel sends on what it has, and takes more.
        sleep(SECOND / 50).await;
    }
    assert!(begun.elapsed() > Duration::from_mins(20));
}

#[tokio::test]
async fn whoever_waits_longest_makes_room_for_the_next() {
    let origin = plain().await;
    let gateway = Gateway::with(origin.address(), |config| config.limits.connections = 3).await;
    let mut silent = gateway.connect().await;
    sleep(SECOND / 10).await;
    let mut half = gateway.connect().await;
    half.send("GET /half HTTP/1.1\r\nHost").await;
    sleep(SECOND / 10).await;
    let mut idle = gateway.connect().await;
    idle.send(GET).await;
    idle.through("{}").await;
    // One comes, the first leaves; another comes, the second leaves.
    for left in [&mut silent, &mut half] {
        let mut next = gateway.connect().await;
        next.send(GET).await;
        next.through("{}").await;
        assert!(!left.rest().await.contains("200 OK"));
        // It stays, but waits less long than the others.
        tokio::spawn(async move {
            sleep(PATIENCE).await;
            drop(next);
        });
    }
    idle.send(GET).await;
    idle.through("{}").await;
}

#[tokio::test]
async fn whoever_has_a_request_under_way_is_never_sent_away() {
    let origin = plain().await;
    let gateway = Gateway::with(origin.address(), |config| config.limits.connections = 2).await;
    let mut polls = Vec::new();
    for n in 1..=2 {
        let mut poll = gateway.connect().await;
        poll.send(GET.replace("/ ", "/poll ")).await;
        soon(|| origin.requests().len() == n).await;
        polls.push(poll);
    }
    // There is no room: it waits in the kernel's queue.
    let mut next = gateway.connect().await;
    next.send(GET).await;
    let answered = timeout(SECOND / 2, next.0.readable()).await;
    assert!(answered.is_err(), "there was no room");
    drop(polls.pop());
    assert!(next.through("{}").await.starts_with("HTTP/1.1 200 "));
    let still = timeout(SECOND / 10, polls[0].0.readable()).await;
    assert!(still.is_err(), "the other poll was sent away");
}

/// The status of `/health/ready`.
async fn ready(gateway: std::net::SocketAddr) -> String {
    let mut client = Client(TcpStream::connect(gateway).await.unwrap());
    client
        .send("GET /health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    client.rest().await[9..12].to_owned()
}

#[tokio::test]
async fn a_stopping_gateway_is_red_before_it_is_deaf_and_tells_everybody() {
    let origin = plain().await;
    let gateway = Gateway::before(&origin).await;
    let (address, admin) = (gateway.address, gateway.admin);
    assert_eq!(ready(admin).await, "200");
    let mut idle = gateway.connect().await;
    idle.send(GET).await;
    idle.through("{}").await;
    let mut late = gateway.connect().await;
    late.send(GET).await;
    late.through("{}").await;
    let mut poll = gateway.connect().await;
    poll.send(GET.replace("/ ", "/poll ")).await;
    let mut upload = gateway.connect().await;
    upload
        .send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        .await;
    soon(|| origin.requests().len() == 3).await;
    // The upload has begun, too, and is no whole request.
    sleep(SECOND / 10).await;
    let begun = Instant::now();
    let stopping = tokio::spawn(gateway.stop());
    sleep(SECOND / 10).await;
    assert_eq!(ready(admin).await, "503");
    assert!(TcpStream::connect(address).await.is_err(), "it is deaf");
    // A request that was on its way is answered, and told that it was the last.
    late.send(GET).await;
    let answer = late.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(lines(&answer, "connection"), ["close"]);
    // Idle connections end after a moment.
    assert_eq!(idle.rest().await, "");
    assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
    // An upload under way ends as it would.
    upload.send("def").await;
    let answer = upload.rest().await;
    assert_eq!(lines(&answer, "connection"), ["close"]);
    assert_eq!(body(&answer), "{}");
    // A long poll ends at the limit.
    assert_eq!(poll.rest().await, "");
    assert_eq!(stopping.await.unwrap(), 1);
    assert!(begun.elapsed() >= DRAIN);
}

#[tokio::test]
async fn a_stopping_gateway_tells_http_2_to_go_and_ends_its_streams() {
    let hold = Arc::new(Notify::new());
    let origin = Origin::start_raw({
        let hold = Arc::clone(&hold);
        move |mut connection| {
            let hold = Arc::clone(&hold);
            async move {
                connection.request().await;
                hold.notified().await;
                connection
                    .send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                    .await;
            }
        }
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client: h2::client::SendRequest<bytes::Bytes> = client.ready().await.unwrap();
    let request = || http::Request::get("http://a/").body(()).unwrap();
    let (answer, _) = client.send_request(request(), true).unwrap();
    soon(|| origin.requests().len() == 1).await;
    let begun = Instant::now();
    let stopping = tokio::spawn(gateway.stop());
    // It is told at once.
    let told = async {
        while client.clone().ready().await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SECOND, told).await.expect("GOAWAY comes at once");
    hold.notify_one();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    drop((answer, client));
    assert_eq!(stopping.await.unwrap(), 0);
    assert!(begun.elapsed() < DRAIN, "nobody was waited for");
    let _ = connection.await.unwrap();
}
