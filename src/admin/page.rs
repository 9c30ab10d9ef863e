//! The auditor's page: what people see.

pub(super) mod login;
pub(super) mod refused;

use axum::response::{Html, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue};

use super::access::Reader;

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

/// GET `/audit/`.
pub(super) async fn overview(Reader(visitor): Reader) -> Html<String> {
    Html(format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Key-backup audit</title></head><body>\
         <p>You are logged in.</p><form method=\"post\" action=\"/audit/logout\"><input type=\"hidden\" name=\"csrf\" \
         value=\"{}\"><button>Log out</button></form></body></html>",
        visitor.csrf
    ))
}
