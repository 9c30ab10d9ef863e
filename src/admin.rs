//! The second listener: health, metrics, and the auditor's page and API; never for the public.
//!
//! `/health/live` says that the process answers, `/health/ready` that it can forward, and
//! `/health/audit` that it can record. They are apart because a broken trail must not take `/sync`
//! out of a load balancer. Each is 200 or 503, with its reasons.
//!
//! Under `/audit` people find the auditor's page, under `/api` programs the same: [`Access`] says who may
//! come in. Without a token in the configuration, or with `admin.audit = false`, neither is there.

pub(crate) mod access;
mod api;
pub mod config;
mod download;
mod export;
mod metrics;
mod page;
mod problem;
mod query;
pub mod routes;
pub mod terminal;
mod trail;
mod words;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef, State};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http::request::Parts;
use http::{StatusCode, Uri};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::watch;

use self::access::Audience;
pub use self::access::token::{Digest, Holder, Token};
pub use self::access::{Access, Auditor, Csrf, Peer, Reader, Visitor};
pub use self::config::{Config, KnownToken, Role};
pub use self::trail::Trail;
use crate::audit::{Health, Trouble};

/// Why something is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A stable code for alerts.
    pub code: &'static str,
    /// The same for people.
    pub message: String,
}

/// Finds out whether the gateway can forward, each time it is asked.
pub type Probe =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), Reason>> + Send>> + Send + Sync>;

/// What the admin listener shows.
#[derive(Clone)]
pub struct Admin {
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// What `/health/audit` shows.
    pub audit: watch::Receiver<Health>,
    /// What `/health/ready` asks.
    pub ready: Probe,
    /// What there is.
    pub config: Config,
    /// Who may see it.
    pub access: Access,
    /// What the auditor's desk reads.
    pub trail: Trail,
}

/// The answer of the health routes.
#[derive(Debug, Serialize)]
struct Report {
    status: &'static str,
    reasons: Vec<Reason>,
}

/// The longest body of a request: a form with filters, and a token.
const LONGEST_BODY: usize = 64 << 10;

/// What an address is told that nothing is at.
const NOTHING: &str = "There is nothing at this address. The auditor's page is at /audit/, and what the API has is said at \
                       /api/v1/openapi.json.\n";

/// The routes of the admin listener.
pub fn router(admin: Admin) -> Router {
    let router = Router::new()
        .route("/health/live", get(async || report(vec![])))
        .route("/health/ready", get(ready))
        .route("/health/audit", get(audit))
        .route("/metrics", get(metrics));
    let router = if admin.config.has_desk() {
        router.merge(desk(&admin))
    } else {
        if admin.config.audit {
            tracing::info!(
                "there is no auditor's page, for want of a token: make one with `key-backup-gateway audit token`, and \
                 put its line into admin.tokens"
            );
        }
        router
    };
    router.with_state(admin)
}

/// The auditor's page and the API, behind their door.
fn desk(admin: &Admin) -> Router<Admin> {
    Router::new()
        .route("/audit", get(home))
        .merge(page::router())
        .merge(api::router())
        .route(
            "/audit/login",
            get(access::show_log_in).post(access::log_in),
        )
        .route("/audit/logout", post(access::log_out))
        .route_layer(from_fn_with_state(
            admin.access.clone(),
            access::admit::admit,
        ))
        // What is not there is nobody's secret.
        .route(
            "/audit/{*rest}",
            any(async || (StatusCode::NOT_FOUND, NOTHING)),
        )
        .route(
            "/api/{*rest}",
            any(async || (StatusCode::NOT_FOUND, NOTHING)),
        )
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(map_response(page::fields))
}

/// GET `/audit`: the page's own addresses are relative to `/audit/`.
async fn home(_: Reader, uri: Uri) -> Redirect {
    match uri.query() {
        Some(query) => Redirect::permanent(&format!("/audit/?{query}")),
        None => Redirect::permanent("/audit/"),
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    report((admin.ready)().await.err().into_iter().collect())
}

async fn audit(State(admin): State<Admin>) -> Response {
    report(reasons(&admin.audit))
}

/// Why the trail is not as it should be; nothing if it is.
fn reasons(health: &watch::Receiver<Health>) -> Vec<Reason> {
    // What a writer said before it ended is no longer so.
    if health.has_changed().is_err() {
        return vec![Reason {
            code: "writer_stopped",
            message: "the writer of the trail has stopped: restart the gateway".to_owned(),
        }];
    }
    let health = health.borrow().clone();
    let mut reasons: Vec<Reason> = health.troubles().map(Reason::from).collect();
    if reasons.is_empty() && health.is_starting() {
        reasons.push(Reason {
            code: "starting",
            message: "the audit store has not answered yet".to_owned(),
        });
    }
    reasons
}

async fn metrics(State(admin): State<Admin>, parts: Parts) -> Response {
    if !admin.config.metrics {
        if admin.config.tokens.is_empty() {
            return StatusCode::NOT_FOUND.into_response();
        }
        if let Err(refusal) = admin.access.by_token(&parts).await {
            return refusal.answer(Audience::Api);
        }
    }
    match metrics::answer(&admin.registry, &parts.headers) {
        Ok(answer) => answer,
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn report(reasons: Vec<Reason>) -> Response {
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    };
    (code, Json(Report { status, reasons })).into_response()
}

// === impl Access ===

impl FromRef<Admin> for Access {
    fn from_ref(admin: &Admin) -> Self {
        admin.access.clone()
    }
}

impl FromRef<Admin> for Trail {
    fn from_ref(admin: &Admin) -> Self {
        admin.trail.clone()
    }
}

// === impl Reason ===

impl From<&Trouble> for Reason {
    fn from(Trouble { code, message }: &Trouble) -> Self {
        let message = message.clone();
        Self { code, message }
    }
}

#[cfg(feature = "sqlite")]
#[cfg(test)]
mod tests;
