//! Logging in and out.

use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::next::{LOG_IN, Next};
use super::token::Holder;
use super::{Access, Audience, COOKIE_NAME, Csrf, Reader, Refusal, Visitor, session_ids};
use crate::admin::page;

/// What the address of the log-in says.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    next: String,
}

/// What its form says.
#[derive(Deserialize)]
pub(crate) struct Brought {
    token: SecretString,
    #[serde(default)]
    next: String,
}

/// GET `/audit/login`.
pub(crate) async fn show_log_in(wanted: Result<Query<Wanted>, QueryRejection>) -> Html<String> {
    let next = wanted.map(|Query(wanted)| wanted.next).unwrap_or_default();
    page::login::html(&Next::parse(&next), None)
}

/// POST `/audit/login`.
pub(crate) async fn log_in(
    State(access): State<Access>,
    parts: Parts,
    brought: Result<Form<Brought>, FormRejection>,
) -> Response {
    let Ok(Form(Brought { token, next })) = brought else {
        return Refusal::Malformed.answer(Audience::Page);
    };
    let next = Next::parse(&next);
    let sender = access.sender(&parts);
    // Copied with the pointer from the end of a line, it often has a blank there.
    let Some(holder) = access.0.tokens.find(token.expose_secret().trim()).cloned() else {
        let refusal = access.slow_down(sender.address).await;
        if refusal == Refusal::WrongToken {
            // > If authentication credentials were provided in the request, the server considers them
            // > insufficient to grant access.
            //
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.4
            //
            // A 401 would have to name a scheme that browsers ask people by.
            let page = page::login::html(&next, Some(refusal.words().2));
            return (StatusCode::FORBIDDEN, page).into_response();
        }
        return refusal.answer(Audience::Page);
    };
    let wait = access.0.throttle.succeed(sender.address, Instant::now());
    tokio::time::sleep(wait).await;
    let cookie = access.begin(&parts, holder, sender.is_secure).await;
    with_cookie(Redirect::to(next.as_str()), &cookie)
}

/// POST `/audit/logout`.
pub(crate) async fn log_out(State(access): State<Access>, _: Reader, parts: Parts) -> Response {
    for id in session_ids(&parts) {
        access.0.sessions.end(&id);
    }
    let mut cookie = cookie("", access.sender(&parts).is_secure);
    cookie.set_max_age(Duration::ZERO);
    with_cookie(Redirect::to(LOG_IN), &cookie)
}

// === impl Access ===

impl Access {
    /// Begins a session, and ends the one that the browser had.
    async fn begin(&self, parts: &Parts, holder: Holder, is_secure: bool) -> Cookie<'static> {
        for id in session_ids(parts) {
            self.0.sessions.end(&id);
        }
        let address = self.sender(parts).address;
        let visitor = Visitor::new(holder.clone(), address, Csrf::default());
        let detail = json!({ "role": visitor.role });
        self.record(&visitor, "log_in", detail).await;
        let id = self.0.sessions.begin(holder);
        cookie(id.expose_secret(), is_secure)
    }
}

/// The cookie of the session `id`. No script can read it, no other site has it sent, and it goes when the
/// browser does.
fn cookie(id: &str, is_secure: bool) -> Cookie<'static> {
    Cookie::build((COOKIE_NAME, id.to_owned()))
        .path("/audit")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_secure)
        .build()
}

fn with_cookie(answer: impl IntoResponse, cookie: &Cookie<'_>) -> Response {
    let mut answer = answer.into_response();
    let value = HeaderValue::try_from(cookie.to_string());
    let mut value = value.expect("a name of ours and URL-safe base64");
    value.set_sensitive(true);
    answer.headers_mut().append(SET_COOKIE, value);
    answer
}
