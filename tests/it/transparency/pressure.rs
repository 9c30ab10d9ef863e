//! Back-pressure: what the gateway itself holds of a body that nobody takes, in bytes.
//!
//! It is what one side has sent, less what the other has got, less what the kernel says that it
//! keeps in the sockets on the way (`/proc/net/tcp`). The README states the bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Gateway, PATIENCE};
use crate::origin::{Connection, Origin};

/// What is held at most, in each direction: what was read, and what is not yet written, each up to
/// `limits.heads`. hyper takes one piece more for writing as long as there is less than that, and a piece
/// is as large as what was read.
const BOUND: usize = 384 << 10;

/// More than all socket buffers on the way hold.
const PLENTY: usize = 64 << 20;

/// What the kernel is told to keep at the ends.
const NARROW: u32 = 16 << 10;

/// How long nothing moves before all that can has.
const STILL: Duration = Duration::from_millis(300);

/// What the kernel keeps, in all sockets of which one end is at one of `ports`: not yet read, and not
/// yet acknowledged.
fn kept_by_the_kernel(ports: &[u16]) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| {
        let (_, port) = address.split_once(':').unwrap();
        u16::from_str_radix(port, 16).unwrap()
    };
    let mut kept = 0;
    for line in table.lines().skip(1) {
        let columns: Vec<_> = line.split_ascii_whitespace().collect();
        let listens = columns[3] == "0A";
        if !listens && (ports.contains(&port(columns[1])) || ports.contains(&port(columns[2]))) {
            let (unsent, unread) = columns[4].split_once(':').unwrap();
            kept += usize::from_str_radix(unsent, 16).unwrap();
            kept += usize::from_str_radix(unread, 16).unwrap();
        }
    }
    kept
}

fn ports(gateway: &Gateway, origin: &Origin) -> [u16; 2] {
    [gateway.address, origin.address()].map(|address: SocketAddr| address.port())
}

/// Waits until `count` stands still.
async fn settled(count: &AtomicUsize) -> usize {
    let mut last = count.load(Ordering::SeqCst);
    loop {
        tokio::time::sleep(STILL).await;
        let now = count.load(Ordering::SeqCst);
        if now == last && now > 0 {
            return now;
        }
        last = now;
    }
}

/// Writes zeros until there is no room, counting; framed as chunks of 1 KiB if `chunked`.
async fn pour(mut to: impl AsyncWriteExt + Unpin, chunked: bool, sent: Arc<AtomicUsize>) {
    let chunk = [&b"400\r\n"[..], &[0; 0x400], b"\r\n"].concat();
    let piece = if chunked {
        chunk.repeat(16)
    } else {
        vec![0; 16 << 10]
    };
    while sent.load(Ordering::SeqCst) < PLENTY {
        // In the middle of a chunk it goes on in the middle.
        let from = sent.load(Ordering::SeqCst) % piece.len();
        let Ok(written) = to.write(&piece[from..]).await else {
            return;
        };
        sent.fetch_add(written, Ordering::SeqCst);
    }
}

/// An origin that reads a head, and nothing more before it is told to.
fn deaf(go_on: Arc<Notify>, got: Arc<AtomicUsize>) -> Origin {
    Origin::start_narrow(NARROW, move |mut connection: Connection| {
        let (go_on, got) = (Arc::clone(&go_on), Arc::clone(&got));
        async move {
            connection.head().await;
            // What came with the head has left the kernel.
            got.fetch_add(connection.taken(), Ordering::SeqCst);
            go_on.notified().await;
            connection.gone().await;
        }
    })
}

async fn held_of_an_upload(framing: &str) -> usize {
    let (go_on, got) = (Arc::new(Notify::new()), Arc::<AtomicUsize>::default());
    let origin = deaf(go_on, Arc::clone(&got));
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect_narrow(NARROW).await;
    client
        .send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"))
        .await;
    let sent = Arc::<AtomicUsize>::default();
    let (_reading, writing) = client.0.into_split();
    let pouring = tokio::spawn(pour(
        writing,
        framing.ends_with("chunked"),
        Arc::clone(&sent),
    ));
    let sent = timeout(PATIENCE, settled(&sent)).await.expect("it stops");
    let kept = kept_by_the_kernel(&ports(&gateway, &origin));
    pouring.abort();
    let held = sent.saturating_sub(kept + got.load(Ordering::SeqCst));
    println!("upload, {framing}: sent {sent}, the kernel keeps {kept}, we hold {held}");
    assert!(sent < PLENTY, "all of it was taken");
    assert!(kept > 0, "the kernel's table was not understood");
    held
}

#[tokio::test]
async fn an_upload_that_the_origin_does_not_read_is_held_to_384_kib() {
    for framing in [
        &format!("Content-Length: {PLENTY}"),
        "Transfer-Encoding: chunked",
    ] {
        assert!(held_of_an_upload(framing).await <= BOUND);
    }
}

async fn held_of_a_download(framing: &'static str) -> usize {
    let sent = Arc::<AtomicUsize>::default();
    let origin = Origin::start_narrow(NARROW, {
        let sent = Arc::clone(&sent);
        move |mut connection: Connection| {
            let sent = Arc::clone(&sent);
            async move {
                connection.request().await;
                let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
                connection.send(head.as_bytes()).await;
                let chunked = framing.ends_with("chunked");
                pour(connection.into_stream(), chunked, sent).await;
            }
        }
    });
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect_narrow(NARROW).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.through("\r\n\r\n").await;
    let sent = timeout(PATIENCE, settled(&sent)).await.expect("it stops");
    let kept = kept_by_the_kernel(&ports(&gateway, &origin));
    let held = sent.saturating_sub(kept);
    println!("download, {framing}: sent {sent}, the kernel keeps {kept}, we hold {held}");
    assert!(sent < PLENTY, "all of it was taken");
    assert!(kept > 0, "the kernel's table was not understood");
    held
}

#[tokio::test]
async fn a_download_that_the_client_does_not_read_is_held_to_384_kib() {
    for framing in [
        "Content-Length: 67108864",
        "Transfer-Encoding: chunked",
        "X: until-close",
    ] {
        assert!(held_of_a_download(framing).await <= BOUND);
    }
}

#[tokio::test]
async fn one_who_does_not_read_does_not_hold_up_another() {
    let origin = Origin::start_raw(|mut connection| async move {
        while let Some(request) = connection.request().await {
            let length = if request.target == "/big" { PLENTY } else { 2 };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            connection.send(head.as_bytes()).await;
            connection.send(&vec![b'x'; length]).await;
        }
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    let mut slow = Vec::new();
    for _ in 0..10 {
        let mut client = gateway.connect().await;
        client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.through("\r\n\r\n").await;
        slow.push(client);
    }
    for _ in 0..10 {
        let asked = tokio::time::Instant::now();
        let answer = gateway.ask(super::closing("GET /small HTTP/1.1")).await;
        assert!(answer.ends_with("xx"));
        assert!(asked.elapsed() < Duration::from_secs(1));
    }
    // And whoever begins to read gets all of it.
    let mut all = vec![0; PLENTY];
    let reading = slow[0].0.read_exact(&mut all);
    timeout(PATIENCE, reading).await.expect("it comes").unwrap();
}
