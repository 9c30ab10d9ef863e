//! Records in plain English, for auditors who know the spec less well than their users.

use http::StatusCode;

use crate::audit::record::{Facts, Judged, Kind, Outcome, Phase, Stored};
use crate::matrix::{Action, EventType};
use crate::policy::Violation;

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The status of the answer, if it is certain.
    pub(super) status: Option<u16>,
    /// Its errcode, if it had one.
    pub(super) errcode: Option<String>,
    /// The rest, for people.
    pub(super) text: String,
}

/// What is thought of an exchange, in a word, and how good that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Badge {
    /// A word.
    pub(super) text: &'static str,
    /// `good`, `bad`, `odd` or `plain`: the page's classes.
    pub(super) class: &'static str,
}

/// What the client of the exchange `records` was told; `None` for what is no exchange.
pub(super) fn told(records: &[Stored]) -> Option<Told> {
    let facts = &telling(records)?.record.facts;
    let only = |text: &str| Told {
        status: None,
        errcode: None,
        text: text.to_owned(),
    };
    Some(match facts.outcome {
        Some(Outcome::Refused) => refusal(facts),
        Some(Outcome::Answered) => Told {
            status: facts.origin_status,
            errcode: facts.errcode.clone(),
            text: "The homeserver's own answer, relayed as it came".to_owned(),
        },
        Some(Outcome::Failed) => {
            only("That the homeserver was not reached: 502 or 504 M_UNKNOWN. Nothing was stored")
        }
        Some(Outcome::Unanswered) => only(
            "That there was no answer, if it still waited: 502 or 504 M_UNKNOWN. What it wrote may have been stored",
        ),
        None => only("Not known: no outcome is recorded. What it wrote may have been stored"),
    })
}

/// The record of an exchange that says what became of it; the last, if several do.
pub(super) fn telling(records: &[Stored]) -> Option<&Stored> {
    let weight = |stored: &&Stored| match (stored.record.facts.phase, stored.record.facts.outcome) {
        (Some(Phase::Outcome), Some(Outcome::Unanswered)) => 1,
        (Some(Phase::Outcome), _) => 2,
        (Some(Phase::Intent) | None, _) => 0,
    };
    let exchange = |stored: &&Stored| stored.record.kind == Kind::Exchange;
    records.iter().filter(exchange).max_by_key(weight)
}

/// What the gateway answers to what it refuses: the first violation picks it.
fn refusal(facts: &Facts) -> Told {
    let known = facts.violations.first();
    let known = known.and_then(|code| Violation::parse(code));
    let Some((violation, event_type)) = known.zip(facts.event_type) else {
        return Told {
            status: None,
            errcode: None,
            text: "A refusal for a reason that this version does not know".to_owned(),
        };
    };
    let errcode = violation.errcode();
    Told {
        status: Some(errcode.status().as_u16()),
        errcode: Some(errcode.as_str().to_owned()),
        text: violation.message(event_type),
    }
}

/// A status with its name, as in `400 Bad Request`.
pub(super) fn status(status: u16) -> String {
    let known = StatusCode::from_u16(status).ok();
    match known.and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

/// A code of a violation, in words, as in `enabled must be true or false (field_not_boolean)`.
pub(super) fn violation(code: &str, event_type: Option<EventType>) -> String {
    let known = Violation::parse(code);
    match known {
        Some(known) => format!("{} ({code})", meaning(known, event_type)),
        None => code.to_owned(),
    }
}

fn meaning(violation: Violation, event_type: Option<EventType>) -> String {
    match event_type {
        Some(event_type) => violation.message(event_type),
        // Of both types at once.
        None => violation
            .message(EventType::Stable)
            .replace(EventType::Stable.field(), "the member"),
    }
}

/// What was thought of what `facts` tells.
pub(super) fn badge(kind: Kind, facts: &Facts) -> Badge {
    let badge = |text, class| Badge { text, class };
    let is_read = facts.action == Some(Action::Read);
    match (facts.verdict, facts.outcome) {
        (Some(Judged::Refuse), Some(Outcome::Refused)) => badge("refused", "bad"),
        (Some(Judged::Refuse), _) if is_read => badge("malformed", "odd"),
        (Some(Judged::Refuse), _) => badge("would be refused", "odd"),
        (Some(Judged::Clear), _) if is_read => badge("empty", "plain"),
        (Some(Judged::Clear), _) => badge("accepted, clears", "good"),
        (Some(Judged::Accept), _) if is_read => badge("well-formed", "plain"),
        (Some(Judged::Accept), _) => badge("accepted", "good"),
        (None, _) if kind == Kind::Exchange => badge("not judged", "plain"),
        (None, _) => badge(kind.as_str(), "plain"),
    }
}

/// What became of what `facts` tells.
pub(super) fn outcome(facts: &Facts) -> String {
    match (facts.outcome, facts.origin_status, facts.phase) {
        (Some(Outcome::Refused), ..) => "refused by the gateway".to_owned(),
        (Some(Outcome::Answered), Some(code), _) => {
            let errcode = facts.errcode.as_deref().unwrap_or_default();
            format!("answered {code} {errcode}").trim_end().to_owned()
        }
        (Some(Outcome::Answered), None, _) => "answered".to_owned(),
        (Some(Outcome::Unanswered), ..) => "unanswered: it may have happened".to_owned(),
        (Some(Outcome::Failed), ..) => "failed: never sent".to_owned(),
        (None, _, Some(Phase::Intent)) => "about to be sent".to_owned(),
        (None, ..) => "–".to_owned(),
    }
}

/// Which of the two types.
pub(super) fn short(event_type: EventType) -> &'static str {
    match event_type {
        EventType::Stable => "stable",
        EventType::Unstable => "unstable",
    }
}

/// `count` with its thousands apart, as in `12,345`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (count, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(count), shown);
        }
    }

    #[test]
    fn what_a_refusal_said_follows_from_the_first_violation() {
        let facts = Facts {
            event_type: Some(EventType::Stable),
            violations: vec!["field_not_boolean".to_owned(), "extra_member".to_owned()],
            outcome: Some(Outcome::Refused),
            ..Facts::default()
        };
        let told = refusal(&facts);
        assert_eq!(told.status, Some(400));
        assert_eq!(told.errcode.as_deref(), Some("M_BAD_JSON"));
        assert_eq!(told.text, "enabled must be true or false");
        assert_eq!(
            violation("field_not_boolean", facts.event_type),
            "enabled must be true or false (field_not_boolean)"
        );
        assert_eq!(violation("of_tomorrow", None), "of_tomorrow");
    }
}
