//! Which records: the same filters for whoever lists, exports or counts.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use key_backup_gateway::audit::record::{Judged, Outcome};
use key_backup_gateway::audit::store::Query;
use key_backup_gateway::matrix::Action;
use serde_json::{Map, Value};

#[derive(Debug, Args)]
pub(super) struct Filters {
    /// Whom the path claimed, or the homeserver named
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// From here on: RFC 3339, or an age like `7d`
    #[arg(long, value_name = "T")]
    since: Option<When>,
    /// Up to here, exclusive: RFC 3339, or an age
    #[arg(long, value_name = "T")]
    until: Option<When>,
    /// `write`, `read` or `clear`
    #[arg(long, value_name = "A", value_parser = action)]
    action: Option<Action>,
    /// `accept`, `clear` or `refuse`
    #[arg(long, value_name = "V", value_parser = verdict)]
    verdict: Option<Judged>,
    /// `refused`, `answered`, `unanswered` or `failed`
    #[arg(long, value_name = "O", value_parser = outcome)]
    outcome: Option<Outcome>,
}

/// A time, or one that long ago.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    At(DateTime<Utc>),
    Ago(Duration),
}

// === impl Filters ===

impl Filters {
    /// What they ask of the store, an age being that before `now`.
    pub(super) fn query(&self, now: DateTime<Utc>) -> Query {
        Query {
            user: self.user.clone(),
            since: self.since.map(|when| when.before(now)),
            until: self.until.map(|when| when.before(now)),
            action: self.action,
            verdict: self.verdict,
            outcome: self.outcome,
            before: None,
            limit: 0,
        }
    }
}

/// Those filters of `query` that let not everything through; `None` if there are none.
pub(super) fn described(query: &Query) -> Option<Value> {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let filters = [
        ("user", query.user.clone()),
        ("since", query.since.map(time)),
        ("until", query.until.map(time)),
        ("action", query.action.map(|it| it.as_str().to_owned())),
        ("verdict", query.verdict.map(|it| it.as_str().to_owned())),
        ("outcome", query.outcome.map(|it| it.as_str().to_owned())),
    ];
    let given = filters
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    let given: Map<String, Value> = given.collect();
    (!given.is_empty()).then_some(Value::Object(given))
}

// === impl When ===

impl When {
    fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
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

fn action(text: &str) -> Result<Action, &'static str> {
    Action::parse(text).ok_or("it is `write`, `read` or `clear`")
}

fn verdict(text: &str) -> Result<Judged, &'static str> {
    Judged::parse(text).ok_or("it is `accept`, `clear` or `refuse`")
}

fn outcome(text: &str) -> Result<Outcome, &'static str> {
    Outcome::parse(text).ok_or("it is `refused`, `answered`, `unanswered` or `failed`")
}
