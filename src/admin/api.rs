//! The API: what the page shows, for programs, as JSON.
//!
//! # Promise
//!
//! - It asks the trail as the page does, by the same fields: what one says, the other says.
//! - The document at `/api/v1/openapi.json` has every route and every field, and no other. Tests hold it against both.
//! - Whatever goes wrong is `{"code": …, "error": …}`, and the code never changes.

mod answers;
mod openapi;
mod params;
mod record;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::Value;
use utoipa::OpenApi as _;

use self::answers::{Adopted, Drifted, Exchange, Overview, Records, Story, WouldBreak};
use self::openapi::Document;
use self::params::{DriftParams, ExportParams, FilterParams, RangeParams, StoryParams};
use super::access::{Access, Auditor, Reader};
use super::problem::{Problem, Said, Wrong};
use super::query::{Asked, RANGE, Range};
use super::terminal::Report;
use super::trail::Trail;
use super::{Admin, download, export};
use crate::audit::export::escaped_json;
use crate::audit::filters::FILTERS;

/// How many records a page has if nobody says, and at most.
const LIMITS: (u32, u32) = (100, 1000);

/// All routes.
pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/api/v1/openapi.json", get(document))
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/records", get(records))
        .route("/api/v1/exchanges/{id}", get(exchange))
        .route("/api/v1/exchanges/{id}/proof", get(proof))
        .route("/api/v1/users/{user}", get(story))
        .route("/api/v1/reports/drift", get(drift))
        .route("/api/v1/reports/would-break", get(would_break))
        .route("/api/v1/reports/adoption", get(adoption))
        .route("/api/v1/export", get(export_file))
}

/// `answer` as JSON, without what acts on a terminal: it may be read in one.
fn json(answer: &impl Serialize) -> Response {
    match serde_json::to_string(answer) {
        Ok(text) => {
            let fields = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            (fields, escaped_json(&text).into_owned()).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn asked(query: Option<String>, known: &[&[&str]]) -> Result<Asked, Problem> {
    let query = query.unwrap_or_default();
    Asked::of(query.as_bytes(), known).map_err(Problem::Unusable)
}

fn range(trail: &Trail, query: Option<String>) -> Result<Range, Problem> {
    Ok(asked(query, &[&RANGE])?.range(trail.now())?)
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
async fn document(_: Reader) -> Response {
    Json(Document::openapi()).into_response()
}

/// How the trail is, and what happened in a range of time.
#[utoipa::path(get, path = "/api/v1/overview", params(RangeParams), responses(
    (status = 200, description = "The overview", body = Overview),
    (status = 400, description = "A parameter cannot be understood", body = Said),
    (status = 503, description = "The trail cannot be read in time", body = Said),
))]
async fn overview(
    State(trail): State<Trail>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let range = range(&trail, query)?;
    let overview = trail.overview(&range.span).await?;
    Ok(json(&Overview::new(&range, overview)))
}

/// Records, newest first.
#[utoipa::path(get, path = "/api/v1/records", params(FilterParams), responses(
    (status = 200, description = "A page of records", body = Records),
    (status = 400, description = "A parameter cannot be understood", body = Said),
    (status = 503, description = "The trail cannot be read in time", body = Said),
))]
async fn records(
    State(trail): State<Trail>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = asked(query, &[&FILTERS, &["before", "limit"]])?;
    let query = asked.filters(trail.now()).map_err(Problem::Unusable)?;
    let (usual, most) = LIMITS;
    let limit = asked.get("limit").map_or(Ok(usual), str::parse);
    let limit = limit.ok().filter(|limit| (1..=most).contains(limit));
    let limit = limit.ok_or_else(|| Wrong::new("limit", "it is a number from 1 to 1000"))?;
    let page = trail.page(&query, limit).await?;
    Ok(json(&Records::new(&page)))
}

/// One exchange, or one record that belongs to none, in full.
#[utoipa::path(get, path = "/api/v1/exchanges/{id}",
    params(("id" = Uuid, Path, description = "The id of the exchange, or of a record")),
    responses(
        (status = 200, description = "The exchange", body = Exchange),
        (status = 404, description = "There is no such exchange", body = Said),
        (status = 503, description = "The trail cannot be read in time", body = Said),
    ))]
async fn exchange(
    State(trail): State<Trail>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = id.parse().map_err(|_| Problem::NotThere)?;
    let exchange = trail.exchange(id).await?;
    Ok(json(&Exchange::new(id, &exchange)))
}

