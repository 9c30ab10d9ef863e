//! The auditor's page: what people see.

mod chart;
mod exchange;
mod export;
mod figure;
mod frame;
pub(super) mod login;
mod overview;
mod ranges;
pub(super) mod refused;
mod reports;
mod rows;
mod search;
mod story;
mod the_filters;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue};

use super::Admin;

/// What every answer of the page and the API says to browsers.
const FIELDS: [(HeaderName, &str); 5] = [
    // Nothing runs, nothing is loaded from elsewhere, no form goes elsewhere, and no other page frames it.
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; \
         base-uri 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // With `no-referrer` browsers send `Origin: null` with our own forms.
    (REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Puts into `answer` what every answer of the page and the API says to browsers.
pub(super) async fn fields(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    for (name, value) in FIELDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Only the style sheet may say otherwise.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer
}

/// The style sheet.
const STYLE: &str = include_str!("page/style.css");

/// All pages but the log-in.
pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/audit/", get(overview::overview))
        .route("/audit/search", get(search::search))
        .route("/audit/exchange/{id}", get(exchange::exchange))
        .route("/audit/exchange/{id}/proof", get(exchange::proof))
        .route("/audit/user", get(story::story))
        .route("/audit/reports/would-break", get(reports::would_break))
        .route("/audit/reports/drift", get(reports::drift))
        .route("/audit/reports/adoption", get(reports::adoption))
        .route("/audit/export", get(export::form).post(export::export))
        .route("/audit/style.css", get(style))
}

/// GET `/audit/style.css`.
async fn style() -> Response {
    let fields = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "max-age=300"),
    ];
    (fields, STYLE).into_response()
}
