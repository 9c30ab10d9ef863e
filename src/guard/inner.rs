//! The inner service as an exchange sees it.

use std::future::poll_fn;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::body::{Replay, Seen};

/// How much of an answer is looked at, in bytes.
pub(super) const LOOK: usize = 64 * 1024;

/// The bodies that a guard takes, in one word.
pub(super) trait Guarded: Body<Data = Bytes, Error: Send> + Send + Unpin + 'static {}

impl<B> Guarded for B where B: Body<Data = Bytes, Error: Send> + Send + Unpin + 'static {}

/// The services that a guard is put around, in one word.
pub(super) trait Ask<B>: Send {
    type Body: Guarded;
    type Error: Send;

    fn ask(
        &mut self,
        request: Request<Replay<B>>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Self::Error>> + Send
    where
        B: Body<Data = Bytes>;
}

impl<S, B, R> Ask<B> for S
where
    S: Service<Request<Replay<B>>, Response = Response<R>> + Send,
    S::Future: Send,
    S::Error: Send,
    B: Guarded,
    R: Guarded,
{
    type Body = R;
    type Error = S::Error;

    async fn ask(&mut self, request: Request<Replay<B>>) -> Result<Response<R>, S::Error> {
        poll_fn(|context| self.poll_ready(context)).await?;
        self.call(request).await
    }
}

/// A ready inner service, and what its errors mean.
pub(super) struct Inner<S, E> {
    pub(super) service: S,
    pub(super) never_sent: fn(&E) -> bool,
}

/// What became of a call to the inner service.
pub(super) enum Called<R: Body, E> {
    /// It answered; and so much of the answer was looked at.
    Answered(Response<Replay<R>>, Seen),
    /// It failed, certainly without having got the request.
    NeverSent(E),
    /// It failed, and may have acted.
    Failed(E),
    /// It did not answer in time, and may have acted.
    TimedOut,
}

// === impl Inner ===

impl<S, E> Inner<S, E> {
    /// Calls the service, and looks at the first [`LOOK`] bytes of an answer for which `interests`
    /// says so. What does not come before `end` is left unread.
    pub(super) async fn call<B>(
        mut self,
        request: Request<Replay<B>>,
        end: Instant,
        interests: impl FnOnce(StatusCode) -> bool + Send,
    ) -> Called<S::Body, E>
    where
        S: Ask<B, Error = E>,
        B: Guarded,
        E: Send,
    {
        let mut response = match timeout_at(end, self.service.ask(request)).await {
            Ok(Ok(response)) => response.map(Replay::pass),
            Ok(Err(error)) if (self.never_sent)(&error) => return Called::NeverSent(error),
            Ok(Err(error)) => return Called::Failed(error),
            Err(_) => return Called::TimedOut,
        };
        let mut seen = Seen::TooMuch;
        if interests(response.status()) {
            seen = timeout_at(end, response.body_mut().peek(LOOK))
                .await
                .unwrap_or(Seen::TooMuch);
        }
        Called::Answered(response, seen)
    }
}
