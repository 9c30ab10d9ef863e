//! A user's story: every change in order, and what is stored now.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::frame::{Frame, Link, Time, answer};
use super::rows;
use crate::admin::access::{Reader, Visitor};
use crate::admin::problem::{Problem, Wrong};
use crate::admin::query::{Asked, link};
use crate::admin::trail::{Story, Trail};
use crate::admin::words;
use crate::audit::export::printable;
use crate::audit::summary::{Became, Change, Content, Profile, Seen};
use crate::matrix::{EventType, Preference};

#[derive(Template)]
#[template(path = "story.html", config = ".ci/askama.toml")]
struct Page {
    frame: Frame,
    user: String,
    now: Time,
    /// What is stored now.
    known: Option<Known>,
    changes: Vec<Told>,
    records: String,
    older: Option<String>,
    newest: Option<String>,
}

struct Known {
    preference: &'static str,
    disagrees: bool,
    types: [(&'static str, &'static str, &'static str, Option<LastSeen>); 2],
}

struct LastSeen {
    how: &'static str,
    at: Time,
    href: String,
}

struct Told {
    time: Time,
    from: &'static str,
    to: &'static str,
    /// Whether it came about.
    is_so: bool,
    event_type: &'static str,
    device: Option<String>,
    client: Option<Link>,
    address: Option<String>,
    /// Who did it, if it was somebody else.
    by: Option<String>,
    became: &'static str,
    class: &'static str,
    why: Vec<String>,
    disagrees: bool,
    exchange: Link,
}

const HERE: &str = "/audit/user";

/// What a refused write would have stored.
const NOTHING: &str = "nothing usable";

/// GET `/audit/user`.
pub(super) async fn story(
    State(trail): State<Trail>,
    Reader(visitor): Reader,
    RawQuery(query): RawQuery,
) -> Response {
    let page = page(&trail, &visitor, &query.unwrap_or_default()).await;
    answer(&visitor, HERE, page)
}

async fn page(trail: &Trail, visitor: &Visitor, query: &str) -> Result<Page, Problem> {
    let asked = Asked::of(query.as_bytes(), &[&["user", "before"]]).map_err(Problem::Unusable)?;
    let user = asked
        .get("user")
        .ok_or_else(|| Wrong::new("user", "say whose story"))?;
    let before = asked.id("before")?;
    let Story {
        profile,
        changes,
        next,
    } = trail.story(user, before).await?;
    let next = next.map(|next| next.to_string());
    Ok(Page {
        frame: Frame::new(visitor, HERE),
        user: printable(user),
        now: trail.now().into(),
        known: profile.as_ref().map(Known::new),
        changes: told(&changes, user),
        records: link("/audit/search", [("user", user)]),
        older: next.map(|next| asked.link(HERE, "before", Some(&next))),
        newest: before.map(|_| asked.link(HERE, "before", None)),
    })
}

/// Every change; that the types disagree is said of the one from which on they did.
fn told(changes: &[Change], user: &str) -> Vec<Told> {
    let mut disagreed = false;
    let tell = |change: &Change| {
        let begins = change.disagrees && !std::mem::replace(&mut disagreed, change.disagrees);
        disagreed = change.disagrees;
        Told {
            disagrees: begins,
            ..Told::new(change, user)
        }
    };
    changes.iter().map(tell).collect()
}

// === impl Known ===

impl Known {
    fn new(profile: &Profile) -> Self {
        let of = |event_type: EventType| {
            let seen = profile.seen(event_type);
            (
                words::short(event_type),
                event_type.as_str(),
                rows::content(seen.map(|seen| seen.content)),
                seen.map(LastSeen::new),
            )
        };
        Self {
            preference: profile.preference().map_or("not known", Preference::as_str),
            disagrees: profile.disagrees(),
            types: EventType::ALL.map(of),
        }
    }
}

// === impl LastSeen ===

impl LastSeen {
    fn new(seen: Seen) -> Self {
        Self {
            how: if seen.was_written { "written" } else { "read" },
            at: seen.at.into(),
            href: rows::exchange(seen.exchange_id.unwrap_or(seen.id)),
        }
    }
}

// === impl Told ===

impl Told {
    fn new(change: &Change, user: &str) -> Self {
        let record = &change.stored.record;
        let facts = &record.facts;
        let (became, class) = became(change.became);
        let id = facts.exchange_id.unwrap_or(record.id);
        let by = facts.authenticated_user.as_deref().filter(|by| *by != user);
        Self {
            time: record.recorded_at.into(),
            from: rows::content(change.from),
            to: change.to.map_or(NOTHING, Content::as_str),
            is_so: matches!(change.became, Became::Stored | Became::Found),
            event_type: facts.event_type.map_or("–", words::short),
            device: facts.device_id.as_deref().map(printable),
            client: rows::named_client(facts),
            address: facts.client_address.as_deref().map(printable),
            by: by.map(printable),
            became,
            class,
            why: rows::why(facts),
            disagrees: change.disagrees,
            exchange: Link::new(&rows::short_id(id), rows::exchange(id)),
        }
    }
}

/// What became of a change, in words, and how good that is.
fn became(became: Became) -> (&'static str, &'static str) {
    match became {
        Became::Stored => ("stored", "good"),
        Became::Refused => ("refused", "bad"),
        Became::NotStored => ("not stored", "plain"),
        Became::Unanswered => ("unanswered", "odd"),
        Became::Found => ("found, written by nobody", "odd"),
    }
}
