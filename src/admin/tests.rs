//! The admin listener's routes, asked without a socket.

mod api;
mod door;
mod file;
mod log_in;
mod pages;
mod shelf;

use std::net::IpAddr;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use chrono::{DateTime, TimeDelta};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::*;
use crate::audit::record::Stored;
use crate::audit::store::{self, Query};
use crate::audit::{self, AuditLog};
use crate::clock::{MockClock, SystemClock};

/// Where everybody in these tests comes from: a trusted proxy.
const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// An admin listener with a trail, and two who may come in.
struct Desk {
    router: Router,
    admin: Admin,
    clock: Arc<MockClock>,
    audit: AuditLog,
    database: store::Config,
    reader: Token,
    auditor: Token,
    _writer: watch::Sender<Health>,
    _folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

/// A cookie, and what forms must hold with it.
struct Session {
    cookie: String,
    csrf: String,
}

#[derive(Debug)]
struct Failed;

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        panic!("{error}")
    }
}

// === impl Desk ===

impl Desk {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("audit.db").display());
        let database = store::Config {
            url: url.into(),
            ..store::Config::default()
        };
        let settings = audit::Config::default();
        let audit = AuditLog::start(
            || Ok::<_, Failed>(audit::backing(&database, &settings)?),
            &settings,
            Arc::new(SystemClock),
            "desk",
            true,
            audit::Metrics::new(&mut Registry::default()),
        )
        .unwrap();
        let (reader, auditor) = (Token::make(), Token::make());
        let known = |name: Option<&str>, role, token: &Token| KnownToken {
            name: name.map(str::to_owned),
            role,
            hash: token.digest(),
        };
        let mut config = Config {
            tokens: vec![
                known(None, Role::Reader, &reader),
                known(Some("kim"), Role::Auditor, &auditor),
            ],
            ..Config::default()
        };
        change(&mut config);
        let clock = Arc::new(MockClock::new(DateTime::UNIX_EPOCH));
        let trusted = Arc::new(["127.0.0.0/8".parse().unwrap()]);
        let (writer, health) = watch::channel(Health::default());
        let admin = Admin {
            registry: Arc::default(),
            audit: health.clone(),
            ready: Arc::new(|| Box::pin(async { Ok(()) })),
            access: Access::new(
                &config,
                audit.clone(),
                Arc::<MockClock>::clone(&clock),
                trusted,
            ),
            config,
            trail: Trail::new(
                audit::open(&database).unwrap(),
                Arc::<MockClock>::clone(&clock),
                health,
            ),
        };
        Self {
            router: router(admin.clone()).layer(Extension(ConnectInfo(Peer(Some(PEER))))),
            admin,
            clock,
            audit,
            database,
            reader,
            auditor,
            _writer: writer,
            _folder: folder,
        }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        // Before that there may be no tables.
        let mut health = self.audit.health();
        drop(health.wait_for(|health| !health.is_starting()).await);
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(Request::get(target).body(Body::empty()).unwrap())
            .await
    }

    /// What the log-in form sends, from `address`, with more `fields`.
    async fn log_in_from(
        &self,
        address: &str,
        token: &str,
        next: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let form: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("next", next)
            .finish();
        let mut request = form_request("/audit/login", form);
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", address.parse().unwrap());
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        self.ask(request).await
    }

    async fn session(&self, token: &Token) -> Session {
        let answer = self.log_in_from("192.0.2.1", token.expose(), "", &[]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        let cookie = answer.field(SET_COOKIE.as_str()).unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = self.ask(with_cookie("/audit/", &cookie)).await;
        let (_, csrf) = page.body.split_once("name=\"csrf\" value=\"").unwrap();
        let csrf = csrf.split('"').next().unwrap().to_owned();
        Session { cookie, csrf }
    }

    /// What the trail says was done, once it is written to the end.
    async fn operations(&self) -> Vec<(Value, Option<String>)> {
        self.admin.access.write_down().await;
        let records = self.records().await;
        let operation = |stored: Stored| {
            let facts = stored.record.facts;
            Some((facts.detail?, facts.client_address))
        };
        let mut operations: Vec<_> = records.into_iter().filter_map(operation).collect();
        operations.retain(|(detail, _)| detail["operation"].as_str().is_some());
        operations
    }

    async fn records(&self) -> Vec<Stored> {
        self.audit.stop(Duration::from_secs(20)).await;
        let store = audit::open_existing(&self.database).unwrap();
        let mut records = store.page(&Query::default()).await.unwrap();
        store.close().await;
        records.reverse();
        records
    }
}

// === impl Answer ===

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

fn with_cookie(target: &str, cookie: &str) -> Request<Body> {
    Request::get(target)
        .header(COOKIE, cookie)
        .body(Body::empty())
        .unwrap()
}

fn with_token(target: &str, token: &str) -> Request<Body> {
    Request::get(target)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap()
}

fn form_request(target: &str, form: impl Into<Body>) -> Request<Body> {
    Request::post(target)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into())
        .unwrap()
}

#[tokio::test]
async fn a_trail_whose_writer_has_ended_is_not_healthy() {
    let mut desk = Desk::new();
    let (writer, health) = watch::channel(Health::default());
    desk.admin.audit = health;
    desk.router = router(desk.admin.clone());
    assert_eq!(desk.get("/health/audit").await.status, StatusCode::OK);
    drop(writer);
    assert_eq!(
        desk.get("/health/audit").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn metrics_are_open_or_take_a_token_or_are_not_there() {
    let open = Desk::new();
    assert_eq!(open.get("/metrics").await.status, StatusCode::OK);

    let closed = Desk::with(|config| config.metrics = false);
    let answer = closed.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
    let wrong = Token::make();
    for (token, status) in [
        (&wrong, StatusCode::UNAUTHORIZED),
        (&closed.reader, StatusCode::OK),
        (&closed.auditor, StatusCode::OK),
    ] {
        let answer = closed.ask(with_token("/metrics", token.expose())).await;
        assert_eq!(answer.status, status);
    }
    let still_there = Desk::with(|config| (config.metrics, config.audit) = (false, false));
    let request = with_token("/metrics", still_there.reader.expose());
    assert_eq!(still_there.ask(request).await.status, StatusCode::OK);

    let none = Desk::with(|config| {
        config.metrics = false;
        config.tokens.clear();
    });
    assert_eq!(none.get("/metrics").await.status, StatusCode::NOT_FOUND);
    assert_eq!(none.get("/health/live").await.status, StatusCode::OK);
}
