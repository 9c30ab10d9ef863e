//! Search: the filters, and what they let through.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use super::frame::{Frame, shown, sorry};
use super::rows::Row;
use super::the_filters::Filters;
use crate::admin::access::{Reader, Visitor};
use crate::admin::config::Role;
use crate::admin::problem::{Problem, Wrong};
use crate::admin::query::Asked;
use crate::admin::trail::Trail;
use crate::audit::filters::FILTERS;

#[derive(Template)]
#[template(path = "search.html", config = ".ci/askama.toml")]
struct Page {
    frame: Frame,
    filters: Filters,
    rows: Vec<Row>,
    is_wrong: bool,
    /// Where the records before these are.
    older: Option<String>,
    /// Where the newest are, if these are not.
    newest: Option<String>,
    /// Where auditors take these away.
    export: Option<String>,
}

const HERE: &str = "/audit/search";
/// How many records a page has.
const ROWS: u32 = 50;

/// GET `/audit/search`.
pub(super) async fn search(
    State(trail): State<Trail>,
    Reader(visitor): Reader,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let (asked, mut wrong) = Asked::read(query.as_bytes(), &[&FILTERS, &["before"]]);
    let found = match asked.filters(trail.now()) {
        Ok(query) if wrong.is_empty() => trail.page(&query, ROWS).await,
        Ok(_) => Err(Problem::Unusable(wrong)),
        Err(more) => {
            wrong.extend(more);
            Err(Problem::Unusable(wrong))
        }
    };
    match found {
        Ok(found) => {
            let older = found.next.map(|next| next.to_string());
            let is_auditor = visitor.role == Role::Auditor;
            let page = Page {
                export: is_auditor.then(|| asked.link("/audit/export", "before", None)),
                rows: found.records.iter().map(Row::of).collect(),
                older: older.map(|older| asked.link(HERE, "before", Some(&older))),
                newest: asked
                    .get("before")
                    .map(|_| asked.link(HERE, "before", None)),
                ..Page::empty(&visitor, &asked, &[])
            };
            shown(StatusCode::OK, &page)
        }
        // The form is there again, with what was wrong beside it.
        Err(Problem::Unusable(wrong)) => {
            let page = Page {
                is_wrong: true,
                ..Page::empty(&visitor, &asked, &wrong)
            };
            shown(StatusCode::BAD_REQUEST, &page)
        }
        Err(problem) => sorry(&visitor, HERE, &problem),
    }
}

// === impl Page ===

impl Page {
    fn empty(visitor: &Visitor, asked: &Asked, wrong: &[Wrong]) -> Self {
        Self {
            frame: Frame::new(visitor, HERE),
            filters: Filters::new(asked, wrong),
            rows: Vec::new(),
            is_wrong: false,
            older: None,
            newest: None,
            export: None,
        }
    }
}
