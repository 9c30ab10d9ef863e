//! Who may come in to the auditor's page and the API.
//!
//! # Promise
//!
//! - Nobody sees anything without a token of the configuration, which knows tokens by their hashes alone. The
//!   page takes a session, which begins with a token at the log-in; the API takes a token with each request;
//!   neither takes the other's.
//! - A `reader` sees; what [`ROUTES`](super::routes::ROUTES) says is an auditor's takes an `auditor`. A route
//!   that is missing there is an auditor's.
//! - Whether a token is known is found in constant time; wrong ones are slowed ([`throttle`]).
//! - No form is taken that a page of another site sent, or that lacks its session's `csrf` field.
//! - Log-ins, failures and what visitors take away are records of the trail, with the name of the token.
//!   No record, log line, page or address holds a token, or a digest of one.
//!
//! Sessions are in memory: behind a load balancer each gateway has its own, so let it keep people with one.

pub(crate) mod admit;
mod failures;
mod log_in;
pub(crate) mod next;
pub(crate) mod refusal;
mod sender;
mod sessions;
mod throttle;
pub(crate) mod token;

use std::net::IpAddr;
use std::sync::Arc;

use cookie::Cookie;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

pub use self::admit::{Auditor, Reader};
use self::failures::FailedLogIns;
pub(crate) use self::log_in::{log_in, log_out, show_log_in};
use self::next::Next;
pub(crate) use self::refusal::{Audience, Refusal};
pub use self::sender::Peer;
use self::sender::Sender;
pub use self::sessions::Csrf;
use self::sessions::Sessions;
use self::throttle::{Slowed, Throttle};
use self::token::{Holder, Tokens};
use super::config::{Config, Role};
use crate::audit::AuditLog;
use crate::clock::Clock;

/// Decides who may come in. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Shared>);

struct Shared {
    tokens: Tokens,
    sessions: Sessions,
    throttle: Throttle,
    failures: FailedLogIns,
    audit: AuditLog,
    trusted: Arc<[IpNet]>,
}

/// Whoever was let in.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The name of their token: for records, and to be seen on the page.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// Where they are, if it is known.
    pub address: Option<IpAddr>,
    /// What their forms hold.
    pub csrf: Csrf,
}

/// The cookie that holds a session's id.
const COOKIE_NAME: &str = "kbg_session";

// === impl Access ===

impl Access {
    /// Lets in by the tokens of `config`. `trusted` are the proxies whose word about addresses is taken.
    #[must_use]
    pub fn new(
        config: &Config,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
        trusted: Arc<[IpNet]>,
    ) -> Self {
        Self(Arc::new(Shared {
            tokens: Tokens::new(&config.tokens),
            sessions: Sessions::new(clock),
            throttle: Throttle::default(),
            failures: FailedLogIns::new(audit.clone()),
            audit,
            trusted,
        }))
    }

    /// Records what `visitor` did: `detail`, with the name of it and of their token. Waits until that is
    /// durable, or `audit.deadline` is past.
    pub async fn record(&self, visitor: &Visitor, operation: &str, mut detail: Value) {
        detail["token"] = Value::from(&*visitor.name);
        let audit = &self.0.audit;
        audit
            .operation_from(operation, detail, visitor.address)
            .await;
    }

    /// Writes down what was only counted, at the end.
    pub async fn write_down(&self) {
        self.0.failures.write_down().await;
    }

    /// Whose token the request with the head `parts` brings. A right one never waits; a wrong one is
    /// answered late.
    ///
    /// # Errors
    ///
    /// If it brings none, or one that is not known.
    pub(super) async fn by_token(&self, parts: &Parts) -> Result<Visitor, Refusal> {
        let Some(token) = bearer(parts)? else {
            return Err(Refusal::Nobody(Next::parse("")));
        };
        let address = self.sender(parts).address;
        match self.0.tokens.find(token.expose_secret()) {
            Some(holder) => Ok(Visitor::new(holder.clone(), address, Csrf::default())),
            None => Err(self.slow_down(address).await),
        }
    }

    /// Whose session it is that the request with the head `parts` belongs to.
    ///
    /// # Errors
    ///
    /// If it belongs to none that is open.
    pub(super) fn by_session(&self, parts: &Parts) -> Result<Visitor, Refusal> {
        let found = session_ids(parts).find_map(|id| self.0.sessions.find(&id));
        let Some((holder, csrf)) = found else {
            let wanted = parts.uri.path_and_query();
            return Err(Refusal::Nobody(Next::parse(
                wanted.map_or("", |wanted| wanted.as_str()),
            )));
        };
        Ok(Visitor::new(holder, self.sender(parts).address, csrf))
    }

    /// Counts a wrong token, and waits as long as its answer is to be late.
    async fn slow_down(&self, address: Option<IpAddr>) -> Refusal {
        self.0.failures.count(address);
        match self.0.throttle.fail(address, Instant::now()) {
            Slowed::Held(wait) => {
                tokio::time::sleep(wait).await;
                Refusal::WrongToken
            }
            Slowed::SentAway(wait) => Refusal::SlowDown(wait),
        }
    }

    fn sender(&self, parts: &Parts) -> Sender {
        Sender::of(parts, &self.0.trusted)
    }
}

// === impl Visitor ===

impl Visitor {
    fn new(Holder { name, role }: Holder, address: Option<IpAddr>, csrf: Csrf) -> Self {
        Self {
            name,
            role,
            address,
            csrf,
        }
    }
}

/// The token of `Authorization: Bearer TOKEN`, if there is that field.
fn bearer(parts: &Parts) -> Result<Option<SecretString>, Refusal> {
    let mut lines = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        // Which of them counts is not for us to choose.
        return Err(Refusal::Malformed);
    }
    let Some((scheme, token)) = line.to_str().ok().and_then(|line| line.split_once(' ')) else {
        return Ok(None);
    };
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    Ok(is_bearer.then(|| token.trim_ascii().into()))
}

/// The ids of sessions in the request's cookies; a browser sends one.
fn session_ids(parts: &Parts) -> impl Iterator<Item = String> {
    let lines = parts.headers.get_all(COOKIE).iter();
    let cookies = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(Cookie::split_parse);
    cookies
        .filter_map(Result::ok)
        .filter(|cookie| cookie.name() == COOKIE_NAME)
        .map(|cookie| cookie.value().to_owned())
}
