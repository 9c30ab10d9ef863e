//! The second listener: health and metrics, for operators and their machines only.
//!
//! `/health/live` says that the process answers, `/health/ready` that it can forward, and
//! `/health/audit` that it can record. They are apart because a broken trail must not take `/sync`
//! out of a load balancer. Each is 200 or 503, with its reasons.

mod metrics;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::watch;

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
}

/// The answer of the health routes.
#[derive(Debug, Serialize)]
struct Report {
    status: &'static str,
    reasons: Vec<Reason>,
}

/// The routes of the admin listener.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/health/live", get(async || report(vec![])))
        .route("/health/ready", get(ready))
        .route("/health/audit", get(audit))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> Response {
    report((admin.ready)().await.err().into_iter().collect())
}

async fn audit(State(admin): State<Admin>) -> Response {
    // What a writer said before it ended is no longer so.
    if admin.audit.has_changed().is_err() {
        return report(vec![Reason {
            code: "writer_stopped",
            message: "the writer of the trail has stopped: restart the gateway".to_owned(),
        }]);
    }
    let health = admin.audit.borrow().clone();
    let mut reasons: Vec<Reason> = health.troubles().map(Reason::from).collect();
    if reasons.is_empty() && health.is_starting() {
        reasons.push(Reason {
            code: "starting",
            message: "the audit store has not answered yet".to_owned(),
        });
    }
    report(reasons)
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    match metrics::answer(&admin.registry, &headers) {
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

// === impl Reason ===

impl From<&Trouble> for Reason {
    fn from(Trouble { code, message }: &Trouble) -> Self {
        let message = message.clone();
        Self { code, message }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn audit_health(audit: watch::Receiver<Health>) -> StatusCode {
        let ready: Probe = Arc::new(|| Box::pin(async { Ok(()) }));
        let admin = router(Admin {
            registry: Arc::default(),
            audit,
            ready,
        });
        let request = Request::get("/health/audit")
            .body(axum::body::Body::empty())
            .unwrap();
        admin.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_trail_whose_writer_has_ended_is_not_healthy() {
        let (writer, health) = watch::channel(Health::default());
        assert_eq!(audit_health(health.clone()).await, StatusCode::OK);
        drop(writer);
        assert_eq!(audit_health(health).await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
