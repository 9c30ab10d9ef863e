//! The filters as fields of a form.

use askama::Template;

use crate::admin::problem::Wrong;
use crate::admin::query::Asked;
use crate::admin::words::short;
use crate::audit::export::printable;
use crate::audit::filters::FILTERS;
use crate::audit::record::{Judged, Outcome};
use crate::matrix::{Action, EventType};
use crate::policy::Violation;

/// The filters as fields of a form, with what is wrong beside them.
#[derive(Template)]
#[template(path = "the_filters.html", config = ".ci/askama.toml")]
pub(super) struct Filters {
    fields: Vec<Field>,
    /// What is wrong with something that is no field here.
    others: Vec<String>,
}

struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: String,
    /// What there is to choose from; nothing for text. Value and name.
    choices: Vec<(&'static str, &'static str)>,
    wrong: Option<String>,
}

// === impl Filters ===

impl Filters {
    /// What `asked` has in it, and what is wrong with it.
    pub(super) fn new(asked: &Asked, wrong: &[Wrong]) -> Self {
        let field = |name| {
            let (label, hint) = words(name);
            let found = wrong.iter().find(|one| one.name == name);
            Field {
                name,
                label,
                hint,
                value: asked.get(name).unwrap_or_default().to_owned(),
                choices: choices(name),
                wrong: found.map(|one| one.reason.clone()),
            }
        };
        let others = wrong
            .iter()
            .filter(|one| !FILTERS.contains(&one.name.as_str()));
        Self {
            fields: FILTERS.into_iter().map(field).collect(),
            others: others
                .map(|one| printable(&format!("{}: {}", one.name, one.reason)))
                .collect(),
        }
    }
}

// === impl Field ===

impl Field {
    /// Whether what stands in it is none of its choices, and would be lost.
    fn is_strange(&self) -> bool {
        let is_known = self.choices.iter().any(|(value, _)| *value == self.value);
        !self.value.is_empty() && !is_known
    }
}

/// Label and hint.
fn words(name: &str) -> (&'static str, &'static str) {
    match name {
        "user" => ("User", "@alice:example.org"),
        "device" => ("Device", ""),
        "address" => ("Client's address", "192.0.2.1"),
        "since" => ("From", "2026-11-23T09:30:00Z, or an age: 7d"),
        "until" => ("Until", "2026-11-23T09:30:00Z, or an age: 2h"),
        "action" => ("Action", ""),
        "event_type" => ("Type", ""),
        "verdict" => ("Verdict", ""),
        "violation" => ("Violation", ""),
        "outcome" => ("Outcome", ""),
        _ => ("Client", "what its User-Agent begins with: Element X/"),
    }
}

fn choices(name: &str) -> Vec<(&'static str, &'static str)> {
    let same = |word: &'static str| (word, word);
    match name {
        "action" => Action::ALL.map(Action::as_str).map(same).to_vec(),
        "event_type" => EventType::ALL.map(short).map(same).to_vec(),
        "verdict" => Judged::ALL.iter().map(|one| same(one.as_str())).collect(),
        "violation" => Violation::ALL.map(Violation::code).map(same).to_vec(),
        "outcome" => Outcome::ALL.iter().map(|one| same(one.as_str())).collect(),
        _ => Vec::new(),
    }
}
