//! The guard: a tower layer that recognises, judges and records.
//!
//! # Promise
//!
//! What is not guarded passes to the inner service at once, as it came: no task, no box, no buffer.
//! A guarded write reaches the inner service only when its intent is durable (unless the
//! configuration says otherwise), with the very bytes that were judged; and what became of it is
//! recorded, with or without a client. What the inner service answers is relayed as it came.
//!
//! # Mounting
//!
//! The layer is put around the *whole* service (`guard.layer(router)`), never with
//! `axum::Router::layer`, which wraps each route after routing. It belongs inside the host's CORS,
//! request-id and trace layers. Its bodies must be [`Unpin`], as those of axum and hyper are. It
//! must be called within a tokio runtime. The client's address and the request id are in the record
//! if the host puts a [`Client`](crate::client::Client) and a
//! [`RequestId`](crate::client::RequestId) into the request's extensions.
//!
//! ```
//! # use std::sync::Arc;
//! # use key_backup_gateway::{audit::AuditLog, guard, identity::{self, Through}};
//! # fn mount(
//! #     homeserver: axum::Router, audit: AuditLog, mut registry: prometheus_client::registry::Registry,
//! # ) -> impl Clone {
//! use tower_layer::Layer;
//!
//! let whoami = identity::Metrics::new(&mut registry);
//! let identify = Arc::new(Through::<_, axum::body::Body>::new(
//!     homeserver.clone(), // or your own token table, as an `Identify`
//!     &identity::Config::default(),
//!     whoami,
//! ));
//! let metrics = guard::Metrics::new(&mut registry);
//! let layer = guard::GuardLayer::new(identify, audit, &guard::Config::default(), metrics);
//! let guarded: guard::Guard<axum::Router, std::convert::Infallible> = layer.layer(homeserver);
//! // Serve `guarded`: it is a tower service like any other.
//! # guarded
//! # }
//! ```

mod body;
mod exchange;
mod facts;
mod inner;
mod limits;
mod metrics;
mod refusal;
mod tally;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument;

pub use self::body::Replay;
use self::exchange::Exchange;
use self::inner::Inner;
use self::limits::Limiter;
pub use self::limits::Limits;
pub use self::metrics::Metrics;
use self::tally::Tally;
use crate::audit::{self, AuditLog};
use crate::identity::{self, Identify};
use crate::matrix::{error, route};
use crate::policy::{self, Policy};

/// What a guard keeps to.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is refused.
    pub policy: policy::Config,
    /// What is recorded.
    pub audit: audit::Config,
    /// How it is found out who is asking.
    pub identity: identity::Config,
    /// How much is taken on.
    pub limits: Limits,
    /// How long the body of a guarded write may take to arrive, and how long its answer.
    pub timeout: Duration,
}

/// Mounts a [`Guard`]. `E` is the error of the service it will be put around.
pub struct GuardLayer<E> {
    shared: Arc<Shared>,
    never_sent: fn(&E) -> bool,
}

/// The service that a [`GuardLayer`] makes.
pub struct Guard<S, E> {
    inner: S,
    shared: Arc<Shared>,
    never_sent: fn(&E) -> bool,
}

/// What all guards of a layer share.
struct Shared {
    identify: Arc<dyn Identify>,
    audit: AuditLog,
    policy: Policy,
    config: Config,
    limiter: Limiter,
    under_way: Tally,
    metrics: Metrics,
}

pin_project! {
    /// The future of a [`Guard`].
    pub struct ResponseFuture<F, R: http_body::Body, E> {
        #[pin]
        kind: ResponseKind<F, R, E>,
    }
}

