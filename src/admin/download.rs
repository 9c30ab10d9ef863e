//! What auditors take away: proofs. Each is a record of the trail before it leaves.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::json;
use uuid::Uuid;

use super::access::{Access, Visitor};
use super::problem::Problem;
use super::trail::Trail;

/// The proof of the exchange, or of the record, `id`, for `visitor`.
pub(super) async fn proof(
    trail: &Trail,
    access: &Access,
    visitor: &Visitor,
    id: &str,
) -> Result<(Uuid, String), Problem> {
    let id: Uuid = id.parse().map_err(|_| Problem::NotThere)?;
    let proof = trail.proof(id).await?;
    access
        .record(visitor, "prove", json!({ "exchange": id }))
        .await;
    Ok((id, proof))
}

/// `body` as a file of our own naming.
pub(super) fn attachment(
    name: &str,
    content_type: &'static str,
    body: impl IntoResponse,
) -> Response {
    let mut answer = body.into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let disposition = format!("attachment; filename=\"{name}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    answer
}
