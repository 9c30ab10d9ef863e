//! What all pages have around them.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;

use crate::admin::access::Visitor;
use crate::admin::config::Role;
use crate::admin::problem::Problem;
use crate::audit::export::printable;

/// What all pages have around them.
#[derive(Debug)]
pub(super) struct Frame {
    /// The name of the visitor's token.
    pub(super) name: String,
    /// What they may do.
    pub(super) role: &'static str,
    /// Whether they may take records away.
    pub(super) is_auditor: bool,
    /// What their forms hold.
    pub(super) csrf: String,
    /// Where they are: the path of an entry of the navigation.
    pub(super) here: &'static str,
}

/// A point in time, for machines and for people.
#[derive(Clone, Debug)]
pub(super) struct Time {
    pub(super) iso: String,
    pub(super) shown: String,
}

/// Text that leads somewhere.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) text: String,
    pub(super) href: String,
}

/// A page that says why there is nothing else.
#[derive(Template)]
#[template(path = "problem.html", config = ".ci/askama.toml")]
struct Sorry {
    frame: Frame,
    heading: &'static str,
    why: String,
}

/// The navigation: paths and names.
pub(super) const NAVIGATION: [(&str, &str); 5] = [
    ("/audit/", "Overview"),
    ("/audit/search", "Search"),
    ("/audit/reports/would-break", "Would break"),
    ("/audit/reports/drift", "Drift"),
    ("/audit/reports/adoption", "Adoption"),
];

/// `page`, or why it cannot be shown to `visitor`, who is at `here`.
pub(super) fn answer<T: Template>(
    visitor: &Visitor,
    here: &'static str,
    page: Result<T, Problem>,
) -> Response {
    match page {
        Ok(page) => shown(StatusCode::OK, &page),
        Err(problem) => sorry(visitor, here, &problem),
    }
}

/// `page`, with `status`.
pub(super) fn shown(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that says `problem`.
pub(super) fn sorry(visitor: &Visitor, here: &'static str, problem: &Problem) -> Response {
    problem.log();
    let (status, said) = problem.words();
    let heading = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::BAD_REQUEST => "Not understood",
        StatusCode::CONFLICT => "Not yet",
        _ => "Not just now",
    };
    let page = Sorry {
        frame: Frame::new(visitor, here),
        heading,
        why: printable(&said.error),
    };
    shown(status, &page)
}

// === impl Frame ===

impl Frame {
    pub(super) fn new(visitor: &Visitor, here: &'static str) -> Self {
        Self {
            name: visitor.name.to_string(),
            role: visitor.role.as_str(),
            is_auditor: visitor.role == Role::Auditor,
            csrf: visitor.csrf.to_string(),
            here,
        }
    }

    /// The entries of the navigation that are of use to them.
    pub(super) fn navigation(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let export = self.is_auditor.then_some(("/audit/export", "Export"));
        NAVIGATION.into_iter().chain(export)
    }
}

// === impl Time ===

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self {
            iso: time.to_rfc3339_opts(SecondsFormat::Micros, true),
            shown: time.format("%Y-%m-%d %H:%M:%S").to_string(),
        }
    }
}

// === impl Link ===

impl Link {
    /// `text`, made safe, that leads to `href`.
    pub(super) fn new(text: &str, href: String) -> Self {
        Self {
            text: printable(text),
            href,
        }
    }
}
