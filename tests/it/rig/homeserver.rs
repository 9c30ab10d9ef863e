//! A homeserver double, as a tower service: knows two users, keeps account data, and breaks where a
//! test says so.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::sync::Notify;
use tower::Service;

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

/// The error of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Certainly without having got the request.
    NeverSent,
    /// Maybe after having acted.
    Maybe,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// What a homeserver does.
    Normal,
    /// This answer.
    Answer(StatusCode, &'static [(&'static str, &'static str)], Bytes),
    /// An error before it has acted.
    Error(Broken),
    /// It acts, and then fails.
    Vanish,
    /// It acts after so long.
    Slow(Duration),
    /// It acts when it is told to.
    Waits(Arc<Notify>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Clone, Default)]
pub(crate) struct Homeserver(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    whoami: Option<Act>,
    other: Option<Act>,
    seen: Vec<Seen>,
    data: HashMap<String, Bytes>,
}

impl Homeserver {
    /// What whoami does from now on.
    pub(crate) fn whoami(&self, act: Act) {
        self.state().whoami = Some(act);
    }

    /// What everything else does from now on.
    pub(crate) fn other(&self, act: Act) {
        self.state().other = Some(act);
    }

    /// All requests but whoami.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        let mut seen = self.state().seen.clone();
        seen.retain(|seen| !seen.target.starts_with(WHOAMI));
        seen
    }

    /// All whoami requests.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        let mut seen = self.state().seen.clone();
        seen.retain(|seen| seen.target.starts_with(WHOAMI));
        seen
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, seen: Seen) -> Result<Response<Full<Bytes>>, Broken> {
        let is_whoami = seen.target.starts_with(WHOAMI);
        let act = {
            let mut state = self.state();
            state.seen.push(seen.clone());
            let act = if is_whoami {
                &state.whoami
            } else {
                &state.other
            };
            act.clone().unwrap_or(Act::Normal)
        };
        match act {
            Act::Normal => {}
            Act::Answer(status, fields, body) => {
                let mut response = Response::builder().status(status);
                for (name, value) in fields {
                    response = response.header(*name, *value);
                }
                return Ok(response.body(body.into()).unwrap());
            }
            Act::Error(broken) => return Err(broken),
            Act::Vanish => {
                self.normal(&seen);
                return Err(Broken::Maybe);
            }
            Act::Slow(time) => tokio::time::sleep(time).await,
            Act::Waits(told) => told.notified().await,
        }
        Ok(self.normal(&seen))
    }

    fn normal(&self, seen: &Seen) -> Response<Full<Bytes>> {
        let token = seen
            .headers
            .get("authorization")
            .and_then(|it| it.to_str().ok());
        let user = match token {
            Some("Bearer alice") => "alice",
            Some("Bearer bob") => "bob",
            // Synapse does, on a token with a NUL.
            Some("Bearer crash") => return json(StatusCode::INTERNAL_SERVER_ERROR, "{}"),
            Some("Bearer hasty") => {
                let error = r#"{"errcode":"M_LIMIT_EXCEEDED","error":"Too Many Requests"}"#;
                return json(StatusCode::TOO_MANY_REQUESTS, error);
            }
            _ => {
                let error = r#"{"errcode":"M_UNKNOWN_TOKEN","error":"Unrecognised access token"}"#;
                return json(StatusCode::UNAUTHORIZED, error);
            }
        };
        let path = seen.target.split('?').next().unwrap_or_default();
        match (&seen.method, path) {
            (_, WHOAMI) => {
                let who = serde_json::json!({
                    "user_id": format!("@{user}:test"), "device_id": "DEVICE", "is_guest": false,
                });
                json(StatusCode::OK, &who.to_string())
            }
            (&Method::PUT, path) => {
                self.state().data.insert(path.to_owned(), seen.body.clone());
                json(StatusCode::OK, "{}")
            }
            (&Method::DELETE, path) => {
                self.state().data.remove(path);
                json(StatusCode::OK, "{}")
            }
            (_, path) => self.state().data.get(path).map_or_else(
                || {
                    let error = r#"{"errcode":"M_NOT_FOUND","error":"Account data not found"}"#;
                    json(StatusCode::NOT_FOUND, error)
                },
                |body| Response::new(body.clone().into()),
            ),
        }
    }
}

fn json(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Bytes::copy_from_slice(body.as_bytes()).into())
        .unwrap()
}

impl<B> Service<Request<B>> for Homeserver
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let homeserver = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let target = head.uri.path_and_query().unwrap().to_string();
            let seen = Seen {
                method: head.method,
                target,
                headers: head.headers,
                body,
            };
            homeserver.answer(seen).await
        })
    }
}
