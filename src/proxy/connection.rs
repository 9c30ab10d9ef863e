//! A connection to the origin, driven by whoever waits for it.
//!
//! # Promise
//!
//! It has no task of its own: the future of a request, and then the body of its answer, move it on when
//! they are polled, and dropping them closes it. An answer that begins before the client's body has
//! ended is the exception: then both must move, whether or not anybody reads the answer, and a task
//! sees to that.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::task::coop::unconstrained;

use super::bell::Bell;
use super::body::Outgoing;
use super::error::BoxError;
use super::link::Link;
use super::pool::Pool;

/// One connection, with room for one exchange at a time.
pub(super) struct Connection<B: Body + 'static> {
    sender: SendRequest<Outgoing<B>>,
    /// `None` once it has ended.
    driver: Option<Driver>,
    bell: Bell,
    /// Where it is kept while it is not used.
    home: Weak<Pool<B>>,
}

/// Boxed, as hyper's type has no public name.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// The answer to a request, or the request, if none of it was sent.
pub(super) type Answer<B> = Result<Response<Incoming>, TrySendError<Request<Outgoing<B>>>>;

/// An answer on its way. Poll the connection before it.
pub(super) struct Sent<B>(Pin<Box<dyn Future<Output = Answer<B>> + Send>>);

/// A [`Connection`] while the body of an answer is read from it.
pub(super) trait Held: Send {
    /// Moves it on; ready when it has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// What wakes whoever polls it.
    fn bell(&self) -> &Bell;

    /// Gives it back, for the next request. If it cannot have one it is closed.
    fn release(self: Box<Self>);
}

// === impl Connection ===

impl<B> Connection<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Speaks HTTP/1.1 on `link`.
    pub(super) async fn begin(link: Link, home: &Arc<Pool<B>>) -> hyper::Result<Box<Self>> {
        let builder = &home.route().builder;
        let (sender, driver) = builder.handshake(TokioIo::new(link)).await?;
        Ok(Box::new(Self {
            sender,
            driver: Some(Box::pin(driver.with_upgrades())),
            bell: Bell::new(),
            home: Arc::downgrade(home),
        }))
    }

    /// Takes `request`. Nothing is written before the connection is polled.
    pub(super) fn send(&mut self, request: Request<Outgoing<B>>) -> Sent<B> {
        let sender = &mut self.sender;
        let sent = self.bell.hushed(|| sender.try_send_request(request));
        // Unconstrained: a task that has done enough for now would be woken by a waker that wakes nobody.
        Sent(Box::pin(unconstrained(sent)))
    }

    /// Goes on by itself until it is free, or ends: both bodies move, or another protocol takes over.
    pub(super) fn go_on(mut self: Box<Self>) {
        tokio::spawn(async move {
            let is_free = poll_fn(|context| match self.poll(context) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending if self.sender.is_ready() => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            });
            if is_free.await {
                self.release();
            }
        });
    }

    /// Looks whether the origin has closed it while it was not used.
    pub(super) fn is_gone(&mut self) -> bool {
        self.drive().is_ready()
    }

    fn drive(&mut self) -> Poll<()> {
        let Some(driver) = &mut self.driver else {
            return Poll::Ready(());
        };
        let ended = driver.as_mut().poll(&mut self.bell.context());
        if ended.is_ready() {
            // How it has ended is told to whoever waits for an answer, or its body.
            self.driver = None;
        }
        ended.map(drop)
    }
}

impl<B> Held for Connection<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.bell.ring_for(context);
        self.drive()
    }

    fn bell(&self) -> &Bell {
        &self.bell
    }

    fn release(self: Box<Self>) {
        if self.driver.is_some()
            && self.sender.is_ready()
            && let Some(home) = self.home.upgrade()
        {
            self.bell.ring_for_nobody();
            home.put(self);
        }
    }
}

// === impl Sent ===

impl<B> Sent<B> {
    /// Whether the answer is there. Nobody is woken when it comes: that is the connection's business.
    pub(super) fn poll(&mut self) -> Poll<Answer<B>> {
        let mut context = Context::from_waker(Waker::noop());
        self.0.as_mut().poll(&mut context)
    }
}
