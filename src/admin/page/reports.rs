//! The reports: what `enforce` would break, where what is stored drifted, and who wants key backup.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::figure::Figure;
use super::frame::{Frame, Link, Time, answer};
use super::overview::{adoption_figure, behind};
use super::ranges::Ranges;
use super::rows;
use crate::admin::access::{Reader, Visitor};
use crate::admin::problem::Problem;
use crate::admin::query::{Asked, RANGE};
use crate::admin::trail::Trail;
use crate::admin::words::{self, grouped};
use crate::audit::export::printable;
use crate::audit::store::{Drift, Violations};
use crate::audit::summary::Profile;
use crate::matrix::EventType;

#[derive(Template)]
#[template(path = "would_break.html", config = ".ci/askama.toml")]
struct WouldBreak {
    frame: Frame,
    ranges: Ranges,
    behind: Option<String>,
    rows: Vec<Broken>,
}

struct Broken {
    violation: String,
    client: String,
    version: String,
    writes: String,
    refused: String,
    newest: Link,
}

#[derive(Template)]
#[template(path = "drift.html", config = ".ci/askama.toml")]
struct Drifted {
    frame: Frame,
    behind: Option<String>,
    drifts: Vec<Strange>,
    older: Option<String>,
    disagreeing: Vec<Disagreeing>,
    further: Option<String>,
}

struct Strange {
    time: Time,
    user: Link,
    event_type: &'static str,
    expected: &'static str,
    found: &'static str,
    read: Link,
    known_from: Link,
}

struct Disagreeing {
    user: Link,
    stable: &'static str,
    unstable: &'static str,
}

#[derive(Template)]
#[template(path = "adoption.html", config = ".ci/askama.toml")]
struct Adopted {
    frame: Frame,
    ranges: Ranges,
    behind: Option<String>,
    adoption: Figure,
}

const WOULD_BREAK: &str = "/audit/reports/would-break";
const DRIFT: &str = "/audit/reports/drift";
const ADOPTION: &str = "/audit/reports/adoption";

/// GET `/audit/reports/would-break`.
pub(super) async fn would_break(
    State(trail): State<Trail>,
    Reader(visitor): Reader,
    RawQuery(query): RawQuery,
) -> Response {
    let page = WouldBreak::new(&trail, &visitor, &query.unwrap_or_default()).await;
    answer(&visitor, WOULD_BREAK, page)
}

/// GET `/audit/reports/drift`.
pub(super) async fn drift(
    State(trail): State<Trail>,
    Reader(visitor): Reader,
    RawQuery(query): RawQuery,
) -> Response {
    let page = Drifted::new(&trail, &visitor, &query.unwrap_or_default()).await;
    answer(&visitor, DRIFT, page)
}

/// GET `/audit/reports/adoption`.
pub(super) async fn adoption(
    State(trail): State<Trail>,
    Reader(visitor): Reader,
    RawQuery(query): RawQuery,
) -> Response {
    let page = Adopted::new(&trail, &visitor, &query.unwrap_or_default()).await;
    answer(&visitor, ADOPTION, page)
}

// === impl WouldBreak ===

impl WouldBreak {
    async fn new(trail: &Trail, visitor: &Visitor, query: &str) -> Result<Self, Problem> {
        let asked = Asked::of(query.as_bytes(), &[&RANGE]).map_err(Problem::Unusable)?;
        let range = asked.range(trail.now())?;
        let found = trail.would_break(&range.span).await?;
        Ok(Self {
            frame: Frame::new(visitor, WOULD_BREAK),
            ranges: Ranges::new(WOULD_BREAK, &range),
            behind: behind(&trail.standing().await?),
            rows: found.iter().map(Broken::from).collect(),
        })
    }
}

impl From<&Violations> for Broken {
    fn from(one: &Violations) -> Self {
        Self {
            violation: printable(&words::violation(&one.code, None)),
            client: printable(&one.client),
            version: printable(&one.version),
            writes: grouped(one.forwarded),
            refused: grouped(one.refused),
            newest: Link::new(&rows::short_id(one.newest), rows::exchange(one.newest)),
        }
    }
}

// === impl Drifted ===

impl Drifted {
    async fn new(trail: &Trail, visitor: &Visitor, query: &str) -> Result<Self, Problem> {
        let asked = Asked::of(query.as_bytes(), &[&["before", "after"]]);
        let asked = asked.map_err(Problem::Unusable)?;
        let found = trail.drift(asked.id("before")?, asked.get("after")).await?;
        let older = found.before.map(|before| before.to_string());
        Ok(Self {
            frame: Frame::new(visitor, DRIFT),
            behind: behind(&trail.standing().await?),
            drifts: found.found.iter().map(Strange::from).collect(),
            older: older.map(|older| asked.link(DRIFT, "before", Some(&older))),
            disagreeing: found.disagreeing.iter().map(Disagreeing::from).collect(),
            further: found
                .after
                .map(|after| asked.link(DRIFT, "after", Some(&after))),
        })
    }
}

impl From<&Drift> for Strange {
    fn from(one: &Drift) -> Self {
        let read = one.exchange_id.unwrap_or(one.read_id);
        let to = |id| Link::new(&rows::short_id(id), rows::exchange(id));
        Self {
            time: one.at.into(),
            user: rows::user(&one.user),
            event_type: words::short(one.event_type),
            expected: one.expected.as_str(),
            found: one.found.as_str(),
            read: to(read),
            known_from: to(one.known_from),
        }
    }
}

impl From<&Profile> for Disagreeing {
    fn from(profile: &Profile) -> Self {
        let content = |of| rows::content(profile.seen(of).map(|seen| seen.content));
        Self {
            user: rows::user(&profile.user),
            stable: content(EventType::Stable),
            unstable: content(EventType::Unstable),
        }
    }
}

// === impl Adopted ===

impl Adopted {
    async fn new(trail: &Trail, visitor: &Visitor, query: &str) -> Result<Self, Problem> {
        let asked = Asked::of(query.as_bytes(), &[&RANGE]).map_err(Problem::Unusable)?;
        let range = asked.range(trail.now())?;
        let adoption = trail.adoption(&range.span).await?;
        Ok(Self {
            frame: Frame::new(visitor, ADOPTION),
            ranges: Ranges::new(ADOPTION, &range),
            behind: behind(&trail.standing().await?),
            adoption: adoption_figure(&adoption),
        })
    }
}
