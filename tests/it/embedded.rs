//! The layer mounted in an axum homeserver: no proxy anywhere, its own router answers whoami.
//!
//! Built without the feature `gateway` too: `tests/run features`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::{get, put};
use http::{Request, Response};
use http_body_util::BodyExt;
use key_backup_gateway::audit::record::{Kind, Outcome, Phase};
use key_backup_gateway::audit::store::{self, Query};
use key_backup_gateway::audit::{self, AuditLog, Health, OpenError};
use key_backup_gateway::clock::SystemClock;
use key_backup_gateway::guard::{self, GuardLayer};
use key_backup_gateway::identity::{self, Through};
use prometheus_client::registry::Registry;
use tower::{Layer, Service};

use crate::cluster;

const ALICE: &str = "/_matrix/client/v3/user/%40alice%3Atest/account_data/m.key_backup";

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A homeserver as its makers write it.
fn homeserver() -> Router {
    let whoami = |headers: HeaderMap| async move {
        match headers.get("authorization").map(HeaderValue::as_bytes) {
            Some(b"Bearer alice") => (
                StatusCode::OK,
                r#"{"user_id":"@alice:test","device_id":"PHONE"}"#,
            ),
            _ => (
                StatusCode::UNAUTHORIZED,
                r#"{"errcode":"M_MISSING_TOKEN","error":"No token"}"#,
            ),
        }
    };
    Router::new()
        .route("/_matrix/client/v3/account/whoami", get(whoami))
        .route(
            "/_matrix/client/v3/user/{user}/account_data/{type}",
            put(|| async { "{}" }),
        )
        .route("/_matrix/client/versions", get(|| async { "versions" }))
}

fn request(method: &str, target: &str, token: &str, body: &'static str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("authorization", token)
        .body(Body::from(body))
        .unwrap()
}

async fn text<B>(response: Response<B>) -> (u16, String)
where
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn an_axum_homeserver_mounts_the_guard_around_its_router() {
    let url = cluster::shared::database().await;
    let database = store::Config {
        url: url.into(),
        ..store::Config::default()
    };
    let mut registry = Registry::default();
    let folder = tempfile::tempdir().unwrap();
    let mut config = guard::Config::default();
    config.audit.spool = Some(folder.path().join("spool.db"));
    let audit = AuditLog::start(
        || audit::backing(&database, &config.audit).map_err(StartError::from),
        &config.audit,
        Arc::new(SystemClock),
        "homeserver",
        true,
        audit::Metrics::new(&mut registry),
    )
    .unwrap();
    audit.health().wait_for(Health::is_recording).await.unwrap();

    let metrics = identity::Metrics::new(&mut registry);
    let identify = Through::<_, Body>::new(homeserver(), &config.identity, metrics);
    let metrics = guard::Metrics::new(&mut registry);
    let layer = GuardLayer::new(Arc::new(identify), audit.clone(), &config, metrics);
    let guarded = layer.layer(homeserver());

    let send = async |request| text(guarded.clone().call(request).await.unwrap()).await;
    let bad = r#"{"enabled":"yes"}"#;
    let good = r#"{"enabled":true}"#;
    let refusal = r#"{"errcode":"M_BAD_JSON","error":"enabled must be true or false"}"#;
    let no_token = r#"{"errcode":"M_MISSING_TOKEN","error":"No token"}"#;
    let versions = request("GET", "/_matrix/client/versions", "", "");
    assert_eq!(send(versions).await, (200, "versions".to_owned()));
    assert_eq!(
        send(request("PUT", ALICE, "", bad)).await,
        (401, no_token.to_owned())
    );
    assert_eq!(
        send(request("PUT", ALICE, "Bearer alice", bad)).await,
        (400, refusal.to_owned())
    );
    assert_eq!(
        send(request("PUT", ALICE, "Bearer alice", good)).await,
        (200, "{}".to_owned())
    );

    layer.idle().await;
    // Ships what is in the spool.
    audit.stop(std::time::Duration::from_secs(10)).await;
    let store = audit::open_existing(&database).unwrap();
    let mut records = store.page(&Query::default()).await.unwrap();
    let collapsed = records.remove(0).record;
    assert_eq!(collapsed.kind, Kind::Collapsed);
    let counted = &collapsed.facts.detail.unwrap()["only_counted"];
    assert_eq!(*counted, serde_json::json!({ "not_identified": 1 }));
    let told: Vec<_> = records
        .iter()
        .rev()
        .map(|stored| (stored.record.facts.phase, stored.record.facts.outcome))
        .collect();
    assert_eq!(
        told,
        [
            (Some(Phase::Outcome), Some(Outcome::Refused)),
            (Some(Phase::Intent), None),
            (Some(Phase::Outcome), Some(Outcome::Answered)),
        ]
    );
    assert_eq!(records[0].record.facts.device_id.as_deref(), Some("PHONE"));
    store.close().await;
}

/// Holds the layer to its contract: whatever tower asks of a service in a server.
#[test]
fn the_layer_the_service_and_its_future_are_what_a_server_needs() {
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    fn is_sent<T: Send + 'static>() {}
    type Guarded = guard::Guard<Router, std::convert::Infallible>;
    is_shared::<GuardLayer<std::convert::Infallible>>();
    is_shared::<Guarded>();
    is_sent::<<Guarded as Service<Request<Body>>>::Future>();
}
