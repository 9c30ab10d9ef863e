//! The future of a request's answer: finds a connection, sends the request once, and waits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service as _;

use super::Forward;
use super::body::{Offer, Outgoing, Relayed, Sending};
use super::connection::{Answer, Connection, Held, Sent};
use super::error::{BoxError, Error, OddFraming, SwitchedProtocols};
use super::fields::hop_by_hop::{self, Framing};

/// The origin's answer, once its head is here.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<B: Body + 'static> {
    state: State<B>,
    exchange: Exchange,
    forward: Forward<B>,
}

/// What is to be known of a request when its answer comes.
pub(super) struct Exchange {
    pub(super) switches: bool,
    pub(super) is_http_2: bool,
    pub(super) offer: Option<Offer>,
    /// Whether the body is still being sent.
    pub(super) sending: Option<Sending>,
}

enum State<B: Body + 'static> {
    New(Request<Outgoing<B>>),
    Connecting {
        connecting: Connecting<B>,
        request: Request<Outgoing<B>>,
    },
    Asked(Asked<B>),
    Done,
}

/// A request that a connection has taken.
struct Asked<B: Body + 'static> {
    connection: Box<Connection<B>>,
    /// Nobody has used the connection before.
    is_fresh: bool,
    sent: Sent<B>,
    answer: Option<Answer<B>>,
}

/// Boxed: once a connection, not once a request.
type Connecting<B> = Pin<Box<dyn Future<Output = Result<Box<Connection<B>>, Error>> + Send>>;

// === impl ResponseFuture ===

impl<B> ResponseFuture<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(
        request: Request<Outgoing<B>>,
        exchange: Exchange,
        forward: Forward<B>,
    ) -> Self {
        Self {
            state: State::New(request),
            exchange,
            forward,
        }
    }

    /// Sends `request` on a connection that is there, or begins to make one.
    fn begin(&self, request: Request<Outgoing<B>>) -> State<B> {
        match self.forward.pool.take() {
            Some(connection) => State::Asked(Asked::new(connection, request, false)),
            None => State::Connecting {
                connecting: self.connect(),
                request,
            },
        }
    }

    fn connect(&self) -> Connecting<B> {
        let home = Arc::downgrade(&self.forward.pool);
        let route = Arc::clone(&self.forward.route);
        let dialling = route.dial.clone().call(route.uri.clone());
        Box::pin(async move {
            let link = dialling.await.map_err(Error::of_dialling)?;
            let begun = Connection::begin(link, &route.builder, home).await;
            begun.map_err(|error| Error::Connect(error.into()))
        })
    }
}

impl<B> Future for ResponseFuture<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Relayed>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let State::Asked(asked) = &mut this.state {
                ready!(asked.poll(context, this.exchange.sending.as_ref()));
            }
            this.state = match std::mem::replace(&mut this.state, State::Done) {
                State::New(request) => this.begin(request),
                State::Connecting {
                    mut connecting,
                    request,
                } => match connecting.as_mut().poll(context) {
                    Poll::Ready(connection) => State::Asked(Asked::new(connection?, request, true)),
                    Poll::Pending => {
                        this.state = State::Connecting {
                            connecting,
                            request,
                        };
                        return Poll::Pending;
                    }
                },
                State::Asked(asked) => match asked.answer {
                    Some(Ok(response)) => {
                        return Poll::Ready(this.exchange.relay(response, asked.connection));
                    }
                    Some(Err(mut error)) => match error.take_message() {
                        // Not a byte of it was written: the connection had ended while it was not used.
                        Some(request) if !asked.is_fresh => this.begin(request),
                        Some(_) => {
                            return Poll::Ready(Err(Error::Connect(error.into_error().into())));
                        }
                        None => return Poll::Ready(Err(Error::classify(error.into_error()))),
                    },
                    None => unreachable!("it is ready when the answer is there"),
                },
                State::Done => panic!("polled after it was done"),
            };
        }
    }
}

// === impl Asked ===

impl<B> Asked<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn new(
        mut connection: Box<Connection<B>>,
        request: Request<Outgoing<B>>,
        is_fresh: bool,
    ) -> Self {
        let sent = connection.send(request);
        Self {
            connection,
            is_fresh,
            sent,
            answer: None,
        }
    }

    /// Ready when there is an answer, or an error.
    fn poll(&mut self, context: &mut Context<'_>, sending: Option<&Sending>) -> Poll<()> {
        let was_sending = sending.is_some_and(|sending| !sending.is_over());
        let _ = self.connection.poll(context);
        if self.answer.is_some() {
            return Poll::Ready(());
        }
        self.answer = Some(ready!(self.sent.poll()));
        if was_sending {
            // Perhaps the origin has also had enough of the client's body. Hyper is to see that first:
            // then the answer says that it is the last on the client's connection.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

// === impl Exchange ===

impl Exchange {
    /// Makes of the origin's answer what is relayed.
    fn relay<B>(
        &mut self,
        mut response: Response<Incoming>,
        connection: Box<Connection<B>>,
    ) -> Result<Response<Relayed>, Error>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        match hop_by_hop::framing(response.headers()) {
            Framing::Plain => {}
            // > the Transfer-Encoding overrides the Content-Length.
            //
            // https://www.rfc-editor.org/rfc/rfc9112#section-6.3-2.3
            Framing::Chunked => drop(response.headers_mut().remove(CONTENT_LENGTH)),
            Framing::Odd => return Err(Error::Broken(OddFraming.into())),
        }
        let is_switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if !is_switched {
            hop_by_hop::remove(response.headers_mut());
        } else if self.switches {
            hop_by_hop::keep_upgrade_only(response.headers_mut());
        } else {
            return Err(Error::Broken(SwitchedProtocols.into()));
        }
        // Else the answer of an HTTP/1.0 origin would end our client's connection.
        *response.version_mut() = Version::HTTP_11;
        let offer = self.offer.take().filter(|offer| !offer.is_taken());
        if offer.is_some() && !self.is_http_2 {
            // The client may send its body now, or not: what comes next has no clear beginning.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        let is_sent = self.sending.take().is_none_or(|sending| sending.is_over());
        let held = if is_sent && !is_switched {
            Some(connection as Box<dyn Held>)
        } else {
            connection.go_on();
            None
        };
        Ok(response.map(|body| Relayed::new(body, held, offer)))
    }
}
