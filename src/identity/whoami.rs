//! Asks `GET /_matrix/client/v3/account/whoami` of any tower service.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use moka::future::Cache;
use tower_service::Service;

use super::doubt::Doubt;
use super::{Answer, Config, Credentials, Identify, Identity, Metrics, Unavailable};
use crate::matrix::error::{ErrCode, response};

/// How many answers are remembered: some 300 bytes each.
const REMEMBERED: u64 = 10_000;
/// The longest answer that is read, in bytes.
const LIMIT: usize = 64 * 1024;
const UNKNOWABLE: &str = "The homeserver could not say who you are";
const PATH: &str = "/_matrix/client/v3/account/whoami";

/// Asks a tower service: a proxy to the homeserver, or the homeserver's own router.
///
/// One request is under way for the same credentials at a time; whoever asks meanwhile gets its
/// answer.
pub struct Through<S, B> {
    service: S,
    known: Cache<[u8; 32], Identity>,
    doubt: Doubt,
    /// Of this process, so that what is remembered is worth nothing outside it.
    key: [u8; 32],
    deadline: Duration,
    metrics: Metrics,
    body: std::marker::PhantomData<fn() -> B>,
}

// === impl Through ===

impl<S, B> Through<S, B> {
    /// Asks `service`.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bytes.
    #[must_use]
    pub fn new(service: S, config: &Config, metrics: Metrics) -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system has random bytes");
        let known = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(config.cache)
            .build();
        let body = std::marker::PhantomData;
        Self {
            service,
            known,
            doubt: Doubt::default(),
            key,
            deadline: config.deadline,
            metrics,
            body,
        }
    }
}

impl<S, B, R> Through<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Default + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn ask(&self, credentials: Credentials) -> Result<Identity, Answer> {
        let asked = tokio::time::timeout(self.deadline, self.send_or_doubt(credentials));
        let answer = asked
            .await
            .unwrap_or(Answer::Unavailable(Unavailable::TimedOut));
        self.metrics.asked(&answer);
        match answer {
            Answer::Known(identity) => Ok(identity),
            other @ (Answer::Refused(_) | Answer::Unavailable(_)) => Err(other),
        }
    }

    /// Asks; and if that fails, whether it is the homeserver that fails, or only these credentials.
    ///
    /// Synapse answers 500 to a token with a NUL, and hangs up on a query of 16 KiB. Were that taken
    /// for an outage, anybody without an account could fill the trail with writes of nobody known.
    async fn send_or_doubt(&self, credentials: Credentials) -> Answer {
        match send(self.service.clone(), credentials).await {
            failed @ Answer::Unavailable(_) => {
                if !self.doubt.can_say(|| self.ask_about_nobody()).await {
                    return failed;
                }
                Answer::Refused(response(
                    StatusCode::BAD_GATEWAY,
                    ErrCode::Unknown,
                    UNKNOWABLE,
                ))
            }
            answer @ (Answer::Known(_) | Answer::Refused(_)) => answer,
        }
    }

    /// Whether the homeserver says anything of somebody without credentials.
    fn ask_about_nobody(&self) -> impl Future<Output = bool> + Send + use<S, B, R> {
        let asking = send::<S, B, R>(self.service.clone(), Credentials::none());
        let asked = tokio::time::timeout(self.deadline, asking);
        async move { matches!(asked.await, Ok(Answer::Known(_) | Answer::Refused(_))) }
    }
}

/// Sends one question to `service`.
async fn send<S, B, R>(mut service: S, credentials: Credentials) -> Answer
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Default,
    R: Body<Data = Bytes>,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let failed = Answer::Unavailable(Unavailable::Failed);
    let Some(request) = request(credentials) else {
        return failed;
    };
    if poll_fn(|context| service.poll_ready(context))
        .await
        .is_err()
    {
        return failed;
    }
    let Ok(response) = service.call(request).await else {
        return failed;
    };
    let (head, body) = response.into_parts();
    let Ok(body) = Limited::new(body, LIMIT).collect().await else {
        return failed;
    };
    let body = body.to_bytes();
    match head.status {
        StatusCode::OK => serde_json::from_slice(&body).map_or(failed, Answer::Known),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
            Answer::Refused(Response::from_parts(head, body))
        }
        _ => failed,
    }
}

impl<S, B, R> Identify for Through<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Default + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn identify(
        &self,
        credentials: Credentials,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        Box::pin(async move {
            let digest = credentials.digest(&self.key);
            let was_asked = AtomicBool::new(false);
            let answer = self
                .known
                .try_get_with(digest, async {
                    was_asked.store(true, Ordering::Relaxed);
                    self.ask(credentials).await
                })
                .await;
            if !was_asked.into_inner() {
                self.metrics.remembered();
            }
            match answer {
                Ok(identity) => Answer::Known(identity),
                Err(answer) => Arc::unwrap_or_clone(answer),
            }
        })
    }
}

/// The request that asks about `credentials`; `None` if it cannot be made.
fn request<B: Default>(credentials: Credentials) -> Option<Request<B>> {
    let Credentials {
        fields,
        query,
        client,
    } = credentials;
    let target = query.map_or_else(|| PATH.to_owned(), |query| format!("{PATH}?{query}"));
    let mut request = Request::new(B::default());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = Uri::try_from(target).ok()?;
    *request.headers_mut() = fields;
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    Some(request)
}
