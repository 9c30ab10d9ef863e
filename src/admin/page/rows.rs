//! Records as lines of a table.

use uuid::Uuid;

use super::frame::{Link, Time};
use crate::admin::query::link;
use crate::admin::words::{self, Badge};
use crate::audit::export::printable;
use crate::audit::record::{Facts, Stored};
use crate::audit::summary::{Content, client};
use crate::matrix::Preference;

/// A record as a line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) time: Time,
    /// `write`, `read` or `clear`; of what is no exchange, its kind.
    pub(super) action: String,
    pub(super) event_type: &'static str,
    pub(super) user: Option<Link>,
    /// Whom the path named, if the homeserver named another one, or nobody.
    pub(super) claimed: Option<Link>,
    pub(super) device: Option<Link>,
    pub(super) address: Option<Link>,
    pub(super) client: Option<Link>,
    /// What the content says; of what was done to the gateway, its name.
    pub(super) said: String,
    pub(super) verdict: Badge,
    pub(super) why: Vec<String>,
    pub(super) outcome: String,
    /// The exchange.
    pub(super) exchange: Link,
}

// === impl Row ===

impl Row {
    pub(super) fn of(stored: &Stored) -> Self {
        let record = &stored.record;
        let facts = &record.facts;
        let claimed = facts.claimed_user.as_ref();
        let is_other = claimed != facts.authenticated_user.as_ref();
        let action = facts.action;
        let id = facts.exchange_id.unwrap_or(record.id);
        Self {
            time: record.recorded_at.into(),
            action: action
                .map_or(record.kind.as_str(), |action| action.as_str())
                .to_owned(),
            event_type: facts.event_type.map_or("–", words::short),
            user: facts.authenticated_user.as_deref().map(user),
            claimed: claimed.filter(|_| is_other).map(|name| user(name)),
            device: searched("device", facts.device_id.as_deref()),
            address: searched("address", facts.client_address.as_deref()),
            client: named_client(facts),
            said: said(facts),
            verdict: words::badge(record.kind, facts),
            why: why(facts),
            outcome: words::outcome(facts),
            exchange: Link::new(&short_id(id), exchange(id)),
        }
    }
}

fn said(facts: &Facts) -> String {
    let operation = || facts.detail.as_ref()?["operation"].as_str();
    let said = facts.preference.map(Preference::as_str).or_else(operation);
    said.map(printable).unwrap_or_default()
}

/// A user, and the way to their story.
pub(super) fn user(name: &str) -> Link {
    Link::new(name, link("/audit/user", [("user", name)]))
}

/// Where an exchange, or a record, is shown.
pub(super) fn exchange(id: Uuid) -> String {
    format!("/audit/exchange/{id}")
}

/// The end of an id: its beginning is a time, and alike in all.
pub(super) fn short_id(id: Uuid) -> String {
    let text = id.to_string();
    text.rsplit('-').next().unwrap_or_default().to_owned()
}

/// What is wrong, in words.
pub(super) fn why(facts: &Facts) -> Vec<String> {
    let codes = facts.violations.iter();
    codes
        .map(|code| printable(&words::violation(code, facts.event_type)))
        .collect()
}

/// What is stored, in a word.
pub(super) fn content(content: Option<Content>) -> &'static str {
    content.map_or("not known", Content::as_str)
}

/// Name and version of the client, and the way to what it did.
pub(super) fn named_client(facts: &Facts) -> Option<Link> {
    let agent = facts.user_agent.as_deref()?;
    let (name, version) = client(Some(agent));
    let shown = format!("{name} {version}");
    let shown = if name.is_empty() { agent } else { shown.trim() };
    Some(Link::new(shown, link("/audit/search", [("client", agent)])))
}

fn searched(name: &'static str, value: Option<&str>) -> Option<Link> {
    let value = value?;
    Some(Link::new(value, link("/audit/search", [(name, value)])))
}
