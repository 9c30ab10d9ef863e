//! Takes connections from a socket, and finds a place for each.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::sync::Arc;

use super::crowd::{Crowd, Member};
use super::metrics::Metrics;
use super::socket::{ACCEPT_PAUSE, Socket, concerns_one_connection};
use super::wire::Wire;

/// A listener that never fails.
pub(super) struct Acceptor {
    socket: Socket,
    crowd: Arc<Crowd>,
    metrics: Metrics,
    /// Accepted, and still without a place.
    waiting: Option<(Wire, Option<IpAddr>)>,
}

// === impl Acceptor ===

impl Acceptor {
    pub(super) fn new(socket: Socket, crowd: Arc<Crowd>, metrics: Metrics) -> Self {
        Self {
            socket,
            crowd,
            metrics,
            waiting: None,
        }
    }

    /// The next connection, and its place. May be dropped and called again at any time.
    pub(super) async fn accept(&mut self) -> (Wire, Option<IpAddr>, Member) {
        loop {
            if self.waiting.is_some() {
                let member = self.crowd.enter().await;
                if let Some((wire, peer)) = self.waiting.take() {
                    return (wire, peer, member);
                }
            }
            match self.socket.accept().await {
                Ok(accepted) => {
                    self.waiting = Some(accepted);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    if self.crowd.failing.rings() {
                        tracing::warn!(
                            error = &error as &dyn StdError,
                            "cannot accept connections; new ones wait"
                        );
                    }
                    self.metrics.accept_failures.inc();
                    self.crowd.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// One of those that came before we stopped: closing the socket would reset what the kernel has
    /// accepted for us. What waits at an inherited socket is the next run's.
    pub(super) async fn left_over(&mut self) -> Option<(Wire, Option<IpAddr>, Member)> {
        while self.waiting.is_none() && !self.socket.is_inherited() {
            match self.socket.try_accept()? {
                Ok(accepted) => self.waiting = Some(accepted),
                Err(error) if concerns_one_connection(&error) => {}
                Err(_) => return None,
            }
        }
        let (wire, peer) = self.waiting.take()?;
        Some((wire, peer, self.crowd.enter().await))
    }
}
