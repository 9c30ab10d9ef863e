//! Several threads serve as one does.

use std::num::NonZero;
use std::time::Duration;

use super::{DRAIN, Gateway, closing};
use crate::origin::{Answer, Origin};

const CLIENTS: usize = 60;

const SOON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

async fn gateway(origin: &Origin) -> Gateway {
    Gateway::with(origin.address(), |config| {
        config.server.workers = NonZero::new(3);
    })
    .await
}

#[tokio::test]
async fn several_workers_serve_everybody_who_comes_at_once() {
    let origin = Origin::start(|_| Answer::json("200 OK", "{}")).await;
    let gateway = gateway(&origin).await;
    let request = closing("GET / HTTP/1.1");
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(gateway.connect().await);
    }
    for client in &mut clients {
        client.send(&request).await;
    }
    for client in &mut clients {
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(origin.requests().len(), CLIENTS);
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn several_workers_drain_and_then_cut() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/soon" => Answer::after(Duration::from_secs(1), SOON),
        _ => Answer::stall(),
    })
    .await;
    let gateway = gateway(&origin).await;
    let (mut soon, mut never) = (Vec::new(), Vec::new());
    for _ in 0..CLIENTS {
        let mut client = gateway.connect().await;
        client.send("GET /soon HTTP/1.1\r\nHost: a\r\n\r\n").await;
        soon.push(client);
    }
    for _ in 0..CLIENTS {
        let mut client = gateway.connect().await;
        client.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await;
        never.push(client);
    }
    super::soon(|| origin.requests().len() == 2 * CLIENTS).await;
    let stopping = tokio::spawn(gateway.stop());
    for client in &mut soon {
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    let cut = tokio::time::timeout(2 * DRAIN, stopping).await;
    assert_eq!(cut.expect("it ends").unwrap(), CLIENTS);
    for client in &mut never {
        assert_eq!(client.rest().await, "");
    }
}
