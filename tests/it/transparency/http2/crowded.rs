//! Little room, and little time: what one connection of HTTP/2 may take from others.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::raw::{GOAWAY, HEADERS, Raw};
use super::{H2, get, plain, read};
use crate::origin::{Answer, Origin};
use crate::transparency::Gateway;

const SECOND: Duration = Duration::from_secs(1);

/// A client that has been answered once, and says nothing any more: not even that it heard.
async fn silent(gateway: &Gateway) -> Raw {
    let mut raw = Raw::to(gateway).await;
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ];
    raw.request(1, &fields).await;
    assert!(raw.one_of(&[HEADERS]).await.is_some(), "it is answered");
    raw
}

#[tokio::test]
async fn requests_beyond_the_limit_are_503_until_one_ends() {
    let origin = Origin::start(|request| match &*request.target {
        "/poll" => Answer::stall(),
        _ => Answer::json("200 OK", "{}"),
    })
    .await;
    let gateway = Gateway::with(origin.address(), |config| config.limits.connections = 2).await;
    let mut client = H2::to(&gateway).await;
    let (first, _) = client.begin(get("/poll").body(()).unwrap(), true).await;
    let (_second, _) = client.begin(get("/poll").body(()).unwrap(), true).await;
    let got = client.ask(get("/").body(()).unwrap()).await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(got.fields["retry-after"], "1");
    let body = String::from_utf8(got.body).unwrap();
    assert!(body.contains("\"errcode\":\"M_UNKNOWN\""), "{body}");
    drop(first);
    let begun = Instant::now();
    loop {
        let (answer, _) = client.begin(get("/").body(()).unwrap(), true).await;
        if read(answer).await.unwrap().status == StatusCode::OK {
            break;
        }
        assert!(begun.elapsed() < 5 * SECOND, "there is no room again");
        tokio::time::sleep(SECOND / 50).await;
    }
    assert!(
        origin
            .requests()
            .iter()
            .filter(|it| it.target == "/")
            .count()
            == 1,
        "what was turned away never reached the origin"
    );
}

#[tokio::test]
async fn a_silent_client_makes_room_for_the_next() {
    let origin = plain().await;
    let gateway = Gateway::with(origin.address(), |config| config.limits.connections = 1).await;
    let mut raw = silent(&gateway).await;
    let answer = gateway
        .ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(raw.one_of(&[GOAWAY]).await.is_some(), "it was told");
}

#[tokio::test]
async fn a_silent_client_does_not_hold_up_the_end() {
    let origin = plain().await;
    let gateway = Gateway::with(origin.address(), |config| {
        config.server.drain = Duration::from_mins(1);
    })
    .await;
    let mut raw = silent(&gateway).await;
    let begun = Instant::now();
    assert_eq!(gateway.stop().await, 0, "nothing had to be cut");
    assert!(begun.elapsed() < 20 * SECOND, "{:?}", begun.elapsed());
    assert!(raw.one_of(&[GOAWAY]).await.is_some(), "it was told");
}
