//! Checkpoints over HTTP: POST brings one, GET asks for the newest.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::time::timeout;
use tower_service::Service as _;

use super::error::Error;
use crate::audit::seal::Endpoint;
use crate::audit::store::BoxFuture;
use crate::config::Config;
use crate::proxy::{self, Forward, Limits, Origin};
use crate::telemetry::with_causes;

/// For a request and its answer.
const LIMIT: Duration = Duration::from_secs(10);
/// A note takes some 200 bytes for each key.
const LONGEST_NOTE: usize = 64 << 10;

/// `checkpoint.endpoint`.
pub(super) struct HttpEndpoint {
    forward: Forward<Full<Bytes>>,
    host: HeaderValue,
    path: PathAndQuery,
}

// === impl HttpEndpoint ===

impl HttpEndpoint {
    /// What the configuration names; `None` if it names nothing.
    pub(super) fn of(config: &Config) -> Result<Option<Self>, Error> {
        let Some(url) = &config.checkpoint.endpoint else {
            return Ok(None);
        };
        let (origin, path) = Origin::parse_with_path(url)?;
        // The CA of the homeserver is not that of the endpoint: the system's are.
        let settings = proxy::Config {
            connect_timeout: config.origin.connect_timeout,
            ..proxy::Config::default()
        };
        Ok(Some(Self {
            host: HeaderValue::from_str(origin.authority().as_str())
                .map_err(|_| proxy::InvalidOrigin::Host)?,
            forward: Forward::new(&origin, &settings, Limits::default())?,
            path,
        }))
    }

    async fn ask(&self, method: Method, note: &str) -> Result<(StatusCode, Bytes), String> {
        let mut request = Request::new(Full::new(Bytes::from(note.to_owned())));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(self.path.clone());
        let fields = request.headers_mut();
        fields.insert(HOST, self.host.clone());
        if !note.is_empty() {
            fields.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
        }
        let asked = async {
            let answer = self.forward.clone().call(request).await;
            let answer = answer.map_err(|error| with_causes(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST_NOTE)
                .collect()
                .await;
            let body = body.map_err(|error| format!("its answer could not be read: {error}"))?;
            Ok((status, body.to_bytes()))
        };
        let answer = timeout(LIMIT, asked).await;
        answer.unwrap_or_else(|_| Err("it took too long to answer".to_owned()))
    }
}

impl Endpoint for HttpEndpoint {
    fn newest(&self) -> BoxFuture<'_, Result<Option<String>, String>> {
        Box::pin(async {
            let (status, body) = self.ask(Method::GET, "").await?;
            match status {
                StatusCode::NOT_FOUND | StatusCode::NO_CONTENT => Ok(None),
                StatusCode::OK if body.is_empty() => Ok(None),
                StatusCode::OK => {
                    let note = String::from_utf8(body.to_vec());
                    note.map(Some)
                        .map_err(|_| "its newest note is not text".to_owned())
                }
                _ => Err(format!("it answered {status} to a GET")),
            }
        })
    }

    fn publish<'a>(&'a self, note: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            let (status, _) = self.ask(Method::POST, note).await?;
            if status.is_success() {
                return Ok(());
            }
            Err(format!("it answered {status} to a POST"))
        })
    }
}
