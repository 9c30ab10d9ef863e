//! One exchange, or a record that belongs to none, in full.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use uuid::Uuid;

use super::frame::{Frame, Link, Time, answer, sorry};
use super::rows;
use crate::admin::access::{Auditor, Reader, Visitor};
use crate::admin::download::attachment;
use crate::admin::problem::Problem;
use crate::admin::trail::{self, Trail};
use crate::admin::words::{self, Badge, grouped};
use crate::audit::export::{printable, shown_fields};
use crate::audit::record::{Facts, Kind, Stored};
use crate::audit::store::Places;
use crate::matrix::{EventType, Preference};

#[derive(Template)]
#[template(path = "exchange.html", config = ".ci/askama.toml")]
struct Page {
    frame: Frame,
    id: Uuid,
    heading: String,
    badge: Badge,
    why: Vec<String>,
    /// What happened, in words: names and values.
    told: Vec<(&'static str, Value)>,
    records: Vec<Shown>,
    checkpoint: Option<(String, Time)>,
    is_sealed: bool,
}

/// A value in words.
enum Value {
    Text(String),
    Time(Time),
    Link(Link),
}

struct Shown {
    part: String,
    time: Time,
    outcome: String,
    leaf: Option<(String, String)>,
    /// Whether the newest checkpoint has it.
    is_covered: bool,
    fields: Vec<(&'static str, String)>,
}

const HERE: &str = "/audit/search";

/// GET `/audit/exchange/{id}`.
pub(super) async fn exchange(
    State(trail): State<Trail>,
    Reader(visitor): Reader,
    Path(id): Path<String>,
) -> Response {
    let page = async {
        let id = id.parse().map_err(|_| Problem::NotThere)?;
        Ok(Page::new(&visitor, id, trail.exchange(id).await?))
    };
    let page = page.await;
    answer(&visitor, HERE, page)
}

/// GET `/audit/exchange/{id}/proof`.
pub(super) async fn proof(
    State(trail): State<Trail>,
    State(access): State<crate::admin::Access>,
    Auditor(visitor): Auditor,
    Path(id): Path<String>,
) -> Response {
    match crate::admin::download::proof(&trail, &access, &visitor, &id).await {
        Ok((id, proof)) => attachment(&format!("proof-{id}.json"), "application/json", proof),
        Err(problem) => sorry(&visitor, HERE, &problem),
    }
}

// === impl Page ===

impl Page {
    fn new(visitor: &Visitor, id: Uuid, exchange: trail::Exchange) -> Self {
        let trail::Exchange {
            records,
            places,
            checkpoint,
        } = exchange;
        let size = checkpoint.as_ref().map_or(0, |(size, _)| *size);
        let shown: Vec<_> = records
            .iter()
            .map(|one| Shown::new(one, &places, size))
            .collect();
        let telling = words::telling(&records).or(records.last());
        let facts = telling.map(|stored| stored.record.facts.clone());
        let facts = facts.unwrap_or_default();
        let kind = telling.map_or(Kind::Exchange, |stored| stored.record.kind);
        Self {
            frame: Frame::new(visitor, HERE),
            id,
            heading: heading(kind, &facts),
            badge: words::badge(kind, &facts),
            why: rows::why(&facts),
            told: told(&records, &facts),
            is_sealed: shown.iter().all(|one| one.is_covered),
            records: shown,
            checkpoint: checkpoint.map(|(size, one)| (grouped(size), one.made_at.into())),
        }
    }
}

// === impl Shown ===

impl Shown {
    fn new(stored: &Stored, places: &Places, size: u64) -> Self {
        let record = &stored.record;
        let place = places.get(&record.id);
        let part = record
            .facts
            .phase
            .map_or(record.kind.as_str(), |phase| phase.as_str());
        Self {
            part: part.to_owned(),
            time: record.recorded_at.into(),
            outcome: words::outcome(&record.facts),
            leaf: place.map(|(index, hash)| (index.to_string(), hex::encode(hash))),
            is_covered: place.is_some_and(|(index, _)| index.unsigned_abs() < size),
            fields: shown_fields(stored).collect(),
        }
    }
}

/// What happened, in a line.
fn heading(kind: Kind, facts: &Facts) -> String {
    match (facts.action, facts.event_type) {
        (Some(action), Some(event_type)) => {
            format!(
                "A {} of the {} type",
                action.as_str(),
                words::short(event_type)
            )
        }
        _ => format!("A record of the kind {}", kind.as_str()),
    }
}

/// What happened, in words, of an exchange or of something else.
fn told(records: &[Stored], facts: &Facts) -> Vec<(&'static str, Value)> {
    let mut told = Vec::new();
    let mut say = |name, value: Option<Value>| told.extend(value.map(|value| (name, value)));
    let text = |text: Option<&str>| text.map(|text| Value::Text(printable(text)));
    let first = records.first().map(|first| first.record.recorded_at);
    say("When", first.map(|at| Value::Time(at.into())));
    let user = |name: &Option<String>| name.as_deref().map(|it| Value::Link(rows::user(it)));
    say(
        "Who, as the homeserver named them",
        user(&facts.authenticated_user),
    );
    say("Whom the path named", user(&facts.claimed_user));
    say("Device", text(facts.device_id.as_deref()));
    let guest = facts
        .is_guest
        .map(|is_guest| if is_guest { "yes" } else { "no" });
    say("Guest", text(guest));
    say("Client", rows::named_client(facts).map(Value::Link));
    say("Client's address", text(facts.client_address.as_deref()));
    say("Type", text(facts.event_type.map(EventType::as_str)));
    say("What it says", text(facts.preference.map(meaning)));
    if let Some(said) = words::told(records) {
        say("What the client was told", text(Some(&answer_of(&said))));
    }
    let took = facts
        .duration_us
        .map(|us| format!("{} ms", grouped(us.unsigned_abs() / 1000)));
    say("It took", text(took.as_deref()));
    let detail = facts.detail.as_ref().map(ToString::to_string);
    say("Detail", text(detail.as_deref()));
    told
}

fn meaning(preference: Preference) -> &'static str {
    match preference {
        Preference::Enabled => "enabled: key backup is wanted",
        Preference::Disabled => "disabled: key backup is not wanted",
    }
}

fn answer_of(told: &words::Told) -> String {
    let status = told.status.map(words::status);
    let code = status.into_iter().chain(told.errcode.clone());
    let code = code.collect::<Vec<_>>().join(" ");
    if code.is_empty() {
        told.text.clone()
    } else {
        format!("{code}: {}", told.text)
    }
}
