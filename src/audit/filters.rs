//! Which records: the same filters for whoever lists, exports or looks, however they are written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

use super::record::{Judged, Outcome};
use super::store::Query;
use crate::matrix::{Action, EventType};

/// The names of all filters, as they stand in a URL; on the command line with hyphens. An interface.
pub const FILTERS: [&str; 11] = [
    "user",
    "device",
    "address",
    "since",
    "until",
    "action",
    "event_type",
    "verdict",
    "violation",
    "outcome",
    "client",
];

/// A time, or one that long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A time.
    At(DateTime<Utc>),
    /// One that long ago.
    Ago(Duration),
}

/// What a filter cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct Unusable {
    /// Which filter; one of [`FILTERS`], or not a filter at all.
    pub name: &'static str,
    /// What it must be.
    pub reason: &'static str,
}

/// Those filters of `query` that let not everything through, by their names; `None` if there are none.
#[must_use]
pub fn described(query: &Query) -> Option<Value> {
    let given: Map<String, Value> = given(query)
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    (!given.is_empty()).then_some(Value::Object(given))
}

/// The filters of `query` that let not everything through, each as [`set`] reads it.
pub fn given(query: &Query) -> impl Iterator<Item = (&'static str, String)> {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let values = [
        query.user.clone(),
        query.device.clone(),
        query.address.clone(),
        query.since.map(time),
        query.until.map(time),
        query.action.map(|it| it.as_str().to_owned()),
        query.event_type.map(|it| it.as_str().to_owned()),
        query.verdict.map(|it| it.as_str().to_owned()),
        query.violation.clone(),
        query.outcome.map(|it| it.as_str().to_owned()),
        query.client.clone(),
    ];
    let named = FILTERS.into_iter().zip(values);
    named.filter_map(|(name, value)| Some((name, value?)))
}

/// Sets the filter `name` of `query` to what `text` says, an age being that before `now`. An empty text is
/// no filter.
///
/// # Errors
///
/// If `text` says nothing that this filter can be, or there is no such filter.
pub fn set(query: &mut Query, name: &str, text: &str, now: DateTime<Utc>) -> Result<(), Unusable> {
    let Some(name) = FILTERS.into_iter().find(|filter| *filter == name) else {
        return Err(Unusable {
            name: "filter",
            reason: "there is no such filter",
        });
    };
    if text.is_empty() {
        return Ok(());
    }
    let unusable = |reason| Unusable { name, reason };
    let when = || Ok(Some(text.parse::<When>().map_err(unusable)?.before(now)));
    let owned = Some(text.to_owned());
    match name {
        "user" => query.user = owned,
        "device" => query.device = owned,
        "address" => query.address = owned,
        "since" => query.since = when()?,
        "until" => query.until = when()?,
        "action" => query.action = Some(action(text).map_err(unusable)?),
        "event_type" => query.event_type = Some(event_type(text).map_err(unusable)?),
        "verdict" => query.verdict = Some(verdict(text).map_err(unusable)?),
        "violation" => query.violation = owned,
        "outcome" => query.outcome = Some(outcome(text).map_err(unusable)?),
        _ => query.client = owned,
    }
    Ok(())
}

/// # Errors
///
/// If `text` is no [`Action`].
pub fn action(text: &str) -> Result<Action, &'static str> {
    Action::parse(text).ok_or("it is `write`, `read` or `clear`")
}

/// # Errors
///
/// If `text` is no [`EventType`], by its name or as `stable` or `unstable`.
pub fn event_type(text: &str) -> Result<EventType, &'static str> {
    match text {
        "stable" => Ok(EventType::Stable),
        "unstable" => Ok(EventType::Unstable),
        _ => EventType::parse(text).ok_or("it is `stable`, `unstable`, or the name of the type"),
    }
}

/// # Errors
///
/// If `text` is no [`Judged`].
pub fn verdict(text: &str) -> Result<Judged, &'static str> {
    Judged::parse(text).ok_or("it is `accept`, `clear` or `refuse`")
}

/// # Errors
///
/// If `text` is no [`Outcome`].
pub fn outcome(text: &str) -> Result<Outcome, &'static str> {
    Outcome::parse(text).ok_or("it is `refused`, `answered`, `unanswered` or `failed`")
}

// === impl When ===

impl When {
    /// The time that is meant at the time `now`.
    #[must_use]
    pub fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            // What is older than the calendar is the beginning of all.
            Self::Ago(age) => chrono::TimeDelta::from_std(age)
                .ok()
                .and_then(|age| now.checked_sub_signed(age))
                .unwrap_or(DateTime::UNIX_EPOCH),
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.to_utc()));
        }
        humantime::parse_duration(text).map(Self::Ago).map_err(
            |_| "write a time as in `2026-11-23T09:30:00Z`, or an age as in `7d` or `2h 30m`",
        )
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true)),
            Self::Ago(age) => humantime::format_duration(*age).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(1_700_000_000_000_000_000);

    #[test]
    fn what_is_given_reads_back_as_it_was() {
        let written = [
            ("user", "@a:example.org"),
            ("device", "D"),
            ("address", "192.0.2.1"),
            ("since", "2023-11-01T00:00:00Z"),
            ("until", "7d"),
            ("action", "write"),
            ("event_type", "stable"),
            ("verdict", "refuse"),
            ("violation", "not_json"),
            ("outcome", "refused"),
            ("client", "Element X/"),
        ];
        assert_eq!(written.map(|(name, _)| name), FILTERS);
        let mut query = Query::default();
        for (name, text) in written {
            set(&mut query, name, text, NOW).unwrap();
        }
        let mut again = Query::default();
        for (name, text) in given(&query) {
            set(&mut again, name, &text, NOW).unwrap();
        }
        assert_eq!(query, again);
        assert_eq!(described(&query).unwrap().as_object().unwrap().len(), 11);
    }

    #[test]
    fn what_is_empty_filters_nothing_and_what_is_odd_is_said() {
        for name in FILTERS {
            let mut query = Query::default();
            set(&mut query, name, "", NOW).unwrap();
            assert_eq!(query, Query::default(), "{name}");
        }
        for name in [
            "since",
            "until",
            "action",
            "event_type",
            "verdict",
            "outcome",
        ] {
            let error = set(&mut Query::default(), name, "no such thing", NOW).unwrap_err();
            assert_eq!(error.name, name);
        }
        set(&mut Query::default(), "colour", "red", NOW).unwrap_err();
        assert_eq!(described(&Query::default()), None);
    }
}
