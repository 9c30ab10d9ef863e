//! The one door: a layer before all routes of the page and the API, and what handlers ask of it.
//!
//! The layer judges by [`ROUTES`](crate::admin::routes::ROUTES), before any handler is called. A handler takes
//! [`Reader`] or [`Auditor`] to know who is there, and by that says once more who may be.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next as Inner;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use super::{Access, Audience, Refusal, Visitor};
use crate::admin::config::Role;
use crate::admin::routes::{self, Who};

/// A visitor who may see the trail. In the order of a handler's parameters it may stand anywhere.
#[derive(Clone, Debug)]
pub struct Reader(pub Visitor);

/// A visitor who may also take it away.
#[derive(Clone, Debug)]
pub struct Auditor(pub Visitor);

/// Why a handler is not called.
#[derive(Clone, Copy, Debug)]
pub struct NotAdmitted(Why);

#[derive(Clone, Copy, Debug)]
enum Why {
    /// The table says less than the handler.
    WrongRole(Audience),
    /// A fault of ours: the handler was mounted outside, or its route is open to anyone.
    NoDoor,
}

/// The longest form: filters, and a token.
const LONGEST_FORM: usize = 64 << 10;

/// Lets a request through to its handler, with a [`Visitor`] in its extensions, or answers it.
pub(crate) async fn admit(
    State(access): State<Access>,
    request: Request,
    inner: Inner,
) -> Response {
    let audience = audience(request.uri().path());
    match access.admit(request, audience).await {
        Ok(request) => inner.run(request).await,
        Err(refusal) => refusal.answer(audience),
    }
}

/// Whom answers at `path` are for.
fn audience(path: &str) -> Audience {
    if path == "/audit" || path.starts_with("/audit/") {
        Audience::Page
    } else {
        Audience::Api
    }
}

// === impl Access ===

impl Access {
    async fn admit(&self, request: Request, audience: Audience) -> Result<Request, Refusal> {
        let (mut parts, body) = request.into_parts();
        let path = parts.extensions.get::<MatchedPath>();
        let path = path.map_or("", MatchedPath::as_str);
        let who = routes::who(&parts.method, path);
        // What changes nothing needs no form.
        let is_form = audience == Audience::Page && !parts.method.is_safe();
        if is_form && self.sender(&parts).is_foreign {
            return Err(Refusal::Forged);
        }
        let role = match who {
            Who::Anyone => return Ok(Request::from_parts(parts, body)),
            Who::Reader => Role::Reader,
            Who::Auditor => Role::Auditor,
        };
        let visitor = match audience {
            Audience::Page => self.by_session(&parts)?,
            Audience::Api => self.by_token(&parts).await?,
        };
        let body = if is_form {
            signed(&visitor, body).await?
        } else {
            body
        };
        if visitor.role < role {
            return Err(Refusal::WrongRole);
        }
        parts.extensions.insert(visitor);
        Ok(Request::from_parts(parts, body))
    }
}

/// The same body, if it is a form of `visitor`'s own.
async fn signed(visitor: &Visitor, body: Body) -> Result<Body, Refusal> {
    let bytes = to_bytes(body, LONGEST_FORM).await;
    let bytes = bytes.map_err(|_| Refusal::Malformed)?;
    let mut fields = form_urlencoded::parse(&bytes);
    let csrf = fields.find(|(name, _)| name == "csrf");
    if csrf.is_some_and(|(_, csrf)| visitor.csrf.is(&csrf)) {
        Ok(Body::from(bytes))
    } else {
        Err(Refusal::Forged)
    }
}

/// Whoever the layer let in, if they may do what `role` may.
fn visitor(parts: &Parts, role: Role) -> Result<Visitor, NotAdmitted> {
    match parts.extensions.get::<Visitor>() {
        Some(visitor) if visitor.role >= role => Ok(visitor.clone()),
        Some(_) => Err(NotAdmitted(Why::WrongRole(audience(parts.uri.path())))),
        None => Err(NotAdmitted(Why::NoDoor)),
    }
}

// === impl NotAdmitted ===

impl IntoResponse for NotAdmitted {
    fn into_response(self) -> Response {
        match self.0 {
            Why::WrongRole(audience) => Refusal::WrongRole.answer(audience),
            Why::NoDoor => {
                tracing::error!("a route of the auditor's page is not behind its door");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

// === impl Reader ===

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = NotAdmitted;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotAdmitted> {
        visitor(parts, Role::Reader).map(Self)
    }
}

// === impl Auditor ===

impl<S: Sync> FromRequestParts<S> for Auditor {
    type Rejection = NotAdmitted;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotAdmitted> {
        visitor(parts, Role::Auditor).map(Self)
    }
}