/// A proof of one exchange that shows no other: what `audit prove` writes. For auditors; it is recorded.
#[utoipa::path(get, path = "/api/v1/exchanges/{id}/proof",
    params(("id" = Uuid, Path, description = "The id of the exchange, or of a record")),
    responses(
        (status = 200, description = "The proof, to be verified with `audit verify --proof`", body = serde_json::Value),
        (status = 404, description = "There is no such exchange", body = Said),
        (status = 409, description = "It is in no checkpoint yet", body = Said),
        (status = 503, description = "The trail cannot be read in time", body = Said),
    ))]
async fn proof(
    State(trail): State<Trail>,
    State(access): State<Access>,
    Auditor(visitor): Auditor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, proof) = download::proof(&trail, &access, &visitor, &id).await?;
    let name = format!("proof-{id}.json");
    Ok(download::attachment(&name, "application/json", proof))
}

/// What is known of a user, and every change, oldest first.
#[utoipa::path(get, path = "/api/v1/users/{user}",
    params(("user" = String, Path, description = "The user ID"), StoryParams),
    responses(
        (status = 200, description = "The story", body = Story),
        (status = 400, description = "A parameter cannot be understood", body = Said),
        (status = 503, description = "The trail cannot be read in time", body = Said),
    ))]
async fn story(
    State(trail): State<Trail>,
    _: Reader,
    Path(user): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = asked(query, &[&["before"]])?;
    let story = trail.story(&user, asked.id("before")?).await?;
    Ok(json(&Story::new(&user, &story)))
}

/// Reads that gave what nobody had written through the gateway, newest first; and users whose two types disagree, by name.
#[utoipa::path(get, path = "/api/v1/reports/drift", params(DriftParams), responses(
    (status = 200, description = "The report", body = Drifted),
    (status = 400, description = "A parameter cannot be understood", body = Said),
    (status = 503, description = "The trail cannot be read in time", body = Said),
))]
async fn drift(
    State(trail): State<Trail>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = asked(query, &[&["before", "after"]])?;
    let found = trail.drift(asked.id("before")?, asked.get("after")).await?;
    Ok(json(&Drifted::new(&found)))
}

/// What `observe` let through and `enforce` would refuse, by violation and client.
#[utoipa::path(get, path = "/api/v1/reports/would-break", params(RangeParams), responses(
    (status = 200, description = "The report", body = WouldBreak),
    (status = 400, description = "A parameter cannot be understood", body = Said),
    (status = 503, description = "The trail cannot be read in time", body = Said),
))]
async fn would_break(
    State(trail): State<Trail>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let range = range(&trail, query)?;
    let found = trail.would_break(&range.span).await?;
    Ok(json(&WouldBreak::new(&range, &found)))
}

/// Users by their last known preference, at the end of each day.
#[utoipa::path(get, path = "/api/v1/reports/adoption", params(RangeParams), responses(
    (status = 200, description = "The report", body = Adopted),
    (status = 400, description = "A parameter cannot be understood", body = Said),
    (status = 503, description = "The trail cannot be read in time", body = Said),
))]
async fn adoption(
    State(trail): State<Trail>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let range = range(&trail, query)?;
    let found = trail.adoption(&range.span).await?;
    Ok(json(&Adopted::new(&range, &found)))
}

/// The trail as a file, streamed: what `audit export` writes. For auditors; it is recorded. JSONL ends with a manifest, by
/// which `audit verify --export` sees that it is whole; a file that could not be written to its end is cut, and its
/// transfer fails.
#[utoipa::path(get, path = "/api/v1/export", params(ExportParams), responses(
    (status = 200, description = "The file", headers(
        ("Key-Backup-Complete-Up-To" = u64, description = "How many leaves of the trail it has at least, if there is no filter"),
    ), content(
        (String = "application/jsonl"),
        (String = "text/csv"),
    )),
    (status = 400, description = "A parameter cannot be understood", body = Said),
    (status = 503, description = "The trail cannot be read in time", body = Said),
))]
async fn export_file(
    State(trail): State<Trail>,
    State(access): State<Access>,
    Auditor(visitor): Auditor,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = asked(query, &[&FILTERS, &["format"]])?;
    export::file(&trail, &access, &visitor, &asked).await
}

/// The same for whoever asks in a terminal.
pub(super) async fn say(trail: &Trail, report: Report, range: &Range) -> Result<Value, Problem> {
    let span = &range.span;
    Ok(match report {
        Report::Stats => value(&Overview::new(range, trail.overview(span).await?)),
        Report::WouldBreak => value(&WouldBreak::new(range, &trail.would_break(span).await?)),
        Report::Drift => value(&Drifted::new(&trail.drift(None, None).await?)),
        Report::Adoption => value(&Adopted::new(range, &trail.adoption(span).await?)),
    })
}

fn value(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).expect("answers have nothing but text for keys")
}
