//! A TCP relay before Postgres that a test can cut, stall and mend.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the relay does with bytes, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Passes them on.
    Pass,
    /// Passes them on so much later.
    Late(Duration),
    /// Takes them, and they are never seen again.
    Swallow,
    /// Passes `COMMIT` on, waits until it is answered, and resets the connection instead of saying so.
    LoseCommit,
    /// Resets all connections, and those that come.
    Reset,
}

/// A TCP relay. Ends with the value.
pub(crate) struct Relay {
    port: u16,
    mood: watch::Sender<Mood>,
    accepted: Arc<AtomicUsize>,
    acceptor: JoinHandle<()>,
}

// === impl Relay ===

impl Relay {
    /// A relay to 127.0.0.1.
    pub(crate) async fn start(to_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mood = watch::Sender::new(Mood::Pass);
        let accepted = Arc::new(AtomicUsize::new(0));
        let (moods, count) = (mood.clone(), Arc::clone(&accepted));
        let to = SocketAddr::from(([127, 0, 0, 1], to_port));
        let acceptor = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(relay(client, to, moods.subscribe()));
            }
        });
        Self {
            port,
            mood,
            accepted,
            acceptor,
        }
    }

    /// The URL through it of what `url` names directly.
    pub(crate) fn through(&self, url: &str) -> String {
        let (before, after) = url.rsplit_once(':').unwrap();
        let (_, path) = after.split_once('/').unwrap();
        format!("{before}:{}/{path}", self.port)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How many connections have come so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn relay(client: TcpStream, to: SocketAddr, mut mood: watch::Receiver<Mood>) {
    client.set_zero_linger().unwrap();
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    let is_committing = AtomicBool::new(false);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (there, back) = (mood.clone(), mood.clone());
    tokio::select! {
        () = requests(from_client, to_server, there, &is_committing) => {}
        () = answers(from_server, to_client, back, &is_committing) => {}
        _ = mood.wait_for(|mood| *mood == Mood::Reset) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mood: watch::Receiver<Mood>,
    is_committing: &AtomicBool,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let chunk = &bytes[..count];
        let now = *mood.borrow();
        match now {
            Mood::Swallow => continue,
            Mood::Late(delay) => tokio::time::sleep(delay).await,
            Mood::LoseCommit if chunk.windows(7).any(|part| part == b"COMMIT\0") => {
                is_committing.store(true, Ordering::Relaxed);
            }
            Mood::Pass | Mood::LoseCommit | Mood::Reset => {}
        }
        if to.write_all(chunk).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mood: watch::Receiver<Mood>,
    is_committing: &AtomicBool,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let now = *mood.borrow();
        match now {
            Mood::Swallow => continue,
            Mood::Late(delay) => tokio::time::sleep(delay).await,
            Mood::LoseCommit if is_committing.load(Ordering::Relaxed) => return,
            Mood::Pass | Mood::LoseCommit | Mood::Reset => {}
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
