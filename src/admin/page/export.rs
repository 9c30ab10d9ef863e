//! The form that asks for the trail as a file.

use askama::Template;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use super::frame::{Frame, shown, sorry};
use super::the_filters::Filters;
use crate::admin::access::{Access, Auditor, Visitor};
use crate::admin::export::file;
use crate::admin::problem::{Problem, Wrong};
use crate::admin::query::Asked;
use crate::admin::trail::Trail;
use crate::audit::filters::FILTERS;

#[derive(Template)]
#[template(path = "export.html", config = ".ci/askama.toml")]
struct Page {
    frame: Frame,
    filters: Filters,
    is_wrong: bool,
}

const HERE: &str = "/audit/export";

/// GET `/audit/export`.
pub(super) async fn form(Auditor(visitor): Auditor, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let (asked, wrong) = Asked::read(query.as_bytes(), &[&FILTERS, &["before"]]);
    again(&visitor, &asked, &wrong)
}

/// POST `/audit/export`.
pub(super) async fn export(
    State(trail): State<Trail>,
    State(access): State<Access>,
    Auditor(visitor): Auditor,
    form: Bytes,
) -> Response {
    let (asked, wrong) = Asked::read(&form, &[&FILTERS, &["format", "csrf"]]);
    if !wrong.is_empty() {
        return again(&visitor, &asked, &wrong);
    }
    match file(&trail, &access, &visitor, &asked).await {
        Ok(file) => file,
        Err(Problem::Unusable(wrong)) => again(&visitor, &asked, &wrong),
        Err(problem) => sorry(&visitor, HERE, &problem),
    }
}

/// The form, with what was wrong.
fn again(visitor: &Visitor, asked: &Asked, wrong: &[Wrong]) -> Response {
    let page = Page {
        frame: Frame::new(visitor, HERE),
        filters: Filters::new(asked, wrong),
        is_wrong: !wrong.is_empty(),
    };
    let status = if wrong.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    shown(status, &page)
}
