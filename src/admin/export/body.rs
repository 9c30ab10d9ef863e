//! A body that is made while it is sent, and ends as whole only if its maker says so.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Where the body is made. Dropped before [`end`](Self::end), it cuts the body.
pub(super) struct Sender(mpsc::Sender<Part>);

/// The body.
pub(super) struct Streamed {
    parts: mpsc::Receiver<Part>,
    is_ended: bool,
}

enum Part {
    Data(Bytes),
    End,
}

/// The maker of the body ended before the body did.
#[derive(Debug, thiserror::Error)]
#[error("the export failed midway")]
pub(super) struct Cut;

/// How many parts wait to be taken.
const WAITING: usize = 4;
/// How long one may wait.
const PATIENCE: Duration = Duration::from_mins(2);

/// A body, and where it is made.
pub(super) fn channel() -> (Sender, Streamed) {
    let (sender, parts) = mpsc::channel(WAITING);
    let is_ended = false;
    (Sender(sender), Streamed { parts, is_ended })
}

// === impl Sender ===

impl Sender {
    /// Waits until there is room for `data`.
    pub(super) async fn send(&self, data: Bytes) -> io::Result<()> {
        let sent = timeout(PATIENCE, self.0.send(Part::Data(data))).await;
        sent.map_err(|_| io::ErrorKind::TimedOut)?
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// The body is whole.
    pub(super) async fn end(self) {
        // Whoever went away does not miss it.
        drop(self.0.send(Part::End).await);
    }
}

// === impl Streamed ===

impl Body for Streamed {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(self.parts.poll_recv(cx)) {
            Some(Part::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Part::End) => None,
            None => Some(Err(Cut)),
        };
        self.is_ended = true;
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_body_is_whole_only_if_its_maker_says_so() {
        for is_whole in [true, false] {
            let (sender, body) = channel();
            tokio::spawn(async move {
                for _ in 0..10 {
                    sender.send(Bytes::from_static(b"ab")).await.unwrap();
                }
                if is_whole {
                    sender.end().await;
                }
            });
            let collected = body.collect().await.map(|body| body.to_bytes().len());
            assert_eq!(collected.ok(), is_whole.then_some(20));
        }
    }

    #[tokio::test]
    async fn nothing_is_made_that_nobody_takes() {
        let (sender, body) = channel();
        for _ in 0..WAITING {
            sender.send(Bytes::from_static(b"ab")).await.unwrap();
        }
        let more = sender.send(Bytes::from_static(b"ab"));
        assert!(timeout(Duration::from_millis(20), more).await.is_err());
        drop(body);
        let error = sender.send(Bytes::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