pin_project! {
    // Either not ours, and the inner service's own future; or guarded, and a task that goes on when
    // the client has left.
    #[project = Projected]
    enum ResponseKind<F, R: http_body::Body, E> {
        Pass { #[pin] inner: F },
        Exchange { task: JoinHandle<Result<Response<Replay<R>>, E>> },
    }
}

/// Whether a guard does more with `request` than to pass it on. Then it reads what the extensions say of
/// the [`Client`](crate::client::Client), and of the [`RequestId`](crate::client::RequestId).
pub fn is_guarded<B>(request: &Request<B>) -> bool {
    route::recognise(request.method(), request.uri().path()).is_some()
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: policy::Config::default(),
            audit: audit::Config::default(),
            identity: identity::Config::default(),
            limits: Limits::default(),
            // A PUT takes milliseconds; a homeserver that takes longer is stuck.
            timeout: Duration::from_secs(30),
        }
    }
}

// === impl GuardLayer ===

impl<E> GuardLayer<E> {
    /// A guard that asks `identify` who is asking, and keeps its trail in `audit`.
    ///
    /// What errors of the inner service mean is not known: they may all mean that the write
    /// happened. See [`never_sent`](Self::never_sent).
    #[must_use]
    pub fn new(
        identify: Arc<dyn Identify>,
        audit: AuditLog,
        config: &Config,
        metrics: Metrics,
    ) -> Self {
        let shared = Shared {
            identify,
            audit,
            policy: Policy::new(&config.policy),
            config: config.clone(),
            limiter: Limiter::new(&config.limits),
            under_way: Tally::default(),
            metrics,
        };
        Self {
            shared: Arc::new(shared),
            never_sent: |_| false,
        }
    }

    /// Which errors of the inner service say that a request certainly never reached it.
    #[must_use]
    pub fn never_sent(mut self, never_sent: fn(&E) -> bool) -> Self {
        self.never_sent = never_sent;
        self
    }

    /// Waits until no exchange is under way, clients or not. Call it when nothing new can come.
    pub async fn idle(&self) {
        self.shared.under_way.zero().await;
    }
}

impl<E> Clone for GuardLayer<E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            never_sent: self.never_sent,
        }
    }
}

impl<S, E> Layer<S> for GuardLayer<E> {
    type Service = Guard<S, E>;

    fn layer(&self, inner: S) -> Guard<S, E> {
        Guard {
            inner,
            shared: Arc::clone(&self.shared),
            never_sent: self.never_sent,
        }
    }
}

// === impl Guard ===

impl<S: Clone, E> Clone for Guard<S, E> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self {
            inner: self.inner.clone(),
            shared,
            never_sent: self.never_sent,
        }
    }
}

impl<S, B, R> Service<Request<B>> for Guard<S, S::Error>
where
    S: Service<Request<Replay<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
    R: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    R::Error: Send,
{
    type Response = Response<Replay<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(route) = route::recognise(request.method(), request.uri().path()) else {
            let inner = self.inner.call(request.map(Replay::pass));
            return ResponseFuture {
                kind: ResponseKind::Pass { inner },
            };
        };
        // `poll_ready` made *this* service ready, not its clone:
        // https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        let under_way = self.shared.under_way.one();
        let inner = Inner {
            service: ready,
            never_sent: self.never_sent,
        };
        let exchange = Exchange::new(Arc::clone(&self.shared), route, &request);
        // From here on the request and its record belong together, with or without a client: hyper
        // drops our future when the client hangs up.
        let task = tokio::spawn(
            async move {
                let result = exchange.run(inner, request).await;
                drop(under_way);
                result
            }
            .in_current_span(),
        );
        ResponseFuture {
            kind: ResponseKind::Exchange { task },
        }
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body<Data = Bytes> + Unpin,
{
    type Output = Result<Response<Replay<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            Projected::Pass { inner } => {
                Poll::Ready(ready!(inner.poll(context)).map(|response| response.map(Replay::pass)))
            }
            Projected::Exchange { task } => {
                Poll::Ready(match ready!(Pin::new(task).poll(context)) {
                    Ok(result) => result,
                    // A panic in there is ours, and must look like one out here.
                    Err(join) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
                    // The runtime is shutting down.
                    Err(_) => Ok(error::unavailable(1, refusal::STOPPING).map(Replay::of)),
                })
            }
        }
    }
}
