//! Drives a connection that speaks HTTP, and ends it when it is time.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

use super::{AtOnce, BoxError, Protocol};
use crate::server::listen::line::Line;
use crate::server::listen::pace::{LAST_CHANCE, Pace};
use crate::server::listen::streams::Streams;

/// How long a connection may wait for the end of a later head, from the end of the answer before.
///
/// Above the minute for which nginx keeps an unused connection to us by default: so the closing is
/// nginx's, and no request of nginx's meets ours.
const IDLE: Duration = Duration::from_secs(75);

/// How long a connection that was told to close may take for it.
const FAREWELL: Duration = Duration::from_secs(3);

/// The same, if it is to make room for others: a request that crosses GOAWAY is still answered.
const BRIEF_FAREWELL: Duration = Duration::from_millis(250);

/// What hyper's two kinds of connection have in common.
pub(super) trait Speaking: Future<Output = hyper::Result<()>> {
    fn say_goodbye(self: Pin<&mut Self>);
}

/// What a connection is to be looked at for.
enum Event {
    Ended(hyper::Result<()>),
    Leave,
    Drain,
    Time,
}

/// Drives one connection, and ends it when it is time.
pub(super) async fn speak(
    speaking: impl Speaking,
    protocol: Protocol,
    first_head: Instant,
    pace: &Pace,
) {
    let mut speaking = pin!(speaking);
    // When to look again whether anything is to be done; `None` is never.
    let mut look = Some(first_head);
    let mut end: Option<Instant> = None;
    let mut is_told = false;
    let mut timer = pin!(sleep_until(first_head));
    loop {
        let until = end.or(look);
        if let Some(until) = until
            && timer.deadline() != until
        {
            timer.as_mut().reset(until);
        }
        let event = poll_fn(|context| {
            if let Poll::Ready(ended) = speaking.as_mut().poll(context) {
                return Poll::Ready(Event::Ended(ended));
            }
            pace.wake(context);
            if pace.is_leaving() && !is_told && end.is_none() {
                return Poll::Ready(Event::Leave);
            }
            if pace.is_draining() && !pace.is_closing() {
                return Poll::Ready(Event::Drain);
            }
            if until.is_some() && timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Event::Time);
            }
            Poll::Pending
        });
        match event.await {
            Event::Ended(ended) => {
                if let Err(error) = ended {
                    tracing::debug!(error = &error as &dyn StdError, "a connection broke");
                }
                return;
            }
            Event::Leave => {
                is_told = true;
                // Perhaps a request has come meanwhile: then this is its last. Else it ends now: half a
                // head, or a client that does not answer, must not keep its place from others.
                speaking.as_mut().say_goodbye();
                let farewell = match protocol {
                    Protocol::Http1 => Duration::ZERO,
                    Protocol::Http2 => BRIEF_FAREWELL,
                };
                end = pace.waits_since().map(|_| Instant::now() + farewell);
            }
            Event::Drain => {
                pace.close();
                // In HTTP/1.1 the answer to the next request says so.
                if protocol == Protocol::Http2 {
                    speaking.as_mut().say_goodbye();
                }
                look = Some(Instant::now() + LAST_CHANCE);
            }
            Event::Time => {
                if !pace.has_asked() || (end.is_some() && pace.waits_since().is_some()) {
                    return;
                }
                if end.take().is_some() {
                    // One came after all, and is the last: hyper has been told.
                    look = None;
                    continue;
                }
                let is_last = pace.is_closing();
                let idle = pace.waits_since().map(|since| since.elapsed());
                look = match (protocol, idle) {
                    (Protocol::Http1, _) if is_last => {
                        speaking.as_mut().say_goodbye();
                        None
                    }
                    (Protocol::Http1, Some(idle)) if idle >= IDLE => return,
                    (Protocol::Http2, None) if is_last => Some(Instant::now() + LAST_CHANCE),
                    (Protocol::Http2, Some(_)) if is_last => {
                        // It has been told; whoever does not answer is not waited for.
                        end = Some(Instant::now() + FAREWELL);
                        None
                    }
                    (Protocol::Http2, Some(idle)) if idle >= IDLE => {
                        speaking.as_mut().say_goodbye();
                        end = Some(Instant::now() + FAREWELL);
                        None
                    }
                    (_, idle) => {
                        Some(Instant::now() + IDLE.saturating_sub(idle.unwrap_or_default()))
                    }
                };
            }
        }
    }
}

// === impl Speaking ===

impl<S, B> Speaking for http1::UpgradeableConnection<TokioIo<Line>, AtOnce<S>>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    fn say_goodbye(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Speaking for http2::Connection<TokioIo<Line>, AtOnce<S>, Streams>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn say_goodbye(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
