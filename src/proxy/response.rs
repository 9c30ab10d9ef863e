//! The future of a request's answer: finds a connection, sends the request once, and waits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service as _;

use super::Forward;
use super::body::{Offer, Outgoing, Relayed, Sending};
use super::connection::{Connection, Held, Sent};
use super::error::{BoxError, Error, OddFraming, SwitchedProtocols};
use super::fields::hop_by_hop::{self, Framing};
use super::pool::Pool;

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

/// What is large in it is boxed: it is moved some times, and most requests find a connection.
enum State<B: Body + 'static> {
    Connecting {
        connecting: Connecting<B>,
        request: Box<Request<Outgoing<B>>>,
    },
    Asked(Asked<B>),
    /// There is an answer, and perhaps the origin has had enough of the client's body.
    Early {
        connection: Box<Connection<B>>,
        response: Box<Response<Incoming>>,
    },
    Done,
}

/// A request that a connection has taken.
struct Asked<B: Body + 'static> {
    connection: Box<Connection<B>>,
    /// Nobody has used the connection before.
    is_fresh: bool,
    sent: Sent<B>,
}

type Connecting<B> = Pin<Box<dyn Future<Output = Result<Box<Connection<B>>, Error>> + Send>>;

// === impl ResponseFuture ===

impl<B> ResponseFuture<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Gives `request` to a connection that is there, or will make one.
    pub(super) fn new(
        request: Request<Outgoing<B>>,
        exchange: Exchange,
        forward: Forward<B>,
    ) -> Self {
        Self {
            state: State::begin(request, &forward.pool),
            exchange,
            forward,
        }
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
            this.state = match std::mem::replace(&mut this.state, State::Done) {
                State::Asked(mut asked) => {
                    let was_sending = this.exchange.is_sending();
                    let _ = asked.connection.poll(context);
                    match asked.sent.poll() {
                        Poll::Pending => {
                            this.state = State::Asked(asked);
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(response)) if was_sending => {
                            // Hyper is to see first that nobody wants the rest of the client's body, if so
                            // it is: then the answer says that it is the last on the client's connection.
                            context.waker().wake_by_ref();
                            this.state = State::Early {
                                connection: asked.connection,
                                response: Box::new(response),
                            };
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(response)) => {
                            return Poll::Ready(this.exchange.relay(response, asked.connection));
                        }
                        Poll::Ready(Err(mut error)) => match error.take_message() {
                            // Not a byte of it was written: the connection had ended while it was not
                            // used.
                            Some(request) if !asked.is_fresh => {
                                State::begin(request, &this.forward.pool)
                            }
                            Some(_) => {
                                return Poll::Ready(Err(Error::Connect(error.into_error().into())));
                            }
                            None => return Poll::Ready(Err(Error::classify(error.into_error()))),
                        },
                    }
                }
                State::Connecting {
                    mut connecting,
                    request,
                } => match connecting.as_mut().poll(context) {
                    Poll::Ready(connected) => State::ask(connected?, *request, true),
                    Poll::Pending => {
                        this.state = State::Connecting {
                            connecting,
                            request,
                        };
                        return Poll::Pending;
                    }
                },
                State::Early {
                    mut connection,
                    response,
                } => {
                    let _ = connection.poll(context);
                    return Poll::Ready(this.exchange.relay(*response, connection));
                }
                State::Done => panic!("polled after it was done"),
            };
        }
    }
}

// === impl State ===

impl<B> State<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn begin(request: Request<Outgoing<B>>, pool: &Arc<Pool<B>>) -> Self {
        match pool.take() {
            Some(connection) => Self::ask(connection, request, false),
            None => Self::Connecting {
                connecting: connect(Arc::clone(pool)),
                request: Box::new(request),
            },
        }
    }

    fn ask(
        mut connection: Box<Connection<B>>,
        request: Request<Outgoing<B>>,
        is_fresh: bool,
    ) -> Self {
        let sent = connection.send(request);
        Self::Asked(Asked {
            connection,
            is_fresh,
            sent,
        })
    }
}

fn connect<B>(pool: Arc<Pool<B>>) -> Connecting<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let route = pool.route();
    let dialling = route.dial.clone().call(route.uri.clone());
    Box::pin(async move {
        let link = dialling.await.map_err(Error::of_dialling)?;
        let begun = Connection::begin(link, &pool).await;
        begun.map_err(|error| Error::Connect(error.into()))
    })
}

// === impl Exchange ===

impl Exchange {
    fn is_sending(&self) -> bool {
        let sending = self.sending.as_ref();
        sending.is_some_and(|sending| !sending.is_over())
    }

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
        let held = if !self.is_sending() && !is_switched {
            Some(connection as Box<dyn Held>)
        } else {
            connection.go_on();
            None
        };
        Ok(response.map(|body| Relayed::new(body, held, offer)))
    }
}
